#include "storage/fields.h"

#include <fmt/format.h>

#include <iterator>
#include <span>

#include "engine/path.h"
#include "storage/hash.h"

namespace p2psync::storage {

Result<std::string> read_text(Fs& fs, std::string_view path) {
  const auto file = fs.open_read(path);
  if (!file) {
    return std::unexpected(file.error());
  }
  const auto about = (*file)->stat();
  if (!about) {
    return std::unexpected(about.error());
  }
  std::string text(about->signature.size, '\0');
  const std::span bytes(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
  if (const auto count = (*file)->read(0, bytes); !count) {
    return std::unexpected(count.error());
  }
  return text;
}

std::string escaped(std::string_view text) {
  if (text.empty()) {
    return "%";
  }
  std::string out;
  for (const char byte : text) {
    if (byte > ' ' && byte <= '~' && byte != '%') {
      out += byte;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02x}", static_cast<unsigned char>(byte));
    }
  }
  return out;
}

bool is_own_or_none(std::string_view place) {
  return place.empty() || (engine::is_below(place, engine::own_directory) &&
                           !engine::path_problem(place.substr(engine::own_directory.size() + 1)));
}

std::string Fields::text() {
  const std::string_view field = next();
  std::string out;
  for (std::size_t at = 0; at < field.size(); ++at) {
    if (field[at] != '%') {
      out += field[at];
    } else if (field.size() >= at + 3) {
      out += static_cast<char>(parse<unsigned>(field.substr(at + 1, 2), 16));
      at += 2;
    } else {
      good_ = good_ && field.size() == 1;
    }
  }
  return out;
}

engine::Hash Fields::hash() {
  const auto hash = from_hex(next());
  good_ = good_ && hash.has_value();
  return hash.value_or(engine::Hash{});
}

std::string_view Fields::next() {
  const auto blank = rest_.find(' ');
  const std::string_view field = rest_.substr(0, blank);
  rest_ = blank == std::string_view::npos ? std::string_view() : rest_.substr(blank + 1);
  good_ = good_ && !field.empty();
  return field;
}

}  // namespace p2psync::storage
