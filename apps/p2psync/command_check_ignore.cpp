// p2psync check-ignore: whether a path is ignored, and which rule says so.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"
#include "apps/p2psync/table.h"

namespace p2psync::app {
namespace {

struct Options {
  ConfigOptions config;
  std::string path;
  bool directory = false;
  bool json = false;
};

int check_ignore(const Options& options, const std::string& folder) {
  Json::Object request{
      {"command", "check-ignore"},
      {"directory", stands_as_directory(folder, options.path).value_or(options.directory)}};
  add_path(request, "path", options.path);
  const auto told = tell(folder, request, "check_ignore", options.json, [&](const Json& answer) {
    const Json& rule = answer["by"];
    if (rule.is_null()) {
      fmt::print("no rule is about {}\n", printable(options.path));
    } else {
      fmt::print("{}:{}: {}\n", printable(rule["file"].text()), rule["line"].integer(),
                 printable(rule["rule"].text()));
    }
  });
  return told && (*told)["ignored"].boolean() ? exit_done : exit_failed;
}

}  // namespace

void describe_check_ignore(CommandLine& line) {
  Command command(
      line, "check-ignore",
      "Tells which rule of which .p2pignore decides about a path; exit 0: it is ignored, 1: not");
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.path(options->path);
  command.flag("--directory", options->directory,
               "where nothing stands at PATH: judge it as a directory");
  command.json(options->json);
  runs_in_folder(command, options, check_ignore);
}

}  // namespace p2psync::app
