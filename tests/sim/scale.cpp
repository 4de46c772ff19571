#include "tests/sim/scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "engine/codec.h"
#include "engine/gossip.h"
#include "engine/neighbours.h"
#include "net/frame.h"
#include "tests/sim/scale_plot.h"

namespace p2psync::sim {
namespace {

using namespace engine;

constexpr Duration delay_min = std::chrono::milliseconds(1);
constexpr std::uint64_t delay_spread_ms = 5;
constexpr Duration rest = std::chrono::seconds(20);

class Crowd {
 public:
  explicit Crowd(const Spread& how) : how_(how), random_(how.seed) {
    std::vector<MemberName> members;
    for (NodeId id = 1; id <= how.nodes; ++id) {
      members.push_back({id, "node-" + std::to_string(id)});
    }
    nodes_.resize(how.nodes);
    for (NodeId id = 1; id <= how.nodes; ++id) {
      add(id, members);
    }
    greet(members);
    for (std::size_t at = 0; at < nodes_.size(); ++at) {
      nodes_[at].gossip->start(now_ + std::chrono::microseconds(random_.below(1'000'000)));
      plan_wake(at);
    }
    run(rest, [] { return false; });
  }

  /// One node writes a path; true once all have it.
  bool change(std::size_t author) {
    path_ = "change-" + std::to_string(++changes_);
    having_ = messages_ = bytes_ = 0;
    for (One& node : nodes_) {
      node.has = false;
    }
    begun_ = now_;
    Seen seen;
    seen.signature = {Kind::symlink, 0777, changes_, 0, static_cast<std::int64_t>(changes_), 1};
    seen.target = "target";
    nodes_[author].replica->observe(path_, seen);
    finish(author, {});
    return run(std::chrono::duration_cast<Duration>(std::chrono::seconds(1)) *
                   static_cast<std::int64_t>(rounds_max),
               [this] { return having_ == nodes_.size(); });
  }
  /// All know that all have it.
  bool settle() {
    return run(std::chrono::seconds(600), [this] {
      const Fingerprint matrix = nodes_.front().replica->matrix_fingerprint();
      return std::ranges::all_of(
          nodes_, [&](const One& node) { return node.replica->matrix_fingerprint() == matrix; });
    });
  }
  void pause() {
    run(rest, [] { return false; });
  }

  [[nodiscard]] double rounds() const {
    return std::chrono::duration<double>(now_ - begun_).count();
  }
  [[nodiscard]] double messages() const { return a_node(messages_); }
  [[nodiscard]] double bytes() const { return a_node(bytes_); }
  [[nodiscard]] std::size_t tick_bytes_max() const { return tick_bytes_max_; }
  [[nodiscard]] std::size_t message_bytes_max() const { return message_bytes_max_; }

 private:
  struct One {
    NodeOptions options;
    std::unique_ptr<Replica> replica;
    std::unique_ptr<Gossip> gossip;
    bool has = false;
    Instant wake{};
  };
  struct Event {
    Instant at;
    std::uint64_t order = 0;
    std::size_t to = 0;
    NodeId from = 0;
    std::optional<Message> message;  ///< none: a wake
    bool operator>(const Event& other) const {
      return std::pair(at, order) > std::pair(other.at, other.order);
    }
  };

  [[nodiscard]] double a_node(std::size_t count) const {
    return static_cast<double>(count) / static_cast<double>(nodes_.size());
  }

  void add(NodeId id, const std::vector<MemberName>& members) {
    One& node = nodes_[id - 1];
    node.options.self = id;
    node.options.members = members;
    node.options.push_peers = how_.push ? push_peers_max : 0;
    node.options.seed = random_.next();
    node.options.incarnation = random_.next();
    node.options.index_epoch = 1;
    Loaded loaded;
    for (const MemberName& member : members) {
      loaded.rows.push_back({member.id, 1, {}});
    }
    node.replica = std::make_unique<Replica>(node.options, std::move(loaded));
    node.gossip = std::make_unique<Gossip>(node.options, *node.replica);
  }

  /// All are connected with their neighbours, and what they say because of that is not what is
  /// measured.
  void greet(const std::vector<MemberName>& members) {
    Hello hello;
    hello.members = members;
    std::vector<NodeId> ids;
    for (const MemberName& member : members) {
      ids.push_back(member.id);
    }
    std::set<std::pair<NodeId, NodeId>> links;
    for (const NodeId id : ids) {
      const Neighbours neighbours(id, ids, Neighbours::wanted_of(ids.size()));
      for (const NodeId other : ids) {
        if (other != id && neighbours.wants(other, [](NodeId) { return false; })) {
          links.insert({id, other});
          links.insert({other, id});
        }
      }
    }
    std::vector<Output> dropped;
    for (One& node : nodes_) {
      for (const MemberName& member : members) {
        if (links.contains({node.options.self, member.id})) {
          node.gossip->peer_up(now_, member.id, dropped);
          node.gossip->on(now_, member.id, hello, dropped);
          dropped.clear();
        }
      }
      std::ignore = node.gossip->take_greeted();
    }
  }

  template <class Done>
  bool run(Duration time, const Done& done) {
    const Instant end = now_ + time;
    while (!done()) {
      if (events_.front().at > end) {
        now_ = end;
        return false;
      }
      std::ranges::pop_heap(events_, std::greater{});
      Event event = std::move(events_.back());
      events_.pop_back();
      now_ = event.at;
      std::vector<Output> out;
      if (event.message) {
        nodes_[event.to].gossip->on(now_, event.from, std::move(*event.message), out);
      } else if (event.at != nodes_[event.to].wake) {
        continue;  // it was put off
      }
      finish(event.to, std::move(out));
    }
    return true;
  }

  /// What a Node does at the end of a step, where a disk takes everything at once.
  void finish(std::size_t at, std::vector<Output> out) {
    One& node = nodes_[at];
    std::ignore = node.replica->take_dirty();
    std::ignore = node.replica->take_appeared();
    std::ignore = node.gossip->take_grown();
    node.replica->set_own_held(node.replica->knowledge());
    node.gossip->next(now_, true, out);
    std::ignore = node.replica->take_change();
    if (!node.has && node.replica->record(path_).entry.live()) {
      node.has = true;
      ++having_;
    }
    for (Output& output : out) {
      if (auto* send = std::get_if<Send>(&output)) {
        post(node.options.self, send->peer, std::move(send->message));
      }
    }
    plan_wake(at);
  }

  void post(NodeId from, NodeId to, Message message) {
    const std::size_t bytes =
        net::header_bytes +
        std::visit([](const auto& each) { return encode(each).size(); }, message);
    ++messages_;
    bytes_ += bytes;
    message_bytes_max_ = std::max(message_bytes_max_, bytes);
    if (std::holds_alternative<Tick>(message)) {
      tick_bytes_max_ = std::max(tick_bytes_max_, bytes);
    }
    if (random_.chance(how_.loss_percent)) {
      return;
    }
    const auto late = std::chrono::microseconds(random_.below(delay_spread_ms * 1000));
    add_event({now_ + delay_min + late, 0, to - 1, from, std::move(message)});
  }

  void plan_wake(std::size_t at) {
    const Instant wake = std::max(now_ + Duration(1), nodes_[at].gossip->wake_at());
    if (wake != nodes_[at].wake) {
      nodes_[at].wake = wake;
      add_event({wake, 0, at, 0, std::nullopt});
    }
  }
  void add_event(Event event) {
    event.order = ++order_;
    events_.push_back(std::move(event));
    std::ranges::push_heap(events_, std::greater{});
  }

  const Spread how_;
  Random random_;
  std::vector<One> nodes_;
  std::vector<Event> events_;
  std::uint64_t order_ = 0;
  Instant now_{std::chrono::hours(1)};
  Instant begun_{};
  Path path_ = "none";
  std::uint64_t changes_ = 0;
  std::size_t having_ = 0, messages_ = 0, bytes_ = 0;
  std::size_t tick_bytes_max_ = 0, message_bytes_max_ = 0;
};

double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  return values.at(values.size() / 2);
}

}  // namespace

Spreading spread(const Spread& how) {
  Crowd crowd(how);
  Spreading result;
  std::vector<double> messages;
  std::vector<double> bytes;
  std::vector<double> at_rest;
  for (std::size_t i = 0; i < how.changes; ++i) {
    result.reached_all = crowd.change((i * 7 + 3) % how.nodes) && result.reached_all;
    result.rounds.push_back(crowd.rounds());
    messages.push_back(crowd.messages());
    bytes.push_back(crowd.bytes());
    result.reached_all = crowd.settle() && result.reached_all;
    at_rest.push_back(crowd.bytes());
    crowd.pause();
  }
  std::ranges::sort(result.rounds);
  result.messages = median_of(messages);
  result.bytes = median_of(bytes);
  result.bytes_at_rest = median_of(at_rest);
  result.tick_bytes_max = crowd.tick_bytes_max();
  result.message_bytes_max = crowd.message_bytes_max();
  return result;
}

double rounds_allowed(std::size_t nodes, unsigned loss_percent) {
  const auto n = static_cast<double>(nodes);
  const double arrives = 1 - loss_percent / 100.0;
  return (std::log2(n) + std::log(n) + 4) / (arrives * arrives * arrives);
}

int run_scale(const std::string& svg, std::size_t nodes_max) {
  struct Way {
    const char* name;
    bool push;
    unsigned loss_percent;
  };
  constexpr Way ways[] = {{"ticks alone", false, 0},
                          {"ticks alone, 20 % lost", false, 20},
                          {"with pushes", true, 0},
                          {"with pushes, 20 % lost", true, 20}};
  int passed = 0;
  int failed = 0;
  std::vector<Series> series;
  fmt::print(
      "| | nodes | rounds, median | worst | allowed | messages a node | kB a node "
      "| kB until all know | largest tick | largest message |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
  for (const Way& way : ways) {
    Series& line = series.emplace_back(Series{way.name, {}});
    for (const std::size_t nodes : {2U, 5U, 10U, 20U, 50U, 100U, 200U, 500U, 1000U}) {
      if (nodes > nodes_max) {
        continue;
      }
      const std::size_t changes = nodes >= 1000 ? 3 : nodes >= 500 ? 5 : nodes >= 200 ? 9 : 25;
      const Spreading found = spread({nodes, way.push, way.loss_percent, changes, nodes});
      line.points.push_back({static_cast<double>(nodes), found.median(), found.worst(),
                             found.messages, found.bytes / 1000, found.bytes_at_rest / 1000});
      const bool good = found.reached_all &&
                        found.worst() <= rounds_allowed(nodes, way.loss_percent) &&
                        found.tick_bytes_max <= net::tick_frame_bytes_max;
      ++(good ? passed : failed);
      fmt::print("| {} | {} | {:.2f} | {:.2f} | {:.1f} | {:.0f} | {:.1f} | {:.1f} | {} | {} |{}\n",
                 way.name, nodes, found.median(), found.worst(),
                 rounds_allowed(nodes, way.loss_percent), found.messages, found.bytes / 1000,
                 found.bytes_at_rest / 1000, found.tick_bytes_max, found.message_bytes_max,
                 good ? "" : " MISSED");
      std::fflush(stdout);
    }
  }
  if (!svg.empty() && !write_plot(svg, series)) {
    fmt::print(stderr, "p2psync-sim: {} cannot be written\n", svg);
    return 2;
  }
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace p2psync::sim
