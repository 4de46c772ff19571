// p2psync page: where the status page is, with what it takes to change anything there.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"

namespace p2psync::app {
namespace {

int page(const std::string& folder) {
  const auto answer = ask_or_fail(folder, Json(Json::Object{{"command", "page"}}), false);
  if (!answer) {
    return exit_failed;
  }
  // Behind '#' it stays in the browser: no server, proxy or log sees it.
  fmt::print("{}#token={}\n", (*answer)["url"].text(), (*answer)["token"].text());
  return exit_done;
}

}  // namespace

void describe_page(CommandLine& line) {
  Command command(line, "page",
                  "Prints the address of the status page, with a token that lets it end conflicts");
  const auto options = std::make_shared<ConfigOptions>();
  command.config(*options);
  command.runs([options] {
    const auto config = load(*options, KeyUse::ignore);
    return config ? page(config->folder) : exit_wrong;
  });
}

}  // namespace p2psync::app
