// When things are told though messages are lost, or nobody asks.
#include <doctest/doctest.h>

#include "engine/gossip.h"
#include "engine_pair.h"

using namespace p2psync::engine;

TEST_CASE("gossip: a stream of which no message is taken in is given up for another") {
  Pair pair;
  for (int i = 0; i < 700; ++i) {
    pair.make(1, "link-" + std::to_string(i), Kind::symlink,
              std::string(3000, 't') + std::to_string(i), 1000 + i);
  }
  pair.start(1, true);
  pair.start(2, true);
  pair.drain();
  std::uint64_t sent = 0;
  pair.lose = [&](NodeId, const Message& message) {
    sent += std::holds_alternative<Entries>(message) ? 1 : 0;
    return std::holds_alternative<Taken>(message);
  };
  pair.connect();
  pair.drain();
  REQUIRE(sent == entries_window);  // and more than these it takes
  pair.lose = [](NodeId, const Message&) { return false; };
  CHECK(pair.run_until([&] { return pair.in_sync(); }));
}

TEST_CASE("gossip: after a quiet night one lost message costs one interval") {
  Pair pair;
  pair.start(1, true);
  pair.start(2, true);
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  const Instant evening = pair.now();
  REQUIRE(pair.run_until([&] { return pair.now() - evening > std::chrono::minutes(5); }));

  int ticks = 0;
  pair.lose = [&](NodeId from, const Message& message) {
    const auto* tick = std::get_if<Tick>(&message);
    ticks += from == 1 && tick != nullptr && !tick->answer ? 1 : 0;
    return true;
  };
  const Instant morning = pair.now();
  pair.make(1, "l", Kind::symlink, "target", 10);
  pair.touch(1, "l");
  REQUIRE(pair.run_until([&] { return pair.now() - morning > std::chrono::seconds(8); }));
  CHECK(ticks >= 6);
}

TEST_CASE("gossip: news of others is passed on unasked") {
  const Actor author{1, 100};
  NodeOptions options;
  options.self = 2;
  options.members = {{1, "alpha"}, {2, "beta"}, {3, "gamma"}};
  options.incarnation = 200;
  Instant now{std::chrono::hours(1)};
  Node node(options, {}, now);
  std::ignore = node.start(now);
  std::ignore = node.step(now, Listed{"", {}});
  for (const NodeId peer : {NodeId{1}, NodeId{3}}) {
    std::ignore = node.step(now, PeerUp{peer});
    std::ignore = node.step(now, Received{peer, Hello{}});
    std::ignore = node.step(now, Received{peer, Vectors{.answer = true}});
  }
  Version link;
  link.kind = Kind::symlink;
  link.target = "target";
  link.label = "alpha";
  const Entry entry{{{author, 1}}, {{{author, 1}, link}}, {}};
  const Entries news{7, 0, entry.context, {{author, 0, 1}}, {{"l", entry}}};
  std::ignore = node.step(now, Received{1, news});

  bool told = false;
  const Instant end = now + std::chrono::milliseconds(500);
  for (now = node.wake_at(); now < end && !told; now = node.wake_at()) {
    for (const Output& output : node.step(now, Wake{})) {
      const auto* send = std::get_if<Send>(&output);
      told = told ||
             (send != nullptr && send->peer == 3 && std::holds_alternative<Entries>(send->message));
    }
  }
  CHECK(told);
}

TEST_CASE("gossip: who asks with vectors is told only the rows that it does not know") {
  NodeOptions options;
  options.self = 2;
  options.members = {{1, "alpha"}, {2, "beta"}, {3, "gamma"}};
  options.index_epoch = 5;
  const VersionVector known{{{1, 100}, 7}};
  Loaded loaded;
  loaded.knowledge = known;
  loaded.rows = {{1, 5, known}, {2, 5, known}, {3, 5, known}};
  Replica replica(options, std::move(loaded));
  Gossip gossip(options, replica);
  const Instant now{std::chrono::hours(1)};
  std::vector<Output> out;
  gossip.peer_up(now, 1, out);
  gossip.on(now, 1, Hello{protocol_version, "", "", options.members}, out);
  const auto answer = [&](const std::vector<HeldRow>& rows) {
    out.clear();
    gossip.on(now, 1, Vectors{known, rows, {}, false}, out);
    std::vector<NodeId> members;
    for (const HeldRow& row : std::get<Vectors>(std::get<Send>(out.at(0)).message).rows) {
      members.push_back(row.member);
    }
    return members;
  };
  CHECK(answer({}) == std::vector<NodeId>{1, 2, 3});
  CHECK(answer({{1, 5, known}, {3, 5, {}}}) == std::vector<NodeId>{2, 3});
  CHECK(answer({{1, 6, known}, {2, 5, known}, {3, 5, known}}) == std::vector<NodeId>{});
}
