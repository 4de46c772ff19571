#pragma once
// A plan run in a process of its own, so that a program that aborts ends only that.
#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/plan.h"
#include "tests/sim/world.h"

namespace p2psync::sim {

struct Trial {
  /// An aborted run has one, `died`, with what it said last.
  std::vector<Violation> violations;
  std::uint64_t events = 0;
  /// The plan with what users were drawn to do, and without moves that never came about.
  Plan fixed;

  [[nodiscard]] bool violates(const std::string& invariant) const;
};

[[nodiscard]] Trial try_plan(const Plan& plan, std::uint64_t events_max);

}  // namespace p2psync::sim
