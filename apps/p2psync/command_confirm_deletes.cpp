// p2psync confirm-deletes: lets go of deletions that the running node holds back.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"

namespace p2psync::app {
namespace {

struct Options {
  ConfigOptions config;
  bool json = false;
  bool undo = false;
};

int confirm(const Options& options, const std::string& folder) {
  const Json request(Json::Object{{"command", "confirm-deletes"}, {"undo", options.undo}});
  const auto answer = ask_or_fail(folder, request, options.json);
  if (!answer) {
    return exit_failed;
  }
  const std::int64_t count = (*answer)["deletions"].integer();
  if (options.json) {
    fmt::print("{}\n",
               Json(Json::Object{{"deletions", count}, {"undone", options.undo}}).dump(true));
  } else if (count == 0) {
    fmt::print("no deletions are held back\n");
  } else {
    fmt::print("{} {} {}\n", count, count == 1 ? "deletion" : "deletions",
               options.undo ? "undone: the files come back from the other members"
                            : "confirmed: the files go on every member");
  }
  return exit_done;
}

}  // namespace

void describe_confirm_deletes(CommandLine& line) {
  Command command(line, "confirm-deletes",
                  "Confirms the deletions that [scan] max_delete holds back just now");
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.flag("--undo", options->undo,
               "they were not meant: brings the files back from the other members");
  command.json(options->json);
  runs_in_folder(command, options, confirm);
}

}  // namespace p2psync::app
