// p2psync check: judges the configuration as `run` would, without starting.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"

namespace p2psync::app {

void describe_check(CommandLine& line) {
  Command command(
      line, "check",
      "Validates the configuration; every problem on its own line, with file, line, key");
  const auto options = std::make_shared<ConfigOptions>();
  command.config(*options);
  command.runs([options] {
    const auto config = load(*options, KeyUse::judge);
    if (!config) {
      return exit_wrong;
    }
    fmt::print("{}: correct; this is {}, one of {} members of {}\n", config->file,
               config->me().name, config->members.size(), config->cluster);
    return exit_done;
  });
}

}  // namespace p2psync::app
