#pragma once
// The plot of how news spreads: rounds, and bytes a node, against the number of nodes.
#include <string>
#include <vector>

namespace p2psync::sim {

struct SeriesPoint {
  double nodes = 0;
  double median = 0, worst = 0;  ///< rounds
  double messages = 0;
  double kilobytes = 0, kilobytes_at_rest = 0;
};
struct Series {
  std::string name;
  std::vector<SeriesPoint> points;
};

/// False if the file cannot be written.
[[nodiscard]] bool write_plot(const std::string& file, const std::vector<Series>& series);

}  // namespace p2psync::sim
