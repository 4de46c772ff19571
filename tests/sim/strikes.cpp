// What strikes in the simulation: faults of the network, the machine, the disk and the index.
#include <algorithm>
#include <array>
#include <cerrno>

#include "engine/path.h"
#include "engine/replica.h"
#include "tests/sim/world.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

constexpr std::array errors{EIO, ENOSPC, EDQUOT, EACCES, EMFILE, ENOMEM, EBUSY, ESTALE, EINTR};

bool one_of(std::string_view operation, std::initializer_list<std::string_view> list) {
  return std::ranges::find(list, operation) != list.end();
}

/// Calls that need room.
bool takes_space(std::string_view operation) {
  return one_of(operation, {"create", "make_directory", "make_symlink", "link", "File::write",
                            "File::copy_from"});
}

bool changes_disk(std::string_view operation) {
  return takes_space(operation) ||
         one_of(operation, {"rename", "unlink", "remove_directory", "set_directory_mode",
                            "set_mtime", "File::resize", "File::set_mode", "File::set_mtime"});
}

bool is_sync(std::string_view operation) {
  return one_of(operation, {"File::sync", "sync_directory", "sync_all"});
}

/// 0: nothing is there.
InodeNumber inode_at(Host& host, std::string_view path) {
  return host.disk().disk().find(path).value_or(0);
}

Duration some_while(Random& random, Duration longest) {
  return Duration(random.below(static_cast<std::uint64_t>(longest.count())));
}

}  // namespace

// --- At a system call

void World::before_call(Host& host, std::string_view operation, std::string_view path) {
  ++report_.events;
  if (in_user_) {
    return;
  }
  check_last_call(host);
  Circumstances& about = circumstances_.at(host.id());
  syncs_ += is_sync(operation) ? 1 : 0;
  const bool own = path == own_directory || is_below(path, own_directory);
  about.last_call = own ? "" : operation;
  if (!own && !path.empty()) {
    about.last_name = path;
    about.last_inode = inode_at(host, path);
  }
  ++about.calls;
  while (!about.at_call.empty() && about.at_call.begin()->first <= about.calls) {
    const Move move = about.at_call.begin()->second;
    about.at_call.erase(about.at_call.begin());
    if (striking_) {
      strike_in_call(move, host);
    }
  }
}

/// #11: what the last call of the program left at a visible name is something that a user wrote.
void World::check_last_call(Host& host) {
  Circumstances& about = circumstances_.at(host.id());
  if (about.last_name.empty() || !one_of(about.last_call, {"rename", "link", "make_symlink"})) {
    return;
  }
  about.last_call.clear();
  const auto found = host.disk().disk().find(about.last_name);
  if (inode_at(host, about.last_name) !=
      about.last_inode) {  // else the call failed: what stands there is whose it was
    about.by_user[about.last_name] = false;
  }
  if (!found) {
    return;
  }
  const Inode& inode = host.disk().disk().inode(*found);
  const TreeNode node{inode.kind, inode.special, inode.mode, inode.mtime, inode.bytes};
  if (node.kind != Kind::directory && !node.special && !oracle_.known(node)) {
    violation("#11 never half-written",
              "half-written or invented bytes at " + about.last_name + " on " + host.name());
  }
}

void World::strike_in_call(const Move& move, Host& host) {
  Circumstances& about = circumstances_.at(host.id());
  const Random random(move.seed);
  // Without exchange a save by rename can be lost in the instant between two calls (applier.h says
  // so, as does the log at the start): there users act between jobs only.
  const bool users_may = host.disk().exchange && !plan_.setup.causal;
  if (move.fault != Fault::user_in_call) {
    came_about(move);
  }
  switch (move.fault) {
    case Fault::crash_in_call:
    case Fault::crash_in_recovery:
    case Fault::power_cut_in_call:
    case Fault::power_cut_in_recovery:
      count(move.fault, host.phase());
      about.power_goes =
          move.fault == Fault::power_cut_in_call || move.fault == Fault::power_cut_in_recovery;
      about.after_power = random;
      note(host.name() + (about.power_goes ? " loses power in " : " crashes in ") +
           about.last_call);
      throw Crash();
    case Fault::disk_error:
      about.next_error = errors.at(move.seed % errors.size());
      count(move.fault, host.phase());
      break;
    case Fault::disk_sync_fails: about.sync_fails = true; break;
    case Fault::user_in_call:
      if (users_may) {
        count(move.fault, host.phase());
        in_call_ = true;
        user_acts(host, move, about.last_name);
        in_call_ = false;
      }
      break;
    case Fault::user_holds_open:
      if (users_may) {
        in_call_ = true;
        strike(Move{Move::What::strike, move.fault, {}, move.host, 0, move.seed, {}});
        in_call_ = false;
      }
      break;
    default: invariant(false, "a fault that strikes at a call");
  }
}

int World::fault_of_call(Host& host, std::string_view operation, std::string_view path) {
  Circumstances& about = circumstances_.at(host.id());
  if (in_user_ || !striking_) {
    return 0;
  }
  if (about.next_error != 0) {
    note(host.name() + " fails " + std::string(operation) + " of " + std::string(path));
    if (is_sync(operation)) {
      about.never_synced.insert_or_assign(std::string(path), inode_at(host, path));
    }
    return std::exchange(about.next_error, 0);
  }
  if (about.sync_fails && is_sync(operation)) {
    about.sync_fails = false;
    count(Fault::disk_sync_fails, host.phase());
    note(host.name() + " fails " + std::string(operation) + " of " + std::string(path));
    about.never_synced.insert_or_assign(std::string(path), inode_at(host, path));
    return EIO;
  }
  if (about.full_until > now_ && takes_space(operation)) {
    count(Fault::disk_full, host.phase());
    return ENOSPC;
  }
  if (about.read_only_until > now_ && changes_disk(operation)) {
    count(Fault::disk_read_only, host.phase());
    return EROFS;
  }
  if (about.denied_until > now_ && path == about.denied && operation != "stat") {
    count(Fault::disk_denied, host.phase());
    return EACCES;
  }
  if (!host.disk().exchange && operation == "rename") {
    count(Fault::disk_no_exchange, host.phase());
  }
  return 0;
}

// --- At a time

void World::strike(const Move& move) {
  if (!striking_) {
    return;
  }
  Host& host = host_at(move.host);
  if (move.call > 0) {
    Circumstances& about = circumstances_.at(host.id());
    if (move.fault == Fault::crash_in_recovery || move.fault == Fault::power_cut_in_recovery) {
      came_about(move);
      about.at_start.push_back(move);
      crash(host);
    } else {
      about.at_call.emplace(about.calls + move.call, move);
    }
    return;
  }
  came_about(move);
  switch (move.fault) {
    case Fault::net_reset:
    case Fault::net_cut:
    case Fault::net_isolate:
    case Fault::net_halves:
    case Fault::net_one_way:
    case Fault::net_half_open:
    case Fault::net_stranger: strike_network(move, host); break;
    case Fault::disk_full:
    case Fault::disk_read_only:
    case Fault::disk_denied:
    case Fault::disk_rot:
    case Fault::watch_overflow: strike_disk(move, host); break;
    case Fault::index_lost:
    case Fault::index_old:
    case Fault::index_corrupt:
    case Fault::index_foreign:
    case Fault::machine_restored: strike_index(move, host); break;
    default: strike_machine(move, host);
  }
}

void World::strike_network(const Move& move, Host& host) {
  Random random(move.seed);
  const NodeId other = 1 + random.below(hosts_.size());
  const Instant until = now_ + some_while(random, 20s);
  note("strikes " + std::string(info(move.fault).id) + " at " + host.name());
  count(move.fault, Phase::idle);
  const auto cut = [&](NodeId a, NodeId b) {
    Link& wire = link(a, b);
    wire.cut_until = std::max(wire.cut_until, until);
    drop(a, b);
  };
  if (move.fault == Fault::net_isolate || move.fault == Fault::net_halves) {
    std::map<NodeId, bool> side;
    for (const auto& [id, machine] : hosts_) {
      side[id] = move.fault == Fault::net_isolate ? id == host.id() : random.chance(50);
    }
    for (const auto& [a, side_a] : side) {
      for (const auto& [b, side_b] : side) {
        if (a < b && side_a != side_b) {
          cut(a, b);
        }
      }
    }
    return;
  }
  if (move.fault == Fault::net_stranger) {
    // In the name of a node that is not a member, or of a member that is not connected. A host that
    // stands still has not taken in yet that a connection is gone: to it, that member is there.
    const NodeId name = random.chance(50) ? 999 : other;
    const bool unknown = name == 999 || (name != host.id() && !link(host.id(), name).up &&
                                         host.paused_until() <= now_ &&
                                         !link(host.id(), name).late_until.contains(host.id()));
    if (host.running() && unknown) {
      const Fingerprint before = host.node().replica().index().summary().fingerprint;
      PathEntry forged{"stranger", {}};
      Version version;
      version.label = "n1";
      version.size = 1;
      forged.entry.context.add({{1, 1}, 1});
      forged.entry.versions.push_back({{{1, 1}, 1}, version});
      host.tell(Received{name, Entries{1, 0, forged.entry.context, {}, {forged}}});
      if (host.running() && host.node().replica().index().summary().fingerprint != before) {
        violation("#19 only members write", "a stranger's entry is in the index");
      }
    }
    return;
  }
  if (other == host.id()) {
    return;
  }
  switch (move.fault) {
    case Fault::net_reset: drop(host.id(), other); break;
    case Fault::net_cut: cut(host.id(), other); break;
    case Fault::net_half_open: drop(host.id(), other, other); break;
    default: {  // one way: the connection itself dies when it has been silent for long
      Link& wire = link(host.id(), other);
      wire.mute_until[host.id()] = until;
      later(15s, [this, &wire, a = host.id(), other] {
        if (wire.mute_until.contains(a) && wire.mute_until.at(a) > now_) {
          drop(a, other);
        }
      });
    }
  }
}

void World::strike_machine(const Move& move, Host& host) {
  Random random(move.seed);
  note("strikes " + std::string(info(move.fault).id) + " at " + host.name());
  switch (move.fault) {
    case Fault::crash:
      count(move.fault, Phase::idle);
      crash(host);
      break;
    case Fault::power_cut:
      count(move.fault, Phase::idle);
      crash(host);
      cut_power(host, random);
      break;
    case Fault::pause: {
      count(move.fault, Phase::idle);
      const Duration left = Instant{} + plan_.setup.safety - now_;
      const Duration length = std::min(some_while(random, 60s), left);
      host.pause_until(now_ + length);
      if (length > 15s) {  // the others find its connections dead
        later(15s, [this, &host] { drop_all(host); });
      }
      break;
    }
    case Fault::user_pauses: {
      count(move.fault, Phase::idle);
      const Duration left = Instant{} + plan_.setup.safety - now_;
      host.hold_until(now_ + std::min(some_while(random, 60s), left));
      drop_all(host);
      break;
    }
    case Fault::clock_step: {
      count(move.fault, Phase::idle);
      const std::int64_t by = static_cast<std::int64_t>(random.below(200'000)) - 100'000;
      host.step_clock(by);
      break;
    }
    case Fault::user_holds_open: {
      const auto held = std::ranges::find(held_files_, host.id(), &HeldFile::host);
      if (held == held_files_.end()) {
        user_opens(host, random, circumstances_.at(host.id()).last_name);
      } else {
        user_writes_held(*held);
      }
      break;
    }
    default: invariant(false, "a fault that strikes a machine");
  }
}

void World::strike_disk(const Move& move, Host& host) {
  Random random(move.seed);
  Circumstances& about = circumstances_.at(host.id());
  const Instant until = now_ + some_while(random, 10s);
  note("strikes " + std::string(info(move.fault).id) + " at " + host.name());
  const Tree tree = host.disk().tree();
  switch (move.fault) {
    case Fault::disk_full: about.full_until = until; break;
    case Fault::disk_read_only: about.read_only_until = until; break;
    case Fault::watch_overflow:
      about.overflow_until = until;
      later(until - now_, [&host] { host.tell(Rescan{}); });
      break;
    case Fault::disk_denied:
      if (!tree.empty()) {
        about.denied =
            std::next(tree.begin(), static_cast<std::ptrdiff_t>(random.below(tree.size())))->first;
        about.denied_until = until;
      }
      break;
    case Fault::disk_rot:
      if (!tree.empty()) {
        const std::string name =
            std::next(tree.begin(), static_cast<std::ptrdiff_t>(random.below(tree.size())))->first;
        if (host.disk().rot(name, random.below(20))) {
          count(move.fault, Phase::idle);
          invariants_.may_mint(host.id(), 1);
          const Tree after = host.disk().tree();
          oracle_.disk_changed(host.id(), tree, after, contents_anywhere(), contents_shown());
        }
      }
      break;
    default: invariant(false, "a fault that strikes a disk");
  }
}

void World::strike_index(const Move& move, Host& host) {
  Random random(move.seed);
  const Duration age = some_while(random, plan_.setup.safety / 4);
  const auto restored = [this, &host](Fault fault) {
    count(fault, Phase::idle);
    invariants_.index_changed(host.id());
    oracle_.index_lost(host.id(), host.disk().tree());
    report_.sometimes.hit(Point::index_read_anew);
  };
  note("strikes " + std::string(info(move.fault).id) + " at " + host.name());
  if (move.fault == Fault::index_old || move.fault == Fault::machine_restored) {
    auto backup = std::make_shared<Host::Backup>(host.back_up());
    later(age, [this, &host, backup, fault = move.fault, restored] {
      if (striking_) {
        crash(host);
        const Tree before = host.disk().tree();
        host.restore(*backup, fault == Fault::machine_restored);
        if (fault == Fault::machine_restored) {
          after_disk_changed(host, before);  // else what was not durable still is not
        }
        restored(fault);
      }
    });
    return;
  }
  crash(host);
  if (move.fault == Fault::index_lost) {
    host.lose_index();
  } else if (move.fault == Fault::index_corrupt) {
    host.damage_index(random);
  } else {
    host.take_index_of(host_at(random.below(hosts_.size())));
  }
  restored(move.fault);
}

}  // namespace p2psync::sim
