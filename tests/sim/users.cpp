// What users do in the simulation. Each action is told to the oracle with what the name showed at
// that instant, and to the node's watcher unless the seed lets that event be lost.
#include <string>

#include "tests/sim/world.h"

namespace p2psync::sim {
namespace {

using namespace engine;

constexpr std::array directories{"", "d", "d/e"};
constexpr std::array names{"a", "b", "c"};

const TreeNode* node_at(const Tree& tree, const std::string& name) {
  const auto place = tree.find(name);
  return place == tree.end() ? nullptr : &place->second;
}

/// " (was ...)" for the trace.
std::string was(const TreeNode* node) {
  if (node == nullptr || node->kind == Kind::directory) {
    return {};
  }
  return " (was " + node->bytes.substr(0, node->bytes.find(';')) + ")";
}

}  // namespace

std::string World::some_path() {
  const std::string directory = directories[random_.below(directories.size())];
  return child_of(directory, names[random_.below(names.size())]);
}

std::string World::some_existing(const Tree& tree) {
  if (tree.empty()) {
    return some_path();
  }
  return std::next(tree.begin(), static_cast<std::ptrdiff_t>(random_.below(tree.size())))->first;
}

void World::touched(Host& host, const std::string& name) {
  if (random_.below(100) < faults_.lost_events) {
    ++report_.counters["watch event lost"];
    return;
  }
  later(Duration(random_.below(20'000'000)), [&host, name] { host.input(Touched{{name}}); });
}

void World::set_mtime(Host& host, const std::string& name) {
  // Unique times, in no order: who wins must not depend on the clock being right.
  host.disk().utimes(name, 1'600'000'000'000'000'000 +
                               static_cast<std::int64_t>(random_.below(1'000'000'000'000)));
}

void World::user_acts(Host& host) {
  in_user_ = true;
  ++report_.events;
  const Tree tree = host.disk().tree();
  const std::uint64_t dice = random_.below(100);
  if (dice < 45) {
    user_writes(host, random_.chance(60) ? some_path() : some_existing(tree));
  } else if (dice < 60) {
    user_removes(host, some_existing(tree));
  } else if (dice < 63) {
    user_removes_tree(host, some_existing(tree));
  } else if (dice < 80) {
    user_renames(host, some_existing(tree), random_.chance(70) ? some_path() : some_existing(tree));
  } else if (dice < 88) {
    user_changes_metadata(host, some_existing(tree));
  } else if (dice < 93) {
    user_links(host, some_path());
  } else {
    const std::string name = random_.chance(50) ? directories[1 + random_.below(2)] : some_path();
    if (host.disk().mkdir(name)) {
      trace(host.name() + " user mkdir " + name);
      touched(host, name);
    }
  }
  in_user_ = false;
}

void World::user_writes(Host& host, const std::string& name) {
  const Tree tree = host.disk().tree();
  const TreeNode* before = node_at(tree, name);
  if (before != nullptr && before->kind != Kind::file) {
    return;
  }
  std::string bytes = "write " + std::to_string(++writes_) + " on " + host.name() + ";";
  bytes.resize(
      bytes.size() + (random_.chance(3) ? 300'000 + random_.below(400'000) : random_.below(60)),
      '.');
  const bool in_place = random_.chance(50);
  if (!(in_place ? host.disk().write_file(name, bytes) : host.disk().save_file(name, bytes))) {
    return;
  }
  trace(host.name() + " user writes " + name + (in_place ? " in place: " : " anew: ") +
        std::to_string(writes_) + was(before));
  if (random_.chance(50)) {
    set_mtime(host, name);
  }
  const Tree after = host.disk().tree();
  if (before != nullptr) {
    oracle_.superseded(host.id(), name, *before, after);
  }
  oracle_.wrote(name, after.at(name));
  touched(host, name);
}

void World::user_removes(Host& host, const std::string& name) {
  const Tree tree = host.disk().tree();
  const TreeNode* before = node_at(tree, name);
  if (before != nullptr && host.disk().remove(name)) {
    trace(host.name() + " user removes " + name + was(before));
    oracle_.superseded(host.id(), name, *before, host.disk().tree(), in_call_);
    touched(host, name);
  }
}

void World::user_removes_tree(Host& host, const std::string& name) {
  const Tree tree = host.disk().tree();
  for (auto place = tree.rbegin(); place != tree.rend(); ++place) {
    if (is_below(place->first, name)) {
      user_removes(host, place->first);
    }
  }
  user_removes(host, name);
}

void World::user_renames(Host& host, const std::string& from, const std::string& to) {
  const Tree before = host.disk().tree();
  const TreeNode* target = node_at(before, to);
  // While a loser moves it has two names. Renamed out of the way just then, it would stay one file
  // under two paths, and a user's write to one would overwrite the other: a limit of linking, known
  // and not judged.
  if (const auto stat = host.disk().stat(from); in_call_ && stat && stat->links > 1) {
    return;
  }
  if (from == to || node_at(before, from) == nullptr || !host.disk().rename_path(from, to)) {
    return;
  }
  if (host.disk().exists(from)) {
    return;  // two names of one inode: rename(2) does nothing
  }
  trace(host.name() + " user renames " + from + " to " + to + was(node_at(before, from)) +
        was(target));
  const Tree after = host.disk().tree();
  if (target != nullptr && target->kind != Kind::directory && target->kind == after.at(to).kind &&
      target->bytes == after.at(to).bytes) {
    // The same bytes again: on the disk nothing but mode and time have changed.
    oracle_.changed_metadata(host.id(), to, *target, after);
    oracle_.superseded(host.id(), from, before.at(from), after, in_call_);
    touched(host, from);
    touched(host, to);
    return;
  }
  if (target != nullptr) {
    oracle_.superseded(host.id(), to, *target, after);
  }
  for (const auto& [name, node] : before) {
    if (name == from || is_below(name, from)) {
      oracle_.superseded(host.id(), name, node, after, in_call_);
      const std::string moved = to + name.substr(from.size());
      oracle_.wrote(moved, after.at(moved));
    }
  }
  touched(host, from);
  touched(host, to);
}

void World::user_changes_metadata(Host& host, const std::string& name) {
  const Tree tree = host.disk().tree();
  const TreeNode* before = node_at(tree, name);
  if (before == nullptr || before->kind == Kind::symlink) {
    return;
  }
  if (random_.chance(50)) {
    host.disk().chmod(name, random_.chance(50) ? 0700 : 0644);
  } else if (before->kind == Kind::file) {
    set_mtime(host, name);
  }
  const Tree after = host.disk().tree();
  if (!(after.at(name) == *before)) {
    trace(host.name() + " user changes mode or time of " + name + was(before));
    oracle_.changed_metadata(host.id(), name, *before, after);
    touched(host, name);
  }
}

void World::user_links(Host& host, const std::string& name) {
  if (host.disk().symlink("target " + std::to_string(++writes_), name)) {
    trace(host.name() + " user links " + name);
    oracle_.wrote(name, host.disk().tree().at(name));
    touched(host, name);
  }
}

}  // namespace p2psync::sim
