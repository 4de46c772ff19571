#include "tests/sim/scale_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <functional>

#include "tests/sim/scale.h"

namespace p2psync::sim {
namespace {

constexpr double width = 860;
constexpr double height = 400;
constexpr double top = 46;
constexpr double bottom = 350;
constexpr double panel = 330;
constexpr std::array colours{"#1f5fa8", "#d2691e", "#2a8f4f", "#a03070"};
constexpr const char* bound_colour = "#777";

/// One of the two diagrams: nodes to the right, logarithmic, from 2 to 1,000.
class Diagram {
 public:
  Diagram(double left, double low, double high, bool logarithmic)
      : left_(left), low_(low), high_(high), logarithmic_(logarithmic) {}

  [[nodiscard]] double x(double nodes) const {
    return left_ + panel * std::log(nodes / 2) / std::log(500.0);
  }
  [[nodiscard]] double y(double value) const {
    const double part = logarithmic_
                            ? std::log(std::max(value, low_) / low_) / std::log(high_ / low_)
                            : (value - low_) / (high_ - low_);
    return bottom - (bottom - top) * part;
  }
  [[nodiscard]] std::string axes(const std::string& title,
                                 const std::vector<std::pair<double, std::string>>& steps) const {
    std::string svg = fmt::format("<text x='{}' y='30' class='title'>{}</text>\n", left_, title);
    for (const auto& [value, name] : steps) {
      svg += fmt::format(
          "<path d='M{} {:.1f}h{}' class='grid'/><text x='{}' y='{:.1f}' class='end'>{}</text>\n",
          left_, y(value), panel, left_ - 6, y(value) + 4, name);
    }
    for (const int nodes : {2, 5, 10, 20, 50, 100, 200, 500, 1000}) {
      svg += fmt::format("<text x='{:.1f}' y='{}' class='mid'>{}</text>\n", x(nodes), bottom + 16,
                         nodes);
    }
    return svg + fmt::format(
                     "<path d='M{0} {1}V{2}H{3}' class='axis'/><text x='{4}' y='{5}' "
                     "class='mid'>nodes</text>\n",
                     left_, top, bottom, left_ + panel, left_ + panel / 2, bottom + 34);
  }
  [[nodiscard]] std::string line(const std::vector<SeriesPoint>& points, const std::string& style,
                                 const std::function<double(const SeriesPoint&)>& value) const {
    std::string path;
    for (const SeriesPoint& point : points) {
      path +=
          fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(point.nodes), y(value(point)));
    }
    return fmt::format("<path d='{}' fill='none' {}/>\n", path, style);
  }

 private:
  double left_, low_, high_;
  bool logarithmic_;
};

std::string legend(double x, double y, const std::string& style, const std::string& name) {
  return fmt::format("<path d='M{} {}h22' fill='none' {}/><text x='{}' y='{}'>{}</text>\n", x, y,
                     style, x + 28, y + 4, name);
}

}  // namespace

bool write_plot(const std::string& file, const std::vector<Series>& series) {
  double worst = 0;
  for (const Series& each : series) {
    for (const SeriesPoint& point : each.points) {
      worst = std::max(worst, point.worst);
    }
  }
  const double highest = (std::ceil(worst / 4) + 2) * 4;  // room for the legend
  std::vector<std::pair<double, std::string>> marks;
  for (double mark = 0; mark <= highest; mark += 4) {
    marks.emplace_back(mark, fmt::format("{:.0f}", mark));
  }
  const Diagram rounds(50, 0, highest, false);
  const Diagram bytes(500, 0.1, 1000, true);
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {} {}' font-family='sans-serif' "
      "font-size='11'>\n<style>.title{{font-size:13px;font-weight:bold}}.mid{{text-anchor:middle}}"
      ".end{{text-anchor:end}}.grid{{stroke:#ddd}}.axis{{stroke:#333;fill:none}}</style>\n"
      "<rect width='100%' height='100%' fill='white'/>\n",
      width, height);
  svg += rounds.axes("rounds until all have a change: median, dots: worst", marks);
  svg += bytes.axes("kB a node until all have it; dashed: until all know",
                    {{0.1, "0.1"}, {1, "1"}, {10, "10"}, {100, "100"}, {1000, "1,000"}});
  std::vector<SeriesPoint> bound;
  for (double nodes = 2; nodes <= 1000; nodes *= 1.2) {
    bound.push_back({nodes});
  }
  const std::string plain = fmt::format("stroke='{}' stroke-width='1.5'", bound_colour);
  const std::string dotted = plain + " stroke-dasharray='2 3'";
  svg += rounds.line(bound, plain, [](const SeriesPoint& point) {
    return rounds_allowed(static_cast<std::size_t>(point.nodes));
  });
  svg += rounds.line(bound, dotted, [](const SeriesPoint& point) {
    return std::log2(point.nodes) + std::log(point.nodes);
  });
  svg += legend(62, 58, plain, "log2 n + ln n + 4: allowed");
  svg += legend(62, 74, dotted, "log2 n + ln n: push of a rumour (Pittel 1987, Demers 1987)");
  for (std::size_t i = 0; i < series.size(); ++i) {
    const std::string style =
        fmt::format("stroke='{}' stroke-width='2'", colours[i % colours.size()]);
    const auto& points = series[i].points;
    svg += rounds.line(points, style, [](const SeriesPoint& point) { return point.median; });
    for (const SeriesPoint& point : points) {
      svg += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='2.5' fill='{}'/>\n",
                         rounds.x(point.nodes), rounds.y(point.worst), colours[i % colours.size()]);
    }
    svg += bytes.line(points, style, [](const SeriesPoint& point) { return point.kilobytes; });
    svg += bytes.line(points, style + " stroke-dasharray='5 3'",
                      [](const SeriesPoint& point) { return point.kilobytes_at_rest; });
    svg += legend(512, 58 + 16 * static_cast<double>(i), style, series[i].name);
  }
  std::ofstream out(file, std::ios::binary);
  out << svg << "</svg>\n";
  return static_cast<bool>(out.flush());
}

}  // namespace p2psync::sim
