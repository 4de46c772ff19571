// What users ask of their node by command: to end a conflict, to bring an older version back.
//
// A command acts on what the node has on record, and is forgotten if the node crashes before that
// is durable; a user at the disk sees the disk. So it is only given where the two agree, and the
// oracle is told that what is replaced may be gone: what is kept or comes back is what must be
// there, or may.
#include <algorithm>
#include <optional>
#include <string>

#include "engine/history.h"
#include "tests/sim/world.h"

namespace p2psync::sim {

using namespace engine;

namespace {

/// What a disk shows that holds this version; nothing: it holds other bytes.
std::optional<TreeNode> as_version(const TreeNode& node, const Version& version) {
  const bool file = version.kind == Kind::file;
  const bool same = node.kind == version.kind &&
                    (file ? content_of(node.bytes) == version.content
                          : version.kind == Kind::directory || node.bytes == version.target);
  return same ? std::optional(node) : std::nullopt;
}

/// What a command makes is taken back if users overwrite the bytes before they are laid, and no
/// other has them: an event more (Replica::retract).
constexpr std::uint64_t taken_back_max = 1;

}  // namespace

/// Not in the midst of a call of its program: that one answers between its steps.
void World::user_commands(Host& host, const Act& act) {
  later(Duration(0), [this, &host, act] {
    if (!host.running() || host.paused_until() > now_) {
      return;
    }
    in_user_ = true;
    host.tell_time();
    if (act.what == Act::What::resolve) {
      user_resolves(host, act.name);
    } else {
      user_restores(host, act.name);
    }
    in_user_ = false;
  });
}

void World::user_resolves(Host& host, const std::string& keep) {
  const Replica& replica = host.node().replica();
  const Path path = replica.owner(keep);
  const auto name = name_to_keep(replica, path, keep);
  const Tree tree = host.disk().tree();
  const std::vector<Shown> all = replica.record(path).shown;
  const bool agree = std::ranges::all_of(all, [&](const Shown& shown) {
    const auto place = tree.find(shown.name);
    return place != tree.end() && as_version(place->second, shown.version);
  });
  if (!name || !agree) {
    return;
  }
  for (const Shown& shown : all) {
    if (shown.name == *name) {
      oracle_.wrote(path, tree.at(shown.name));
    } else {
      oracle_.may_go(shown.name, tree.at(shown.name));
    }
  }
  note(host.name() + " user resolves " + path + " with " + *name);
  ++report_.user_acts["resolves a conflict"];
  report_.sometimes.hit(Point::resolved);
  invariants_.user_acted(host.id(), 1 + taken_back_max);
  host.input(Resolve{path, *name});
}

void World::user_restores(Host& host, const std::string& name) {
  const Replica& replica = host.node().replica();
  const auto known = history(replica, name);
  if (!known) {
    return;
  }
  const auto kept = std::ranges::find_if(known->versions, [](const PastVersion& past) {
    return past.state == PastVersion::State::kept && !is_departure(past.id);
  });
  if (kept == known->versions.end()) {
    return;
  }
  const auto version = version_to_restore(replica, name, kept->id);
  const auto file = host.disk().disk().find(".p2psync/versions/" + kept->id);
  const Tree tree = host.disk().tree();
  const auto now = tree.find(name);
  const Shown* shown = replica.shown(name);
  const bool agree = (now == tree.end()) == (shown == nullptr) &&
                     (shown == nullptr || as_version(now->second, shown->version));
  if (!version || !file || !agree) {
    return;
  }
  const Inode& inode = host.disk().disk().inode(*file);
  const auto was = as_version(
      TreeNode{version->kind, false, version->mode, version->mtime, inode.bytes}, *version);
  if (!was) {
    return;
  }
  if (shown != nullptr) {
    oracle_.may_go(name, now->second);
  }
  oracle_.wrote(name, *was);
  note(host.name() + " user restores " + name);
  ++report_.user_acts["restores a version"];
  report_.sometimes.hit(Point::restored);
  invariants_.user_acted(host.id(), 1 + taken_back_max);
  host.input(Restore{name, *version});
}

}  // namespace p2psync::sim
