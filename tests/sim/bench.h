#pragma once
// How fast the simulator is: what decides how many histories a night can look at.
#include "tests/sim/runner.h"

namespace p2psync::sim {

/// Runs the seeds several times in this process and prints, for each figure, the median of a second
/// of CPU time beside the bound that it must reach. The last line is `N passed, M failed`; returns
/// 1 if a bound is missed or a seed failed.
[[nodiscard]] int run_bench(const RunOptions& options);

}  // namespace p2psync::sim
