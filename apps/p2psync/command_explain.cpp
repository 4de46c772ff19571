// p2psync explain: where a path is, where not, and why.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"
#include "apps/p2psync/quantity.h"
#include "apps/p2psync/table.h"

namespace p2psync::app {
namespace {

struct Options {
  ConfigOptions config;
  std::string path;
  bool json = false;
};

void show(const Json& told) {
  fmt::print("{}\n", printable(told["path"].text()));
  if (const Json& why = told["why"]; !why.is_null()) {
    fmt::print("  not as it should be on this node: {}\n", printable(why.text()));
  }
  if (const Json& rule = told["ignored_by"]; !rule.is_null()) {
    fmt::print("  ignored by {}:{}: {}\n", printable(rule["file"].text()), rule["line"].integer(),
               printable(rule["rule"].text()));
  }
  for (const Json& version : told["versions"].items()) {
    const bool deleted = version["state"].text() == "deleted";
    const std::string who = version["node"].is_null() ? "somebody" : version["node"].text();
    if (deleted) {
      fmt::print("  deleted by {}\n", who);
    } else {
      const std::string& kind = version["kind"].text();
      const std::string what =
          kind == "file" ? size_text(static_cast<std::uint64_t>(version["size"].integer())) : kind;
      const std::string when = version["time"].is_null() ? "" : ", of " + version["time"].text();
      fmt::print("  {}: {} by {}{}\n", printable(version["name"].text()), what, who, when);
    }
    fmt::print("    {}: {}\n", deleted ? "known to" : "held by",
               names_in(version["held_by"], "nobody"));
    for (const Json& one : version["lacking"].items()) {
      fmt::print("    not {} {}: {}\n", deleted ? "to" : "by", one["node"].text(),
                 one["why"].text());
    }
  }
}

int explain(const Options& options, const std::string& folder) {
  Json::Object request{{"command", "explain"},
                       {"directory", stands_as_directory(folder, options.path).value_or(false)}};
  add_path(request, "path", options.path);
  return tell(folder, request, "explain", options.json, show) ? exit_done : exit_failed;
}

}  // namespace

void describe_explain(CommandLine& line) {
  Command command(
      line, "explain",
      "Tells of one path which node wrote what stands there, who has it, who lacks it, and why");
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.path(options->path);
  command.json(options->json);
  runs_in_folder(command, options, explain);
}

}  // namespace p2psync::app
