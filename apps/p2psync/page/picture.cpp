#include "apps/p2psync/page/picture.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "apps/p2psync/page/html.h"

namespace p2psync::app {
namespace {

constexpr double middle_x = 200;
constexpr double middle_y = 140;
constexpr double around_x = 150;
constexpr double around_y = 96;

/// Marks differ in shape too, for who cannot tell the colours apart.
std::string dot(std::string_view mark, double x, double y, double size) {
  if (mark == "bad") {
    return fmt::format(
        "<path class=\"bad\" d=\"M{:.1f} {:.1f}l{:.1f} {:.1f}m0 -{:.1f}l-{:.1f} {:.1f}\"/>",
        x - size * 0.7, y - size * 0.7, size * 1.4, size * 1.4, size * 1.4, size * 1.4, size * 1.4);
  }
  return fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"/>", mark, x, y,
                     size);
}

}  // namespace

std::string picture(const Json& status) {
  const Json::Array& peers = status["peers"].items();
  const bool named = peers.size() <= names_drawn_max;
  const double size = named ? 9 : 4;
  std::string lines;
  std::string dots;
  std::int64_t connected = 0;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    const double angle =
        2 * std::numbers::pi * (static_cast<double>(i) + 0.5) / static_cast<double>(peers.size()) -
        std::numbers::pi / 2;
    const double x = middle_x + around_x * std::cos(angle);
    const double y = middle_y + around_y * std::sin(angle);
    const std::string_view mark = mark_of_peer(peers[i], status);
    connected += peers[i]["connected"].boolean() ? 1 : 0;
    lines +=
        fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>",
                    mark, middle_x, middle_y, x, y);
    dots += dot(mark, x, y, size);
    if (named) {
      dots += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", x,
                          y < middle_y ? y - 15 : y + 26, escaped(peers[i]["name"].text()));
    }
  }
  const std::string& self = status["node"].text();
  return fmt::format(
      "<svg class=\"net\" viewBox=\"0 0 400 280\" role=\"img\" aria-label=\"{}: connected with {} "
      "of {} members\">{}{}{}<text class=\"self\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text></svg>",
      escaped(self), connected, peers.size(), lines,
      dot(mark_of_state(status["state"].text()), middle_x, middle_y, 13), dots, middle_x,
      middle_y + 32, escaped(self));
}

}  // namespace p2psync::app
