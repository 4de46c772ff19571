// p2psync conflicts: lists the conflict copies.
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
  bool json = false;
};

/// All pages; nothing if the node does not answer.
std::optional<Json::Array> fetch(const std::string& folder, bool json) {
  Json::Array all;
  Json page(Json::Object{{"more", true}});
  while (page["more"].boolean()) {
    Json::Object request{{"command", "conflicts"}};
    if (!all.empty()) {
      add_path(request, "after", path_in(all.back(), "copy"));
    }
    auto answer = ask_or_fail(folder, request, json);
    if (!answer) {
      return std::nullopt;
    }
    page = std::move(*answer);
    all.insert(all.end(), page["conflicts"].items().begin(), page["conflicts"].items().end());
  }
  return all;
}

std::vector<Table::Cell> row(const std::string& name, const Json& version) {
  const bool directory = version["kind"].text() == "directory";
  return {
      {"  " + printable(name)},
      {printable(version["node"].text()), Colour::bold},
      {directory ? "directory" : size_text(static_cast<std::uint64_t>(version["size"].integer()))},
      {version["mtime"].text(), Colour::faint}};
}

void show(const Json::Array& copies) {
  Table table(::isatty(STDOUT_FILENO) == 1);
  if (copies.empty()) {
    table.line("no conflicts");
  }
  std::vector<std::vector<Table::Cell>> rows;
  const Json* last = nullptr;
  for (const Json& copy : copies) {
    if (last == nullptr || (*last)["path"] != copy["path"]) {
      const Json& holder = copy["name_held_by"];
      rows.push_back(holder.is_null()
                         ? std::vector<Table::Cell>{{"  " + printable(copy["path"].text())},
                                                    {"-"},
                                                    {"nothing there"}}
                         : row(copy["path"].text(), holder));
    }
    rows.push_back(row(copy["copy"].text(), copy["copy_by"]));
    last = &copy;
  }
  table.rows(rows);
  if (!copies.empty()) {
    table.line(
        fmt::format("{} conflict {}; `p2psync resolve PATH --keep NODE` ends those of a path",
                    copies.size(), copies.size() == 1 ? "copy" : "copies"));
  }
  fmt::print("{}", table.take());
}

int conflicts(const Options& options, const std::string& folder) {
  const auto copies = fetch(folder, options.json);
  if (!copies) {
    return exit_failed;
  }
  if (options.json) {
    fmt::print("{}\n", Json(*copies).dump(true));
  } else {
    show(*copies);
  }
  return exit_done;
}

}  // namespace

void describe_conflicts(CommandLine& line) {
  Command command(line, "conflicts",
                  "Lists the conflict copies, with the file that each belongs to");
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.json(options->json);
  runs_in_folder(command, options, conflicts);
}

}  // namespace p2psync::app
