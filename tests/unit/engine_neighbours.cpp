#include "engine/neighbours.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "engine_dice.h"

using namespace p2psync::engine;

namespace {

using Graph = std::map<NodeId, std::set<NodeId>>;

std::vector<NodeId> members_of(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<NodeId> members(count);
  std::ranges::generate(members, [&] { return random.next(); });
  return members;
}

/// Who is connected with whom, when some are away and everybody has found that out.
Graph graph_of(const std::vector<NodeId>& members, const std::set<NodeId>& away) {
  Graph graph;
  const auto is_away = [&](NodeId member) { return away.contains(member); };
  for (const NodeId member : members) {
    if (is_away(member)) {
      continue;
    }
    graph[member];
    const Neighbours neighbours(member, members, Neighbours::wanted_of(members.size()));
    for (const NodeId other : members) {
      if (other != member && !is_away(other) && neighbours.wants(other, is_away)) {
        graph[member].insert(other);
        graph[other].insert(member);
      }
    }
  }
  return graph;
}

/// Steps from the first node to the farthest; nothing if some cannot be reached.
std::optional<std::size_t> reach(const Graph& graph) {
  std::set<NodeId> seen{graph.begin()->first};
  std::vector<NodeId> edge(seen.begin(), seen.end());
  std::size_t steps = 0;
  while (true) {
    std::vector<NodeId> next;
    for (const NodeId node : edge) {
      for (const NodeId other : graph.at(node)) {
        if (seen.insert(other).second) {
          next.push_back(other);
        }
      }
    }
    if (next.empty()) {
      return seen.size() == graph.size() ? std::optional(steps) : std::nullopt;
    }
    edge = std::move(next);
    ++steps;
  }
}

}  // namespace

TEST_CASE("neighbours: up to a hundred members are connected each with each") {
  for (const std::size_t count : {std::size_t{2}, mesh_max}) {
    const std::vector<NodeId> members = members_of(count, test_seed(1));
    for (const auto& [node, others] : graph_of(members, {})) {
      CHECK(others.size() == count - 1);
    }
  }
}

TEST_CASE("neighbours: beyond that a few connections a node join all of them") {
  struct Case {
    std::size_t members;
    std::size_t away_percent;
  };
  for (const auto& [count, away_percent] : {Case{mesh_max + 1, 0}, Case{mesh_max + 1, 50},
                                            Case{1000, 0}, Case{1000, 30}, Case{1000, 80}}) {
    CAPTURE(count);
    CAPTURE(away_percent);
    const std::vector<NodeId> members = members_of(count, test_seed(2));
    const std::set<NodeId> away(
        members.begin(), members.begin() + static_cast<std::ptrdiff_t>(count * away_percent / 100));
    const Graph graph = graph_of(members, away);
    REQUIRE(graph.size() == count - away.size());
    CHECK(reach(graph).value_or(99) <= 5);
    for (const auto& [node, others] : graph) {
      CHECK(others.size() >= neighbours_wanted);
      CHECK(others.size() <= 4 * neighbours_wanted);
    }
  }
}

TEST_CASE("neighbours: one that comes back has its place again, and its deputy goes") {
  const std::vector<NodeId> members = members_of(200, test_seed(3));
  const Neighbours neighbours(members[0], members, neighbours_wanted);
  const auto chosen = [&](const std::set<NodeId>& away) {
    std::set<NodeId> all;
    for (const NodeId member : members) {
      if (neighbours.wants(member, [&](NodeId other) { return away.contains(other); })) {
        all.insert(member);
      }
    }
    return all;
  };
  const std::set<NodeId> usual = chosen({});
  CHECK(usual.size() == neighbours_wanted);
  CHECK_FALSE(usual.contains(members[0]));
  const NodeId gone = *usual.begin();
  const std::set<NodeId> without = chosen({gone});
  CHECK(without.size() == neighbours_wanted + 1);  // it is still tried
  CHECK(std::ranges::includes(without, usual));
  CHECK(chosen({}) == usual);
}
