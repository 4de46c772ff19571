// p2psync restore: brings a kept older version back.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"
#include "apps/p2psync/table.h"

namespace p2psync::app {
namespace {

struct Options {
  ConfigOptions config;
  std::string path;
  std::string version;
};

int restore(const Options& options, const std::string& folder) {
  Json::Object request{{"command", "restore"}, {"version", options.version}};
  add_path(request, "path", options.path);
  const auto answer = ask_or_fail(folder, request, false);
  if (!answer) {
    return exit_failed;
  }
  fmt::print("{} is back as it was in version {}{}\n", printable(options.path), options.version,
             (*answer)["laid_out"].boolean() ? "" : ", as soon as the disk has taken it");
  return exit_done;
}

}  // namespace

void describe_restore(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("restore", "Brings an older version of a file back, as a new edit");
  const auto options = std::make_shared<Options>();
  add_config_options(*command, options->config);
  add_path_argument(*command, options->path);
  command->add_option("--version", options->version, "one that `p2psync log PATH` lists")
      ->required()
      ->type_name("ID");
  command->callback([options, &action] {
    action = [options] {
      const auto config = load(options->config, KeyUse::ignore);
      return config ? restore(*options, config->folder) : exit_wrong;
    };
  });
}

}  // namespace p2psync::app
