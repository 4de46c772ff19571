#include "apps/p2psync/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "apps/p2psync/json.h"

namespace p2psync::app {

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string printable(std::string_view text) {
  std::string out = to_utf8(text);
  std::ranges::replace_if(out, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return out;
}

std::string Table::painted(std::string_view text, Colour colour) const {
  static constexpr std::array<std::string_view, 6> codes{"", "32", "33", "31", "2", "1"};
  const std::string_view code = codes[static_cast<std::size_t>(colour)];
  return !colour_ || code.empty() ? std::string(text)
                                  : fmt::format("\033[{}m{}\033[0m", code, text);
}

void Table::fact(std::string_view name, std::string_view value) {
  text_ += fmt::format("{:<12}{}\n", name, value);
}

void Table::line(std::string_view text) {
  text_ += fmt::format("{}\n", text);
}

void Table::rows(const std::vector<std::vector<Cell>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], columns(row[i].text));
    }
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += painted(row[i].text, row[i].colour);
      if (i + 1 < row.size()) {
        line.append(widths[i] - columns(row[i].text) + 2, ' ');
      }
    }
    text_ += line + "\n";
  }
}

}  // namespace p2psync::app
