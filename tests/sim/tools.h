#pragma once
// What p2psync-sim does with single plans: replay one from a file, make one smaller, replay all
// that are kept, and let the canaries sing.
#include <optional>
#include <string>

#include "tests/sim/plan.h"
#include "tests/sim/world.h"

namespace CLI {
class App;
}

namespace p2psync::sim {

struct ToolOptions {
  std::string plan;                   ///< a file to replay
  std::optional<std::uint64_t> seed;  ///< to shrink
  std::string shrink_plan;            ///< a file to shrink
  std::string out;                    ///< where the smaller plan goes
  std::uint64_t events_millions = 20;
  std::string plans;    ///< a directory whose plans must all pass
  bool canary = false;  ///< planted bugs must be seen
  bool draw = false;    ///< what is replayed is drawn

  [[nodiscard]] bool wanted() const {
    return !plan.empty() || seed.has_value() || !shrink_plan.empty() || !plans.empty() || canary;
  }
};

void add_tool_options(CLI::App& app, ToolOptions& options);
/// The exit code: 0 passed or made smaller, 1 failed, 2 a file that is no plan.
[[nodiscard]] int run_tool(const ToolOptions& tools, const PlanOptions& options,
                           const Telling& telling);
/// `how`: the command that does it again.
[[nodiscard]] int replay(const Plan& plan, const std::string& how, Telling telling, bool draw);

}  // namespace p2psync::sim
