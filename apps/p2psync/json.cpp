#include "apps/p2psync/json.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace p2psync::app {
namespace {

constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr int depth_max = 32;
constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// The length of the UTF-8 sequence that text begins with; 0 if it begins with none. Overlong
/// forms, surrogates and what is above U+10FFFF are none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) {
      return 0;
    }
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool outside = (first == 0xED && byte(1) > 0x9F) || (first == 0xF4 && byte(1) > 0x8F);
  return overlong || outside ? 0 : length;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

void write_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : to_utf8(text)) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<Json> whole() {
    auto parsed = value(0);
    space();
    return at_ == text_.size() ? parsed : std::nullopt;
  }

 private:
  void space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
  bool take(char c) {
    space();
    if (at_ < text_.size() && text_[at_] == c) {
      ++at_;
      return true;
    }
    return false;
  }
  bool take(std::string_view word) {
    if (text_.substr(at_).starts_with(word)) {
      at_ += word.size();
      return true;
    }
    return false;
  }

  std::optional<Json> value(int depth) {
    space();
    if (at_ == text_.size() || depth > depth_max) {
      return std::nullopt;
    }
    switch (text_[at_]) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': {
        auto text = string();
        return text ? std::optional<Json>(std::move(*text)) : std::nullopt;
      }
      case 't': return take("true") ? std::optional<Json>(true) : std::nullopt;
      case 'f': return take("false") ? std::optional<Json>(false) : std::nullopt;
      case 'n': return take("null") ? std::optional<Json>(Json()) : std::nullopt;
      default: return number();
    }
  }

  std::optional<Json> object(int depth) {
    ++at_;
    Json::Object members;
    if (take('}')) {
      return Json(std::move(members));
    }
    do {
      space();
      auto key = string();
      if (!key || !take(':')) {
        return std::nullopt;
      }
      auto member = value(depth + 1);
      if (!member) {
        return std::nullopt;
      }
      members.emplace_back(std::move(*key), std::move(*member));
    } while (take(','));
    return take('}') ? std::optional<Json>(std::move(members)) : std::nullopt;
  }

  std::optional<Json> array(int depth) {
    ++at_;
    Json::Array items;
    if (take(']')) {
      return Json(std::move(items));
    }
    do {
      auto item = value(depth + 1);
      if (!item) {
        return std::nullopt;
      }
      items.push_back(std::move(*item));
    } while (take(','));
    return take(']') ? std::optional<Json>(std::move(items)) : std::nullopt;
  }

  std::optional<std::uint32_t> hex4() {
    std::uint32_t code = 0;
    const char* const begin = text_.data() + at_;
    if (text_.size() - at_ < 4 || std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4) {
      return std::nullopt;
    }
    at_ += 4;
    return code;
  }

  std::optional<std::uint32_t> escaped_code() {
    auto code = hex4();
    if (code && *code >= 0xD800 && *code < 0xDC00 && take("\\u")) {
      const auto low = hex4();
      if (!low || *low < 0xDC00 || *low > 0xDFFF) {
        return std::nullopt;
      }
      return 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
    }
    return code && *code >= 0xD800 && *code <= 0xDFFF ? std::nullopt : code;
  }

  std::optional<std::string> string() {
    if (at_ == text_.size() || text_[at_] != '"') {
      return std::nullopt;
    }
    ++at_;
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') {
        return out;
      }
      if (static_cast<unsigned char>(c) < 0x20) {
        return std::nullopt;
      }
      if (c != '\\') {
        out += c;
        continue;
      }
      if (at_ == text_.size()) {
        return std::nullopt;
      }
      static constexpr std::string_view names = "\"\\/bfnrt";
      static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
      const char name = text_[at_++];
      if (name == 'u') {
        const auto code = escaped_code();
        if (!code) {
          return std::nullopt;
        }
        append_utf8(out, *code);
      } else if (const auto i = names.find(name); i != std::string_view::npos) {
        out += meanings[i];
      } else {
        return std::nullopt;
      }
    }
    return std::nullopt;
  }

  std::optional<Json> number() {
    const std::size_t end = std::min(text_.find_first_not_of("+-.0123456789eE", at_), text_.size());
    const char* const first = text_.data() + at_;
    const char* const last = text_.data() + end;
    at_ = end;
    std::int64_t integer = 0;
    if (const auto [ptr, error] = std::from_chars(first, last, integer);
        error == std::errc() && ptr == last && first != last) {
      return Json(integer);
    }
    double real = 0;
    if (const auto [ptr, error] = std::from_chars(first, last, real);
        error == std::errc() && ptr == last && first != last) {
      return Json(real);
    }
    return std::nullopt;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

const Json& Json::operator[](std::string_view key) const {
  static const Json absent;
  for (const auto& [name, value] : members()) {
    if (name == key) {
      return value;
    }
  }
  return absent;
}

bool Json::boolean() const {
  const auto* value = std::get_if<bool>(&value_);
  return value != nullptr && *value;
}

std::int64_t Json::integer() const {
  const auto* value = std::get_if<std::int64_t>(&value_);
  return value != nullptr ? *value : 0;
}

double Json::number() const {
  const auto* value = std::get_if<double>(&value_);
  return value != nullptr ? *value : static_cast<double>(integer());
}

const std::string& Json::text() const {
  static const std::string empty;
  const auto* value = std::get_if<std::string>(&value_);
  return value != nullptr ? *value : empty;
}

const Json::Array& Json::items() const {
  static const Array empty;
  const auto* value = std::get_if<Array>(&value_);
  return value != nullptr ? *value : empty;
}

const Json::Object& Json::members() const {
  static const Object empty;
  const auto* value = std::get_if<Object>(&value_);
  return value != nullptr ? *value : empty;
}

std::string Json::dump(bool indent) const {
  std::string out;
  write(out, 0, indent);
  return out;
}

void Json::write(std::string& out, int depth, bool indent) const {
  const auto line = [&](int level) {
    if (indent) {
      out += '\n';
      out.append(static_cast<std::size_t>(level) * 2, ' ');
    }
  };
  if (is_null()) {
    out += "null";
  } else if (const auto* flag = std::get_if<bool>(&value_)) {
    out += *flag ? "true" : "false";
  } else if (const auto* integer = std::get_if<std::int64_t>(&value_)) {
    out += fmt::format("{}", *integer);
  } else if (const auto* real = std::get_if<double>(&value_)) {
    // JSON has no infinities; none of ours should ever be one.
    // Nor has a zero a sign here: "-0" would be read as the integer.
    out += std::isfinite(*real) ? fmt::format("{}", *real + 0.0) : "null";
  } else if (const auto* text = std::get_if<std::string>(&value_)) {
    write_string(out, *text);
  } else if (const auto* items = std::get_if<Array>(&value_)) {
    out += '[';
    for (std::size_t i = 0; i < items->size(); ++i) {
      out += i == 0 ? "" : ",";
      line(depth + 1);
      (*items)[i].write(out, depth + 1, indent);
    }
    if (!items->empty()) {
      line(depth);
    }
    out += ']';
  } else {
    const Object& object = members();
    out += '{';
    for (std::size_t i = 0; i < object.size(); ++i) {
      out += i == 0 ? "" : ",";
      line(depth + 1);
      write_string(out, object[i].first);
      out += indent ? ": " : ":";
      object[i].second.write(out, depth + 1, indent);
    }
    if (!object.empty()) {
      line(depth);
    }
    out += '}';
  }
}

std::optional<Json> Json::parse(std::string_view text) {
  return Parser(text).whole();
}

std::string to_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t length = utf8_length(bytes);
    out += length == 0 ? replacement : bytes.substr(0, length);
    bytes.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t length = utf8_length(bytes);
    if (length == 0) {
      return false;
    }
    bytes.remove_prefix(length);
  }
  return true;
}

std::string base64(std::string_view bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view group = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = (bits << 8) | (j < group.size() ? static_cast<unsigned char>(group[j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += j <= group.size() ? base64_digits[(bits >> (18 - 6 * j)) & 63] : '=';
    }
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t digit = base64_digits.find(text[i]);
    bits = bits << 6 | static_cast<std::uint32_t>(digit & 63);
    if (i % 4 == 3) {
      for (const int shift : {16, 8, 0}) {
        bytes += static_cast<char>(bits >> shift & 0xFF);
      }
    }
  }
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  bytes.resize(bytes.size() - std::min(padding, bytes.size()));
  return base64(bytes) == text ? std::optional(bytes) : std::nullopt;
}

void add_path(Json::Object& object, const std::string& key, std::string_view path) {
  object.emplace_back(key, path);
  if (!is_utf8(path)) {
    object.emplace_back(key + "_bytes", base64(path));
  }
}

std::string path_in(const Json& object, const std::string& key) {
  const Json& bytes = object[key + "_bytes"];
  return bytes.is_null() ? object[key].text() : from_base64(bytes.text()).value_or("");
}

std::string names_in(const Json& list, std::string_view none) {
  std::string names;
  for (const Json& name : list.items()) {
    names += (names.empty() ? "" : ", ") + name.text();
  }
  return names.empty() ? std::string(none) : names;
}

}  // namespace p2psync::app
