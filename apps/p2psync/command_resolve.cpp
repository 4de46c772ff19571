// p2psync resolve: ends a conflict, on every node.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"
#include "apps/p2psync/table.h"

namespace p2psync::app {
namespace {

struct Options {
  ConfigOptions config;
  std::string path;
  std::string keep;
};

int resolve(const Options& options, const std::string& folder) {
  Json::Object request{{"command", "resolve"}};
  add_path(request, "path", options.path);
  add_path(request, "keep", options.keep);
  const auto answer = ask_or_fail(folder, request, false);
  if (!answer) {
    return exit_failed;
  }
  fmt::print("{} holds what {} held{}\n", printable(options.path),
             printable((*answer)["kept"].text()),
             (*answer)["laid_out"].boolean() ? "" : ", as soon as the disk has taken it");
  return exit_done;
}

}  // namespace

void describe_resolve(CommandLine& line) {
  Command command(line, "resolve",
                  "Ends a conflict: one version gets the name, the other copies go, on every node");
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.path(options->path);
  command.text("--keep", options->keep, "NODE",
               "the node that wrote the version to keep, or the name where that stands",
               Command::Need::required);
  runs_in_folder(command, options, resolve);
}

}  // namespace p2psync::app
