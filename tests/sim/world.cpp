#include "tests/sim/world.h"

#include <xxhash.h>

#include <algorithm>
#include <cstdio>

#include "net/wire.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

constexpr Duration safety_phase = 40s;
constexpr Duration liveness_limit = 600s;
constexpr std::uint64_t events_max = 3'000'000;

double seconds(Instant at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

}  // namespace

World::World(std::uint64_t seed, bool index_losses, bool trace, std::string watched)
    : seed_(seed), print_(trace), watched_(std::move(watched)), random_(seed) {
  report_.seed = seed;
  draw_faults();
  faults_.index_losses = index_losses ? faults_.index_losses : 0;
  build();
}

World::~World() {
  for (auto& [id, host] : hosts_) {
    host->stop();
  }
}

void World::draw_faults() {
  const auto sometimes = [this](std::uint64_t percent, std::uint64_t value) {
    return random_.chance(percent) ? value : 0;
  };
  faults_.loss = sometimes(30, 1 + random_.below(10));
  faults_.duplication = sometimes(30, 1 + random_.below(20));
  faults_.reordering = random_.chance(30);
  faults_.delay_ms_max = random_.chance(50) ? 2 : 1 + random_.below(400);
  faults_.partitions = sometimes(60, 1 + random_.below(6));
  faults_.crashes = sometimes(60, 1 + random_.below(6));
  faults_.index_losses = sometimes(15, 1);
  faults_.lost_events = sometimes(30, random_.below(100));
  faults_.user_in_call_permille = sometimes(50, 1 + random_.below(40));
  faults_.clock_skew_s = sometimes(40, random_.below(100'000));
  faults_.no_exchange = random_.chance(10);
}

void World::build() {
  const std::size_t count = 3 + random_.below(4);
  std::vector<MemberName> members;
  for (std::size_t i = 1; i <= count; ++i) {
    members.push_back({i, "n" + std::to_string(i)});
  }
  report_.nodes = count;
  report_.faults = faults_;
  for (const MemberName& member : members) {
    auto host = std::make_unique<Host>(*this, member.id, member.name, members);
    Host& machine = *host;
    machine.disk().disk().now =
        1'700'000'000'000'000'000 +
        static_cast<std::int64_t>(random_.below(2 * faults_.clock_skew_s + 1)) * 1'000'000'000;
    machine.disk().disk().now = walls_[member.id];
    machine.disk().exchange = !(faults_.no_exchange && member.id == 1);
    machine.disk().before_call = [this, &machine](std::string_view, std::string_view) {
      ++report_.events;
      if (in_user_) {
        return;
      }
      if (++calls_ == crash_at_call_) {
        crash_at_call_ = 0;
        ++report_.counters["crash in a call"];
        throw Crash();
      }
      // Without exchange a save by rename can be lost in the instant between two calls (applier.h
      // says so, as does the log at the start): there users act between jobs only.
      if (machine.disk().exchange && users_active_ && acts_in_calls_left_ > 0 &&
          random_.below(1000) < faults_.user_in_call_permille) {
        --acts_in_calls_left_;
        ++report_.counters["user in a call"];
        in_call_ = true;
        user_acts(machine);
        in_call_ = false;
      }
    };
    hosts_.emplace(member.id, std::move(host));
  }
}

void World::later(Duration delay, std::function<void()> action) {
  queue_.push({now_ + std::max(delay, Duration(1)), ++order_,
               std::make_shared<std::function<void()>>(std::move(action))});
}

void World::trace(const std::string& line) {
  ++report_.events;
  if (print_) {
    std::printf("%9.4f %s\n", seconds(now_), line.c_str());
  }
  report_.trace_hash = XXH3_64bits_withSeed(
      line.data(), line.size(),
      report_.trace_hash ^ static_cast<std::uint64_t>(now_.time_since_epoch().count()));
}

void World::note(const std::string& line) {
  if (print_) {
    std::printf("%9.4f %s\n", seconds(now_), line.c_str());
  }
}

void World::violation(std::string text) {
  trace("VIOLATION " + text);
  if (report_.violations.size() < 20) {
    report_.violations.push_back(std::move(text));
  }
}

void World::deliver(NodeId from, NodeId to, std::vector<std::uint8_t> frame) {
  Link& wire = link(from, to);
  if (!wire.up) {
    return;
  }
  ++report_.events;
  const int copies = random_.below(100) < faults_.loss          ? 0
                     : random_.below(100) < faults_.duplication ? 2
                                                                : 1;
  report_.counters["message lost"] += copies == 0 ? 1 : 0;
  report_.counters["message repeated"] += copies == 2 ? 1 : 0;
  for (int i = 0; i < copies; ++i) {
    Instant at = now_ + 50us + Duration(random_.below(faults_.delay_ms_max * 1'000'000));
    if (!faults_.reordering) {
      at = std::max(at, wire.last[to] + 1ns);
      wire.last[to] = at;
    }
    later(at - now_, [this, from, to, epoch = wire.epoch, frame] {
      const Link& link_now = link(from, to);
      if (!link_now.up || link_now.epoch != epoch) {
        return;
      }
      Result<Message> message = net::decode_message(frame);
      if (!message) {
        violation("a message does not decode: " + message.error().message());
        return;
      }
      hosts_.at(to)->input(Received{from, std::move(*message)});
    });
  }
}

void World::disconnect(NodeId from, NodeId to, const std::string& reason) {
  violation("n" + std::to_string(from) + " disconnects n" + std::to_string(to) + ": " + reason);
}

void World::connect(Link& wire, NodeId a, NodeId b) {
  if (wire.up || wire.cut || !hosts_.at(a)->running() || !hosts_.at(b)->running()) {
    return;
  }
  wire.up = true;
  ++wire.epoch;
  wire.last.clear();
  hosts_.at(a)->input(PeerUp{b});
  hosts_.at(b)->input(PeerUp{a});
}

void World::drop(Link& wire, NodeId a, NodeId b) {
  if (!wire.up) {
    return;
  }
  wire.up = false;
  // Each end notices in its own time, but before the two can meet anew.
  hosts_.at(a)->input(PeerDown{b});
  hosts_.at(b)->input(PeerDown{a});
}

void World::crash(Host& host) {
  if (!host.running()) {
    return;
  }
  trace(host.name() + " crashes");
  ++report_.counters["crash"];
  host.stop();
  for (auto& [pair, wire] : links_) {
    if (pair.first == host.id() || pair.second == host.id()) {
      drop(wire, pair.first, pair.second);
    }
  }
  restart_later(host);
}

void World::crashed(NodeId id) {
  // Called from within the host's own job: the process is unwound first.
  later(1ns, [this, id] {
    Host& host = *hosts_.at(id);
    if (host.running()) {
      crash(host);
    } else {
      restart_later(host);
    }
  });
}

void World::restart_later(Host& host) {
  later(Duration(random_.below(4'000'000'000)), [&host] {
    if (!host.running()) {
      host.start();
    }
  });
}

void World::after_apply(NodeId id) {
  for (const auto& [name, node] : hosts_.at(id)->disk().tree()) {
    if (node.kind != Kind::directory && !oracle_.known(node)) {
      violation("half-written or invented bytes at " + name + " on n" + std::to_string(id));
    }
  }
}

void World::plan_users() {
  const std::uint64_t actions = 20 + random_.below(120);
  for (std::uint64_t i = 0; i < actions; ++i) {
    later(Duration(random_.below(static_cast<std::uint64_t>(safety_phase.count()))), [this] {
      user_acts(
          *std::next(hosts_.begin(), static_cast<std::ptrdiff_t>(random_.below(hosts_.size())))
               ->second);
    });
  }
}

void World::plan_faults() {
  const auto at_random = [this](std::uint64_t count, const std::function<void()>& action) {
    for (std::uint64_t i = 0; i < count; ++i) {
      later(Duration(random_.below(static_cast<std::uint64_t>(safety_phase.count()))), action);
    }
  };
  const auto some_host = [this]() -> Host& {
    return *std::next(hosts_.begin(), static_cast<std::ptrdiff_t>(random_.below(hosts_.size())))
                ->second;
  };
  at_random(faults_.crashes, [this, some_host] {
    if (random_.chance(50)) {
      crash(some_host());
    } else {
      crash_at_call_ = calls_ + 1 + random_.below(60);
    }
  });
  at_random(faults_.index_losses, [this, some_host] {
    Host& host = some_host();
    if (host.running()) {
      crash(host);
      host.lose_index();
      oracle_.index_lost(host.id());
      ++report_.counters["index lost"];
      trace(host.name() + " loses its index");
    }
  });
  at_random(faults_.partitions, [this, some_host] {
    const NodeId a = some_host().id();
    const NodeId b = some_host().id();
    if (a == b) {
      return;
    }
    Link& wire = link(a, b);
    ++report_.counters["link cut"];
    trace("the link between n" + std::to_string(a) + " and n" + std::to_string(b) + " is cut");
    wire.cut = true;
    drop(wire, std::min(a, b), std::max(a, b));
    later(Duration(random_.below(15'000'000'000)), [&wire] { wire.cut = false; });
  });
}

void World::rescans(Host& host) {
  later(5s + Duration(random_.below(10'000'000'000)), [this, &host] {
    host.input(Rescan{});
    rescans(host);
  });
}

void World::heal() {
  trace("heal");
  users_active_ = false;
  crash_at_call_ = 0;
  const std::uint64_t delay = faults_.delay_ms_max;
  faults_ = {};
  faults_.delay_ms_max = delay;
  for (auto& [pair, wire] : links_) {
    wire.cut = false;
  }
  for (auto& [id, host] : hosts_) {
    if (!host->running()) {
      host->start();
    }
    host->input(Rescan{});
  }
}

bool World::step() {
  if (queue_.empty() || report_.events > events_max) {
    return false;
  }
  const Event event = queue_.top();
  queue_.pop();
  now_ = event.at;
  for (auto& [id, host] : hosts_) {
    // Wall clocks run with the simulated time, each with its own skew, and a little with every
    // call.
    std::int64_t& wall = host->disk().disk().now;
    wall = std::max(wall, walls_.at(id) + now_.time_since_epoch().count());
  }
  (*event.action)();
  for (auto& [id, host] : hosts_) {
    if (host->running() && !host->node().looking()) {
      oracle_.index_anew(id);
    }
  }
  return true;
}

bool World::all_in_sync() const {
  return std::ranges::all_of(hosts_, [](const auto& item) {
    return item.second->running() && item.second->node().all_in_sync();
  });
}

void World::judge() {
  std::optional<Tree> first;
  std::string first_name;
  for (auto& [id, host] : hosts_) {
    const Tree tree = host->disk().tree();
    for (const std::string& wrong : oracle_.judge(tree)) {
      violation(wrong + " (on " + host->name() + ")");
    }
    if (!first) {
      first = tree;
      first_name = host->name();
      continue;
    }
    if (tree != *first) {
      for (const auto& [name, node] : *first) {
        if (!tree.contains(name)) {
          violation("divergence: " + name + " is on " + first_name + " and not on " + host->name());
        } else if (!(tree.at(name) == node)) {
          violation("divergence: " + name + " differs between " + first_name + " and " +
                    host->name());
        }
      }
      for (const auto& [name, node] : tree) {
        if (!first->contains(name)) {
          violation("divergence: " + name + " is on " + host->name() + " and not on " + first_name);
        }
      }
    }
  }
}

Report World::run() {
  std::function<void()> dial = [this, &dial] {
    for (auto a = hosts_.begin(); a != hosts_.end(); ++a) {
      for (auto b = std::next(a); b != hosts_.end(); ++b) {
        connect(link(a->first, b->first), a->first, b->first);
      }
    }
    later(100ms, dial);
  };
  plan_users();
  for (auto& [id, host] : hosts_) {
    later(Duration(random_.below(1'000'000'000)), [&machine = *host] { machine.start(); });
    rescans(*host);
  }
  dial();
  plan_faults();
  while (now_ < Instant{} + safety_phase && step()) {
  }
  heal();
  const Instant limit = now_ + liveness_limit;
  // In sync twice, a while apart: once could be luck.
  int good = 0;
  while (good < 2 && now_ < limit) {
    if (!step()) {
      break;
    }
    if (all_in_sync()) {
      const Instant until = now_ + 3s;
      while (now_ < until && step()) {
      }
      good = all_in_sync() ? good + 1 : 0;
    }
  }
  if (good < 2) {
    violation("no convergence within " + std::to_string(liveness_limit / 1s) +
              " s of simulated time");
    for (auto& [id, host] : hosts_) {
      if (host->running()) {
        const Status status = host->node().status();
        std::string line = host->name() + ": state " +
                           std::to_string(static_cast<int>(status.state)) + ", pending " +
                           std::to_string(status.pending_files) +
                           (host->node().looking() ? ", looking" : "");
        for (const Problem& problem : status.problems) {
          line += "; " + problem.path + ": " + problem.message;
        }
        violation(line);
      }
    }
  }
  judge();
  return report_;
}

Report run_seed(std::uint64_t seed, bool index_losses, bool trace, const std::string& watched) {
  Report first = World(seed, index_losses, trace, watched).run();
  const Report second = World(seed, index_losses, false).run();
  if (first.trace_hash != second.trace_hash) {
    first.violations.push_back("not deterministic: two runs of the seed differ");
  }
  return first;
}

}  // namespace p2psync::sim
