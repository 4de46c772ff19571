#pragma once
// JSON values: built, written and read (RFC 8259), for `--json`, the control socket and the log.
//
// An object keeps the order in which its members were added. Integers are exact up to 63 bits.
// Strings are bytes: on writing, what is not valid UTF-8 becomes U+FFFD, so the document always is.
// Reading is bounded in depth, and in length by whoever holds the text. Values: no locks.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace p2psync::app {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;  ///< null
  Json(bool value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(std::int64_t value) : value_(value) {}
  Json(std::uint64_t value) : value_(static_cast<std::int64_t>(value)) {}
  Json(int value) : value_(std::int64_t{value}) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  /// A member of an object; null for another kind and for what is absent.
  [[nodiscard]] const Json& operator[](std::string_view key) const;
  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  [[nodiscard]] bool boolean() const;             ///< false for another kind
  [[nodiscard]] std::int64_t integer() const;     ///< 0 for another kind
  [[nodiscard]] double number() const;            ///< 0 for another kind
  [[nodiscard]] const std::string& text() const;  ///< "" for another kind
  [[nodiscard]] const Array& items() const;       ///< empty for another kind
  [[nodiscard]] const Object& members() const;    ///< empty for another kind

  /// On one line, or (indent) on several for people.
  [[nodiscard]] std::string dump(bool indent = false) const;
  /// Nothing if the text is not one JSON value.
  [[nodiscard]] static std::optional<Json> parse(std::string_view text);

  bool operator==(const Json&) const = default;

 private:
  void write(std::string& out, int depth, bool indent) const;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

/// The bytes as valid UTF-8: what is not becomes U+FFFD.
[[nodiscard]] std::string to_utf8(std::string_view bytes);
[[nodiscard]] bool is_utf8(std::string_view bytes);
[[nodiscard]] std::string base64(std::string_view bytes);
/// Nothing unless it is what base64() writes.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

/// Adds `key` with a path in it, and `key_bytes` in base64 if the path is not UTF-8.
void add_path(Json::Object& object, const std::string& key, std::string_view path);
/// The path that add_path wrote; "" if there is none.
[[nodiscard]] std::string path_in(const Json& object, const std::string& key);

/// The texts of a list with commas between; `none` if it has none.
[[nodiscard]] std::string names_in(const Json& list, std::string_view none = "");

}  // namespace p2psync::app
