#include "tests/sim/canary.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "tests/sim/plan_text.h"
#include "tests/sim/shrink.h"

namespace p2psync::sim {
namespace {

constexpr std::uint64_t seeds_max = 50;

struct Case {
  Canary canary;
  std::string_view what;
  /// Who must report it.
  std::set<std::string> invariants;
};

const std::array<Case, 2>& cases() {
  static const std::array<Case, 2> all{{
      {Canary::overwritten_write,
       "a user's write is overwritten",
       {"#2 no lost update", "#3 no resurrection"}},
      {Canary::forgotten_commit,
       "the index forgets a commit",
       {"#1 strong convergence", "#1 convergence", "#2 no lost update", "#3 no resurrection",
        "#7 dots are unique", "#9 versions are monotonic", "#12 the index is not behind"}},
  }};
  return all;
}

Plan planted(std::uint64_t seed, Canary canary) {
  Plan plan = draw_plan(seed, {.without = {}, .survivable_only = true});
  plan.setup.canary = canary;
  return plan;
}

/// What is wrong, or nothing.
std::string sing(const Case& bird) {
  std::uint64_t seed = 1;
  Trial seen = try_plan(planted(seed, bird.canary), Telling{}.events_max);
  const auto reported = [&] {
    return !seen.violations.empty() && bird.invariants.contains(seen.violations.front().invariant);
  };
  while (!reported() && seed < seeds_max) {
    seen = try_plan(planted(++seed, bird.canary), Telling{}.events_max);
  }
  if (!reported()) {
    return fmt::format("nobody notices in {} seeds", seeds_max);
  }
  fmt::print("canary: {}: seed {} reports {}\n", bird.what, seed,
             seen.violations.front().invariant);
  const Shrunk shrunk = shrink(planted(seed, bird.canary), {.events_max = 5'000'000});
  const std::size_t steps = steps_of(shrunk.plan);
  fmt::print("  shrunk to {} steps on {} hosts in {} runs\n", steps, shrunk.plan.setup.hosts,
             shrunk.trials);
  if (steps > shrunk_steps_max || shrunk.invariant != seen.violations.front().invariant) {
    return "the shrinker does not get it small:\n" + to_text(shrunk.plan);
  }
  const Result<Plan> read = plan_from_text(to_text(shrunk.plan));
  if (!read || run_plan(*read).trace_hash != run_plan(shrunk.plan).trace_hash) {
    return "the plan is another when it was read from its text:\n" + to_text(shrunk.plan);
  }
  Plan healthy = *read;
  healthy.setup.canary = Canary::none;
  if (!try_plan(healthy, Telling{}.events_max).violations.empty()) {
    return "its plan fails without it, too:\n" + to_text(shrunk.plan);
  }
  return {};
}

}  // namespace

int run_canaries() {
  std::size_t failed = 0;
  for (const Case& bird : cases()) {
    if (const std::string wrong = sing(bird); !wrong.empty()) {
      ++failed;
      fmt::print("canary: {}: FAILED: {}\n", bird.what, wrong);
    }
  }
  fmt::print("{} passed, {} failed\n", cases().size() - failed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace p2psync::sim
