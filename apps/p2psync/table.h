#pragma once
// Text for people: facts, lines, and rows whose columns are as wide as their widest cell.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace p2psync::app {

enum class Colour : std::uint8_t { none, good, busy, bad, faint, bold };

/// Columns that text takes on a terminal, taking each code point for one.
[[nodiscard]] std::size_t columns(std::string_view text);
/// As UTF-8, with '?' for control characters: a file's name cannot steer a terminal.
[[nodiscard]] std::string printable(std::string_view text);

class Table {
 public:
  explicit Table(bool colour) : colour_(colour) {}

  [[nodiscard]] std::string painted(std::string_view text, Colour colour) const;
  void fact(std::string_view name, std::string_view value);
  void line(std::string_view text);

  struct Cell {
    std::string text;
    Colour colour = Colour::none;
  };
  void rows(const std::vector<std::vector<Cell>>& rows);

  /// Every line ends with a line feed.
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  bool colour_;
  std::string text_;
};

}  // namespace p2psync::app
