#pragma once
// The canary: bugs planted in the simulator's own glue, which must be reported, or a run that
// passes proves nothing. What shows each is then shrunk, which tests the shrinker and the format of
// plans.
#include <cstddef>

namespace p2psync::sim {

/// What a failing plan must come down to.
inline constexpr std::size_t shrunk_steps_max = 20;

/// The last line is `N passed, M failed`; the exit code 0 if all passed.
[[nodiscard]] int run_canaries();

}  // namespace p2psync::sim
