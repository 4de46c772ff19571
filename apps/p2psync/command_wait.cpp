// p2psync wait: returns when others hold what this node has now.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"
#include "apps/p2psync/control_socket.h"

namespace p2psync::app {
namespace {

constexpr double limit_default_s = 60;

struct Options {
  ConfigOptions config;
  std::vector<std::string> paths;
  std::optional<std::uint64_t> nodes;
  double limit_s = limit_default_s;
  bool json = false;
};

int wait(const Options& options, const Config& config) {
  if (options.nodes && *options.nodes > config.members.size()) {
    fmt::print(stderr, "p2psync: the cluster has {} members, not {}\n", config.members.size(),
               *options.nodes);
    return exit_wrong;
  }
  Json::Array paths;
  for (const std::string& path : options.paths) {
    Json::Object item;
    add_path(item, "path", path);
    paths.emplace_back(std::move(item));
  }
  const Json request(Json::Object{{"command", "wait"},
                                  {"paths", std::move(paths)},
                                  {"nodes", options.nodes ? Json(*options.nodes) : Json()},
                                  {"wait_s", options.limit_s}});
  const auto answer = ask_or_fail(
      config.folder, request, options.json,
      std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>(options.limit_s)));
  if (!answer) {
    return exit_failed;
  }
  const bool done = (*answer)["done"].boolean() && (*answer)["looked"].boolean();
  if (options.json) {
    const Json document(Json::Object{
        {"done", done}, {"held_by", (*answer)["held_by"]}, {"lacking", (*answer)["lacking"]}});
    fmt::print("{}\n", document.dump(true));
  } else {
    std::string names;
    for (const Json& name : (*answer)["held_by"].items()) {
      names += ' ' + name.text();
    }
    fmt::print("held by{}\n", names.empty() ? " nobody yet" : names);
    for (const Json& one : (*answer)["lacking"].items()) {
      fmt::print("not by {}: {}\n", one["node"].text(), one["why"].text());
    }
  }
  if (!(*answer)["looked"].boolean()) {
    fmt::print(stderr, "p2psync: this node has not looked at all of its own disk yet\n");
  }
  if (!done && (*answer)["paused"].boolean()) {
    fmt::print(stderr, "p2psync: this node is paused: see p2psync resume\n");
  }
  return done ? exit_done : exit_failed;
}

}  // namespace

void describe_wait(CommandLine& line) {
  Command command(
      line, "wait",
      "Returns when the members hold, committed and on disk, what this node has now; exit 1 at the "
      "limit");
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.paths(options->paths);
  command.count("--nodes", options->nodes, "K",
                "so many members, with this one, are enough; without it: all");
  command.seconds("--timeout", options->limit_s, "the limit");
  command.json(options->json);
  command.runs([options] {
    const auto config = load(options->config, KeyUse::ignore);
    return config ? wait(*options, *config) : exit_wrong;
  });
}

}  // namespace p2psync::app
