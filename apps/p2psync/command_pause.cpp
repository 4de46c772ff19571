// p2psync pause, p2psync resume: the running node exchanges nothing and changes nothing for a
// while.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"

namespace p2psync::app {
namespace {

struct Options {
  ConfigOptions config;
  bool json = false;
};

int pause(const Options& options, const std::string& folder, bool on) {
  const Json request(Json::Object{{"command", "pause"}, {"on", on}});
  const auto answer = ask_or_fail(folder, request, options.json);
  if (!answer) {
    return exit_failed;
  }
  const bool changed = (*answer)["changed"].boolean();
  if (options.json) {
    fmt::print("{}\n", Json(Json::Object{{"paused", on}, {"changed", changed}}).dump(true));
  } else if (!changed) {
    fmt::print("{}\n", on ? "it was paused already" : "it was not paused");
  } else {
    fmt::print("{}\n", on ? "paused: what changes here is recorded, and waits like what changes "
                            "elsewhere, until p2psync resume"
                          : "resumed");
  }
  return exit_done;
}

void describe(CLI::App& app, Action& action, const std::string& name, const std::string& text,
              bool on) {
  CLI::App* command = app.add_subcommand(name, text);
  const auto options = std::make_shared<Options>();
  add_config_options(*command, options->config);
  command->add_flag("--json", options->json, "one JSON document on stdout");
  command->callback([options, &action, on] {
    action = [options, on] {
      const auto config = load(options->config, KeyUse::ignore);
      return config ? pause(*options, config->folder, on) : exit_wrong;
    };
  });
}

}  // namespace

void describe_pause(CLI::App& app, Action& action) {
  describe(app, action, "pause",
           "Exchanges nothing with others and leaves the folder to its users until resume, also "
           "over a restart",
           true);
}

void describe_resume(CLI::App& app, Action& action) {
  describe(app, action, "resume", "Ends a pause: this node and the others catch up", false);
}

}  // namespace p2psync::app
