#include "tests/sim/world.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstdio>

#include "engine/path.h"
#include "engine/replica.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

constexpr Duration tick = 1s;
/// A path, a look or a content that failed is tried again after at most this long.
constexpr Duration retry_longest = 30s;
constexpr Duration quiet = 300s;  // whatever is put off or done by the clock has its turn

constexpr const char* never_torn = "#11 never half-written";

/// Which invariant the oracle's words are about.
std::string invariant_of(const std::string& verdict) {
  static const std::map<std::string, const char*> names{
      {"lost", "#2 no lost update"},
      {"resurrection", "#3 no resurrection"},
      {"spurious", "#4 no spurious conflict"},
      {"invented", never_torn},
  };
  const auto known = names.find(verdict.substr(0, verdict.find_first_of(" :")));
  return known == names.end() ? "#1 convergence" : known->second;
}

Fingerprint root_of(const Host& host) {
  return host.node().replica().index().summary().fingerprint;
}

/// Disks whose times are coarse show the same file with other times.
bool same_but_grain(TreeNode a, const TreeNode& b) {
  const std::int64_t apart = a.mtime > b.mtime ? a.mtime - b.mtime : b.mtime - a.mtime;
  const bool coarse = apart < 2'000'000'000 && (a.mtime % 1000 == 0 || b.mtime % 1000 == 0);
  a.mtime = coarse ? b.mtime : a.mtime;
  return a == b;
}

double seconds(Instant at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

}  // namespace

World::World(Plan plan, Telling telling)
    : plan_(std::move(plan)),
      telling_(std::move(telling)),
      random_(plan_.seed * 4 + 1),
      network_(plan_.seed * 4 + 3),
      invariants_([this](const std::string& invariant, const std::string& text) {
        violation(invariant, text);
      }),
      thrift_([this](const std::string& invariant, const std::string& text) {
        violation(invariant, text);
      }),
      verdicts_(plan_.seed * 16 + 11) {
  report_.seed = plan_.seed;
  build();
}

World::~World() {
  held_files_.clear();
  for (auto& [id, host] : hosts_) {
    host->stop();
  }
}

/// Of starts before this history: for each member what its index has of them.
static std::map<NodeId, Change> draw_pasts(const std::vector<MemberName>& members, std::size_t most,
                                           Random random) {
  std::map<NodeId, Change> pasts;
  std::map<NodeId, VersionVector> knowledge;
  for (const MemberName& member : members) {
    const std::uint64_t length = random.below(most + 1);
    std::map<NodeId, std::uint64_t> known;
    for (const MemberName& other : members) {
      known[other.id] =
          other.id == member.id || random.chance(50) ? length : random.below(length + 1);
      knowledge[other.id].set(ended(member.id), known[other.id]);
    }
    for (std::uint64_t number = 1; number <= length; ++number) {
      const Ending ending{random.next() | 1, 1 + random.below(3)};
      for (const MemberName& other : members) {
        if (number <= known[other.id]) {
          pasts[other.id].endings.push_back({member.id, number, ending});
        } else {
          knowledge[other.id].set({member.id, ending.incarnation}, ending.last);
        }
      }
    }
  }
  for (auto& [id, known] : knowledge) {
    if (!known.items().empty()) {
      pasts[id].knowledge = std::move(known);
    }
  }
  return pasts;
}

void World::build() {
  const Setup& setup = plan_.setup;
  std::vector<MemberName> members;
  for (std::size_t i = 1; i <= setup.hosts; ++i) {
    members.push_back({i, "n" + std::to_string(i)});
  }
  auto pasts = draw_pasts(members, setup.past, Random(plan_.seed * 16 + 13));
  for (const MemberName& member : members) {
    const std::size_t i = member.id - 1;
    for (const ListedEnding& own : pasts[member.id].endings) {
      invariants_.user_acted(member.id, own.node == member.id ? own.ending.last : 0);
    }
    auto host = std::make_unique<Host>(
        *this,
        Host::Traits{member.id, member.name, members, setup.clock_offset_s.at(i), setup.sqlite,
                     setup.max_delete, setup.canary == Canary::forgotten_commit,
                     std::move(pasts[member.id])},
        random_.next());
    Host& machine = *host;
    machine.disk().disk().grain_ns = setup.grain_ns.at(i);
    const std::int64_t offset = setup.clock_offset_s.at(i);
    const bool far = offset < -1'000'000 || offset > 1'000'000;
    if (offset != 0) {
      count(far ? Fault::clock_far : Fault::clock_skew, Phase::idle);
    }
    if (setup.grain_ns.at(i) != 1) {
      count(Fault::disk_grain, Phase::idle);
    }
    machine.disk().exchange = setup.exchange.at(i);
    machine.disk().before_call = [this, &machine](std::string_view operation,
                                                  std::string_view path) {
      before_call(machine, operation, path);
    };
    machine.disk().fault = [this, &machine](std::string_view operation, std::string_view path) {
      return fault_of_call(machine, operation, path);
    };
    hosts_.emplace(member.id, std::move(host));
    circumstances_[member.id];
  }
}

// --- Surroundings

void World::later(Duration delay, std::function<void()> action) {
  if (free_actions_.empty()) {
    free_actions_.push_back(actions_.size());
    actions_.emplace_back();
  }
  const std::size_t place = free_actions_.back();
  free_actions_.pop_back();
  actions_[place] = std::move(action);
  queue_.push_back({now_ + std::max(delay, Duration(1)), ++order_, place});
  std::push_heap(queue_.begin(), queue_.end());
}

void World::trace(const std::string& line) {
  ++report_.events;
  report_.trace_hash = XXH3_64bits_withSeed(
      line.data(), line.size(),
      report_.trace_hash ^ static_cast<std::uint64_t>(now_.time_since_epoch().count()));
}

void World::note(const std::string& line) {
  if (telling_.trace) {
    std::printf("%9.4f %s\n", seconds(now_), line.c_str());
  }
  if (telling_.listener != nullptr) {
    telling_.listener->noted(now_, line);
  }
}

void World::violation(const std::string& invariant, const std::string& text) {
  trace("violation " + invariant);
  note("VIOLATION " + invariant + ": " + text);
  if (report_.violations.size() < 20) {
    report_.violations.push_back({invariant, text});
  }
}

void World::relaid(Host& host, const Relaid& step, bool news) {
  if (news) {
    note(host.name() + " is told that a batch had " + (step.wanted ? "laid " : "removed ") +
         step.name);
    report_.sometimes.hit(Point::relaid);
  }
}

void World::stepped(Host& host, const Input& input, const std::vector<Output>& outputs) {
  report_.sometimes.observe(input);
  for (const Output& output : outputs) {
    report_.sometimes.observe(output);
    commits_ += std::holds_alternative<Persist>(output) ? 1 : 0;
  }
  if (telling_.listener != nullptr) {
    telling_.listener->stepped(now_, host, input, outputs);
  }
  invariants_.stepped(host.id(), host.node());
  thrift_.stepped(host.id(), host.life(), host.node(), input, outputs);
  check_last_call(host);
  if (host.node().all_in_sync()) {
    oracle_.index_anew(host.id());
    invariants_.says_in_sync(host.id(), host.node());
  }
}

void World::committed(Host& host, const Change& change) {
  invariants_.committing(host.id(), host.index(), change);
  for (const auto& [path, record] : change.records) {
    const auto before = host.index().records().find(path);
    report_.sometimes.observe(path,
                              before == host.index().records().end() ? nullptr : &before->second,
                              record ? &*record : nullptr);
  }
}

// --- The run

std::vector<Host*> World::all_hosts() {
  std::vector<Host*> all;
  for (auto& [id, host] : hosts_) {
    all.push_back(host.get());
  }
  return all;
}

bool World::step() {
  if (queue_.empty() || report_.events > telling_.events_max) {
    return false;
  }
  std::pop_heap(queue_.begin(), queue_.end());
  const Event event = queue_.back();
  queue_.pop_back();
  const std::function<void()> action = std::exchange(actions_[event.action], nullptr);
  free_actions_.push_back(event.action);
  now_ = event.at;
  action();
  return true;
}

bool World::step_until(Instant limit) {
  while (!queue_.empty() && queue_.front().at <= limit) {
    if (!step()) {
      return false;
    }
  }
  now_ = std::max(now_, limit);
  return true;
}

void World::plan_moves() {
  for (std::size_t id = 0; id < plan_.moves.size(); ++id) {
    Move move = plan_.moves[id];
    move.id = id;
    later(move.at, [this, move] { carry_out(move); });
  }
  for (auto& [id, host] : hosts_) {
    later(Duration(random_.below(1'000'000'000)), [&machine = *host] { machine.start(); });
    const auto rescan = [this, &machine = *host](const auto& self) -> void {
      later(plan_.setup.rescan / 2 +
                Duration(random_.below(static_cast<std::uint64_t>(plan_.setup.rescan.count()))),
            [&machine, self] {
              machine.tell(Rescan{});
              self(self);
            });
    };
    rescan(rescan);
    if (plan_.setup.max_delete > 0) {
      judge_deletions_soon(*host);
    }
  }
}

void World::carry_out(const Move& move) {
  if (!striking_) {
    return;
  }
  if (move.what == Move::What::strike) {
    strike(move);
    return;
  }
  if (plan_.setup.causal && !at_rest(all_hosts())) {
    later(500ms, [this, move] { carry_out(move); });  // until everybody knows everything
    return;
  }
  user_acts(host_at(move.host), move, {});
}

Report World::run() {
  plan_moves();
  dial();
  step_until(Instant{} + plan_.setup.safety);
  heal();
  while (ending_ > 0 && step()) {  // else a start would come before the power cut that ended it
  }
  run_core();
  run_whole();
  report_.simulated = now_.time_since_epoch();
  return report_;
}

void World::heal() {
  note("heal");
  striking_ = false;
  held_files_.clear();
  plan_.setup.loss = plan_.setup.duplicate = plan_.setup.tail_permille = 0;
  plan_.setup.slow_bytes_per_s = plan_.setup.late_content_s = 0;
  plan_.setup.replay_permille = plan_.setup.corrupt_permille = 0;
  plan_.setup.watch_lost = plan_.setup.watch_late = 0;
  for (auto& [pair, wire] : links_) {
    wire.cut_until = now_;
    wire.mute_until.clear();
  }
  for (auto& [id, about] : circumstances_) {
    about.at_call.clear();
    about.at_start.clear();
    about.full_until = about.read_only_until = about.denied_until = about.overflow_until = now_;
    about.next_error = 0;
    about.sync_fails = false;
    Host& host = *hosts_.at(id);
    host.tell(Rescan{});
  }
}

/// Only some of the hosts are healthy, and the others do not come back.
void World::run_core() {
  const std::size_t size = 2 + random_.below(hosts_.size() - 1);
  std::vector<Host*> core = all_hosts();
  while (core.size() > size) {
    Host& dead = *core[random_.below(core.size())];
    note(dead.name() + " is dead");
    circumstances_.at(dead.id()).dead = true;
    if (dead.running()) {
      dead.stop();
      drop_all(dead);
    }
    std::erase(core, &dead);
  }
  for (Host* host : core) {
    if (!host->running()) {
      host->start();
    }
  }
  // Contents that only the dead have are not owed; whatever is known and here must be shown.
  const Instant limit = now_ + (4 * std::bit_width(hosts_.size() - 1) + 8) * tick + retry_longest;
  const auto settled = [&] {
    return std::ranges::all_of(core, [&](const Host* host) {
      return host->running() && !host->node().looking() && root_of(*host) == root_of(*core.front());
    });
  };
  while (!settled() && now_ < limit && step()) {
  }
  if (!settled()) {
    violation("#16 bounded convergence",
              "a healthy core of " + std::to_string(core.size()) + " does not agree in time");
    tell_states(core);
  }
}

void World::run_whole() {
  const Instant begin = now_;
  for (Host* host : all_hosts()) {
    circumstances_.at(host->id()).dead = false;
    if (!host->running()) {
      host->start();
    }
  }
  const Duration bound = (4 * std::bit_width(hosts_.size() - 1) + 8) * tick + 2 * retry_longest;
  if (!come_to_rest(all_hosts(), bound) && !plan_.setup.anything_goes) {
    violation("#16 bounded convergence",
              "no rest within " + std::to_string(bound / 1s) + " s after the last fault");
    tell_states(all_hosts());
  }
  report_.to_rest = now_ - begin;
  judge();
  // Where times are coarse, what was laid is read again at the next scan, whenever that comes.
  const bool quiet_is_owed = !plan_.setup.anything_goes && !in_play(Fault::disk_grain);
  if (report_.violations.empty() && quiet_is_owed) {
    check_quiet();
  }
}

bool World::at_rest(const std::vector<Host*>& hosts) const {
  return std::ranges::all_of(hosts, [](const Host* host) {
    return host->running() && host->at_rest() && host->node().all_in_sync();
  });
}

/// In sync twice, a while apart: once could be luck.
bool World::come_to_rest(const std::vector<Host*>& hosts, Duration limit) {
  const Instant end = now_ + limit;
  while (now_ < end) {
    if (at_rest(hosts)) {
      step_until(now_ + 3s);
      if (at_rest(hosts)) {
        return true;
      }
    }
    if (!step()) {
      return false;
    }
  }
  return false;
}

/// At rest nothing is written, nothing is sent but ticks, and no event comes into being.
void World::check_quiet() {
  step_until(now_ + 2 * retry_longest);  // what was on its way, and looks that were put off
  const std::uint64_t commits = commits_, syncs = syncs_, blocks = blocks_;
  step_until(now_ + quiet);
  if (commits_ != commits || syncs_ != syncs || blocks_ != blocks) {
    violation("#15 quiescence", std::to_string(commits_ - commits) + " index writes, " +
                                    std::to_string(syncs_ - syncs) + " syncs and " +
                                    std::to_string(blocks_ - blocks) + " blocks while idle");
  }
}

void World::tell_states(const std::vector<Host*>& hosts) {
  for (const Host* host : hosts) {
    violation("#16 bounded convergence", host->state_text());
  }
}

void World::judge() {
  for (Host* host : all_hosts()) {
    const Tree tree = host->disk().tree();
    for (const std::string& wrong : oracle_.judge(tree)) {
      const std::string invariant = invariant_of(wrong);
      if (!plan_.setup.anything_goes || invariant == never_torn) {
        violation(invariant, wrong + " (on " + host->name() + ")");
      }
    }
  }
  if (!plan_.setup.anything_goes) {
    compare_trees(all_hosts());
  }
}

void World::compare_trees(const std::vector<Host*>& hosts) {
  const Tree first = hosts.front()->disk().tree();
  for (Host* host : hosts) {
    const Tree tree = host->disk().tree();
    const std::string pair = hosts.front()->name() + " and " + host->name();
    for (const auto& [name, node] : first) {
      const auto other = tree.find(name);
      if (other == tree.end() || !same_but_grain(other->second, node)) {
        violation("#1 convergence", name + " differs between " + pair);
      }
    }
    for (const auto& [name, node] : tree) {
      if (!first.contains(name)) {
        violation("#1 convergence", name + " differs between " + pair);
      }
    }
  }
}

Report run_seed(std::uint64_t seed, const PlanOptions& options, const Telling& telling) {
  return run_plan(draw_plan(seed, options), telling);
}

}  // namespace p2psync::sim
