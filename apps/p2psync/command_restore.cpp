// p2psync restore: brings a kept older version back, or all that was at a time.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "apps/p2psync/command.h"
#include "apps/p2psync/moment.h"
#include "apps/p2psync/quantity.h"
#include "apps/p2psync/table.h"
#include "apps/p2psync/version_document.h"

namespace p2psync::app {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr double limit_default_s = 60;
/// What was asked for is looked at again so often, and no more often than that takes.
constexpr auto look_again_first = 50ms;
constexpr auto look_again_longest = 2s;

struct Options {
  ConfigOptions config;
  std::string path;
  std::string version;
  std::string at;
  bool dry_run = false;
  bool json = false;
  double limit_s = limit_default_s;
};

int restore_version(const Options& options, const std::string& folder) {
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

struct Changes {
  Json::Array all;
  Json away;  ///< names of members that are not connected
};

/// Page by page. `act`: and begins to undo them.
std::optional<Changes> fetch(const Options& options, const std::string& folder, std::int64_t at,
                             bool act, bool look) {
  Changes changes;
  std::string after;
  while (true) {
    Json::Object request{{"command", "restore-at"},
                         {"at", at},
                         {"act", act},
                         {"look", look},
                         {"timeout_s", options.limit_s}};
    add_path(request, "path", options.path);
    add_path(request, "after", after);
    const auto answer = ask_or_fail(folder, request, options.json);
    if (!answer) {
      return std::nullopt;
    }
    const Json::Array& page = (*answer)["changes"].items();
    changes.all.insert(changes.all.end(), page.begin(), page.end());
    changes.away = (*answer)["away"];
    if (!(*answer)["more"].boolean()) {
      return changes;
    }
    after = path_in(*answer, "last");
    look = false;
  }
}

bool is(const Json& change, std::string_view what) {
  return change["change"].text() == what;
}

bool is_under_way(const Json& change) {
  const std::string& state = change["state"].text();
  return state == "awaited" || state == "laying";
}

/// What is not undone when nothing is under way any more, or at the limit.
std::optional<Changes> wait_for_rest(const Options& options, const std::string& folder,
                                     std::int64_t at) {
  const auto deadline = Clock::now() + std::chrono::duration<double>(options.limit_s);
  for (Clock::duration pause = look_again_first;;
       pause = std::min<Clock::duration>(2 * pause, look_again_longest)) {
    auto left = fetch(options, folder, at, false, false);
    if (!left || Clock::now() >= deadline || std::ranges::none_of(left->all, is_under_way)) {
      return left;
    }
    std::this_thread::sleep_for(pause);
  }
}

std::string why_not(const Json& change) {
  const std::string& state = change["state"].text();
  if (is(change, "blocked")) {
    return "a directory is there now";
  }
  if (state == "awaited") {
    return "its bytes have not come within the limit";
  }
  if (state == "laying") {
    return "it is not on the disk yet: see p2psync status";
  }
  if (is(change, "remove") || state == "here") {
    return "it was changed meanwhile";
  }
  return "no member that is connected has its bytes";
}

std::string what_it_is(const Json& change) {
  const std::string& kind = change["kind"].text();
  return kind == "file" ? size_text(static_cast<std::uint64_t>(change["size"].integer())) : kind;
}

void add_rows(std::vector<std::vector<Table::Cell>>& rows, const Json::Array& changes,
              std::string_view which, const std::string& words,
              const std::function<std::string(const Json&)>& remark) {
  for (const Json& change : changes) {
    if (is(change, which)) {
      rows.push_back({{words, Colour::faint},
                      {printable(change["path"].text()), Colour::bold},
                      {what_it_is(change)},
                      {change["mtime"].text()},
                      {remark(change), Colour::faint}});
    }
  }
}

std::int64_t count(const Json::Array& changes, std::string_view which) {
  return std::ranges::count_if(changes, [which](const Json& change) { return is(change, which); });
}

int show_plan(const Options& options, const Changes& changes, const std::string& moment) {
  if (options.json) {
    const Json document(Json::Object{
        {"at", moment}, {"dry_run", true}, {"changes", changes.all}, {"away", changes.away}});
    fmt::print("{}\n", document.dump(true));
    return exit_done;
  }
  Table table(::isatty(STDOUT_FILENO) == 1);
  std::vector<std::vector<Table::Cell>> rows;
  const auto nothing = [](const Json&) { return std::string(); };
  add_rows(rows, changes.all, "restore", "comes back", [](const Json& change) {
    return change["state"].text() == "elsewhere" ? std::string("from another member")
                                                 : std::string();
  });
  add_rows(rows, changes.all, "remove", "goes", nothing);
  add_rows(rows, changes.all, "blocked", "cannot come back", why_not);
  add_rows(rows, changes.all, "unsure", "stays", [](const Json&) {
    return std::string("came or was touched since, nobody can tell which");
  });
  table.rows(rows);
  table.line(fmt::format("{} would come back, {} would go",
                         counted(count(changes.all, "restore"), "path"),
                         counted(count(changes.all, "remove"), "path")));
  if (!changes.away.items().empty()) {
    table.line("not connected, and not asked: " + names_in(changes.away));
  }
  fmt::print("{}", table.take());
  return exit_done;
}

int show_outcome(const Options& options, const Changes& asked, const Changes& left,
                 const std::string& moment) {
  Json::Array failed;
  for (const Json& change : left.all) {
    if (!is(change, "unsure")) {
      Json::Object one;
      add_path(one, "path", path_in(change, "path"));
      one.emplace_back("why", why_not(change));
      failed.emplace_back(std::move(one));
    }
  }
  const std::int64_t back = count(asked.all, "restore") - count(left.all, "restore");
  const std::int64_t gone = count(asked.all, "remove") - count(left.all, "remove");
  const std::int64_t unsure = count(left.all, "unsure");
  const bool done = failed.empty();
  if (options.json) {
    const Json document(Json::Object{{"at", moment},
                                     {"dry_run", false},
                                     {"changes", asked.all},
                                     {"restored", back},
                                     {"removed", gone},
                                     {"failed", failed},
                                     {"away", left.away}});
    fmt::print("{}\n", document.dump(true));
    return done ? exit_done : exit_failed;
  }
  fmt::print("{} came back, {} went\n", counted(back, "path"), counted(gone, "path"));
  if (unsure > 0) {
    fmt::print("{} came or {} touched since, nobody can tell which, and stayed: see --dry-run\n",
               counted(unsure, "path"), unsure == 1 ? "was" : "were");
  }
  for (const Json& one : failed) {
    fmt::print(stderr, "p2psync: {}: {}\n", printable(one["path"].text()), one["why"].text());
  }
  if (!done && !left.away.items().empty()) {
    fmt::print(stderr, "p2psync: not connected: {}\n", names_in(left.away));
  }
  return done ? exit_done : exit_failed;
}

int restore_at(const Options& options, const std::string& folder, std::int64_t at) {
  const std::string moment = time_of(at).text();
  const auto asked = fetch(options, folder, at, !options.dry_run, true);
  if (!asked) {
    return exit_failed;
  }
  if (options.dry_run) {
    return show_plan(options, *asked, moment);
  }
  const auto left = wait_for_rest(options, folder, at);
  return left ? show_outcome(options, *asked, *left, moment) : exit_failed;
}

int wrong(const std::string& text) {
  fmt::print(stderr, "p2psync: {}\n", text);
  return exit_wrong;
}

int restore(const Options& options) {
  if (options.version.empty() == options.at.empty()) {
    return wrong("restore takes either --version ID or --at TIME");
  }
  if (!options.version.empty() && options.path.empty()) {
    return wrong("restore --version: PATH is required");
  }
  if (!options.version.empty() && (options.dry_run || options.json)) {
    return wrong("--dry-run and --json go with --at");
  }
  std::int64_t at = 0;
  if (!options.at.empty()) {
    const auto moment = parse_moment(options.at, this_moment());
    if (!moment) {
      return wrong(fmt::format("--at {}: {}", printable(options.at), moment.error()));
    }
    at = *moment;
  }
  const auto config = load(options.config, KeyUse::ignore);
  if (!config) {
    return exit_wrong;
  }
  return options.at.empty() ? restore_version(options, config->folder)
                            : restore_at(options, config->folder, at);
}

}  // namespace

void describe_restore(CommandLine& line) {
  Command command(
      line, "restore",
      "Brings an older version of a file back, or a file, a directory or everything as it was at "
      "a time; as new edits");
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.optional_path(options->path, "with --at, none: all that is in it");
  command.text("--version", options->version, "ID", "one that `p2psync log PATH` lists");
  command.text("--at", options->at, "TIME",
               "2026-01-02T03:04:05Z, \"2026-01-02 03:04\" in this machine's zone, or so long "
               "ago, as in 2h; by this node's clock");
  command.flag("--dry-run", options->dry_run, "with --at: lists what would change");
  command.seconds("--timeout", options->limit_s, "with --at: so long bytes are waited for");
  command.flag("--json", options->json, "with --at: one JSON document on stdout");
  command.runs([options] { return restore(*options); });
}

}  // namespace p2psync::app
