// p2psync check: judges the configuration as `run` would, without starting.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"

namespace p2psync::app {

void describe_check(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "check", "Validates the configuration; every problem on its own line, with file, line, key");
  const auto options = std::make_shared<ConfigOptions>();
  add_config_options(*command, *options);
  command->callback([options, &action] {
    action = [options] {
      const auto config = load(*options, KeyUse::judge);
      if (!config) {
        return exit_wrong;
      }
      fmt::print("{}: correct; this is {}, one of {} members of {}\n", config->file,
                 config->me().name, config->members.size(), config->cluster);
      return exit_done;
    };
  });
}

}  // namespace p2psync::app
