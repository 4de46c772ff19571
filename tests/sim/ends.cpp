// How processes and machines end in the simulation, what is left of their disks, and how they start
// again.
#include <algorithm>

#include "tests/sim/world.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

}  // namespace

void World::crash(Host& host) {
  if (!host.running()) {
    return;
  }
  trace(host.name() + " crashes");
  note(host.name() + " ends");
  host.stop();
  drop_all(host);
  Random random(random_.next());
  restart_later(host, random);
}

void World::ended(Host& host) {
  trace(host.name() + " ended");
  ++ending_;
  later(1ns, [this, &host] {
    --ending_;
    Circumstances& about = circumstances_.at(host.id());
    drop_all(host);
    if (std::exchange(about.power_goes, false)) {
      cut_power(host, about.after_power);
    }
    restart_later(host, about.after_power);
  });
}

void World::start_failed(Host& host, const Error& error) {
  note(host.name() + " does not start: " + error.message());
  Random random(random_.next());
  restart_later(host, random);
}

void World::restart_later(Host& host, Random& random) {
  later(100ms + Duration(random.below(4'000'000'000)), [this, &host] {
    Circumstances& about = circumstances_.at(host.id());
    if (host.running() || about.dead) {
      return;
    }
    for (const Move& move : about.at_start) {
      about.at_call.emplace(about.calls + move.call, move);
    }
    about.at_start.clear();
    host.start();
  });
}

/// The process is down already.
void World::cut_power(Host& host, Random& random) {
  const Tree before = host.disk().tree();
  // What a user had just written when it was displaced nobody may have synced: it goes as a whole.
  Circumstances& about = circumstances_.at(host.id());
  for (const std::string_view directory :
       {storage::staging_directory, storage::versions_directory}) {
    for (const auto& [file, node] : host.disk().tree(directory)) {
      const auto user = about.written_by_user.find(host.disk().disk().find(file).value_or(0));
      if (user != about.written_by_user.end()) {
        about.written_in_limbo.insert(user->second);
      }
    }
  }
  // A user's rename may not last: then what he wrote stands where the program had laid it.
  std::set<InodeNumber> of_users;
  for (const auto& [name, by_user] : about.by_user) {
    if (const auto inode = host.disk().disk().find(name); inode && by_user) {
      of_users.insert(*inode);
    }
  }
  host.disk().power_cut(random);
  host.tell_time();
  after_disk_changed(host, before, of_users);
}

void World::after_disk_changed(Host& host, const Tree& before,
                               const std::set<InodeNumber>& of_users) {
  torn_in_limbo(host);
  forget_held_files(host, true);
  const Tree after = host.disk().tree();
  auto about_never_synced = std::exchange(circumstances_.at(host.id()).never_synced, {});
  // What the program itself was laying it has to write anew.
  std::erase_if(about_never_synced, [](const auto& file) {
    return engine::is_below(file.first, storage::staging_directory);
  });
  std::uint64_t changed = 0;
  for (const auto& [name, node] : after) {
    const auto was = before.find(name);
    if (was != before.end() && was->second == node) {
      continue;
    }
    ++changed;
    const bool torn = node.kind != Kind::directory && !oracle_.known(node) &&
                      engine::name_of(name) != editor_temporary &&
                      std::ranges::none_of(about_never_synced, [&](const auto& file) {
                        return lineage_of(file.first) == lineage_of(name) ||
                               host.disk().disk().find(name) == file.second;
                      });
    // Under a name that nobody wrote (a directory's rename lasts, that of what was in it does not),
    // the inode tells whose it is.
    const Circumstances& about = circumstances_.at(host.id());
    const auto last = about.by_user.find(name);
    const InodeNumber inode = host.disk().disk().find(name).value_or(0);
    const bool a_users =
        of_users.contains(inode) ||
        (last != about.by_user.end() ? last->second : about.written_by_user.contains(inode));
    if (torn && !a_users && !plan_.setup.faults.test(static_cast<std::size_t>(Fault::disk_rot))) {
      violation("#11 never half-written",
                name + " on " + host.name() + " is torn after a power cut, and no user wrote it");
    }
    note(host.name() + " " + name + " is now " + node.bytes.substr(0, node.bytes.find(';')));
  }
  for (const auto& [name, node] : before) {
    if (!after.contains(name)) {
      ++changed;
      note(host.name() + " " + name + " is gone");
    }
  }
  invariants_.may_mint(host.id(), 2 * changed);
  oracle_.disk_changed(host.id(), before, after, contents_anywhere(), contents_shown());
  // A user's file whose sync failed is lost with the power, whatever a later sync said (Linux takes
  // the pages for clean): only who wrote it could write it anew. Also under another name by now.
  const auto& written = circumstances_.at(host.id()).written_by_user;
  for (const auto& [name, inode] : about_never_synced) {
    const bool displaced = engine::is_below(name, engine::own_directory);
    oracle_.doubt(displaced && written.contains(inode) ? written.at(inode) : name);
    for (const std::string& moved : names_of(host, inode)) {
      oracle_.doubt(moved);
    }
  }
}

/// What users wrote to files that had been displaced may be torn as well: a write like any other.
void World::torn_in_limbo(Host& host) {
  std::vector<std::pair<std::string, TreeNode>> torn;
  for (const std::string_view directory :
       {storage::staging_directory, storage::versions_directory}) {
    for (const auto& [file, node] : host.disk().tree(directory)) {
      if (!oracle_.known(node)) {
        torn.emplace_back(file, node);
      }
    }
  }
  std::set<std::string> names = circumstances_.at(host.id()).written_in_limbo;
  const auto& unsynced = circumstances_.at(host.id()).never_synced;
  const auto& written = circumstances_.at(host.id()).written_by_user;
  for (const auto& [name, inode] : unsynced) {
    names.insert(name);
    // In the slot yet, if the cut came between the exchange and the move.
    for (const std::string_view directory :
         {storage::staging_directory, storage::versions_directory}) {
      for (const auto& [file, node] : host.disk().tree(directory)) {
        if (host.disk().disk().find(file) == inode) {
          // What is left may be what another wrote: nothing at all.
          const auto user = written.find(inode);
          oracle_.may_appear(user == written.end() ? name : user->second, node);
        }
      }
    }
  }
  // A file that a user had just written when it was displaced.
  for (const auto& [file, node] : torn) {
    const auto user = written.find(host.disk().disk().find(file).value_or(0));
    if (user != written.end()) {
      names.insert(user->second);
    }
  }
  invariants_.may_mint(host.id(), names.size());
  for (const std::string& name : names) {
    oracle_.may_be_gone(host.id(), name, contents_anywhere());
    for (const auto& [file, node] : torn) {
      oracle_.may_appear(name, node);
    }
  }
}

Oracle::ShownContents World::contents_shown() {
  Oracle::ShownContents shown;
  for (const auto& [id, host] : hosts_) {
    for (const auto& [name, node] : host->disk().tree()) {
      shown.emplace(lineage_of(name), Oracle::key(node));
    }
  }
  return shown;
}

/// What is on any disk, in the tree or among the program's own files.
Oracle::Contents World::contents_anywhere() {
  Oracle::Contents contents;
  for (const auto& [id, host] : hosts_) {
    for (const std::string_view directory :
         {std::string_view(), storage::staging_directory, storage::versions_directory}) {
      for (const auto& [name, node] : host->disk().tree(directory)) {
        contents.insert(Oracle::key(node));
      }
    }
  }
  return contents;
}

}  // namespace p2psync::sim
