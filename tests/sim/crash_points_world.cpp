#include "tests/sim/crash_points_world.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "engine/path.h"
#include "tests/sim/crash_points_scenes.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

constexpr Duration latency = 1ms;
constexpr Duration restart_after = 1s;
/// Between two lives: whatever was fresh is not any more.
constexpr Duration life_apart = 1000s;
constexpr std::size_t violations_max = 10;

bool needs_room(std::string_view operation) {
  static constexpr std::string_view operations[] = {"create", "make_directory", "make_symlink",
                                                    "link",   "File::write",    "File::copy_from"};
  return std::ranges::find(operations, operation) != std::end(operations);
}

}  // namespace

// --- Coming to be, and what is left

CrashWorld::CrashWorld(const CrashScene& scene, bool tracing)
    : scene_(scene), tracing_(tracing), random_(1), invariants_({}) {
  build();
}

CrashWorld::CrashWorld(const CrashScene& scene, const CrashState& state, bool tracing)
    : scene_(scene),
      tracing_(tracing),
      random_(state.life + 2),
      begin_(Instant{} + static_cast<std::int64_t>(state.life + 1) * life_apart),
      now_(begin_),
      oracle_(state.oracle),
      invariants_(state.invariants),
      history_(state.history),
      life_(state.life + 1),
      acts_(state.acts),
      writes_(state.writes),
      unsynced_(state.unsynced),
      doubtful_(state.doubtful),
      never_synced_(state.never_synced),
      full_left_(scene.full_calls) {
  build();
  for (auto& [id, host] : hosts_) {
    host->thaw(state.hosts.at(id));
  }
  const Tree tree = subject().disk().tree();
  if (state.before_cut) {
    history_.cut_back(tree);
    if (!unsynced_.empty()) {
      after_cut(*state.before_cut, tree);
    }
  }
  for (const std::string& name : history_.ahead(subject().index(), tree)) {
    violation("#12 index never ahead of disk", "the index has a newer " + name + " than the disk");
  }
  look_at_disk();
}

CrashWorld::~CrashWorld() {
  for (auto& [id, host] : hosts_) {
    host->stop();
  }
}

void CrashWorld::build() {
  invariants_.report_to([this](const std::string& invariant, const std::string& text) {
    violation(invariant, text);
  });
  std::vector<MemberName> members;
  for (NodeId id = 1; id <= scene_.hosts; ++id) {
    members.push_back({id, "n" + std::to_string(id)});
  }
  for (const MemberName& member : members) {
    hosts_[member.id] = std::make_unique<Host>(
        *this, Host::Traits{member.id, member.name, members, 0, scene_.sqlite && member.id == 1},
        life_ * 100 + member.id);
  }
  SimFs& disk = subject().disk();
  disk.exchange = scene_.exchange;
  disk.lease = scene_.lease;
  disk.before_call = [this](std::string_view operation, std::string_view path) {
    before_call(operation, path);
  };
  disk.fault = [this](std::string_view operation, std::string_view) {
    return fault_of_call(operation);
  };
}

/// The disk decides what of unsynced users' acts has happened.
void CrashWorld::after_cut(const Tree& before, const Tree& after) {
  Oracle::Contents anywhere;
  Oracle::ShownContents shown;
  for (const auto& [id, host] : hosts_) {
    for (const std::string_view directory :
         {std::string_view(), storage::staging_directory, storage::versions_directory}) {
      for (const auto& [name, node] : host->disk().tree(directory)) {
        anywhere.insert(Oracle::key(node));
        if (directory.empty()) {
          shown.emplace(lineage_of(name), Oracle::key(node));
        }
      }
    }
  }
  doubtful_ = true;
  invariants_.may_mint(subject_id, 2 * (before.size() + after.size()));
  // What a user wrote to a file that was displaced may be torn there.
  for (const std::string& name : unsynced_) {
    oracle_.may_be_gone(subject_id, name, anywhere);
    if (never_synced_) {
      oracle_.doubt(name);  // a later sync proves nothing: see World::after_disk_changed
    }
    for (const std::string_view directory :
         {storage::staging_directory, storage::versions_directory}) {
      for (const auto& [path, node] : subject().disk().tree(directory)) {
        if (node.kind != Kind::directory && !oracle_.known(node)) {
          oracle_.may_appear(name, node);
        }
      }
    }
  }
  unsynced_.clear();
  oracle_.disk_changed(subject_id, before, after, anywhere, shown);
}

CrashState CrashWorld::freeze() const {
  CrashState state;
  for (const auto& [id, host] : hosts_) {
    state.hosts.emplace(id, host->freeze());
  }
  state.oracle = oracle_;
  state.invariants = invariants_;
  state.history = history_;
  state.life = life_;
  state.acts = acts_;
  state.unsynced = unsynced_;
  state.doubtful = doubtful_;
  state.never_synced = never_synced_;
  state.writes = writes_;
  return state;
}

std::vector<std::uint64_t> CrashWorld::mark() const {
  std::vector<std::uint64_t> mark{commits_, acts_};
  for (const auto& [id, host] : hosts_) {
    mark.push_back(host->disk().disk().changes());
  }
  return mark;
}

void CrashWorld::sync_disks() {
  for (auto& [id, host] : hosts_) {
    host->disk().disk().sync_all();
  }
  unsynced_.clear();
}

// --- Time

void CrashWorld::later(Duration delay, std::function<void()> action) {
  queue_.push_back({now_ + std::max(delay, Duration(1)), ++order_, std::move(action)});
  std::push_heap(queue_.begin(), queue_.end());
}

bool CrashWorld::step() {
  if (queue_.empty()) {
    return false;
  }
  std::pop_heap(queue_.begin(), queue_.end());
  const Event event = std::move(queue_.back());
  queue_.pop_back();
  now_ = event.at;
  event.action();
  return true;
}

void CrashWorld::run_for(Duration time) {
  const Instant end = now_ + time;
  while (!queue_.empty() && queue_.front().at <= end && step()) {
  }
  now_ = std::max(now_, end);
}

bool CrashWorld::all_at_rest() const {
  return std::ranges::all_of(hosts_, [](const auto& item) {
    const Host& host = *item.second;
    return host.running() && host.at_rest() && host.node().all_in_sync();
  });
}

bool CrashWorld::come_to_rest(Duration limit) {
  const Instant end = now_ + limit;
  while (now_ < end) {
    if (all_at_rest()) {
      rest_at_ = now_;
      run_for(3s);
      if (all_at_rest()) {
        look_at_disk();
        at(steps_ == 0 ? CrashPoint::Where::after : CrashPoint::Where::step);
        return true;
      }
    }
    if (!step()) {
      break;
    }
  }
  rest_at_ = now_;
  return false;
}

// --- Processes and the network

void CrashWorld::start() {
  for (auto& [id, host] : hosts_) {
    start(*host);
  }
}

void CrashWorld::start(Host& host) {
  host.start();
  later(latency, [this] { connect_all(); });
}

void CrashWorld::start_failed(Host& host, const Error& error) {
  note(host.name() + " does not start: " + error.message());
  later(restart_after, [this, &host] { start(host); });
}

void CrashWorld::ended(Host& host) {
  violation("the search", host.name() + " ended by itself");
}

void CrashWorld::connect_all() {
  for (const auto& [a, first] : hosts_) {
    for (const auto& [b, second] : hosts_) {
      const bool cut = subject_cut_off_ && (a == subject_id || b == subject_id);
      if (a >= b || cut || !first->running() || !second->running() || links_.contains({a, b})) {
        continue;
      }
      links_[{a, b}] = ++epoch_;
      first->tell(PeerUp{b});
      second->tell(PeerUp{a});
    }
  }
}

void CrashWorld::cut_off_subject(bool off) {
  subject_cut_off_ = off;
  for (const auto& [id, host] : hosts_) {
    if (off && links_.erase({subject_id, id}) > 0) {
      host->tell(PeerDown{subject_id});
      subject().tell(PeerDown{id});
    }
  }
  connect_all();
}

void CrashWorld::deliver(NodeId from, NodeId to, const Message& message) {
  const auto link = links_.find(std::minmax(from, to));
  if (link == links_.end()) {
    return;
  }
  later(latency, [this, from, to, message, epoch = link->second] {
    const auto now = links_.find(std::minmax(from, to));
    if (now != links_.end() && now->second == epoch) {
      host(to).tell(Received{from, message});
    }
  });
}

void CrashWorld::disconnect(NodeId from, NodeId to, const std::string& reason) {
  violation("the protocol",
            "n" + std::to_string(from) + " hangs up on n" + std::to_string(to) + ": " + reason);
}

// --- The subject's calls

void CrashWorld::before_call(std::string_view operation, std::string_view path) {
  look_at_disk();
  if (steps_ == 0 && calls_ > 0) {
    at(CrashPoint::Where::after);
  }
  ++calls_;
  steps_ = 0;
  last_operation_ = operation;
  last_path_ = path;
  note("  " + std::to_string(calls_) + " " + last_operation_ + " " + last_path_);
  user_may_act(operation, path);
  at(CrashPoint::Where::before);
}

int CrashWorld::fault_of_call(std::string_view operation) {
  if (full_left_ > 0 && needs_room(operation)) {
    --full_left_;
    return ENOSPC;
  }
  const int number = fault ? fault(calls_, operation) : 0;
  if (number != 0) {
    note("call " + std::to_string(calls_) + " fails: " + last_operation_ + " " + last_path_);
    never_synced_ = never_synced_ || (operation == "File::sync" && !unsynced_.empty());
  }
  return number;
}

void CrashWorld::user_may_act(std::string_view operation, std::string_view path) {
  const auto& during = scene_.during;
  if (!user_expected_ || !during || acts_ > 0 || operation != during->operation ||
      !path.starts_with(during->path) || ++matches_ < during->nth) {
    return;
  }
  ++acts_;
  note("the user acts before call " + std::to_string(calls_));
  during->act(*this);
}

void CrashWorld::at(CrashPoint::Where where) {
  if (probe) {
    probe({calls_, where, steps_, last_operation_, last_path_});
  }
}

void CrashWorld::stepped(Host& host, const Input&, const std::vector<Output>&) {
  invariants_.stepped(host.id(), host.node());
  if (host.id() == subject_id) {
    look_at_disk();
    at(steps_ == 0 ? CrashPoint::Where::after : CrashPoint::Where::step);
    ++steps_;
  }
}

void CrashWorld::committed(Host& host, const Change& change) {
  ++commits_;
  invariants_.committing(host.id(), host.index(), change);
}

/// #11, and what the names show now.
void CrashWorld::look_at_disk() {
  const std::uint64_t changes = subject().disk().disk().changes();
  if (changes == seen_changes_) {
    return;
  }
  seen_changes_ = changes;
  const Tree tree = subject().disk().tree();
  history_.add(tree);
  for (const auto& [name, node] : tree) {
    if (node.kind != Kind::directory && !oracle_.known(node)) {
      violation("#11 never half-written", "half-written or invented bytes at " + name);
    }
  }
}

// --- What is wrong

void CrashWorld::note(const std::string& line) {
  if (tracing_) {
    std::printf("%10.4f %s\n", std::chrono::duration<double>(now_.time_since_epoch()).count(),
                line.c_str());
  }
}

void CrashWorld::relaid(Host& host, const Relaid& step, bool news) {
  if (news) {
    note(host.name() + " is told that a batch had " + (step.wanted ? "laid " : "removed ") +
         step.name);
  }
}

void CrashWorld::violation(const std::string& invariant, const std::string& text) {
  note("VIOLATION " + invariant + ": " + text);
  if (violations_.size() < violations_max) {
    violations_.push_back({invariant, text});
  }
}

}  // namespace p2psync::sim
