#pragma once
// Beneath: names divided by '/', which lead nowhere but below the directory where they begin.
//
// It cannot be made of anything else: not of empty, "." or ".." components, an absolute path, NUL
// bytes, or more than path_bytes_max. What PosixFs has the kernel look up in the folder is always
// one of these, or its last name. (What is synchronised is judged by engine::path_problem as well,
// where it comes in; the program's own directory is beneath, too.) That none of the names is a
// symbolic link is no matter of text: each look-up forbids to follow any.
#include <optional>
#include <string>
#include <string_view>

#include "engine/error.h"

namespace p2psync::storage {

class Beneath {
 public:
  /// `invalid` if it could mean anything else; `operation` is for the error.
  [[nodiscard]] static Result<Beneath> of(std::string_view operation, std::string_view path);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const char* c_str() const { return text_.c_str(); }
  /// The last name.
  [[nodiscard]] const char* name() const { return text_.c_str() + name_at_; }
  /// All but the last name; nothing where there is only one.
  [[nodiscard]] std::optional<Beneath> parent() const;

 private:
  explicit Beneath(std::string_view text) : text_(text), name_at_(text_.rfind('/') + 1) {}

  std::string text_;
  std::size_t name_at_;  ///< (npos + 1 is 0)
};

}  // namespace p2psync::storage
