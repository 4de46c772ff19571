// p2psync init-cluster: the configuration of a new cluster and a key for each member.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "apps/p2psync/cluster_files.h"
#include "apps/p2psync/command.h"
#include "apps/p2psync/json.h"

namespace p2psync::app {
namespace {

struct Options {
  std::string directory;
  std::string cluster = "p2psync";
  bool if_absent = false;
  std::vector<std::string> members;
};

int wrong(const std::string& text) {
  fmt::print(stderr, "p2psync init-cluster: {}\n", text);
  return exit_wrong;
}

/// What `check` takes, and TOML without an escape.
bool is_cluster_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && is_utf8(name) &&
         std::ranges::none_of(
             name, [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '"' || c == '\\'; });
}

int init_cluster(const Options& options) {
  std::vector<Member> members;
  std::set<std::string> names;
  for (const std::string& text : options.members) {
    auto member = parse_member(text);
    if (!member) {
      return wrong(member.error());
    }
    if (!names.insert(member->name).second) {
      return wrong(fmt::format("{}: the name is taken by another member", text));
    }
    members.push_back(std::move(*member));
  }
  if (!is_cluster_name(options.cluster)) {
    return wrong("--name: must be 1 to 64 bytes of UTF-8, no quotes or control characters");
  }
  const auto written = write_cluster_files(options.directory, options.cluster, std::move(members),
                                           options.if_absent ? IfPresent::keep : IfPresent::refuse);
  if (!written) {
    return fail(written.error().message());
  }
  if (written->empty()) {
    fmt::print("{}/cluster.toml is there already\n", options.directory);
  }
  for (const Member& member : *written) {
    fmt::print("{} {}\n", member.name, member.key_id);
  }
  return exit_done;
}

}  // namespace

void describe_init_cluster(CommandLine& line) {
  Command command(
      line, "init-cluster",
      "Writes DIR/cluster.toml with every member, and DIR/NAME.key for each; never over a file");
  const auto options = std::make_shared<Options>();
  command.text("--out", options->directory, "DIR", "directory to write into; made if absent",
               Command::Need::required);
  command.text("--name", options->cluster, "NAME", "the cluster's name");
  command.flag("--if-absent", options->if_absent,
               "succeed, and change nothing, when the files are there already");
  command.texts("members", options->members, "NAME[=HOST:PORT]",
                "the members; those without an address find each other on the LAN");
  command.runs([options] { return init_cluster(*options); });
}

}  // namespace p2psync::app
