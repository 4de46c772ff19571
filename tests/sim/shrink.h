#pragma once
// The shrinker: brings a plan that fails to a small one that violates the same invariant.
//
// Delta debugging over the plan: moves, whole faults, hosts, rates, the length of the run. What
// users are drawn to do is fixed first, so that leaving out one move does not change what the
// others are. What is drawn while it runs (delays, job times) still changes with each thing left
// out; so a smaller plan is tried with several run seeds before it is given up.
//
// Bounded by simulated events, not by a clock: equal plans give equal results, wherever they run.
// Source: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002.
#include <cstdint>
#include <functional>
#include <string>

#include "tests/sim/trial.h"

namespace p2psync::sim {

struct ShrinkOptions {
  std::uint64_t events_max = 20'000'000;  ///< of all trials together; minutes
  bool progress = false;                  ///< tell on stderr
};

struct Shrunk {
  Plan plan;
  std::string invariant;  ///< empty: the plan does not fail
  Trial trial;            ///< of that plan
  std::uint64_t trials = 0;
  std::uint64_t events = 0;
};

[[nodiscard]] Shrunk shrink(const Plan& plan, const ShrinkOptions& options);
/// What is left in a plan to look at: moves, rates, and clocks, timestamps or renames that are not
/// as usual.
[[nodiscard]] std::size_t steps_of(const Plan& plan);

}  // namespace p2psync::sim
