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

void describe(CommandLine& line, const std::string& name, const std::string& text, bool on) {
  Command command(line, name, text);
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.json(options->json);
  command.runs([options, on] {
    const auto config = load(options->config, KeyUse::ignore);
    return config ? pause(*options, config->folder, on) : exit_wrong;
  });
}

}  // namespace

void describe_pause(CommandLine& line) {
  describe(line, "pause",
           "Exchanges nothing with others and leaves the folder to its users until resume, also "
           "over a restart",
           true);
}

void describe_resume(CommandLine& line) {
  describe(line, "resume", "Ends a pause: this node and the others catch up", false);
}

}  // namespace p2psync::app
