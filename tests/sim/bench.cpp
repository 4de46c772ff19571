#include "tests/sim/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <vector>

namespace p2psync::sim {
namespace {

constexpr std::size_t rounds = 5;

/// A figure of a second and core.
struct Figure {
  const char* name;
  double required;
  std::vector<double> of_rounds;

  [[nodiscard]] double median() {
    std::ranges::sort(of_rounds);
    return of_rounds.at(of_rounds.size() / 2);
  }
};

/// Of this process: a busy machine makes it wait, but not count.
double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

}  // namespace

int run_bench(const RunOptions& options) {
  RunOptions one = options;
  one.jobs = 1;
  // 50 seeds of 2,000 events; a seed has more of them, so both are asked for.
  std::array figures{Figure{"seeds", 50, {}}, Figure{"events", 50 * 2000, {}},
                     Figure{"simulated s", 20'000, {}}};
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t failed = 0;
  for (std::size_t round = 1; round <= rounds; ++round) {
    const double before = cpu_seconds();
    const Totals totals = run_seeds(one);
    const double took = cpu_seconds() - before;
    failed += totals.failed;
    const std::array<double, 3> counts{static_cast<double>(totals.passed + totals.failed),
                                       static_cast<double>(totals.events),
                                       static_cast<double>(totals.simulated_ms) / 1000};
    fmt::print("round {} of {}: {:.0f} seeds in {:.2f} s of CPU time\n", round, rounds,
               counts.front(), took);
    std::fflush(stdout);
    for (std::size_t i = 0; i < figures.size(); ++i) {
      figures.at(i).of_rounds.push_back(counts.at(i) / took);
    }
  }
  fmt::print("{:.1f} s by the clock\n",
             std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  fmt::print("{:24}{:>12}{:>12}\n", "a second and core", "median", "required");
  std::uint64_t missed = 0;
  for (Figure& figure : figures) {
    fmt::print("{:24}{:>12.0f}{:>12.0f}\n", figure.name, figure.median(), figure.required);
    missed += figure.median() < figure.required ? 1 : 0;
  }
  fmt::print("{} passed, {} failed\n", figures.size() - missed, missed + failed);
  return missed + failed == 0 ? 0 : 1;
}

}  // namespace p2psync::sim
