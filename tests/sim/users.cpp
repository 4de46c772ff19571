// What users do in the simulation. Each action is told to the oracle with what the name showed at
// that instant, and to the node's watcher unless the seed lets that event be lost or late.
#include <algorithm>
#include <array>
#include <string>

#include "engine/path.h"
#include "tests/sim/world.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

constexpr std::array directories{"", "d", "d/e"};
constexpr std::array names{"a", "b", "c"};
constexpr std::size_t held_files_max = 3;

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

std::string some_path(Random& random) {
  const std::string directory = directories.at(random.below(directories.size()));
  return child_of(directory, names.at(random.below(names.size())));
}

std::string some_existing(Random& random, const Tree& tree) {
  if (tree.empty()) {
    return some_path(random);
  }
  return std::next(tree.begin(), static_cast<std::ptrdiff_t>(random.below(tree.size())))->first;
}

}  // namespace

void World::touched(Host& host, Random& random, const std::string& name) {
  // A loser on its way to its conflict name stands under two: an edit shows under both.
  const auto found = host.disk().disk().find(name);
  const bool twin = found && host.disk().disk().stat(*found).links > 1;
  invariants_.user_acted(host.id(), twin ? 2 : 1);
  const Setup& setup = plan_.setup;
  if (circumstances_.at(host.id()).overflow_until > now_) {
    count(Fault::watch_overflow, host.phase());
    return;
  }
  if (random.below(100) < setup.watch_lost) {
    count(Fault::watch_lost, Phase::idle);
    return;
  }
  Duration delay(random.below(20'000'000));
  if (random.below(100) < setup.watch_late) {
    count(Fault::watch_late, Phase::idle);
    delay += Duration(random.below(5'000'000'000));
  }
  // Now and then as of one who goes on writing, whatever was done: it may only come later.
  const bool writing = delay.count() % 4 == 0;
  later(delay,
        [&host, name, writing] { host.tell(writing ? Touched{{}, {name}} : Touched{{name}, {}}); });
}

void World::set_mtime(Host& host, Random& random, const std::string& name) {
  // Unique times, in no order: who wins must not depend on the clock being right.
  host.disk().utimes(
      name, 1'600'000'000'000'000'000 + static_cast<std::int64_t>(random.below(1'000'000'000'000)));
}

namespace {

/// Letters that never change: what users write has parts in common, in other places.
std::string letters(std::size_t from, std::size_t count) {
  static const std::string pool = [] {
    Random random(1);
    std::string made(8192, ' ');
    for (char& letter : made) {
      letter = static_cast<char>('a' + random.below(26));
    }
    return made;
  }();
  return pool.substr(from, count);
}

}  // namespace

std::string World::new_bytes(const Host& host, Random& random) {
  std::string bytes = "write " + std::to_string(++writes_) + " on " + host.name() + ";";
  if (random.chance(10)) {
    const std::size_t from = random.below(3000);  // first: compilers differ in arguments' order
    bytes += letters(from, 300 + random.below(4000));
  } else {
    bytes.resize(bytes.size() + random.below(60), '.');
  }
  if (telling_.listener != nullptr) {
    telling_.listener->wrote(bytes);
  }
  if (plan_.setup.max_delete > 0) {
    written_.emplace(content_of(bytes), bytes);
  }
  return bytes;
}

/// `hint`: the name that the program is at work on just now; likely to be the one acted on.
void World::user_acts(Host& host, const Move& move, const std::string& hint) {
  in_user_ = true;
  check_last_call(host);
  host.tell_time();
  ++report_.events;
  Random random(move.seed);
  Move drawn = move;
  if (!move.act) {
    drawn.act = draw_act(host.disk().tree(), random, hint);
    drawn.seed = random.state();
  }
  came_about(drawn);
  perform(host, random, *drawn.act);
  forget_held_files(host, false);
  in_user_ = false;
}

Act World::draw_act(const Tree& tree, Random& random, const std::string& hint) {
  const auto existing = [&] {
    return !hint.empty() && tree.contains(hint) && random.chance(60) ? hint
                                                                     : some_existing(random, tree);
  };
  const auto target = [&] { return !hint.empty() && random.chance(60) ? hint : some_path(random); };
  const std::uint64_t dice = random.below(100);
  if (dice < 45) {
    return {Act::What::write, random.chance(60) ? target() : existing(), {}};
  }
  if (dice < 60) {
    return {Act::What::remove, existing(), {}};
  }
  if (dice < 63) {
    return {Act::What::remove_tree, existing(), {}};
  }
  if (dice < 78) {
    const std::string from = existing();
    return {Act::What::rename, from, random.chance(70) ? target() : existing()};
  }
  if (dice < 86) {
    return {Act::What::metadata, existing(), {}};
  }
  if (dice < 90) {
    return {Act::What::link, target(), {}};
  }
  if (dice < 94) {
    return {Act::What::kind, existing(), {}};
  }
  if (dice < 96) {
    const auto copy = std::ranges::find_if(tree, [](const auto& place) {
      return place.first.find(".conflict-") != std::string::npos;
    });
    if (copy != tree.end()) {
      return {Act::What::resolve, random.chance(50) ? copy->first : lineage_of(copy->first), {}};
    }
  }
  if (dice < 98) {
    return {Act::What::restore, random.chance(60) ? target() : existing(), {}};
  }
  return {Act::What::make_directory,
          random.chance(50) ? directories.at(1 + random.below(2)) : some_path(random),
          {}};
}

void World::perform(Host& host, Random& random, const Act& act) {
  switch (act.what) {
    case Act::What::write: user_writes(host, random, act.name); break;
    case Act::What::remove: user_removes(host, random, act.name); break;
    case Act::What::remove_tree: user_removes_tree(host, random, act.name); break;
    case Act::What::rename: user_renames(host, random, act.name, act.to); break;
    case Act::What::metadata: user_changes_metadata(host, random, act.name); break;
    case Act::What::link: user_links(host, random, act.name); break;
    case Act::What::kind: user_changes_kind(host, random, act.name); break;
    case Act::What::make_directory: user_makes_directory(host, random, act.name); break;
    case Act::What::resolve:
    case Act::What::restore: user_commands(host, act); break;
  }
}

void World::user_makes_directory(Host& host, Random& random, const std::string& name) {
  if (host.disk().mkdir(name)) {
    note(host.name() + " user mkdir " + name);
    ++report_.user_acts["makes a directory"];
    touched(host, random, name);
  }
}

void World::user_writes(Host& host, Random& random, const std::string& name) {
  const Tree tree = host.disk().tree();
  const TreeNode* before = node_at(tree, name);
  if (before != nullptr && before->kind != Kind::file) {
    return;
  }
  const std::string bytes = new_bytes(host, random);
  const bool in_place = random.chance(50);
  if (!(in_place ? host.disk().write_file(name, bytes) : host.disk().save_file(name, bytes))) {
    return;
  }
  note(host.name() + " user writes " + name + (in_place ? " in place: " : " anew: ") +
       std::to_string(writes_) + was(before));
  ++report_.user_acts[in_place ? "writes in place" : "saves by rename"];
  circumstances_.at(host.id()).by_user[name] = true;
  circumstances_.at(host.id()).written_by_user[host.disk().disk().find(name).value_or(0)] = name;
  if (random.chance(50)) {
    set_mtime(host, random, name);
  }
  if (random.chance(20)) {
    host.disk().sync_file(name);
    ++report_.user_acts["syncs a file"];
  }
  const Tree after = host.disk().tree();
  if (before != nullptr) {
    oracle_.superseded(host.id(), name, *before);
  }
  oracle_.wrote(name, after.at(name));
  touched(host, random, name);
  if (plan_.setup.canary == Canary::overwritten_write && before != nullptr) {
    canary_overwrites(host, name, *before);
  }
}

/// What a careless program would do to a user; the oracle is not told.
void World::canary_overwrites(Host& host, const std::string& name, const TreeNode& before) {
  later(200ms, [this, &host, name, before] {
    in_user_ = true;
    host.tell_time();
    if (host.disk().exists(name) && host.disk().write_file(name, before.bytes)) {
      note(host.name() + " canary: " + name + " is again" + was(&before));
      invariants_.may_mint(host.id(), 1);
      host.tell(Touched{{name}});
    }
    in_user_ = false;
  });
}

void World::user_removes(Host& host, Random& random, const std::string& name) {
  const Tree tree = host.disk().tree();
  const TreeNode* before = node_at(tree, name);
  if (before != nullptr && host.disk().remove(name)) {
    note(host.name() + " user removes " + name + was(before));
    ++report_.user_acts["removes"];
    oracle_.superseded(host.id(), name, *before);
    touched(host, random, name);
  }
}

void World::user_removes_tree(Host& host, Random& random, const std::string& name) {
  const Tree tree = host.disk().tree();
  for (auto place = tree.rbegin(); place != tree.rend(); ++place) {
    if (is_below(place->first, name)) {
      user_removes(host, random, place->first);
    }
  }
  user_removes(host, random, name);
}

void World::user_renames(Host& host, Random& random, const std::string& from,
                         const std::string& to) {
  const Tree before = host.disk().tree();
  const TreeNode* target = node_at(before, to);
  if (from == to || node_at(before, from) == nullptr || !host.disk().rename_path(from, to)) {
    return;
  }
  if (host.disk().exists(from)) {
    return;  // two names of one inode: rename(2) does nothing
  }
  note(host.name() + " user renames " + from + " to " + to + was(node_at(before, from)) +
       was(target));
  ++report_.user_acts["renames"];
  circumstances_.at(host.id()).by_user[to] = true;
  const Tree after = host.disk().tree();
  if (target != nullptr && target->kind != Kind::directory && target->kind == after.at(to).kind &&
      target->bytes == after.at(to).bytes) {
    // The same bytes again: on the disk nothing but mode and time have changed.
    oracle_.changed_metadata(host.id(), to, *target, after);
    oracle_.superseded(host.id(), from, before.at(from));
    touched(host, random, from);
    touched(host, random, to);
    return;
  }
  if (target != nullptr) {
    oracle_.superseded(host.id(), to, *target);
  }
  for (const auto& [name, node] : before) {
    if (name == from || is_below(name, from)) {
      oracle_.superseded(host.id(), name, node);
      const std::string moved = to + name.substr(from.size());
      oracle_.wrote(moved, after.at(moved));
      invariants_.user_acted(host.id(), 2);
      circumstances_.at(host.id()).by_user[moved] = true;
      circumstances_.at(host.id()).written_by_user[host.disk().disk().find(moved).value_or(0)] =
          moved;
    }
  }
  touched(host, random, from);
  touched(host, random, to);
}

void World::user_changes_metadata(Host& host, Random& random, const std::string& name) {
  const Tree tree = host.disk().tree();
  const TreeNode* before = node_at(tree, name);
  if (before == nullptr || before->kind == Kind::symlink) {
    return;
  }
  if (random.chance(50)) {
    host.disk().chmod(name, random.chance(50) ? 0700 : 0644);
  } else if (before->kind == Kind::file) {
    set_mtime(host, random, name);
  }
  const Tree after = host.disk().tree();
  if (!(after.at(name) == *before)) {
    note(host.name() + " user changes mode or time of " + name + was(before));
    ++report_.user_acts["changes mode or time"];
    oracle_.changed_metadata(host.id(), name, *before, after);
    touched(host, random, name);
  }
}

void World::user_links(Host& host, Random& random, const std::string& name) {
  const std::string target = "target " + std::to_string(++writes_);
  if (telling_.listener != nullptr) {
    telling_.listener->wrote(target);
  }
  if (host.disk().symlink(target, name)) {
    note(host.name() + " user links " + name);
    ++report_.user_acts["makes a symlink"];
    oracle_.wrote(name, host.disk().tree().at(name));
    touched(host, random, name);
  }
}

/// A file becomes a directory or a symlink, a directory a symlink: in the midst of an apply, too,
/// where it is the parent of what is laid.
void World::user_changes_kind(Host& host, Random& random, const std::string& name) {
  const Tree tree = host.disk().tree();
  const TreeNode* before = node_at(tree, name);
  if (before == nullptr) {
    return;
  }
  user_removes_tree(host, random, name);
  if (before->kind != Kind::directory && random.chance(50)) {
    if (host.disk().mkdir(name)) {
      note(host.name() + " user makes a directory of " + name);
      ++report_.user_acts["changes a kind"];
      touched(host, random, name);
    }
  } else {
    user_links(host, random, name);
  }
}

// --- Files held open

void World::user_opens(Host& host, Random& random, const std::string& hint) {
  in_user_ = true;
  host.tell_time();
  const Tree tree = host.disk().tree();
  const std::string name =
      tree.contains(hint) && random.chance(60) ? hint : some_existing(random, tree);
  auto file = host.disk().open_writer(name);
  if (file && held_files_.size() < held_files_max) {
    note(host.name() + " user opens " + name + " to write");
    held_files_.push_back(
        {host.id(), name, std::move(*file), 1 + static_cast<int>(random.below(3)), random.next()});
    Move next{Move::What::strike, Fault::user_holds_open, {}, host.id() - 1, 0, random.next(), {}};
    next.call = random.chance(70) ? 1 + static_cast<std::uint32_t>(random.below(20)) : 0;
    later(Duration(random.below(3'000'000'000)), [this, next] { strike(next); });
  }
  in_user_ = false;
}

/// The user's process writes on, wherever that file is by now.
void World::user_writes_held(HeldFile& held) {
  Host& host = *hosts_.at(held.host);
  Random random(held.seed++);
  in_user_ = true;
  check_last_call(host);
  host.tell_time();
  const std::vector<std::string> standing = names_of(host, held.file.inode());
  const auto as_it_is = [&] {
    const Inode& inode = host.disk().disk().inode(held.file.inode());
    return TreeNode{Kind::file, false, inode.mode, inode.mtime, inode.bytes};
  };
  const TreeNode shown = as_it_is();
  const std::string bytes = new_bytes(host, random);
  held.file.resize(0);
  held.file.write(0, bytes);
  note(host.name() + " user writes " + std::to_string(writes_) + " to the open file that was " +
       held.name + (standing.empty() ? ", which has no name in the tree now" : ""));
  ++report_.user_acts["writes to a file held open"];
  count(Fault::user_holds_open, host.phase());
  const std::string name = standing.empty() ? held.name : standing.front();
  oracle_.superseded(host.id(), name, shown);
  oracle_.wrote(name, as_it_is());
  circumstances_.at(host.id()).by_user[name] = true;
  circumstances_.at(host.id()).written_by_user[held.file.inode()] = name;
  if (standing.empty()) {
    circumstances_.at(host.id()).written_in_limbo.insert(name);
  }
  for (const std::string& at : standing) {
    touched(host, random, at);
  }
  invariants_.user_acted(host.id());
  if (--held.writes_left == 0) {
    held_files_.remove_if([&held](const HeldFile& other) { return &other == &held; });
  }
  in_user_ = false;
}

/// A file that its own users have unlinked or replaced is no longer of interest: what is written to
/// it is lost on every system. `all`: the disk is another one now.
void World::forget_held_files(const Host& host, bool all) {
  std::erase_if(held_files_, [&](const HeldFile& held) {
    return held.host == host.id() && (all || !held.file.has_name());
  });
  for (HeldFile& file : held_files_) {
    const auto standing = names_of(*hosts_.at(file.host), file.file.inode());
    if (!standing.empty()) {
      file.name = standing.front();  // where users have moved it
    }
  }
}

/// Under which names of the tree an inode stands.
std::vector<std::string> World::names_of(Host& host, InodeNumber inode) {
  std::vector<std::string> names_there;
  for (const auto& [name, node] : host.disk().tree()) {
    const auto found = host.disk().disk().find(name);
    if (found && *found == inode) {
      names_there.push_back(name);
    }
  }
  return names_there;
}

}  // namespace p2psync::sim
