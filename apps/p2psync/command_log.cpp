// p2psync log: what the node knows of one path.
#include <fmt/format.h>
#include <unistd.h>

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

std::string text_or_dash(const Json& value) {
  return value.is_null() ? "-" : printable(value.text());
}

void show(const Json& log) {
  Table table(::isatty(STDOUT_FILENO) == 1);
  std::vector<std::vector<Table::Cell>> rows{{{"VERSION", Colour::faint},
                                              {"STATE", Colour::faint},
                                              {"BY", Colour::faint},
                                              {"TIME", Colour::faint},
                                              {"MODE", Colour::faint},
                                              {"SIZE", Colour::faint},
                                              {"", Colour::faint}}};
  for (const Json& version : log["versions"].items()) {
    const std::string& state = version["state"].text();
    std::string remark;
    if (state == "copy") {
      remark = printable(version["name"].text());
    } else if (state == "kept" && !version["replaced"].is_null()) {
      remark = "left the tree " + version["replaced"].text();
    }
    if (!version["here"].is_null() && !version["here"].boolean()) {
      remark += remark.empty() ? "" : ", ";
      remark += state == "kept" ? "its bytes are not here" : "not here yet";
    }
    const bool none = state == "deleted" || version["kind"].text() == "directory";
    rows.push_back({{text_or_dash(version["id"]), Colour::bold},
                    {state},
                    {text_or_dash(version["node"])},
                    {text_or_dash(version["time"])},
                    {text_or_dash(version["mode"])},
                    {none ? text_or_dash(version["kind"])
                          : size_text(static_cast<std::uint64_t>(version["size"].integer()))},
                    {remark, Colour::faint}});
  }
  table.line(printable(log["path"].text()));
  table.rows(rows);
  std::string context;
  for (const auto& [actor, sequence] : log["context"].members()) {
    context += fmt::format("  {}:{}", actor, sequence.integer());
  }
  if (!context.empty()) {
    table.line("has seen" + context);
  }
  fmt::print("{}", table.take());
}

int log(const Options& options, const std::string& folder) {
  Json::Object request{{"command", "log"}};
  add_path(request, "path", options.path);
  return tell(folder, request, "log", options.json, show) ? exit_done : exit_failed;
}

}  // namespace

void describe_log(CommandLine& line) {
  Command command(
      line, "log",
      "Tells what the node knows of one path: who wrote it when, and what is kept of it");
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.path(options->path);
  command.json(options->json);
  runs_in_folder(command, options, log);
}

}  // namespace p2psync::app
