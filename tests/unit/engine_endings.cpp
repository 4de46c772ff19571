#include "engine/endings.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <map>

#include "engine/codec.h"
#include "engine/gossip.h"
#include "engine/replica.h"
#include "engine_dice.h"
#include "engine_loaded.h"
#include "engine_pair.h"
#include "engine_vector_model.h"

using namespace p2psync::engine;

namespace {

constexpr std::uint64_t nodes = 3;
constexpr std::uint64_t incarnations = 6;

std::vector<Actor> all_actors() {
  std::vector<Actor> actors;
  for (NodeId node = 1; node <= nodes; ++node) {
    for (std::uint64_t incarnation = 1; incarnation <= incarnations; ++incarnation) {
      actors.push_back({node, incarnation});
    }
  }
  return actors;
}

Model meaning(const Endings& endings, const VersionVector& vector) {
  Model model;
  for (const Actor& actor : all_actors()) {
    if (const std::uint64_t highest = endings.at(vector, actor); highest > 0) {
      model[actor] = highest;
    }
  }
  return model;
}

/// Lists of some incarnations of each node. `last` may be less than what some vectors have.
Endings random_endings(Random& random) {
  Endings endings;
  for (NodeId node = 1; node <= nodes; ++node) {
    for (std::uint64_t count = random.below(incarnations + 1); count > 0; --count) {
      endings.add(node, {1 + random.below(incarnations), 1 + random.below(4)});
    }
  }
  return endings;
}

/// In any of the ways in which one can be written.
VersionVector random_vector(Random& random, const Endings& endings) {
  VersionVector vector;
  const bool much = random.chance(60);
  for (const Actor& actor : all_actors()) {
    if (random.chance(much ? 90 : 40)) {
      vector.set(actor, much ? 2 + random.below(5) : random.below(5));
    }
  }
  for (NodeId node = 1; node <= nodes; ++node) {
    vector.set(ended(node), random.below(endings.of(node).size() + 1));
  }
  return vector;
}

ToldEndings told(std::uint64_t from, std::vector<Ending> endings, const Endings& whole) {
  const std::uint64_t end = from + endings.size();
  return {1, whole.of(1).size(), from, std::move(endings), whole.mark(1, end)};
}

}  // namespace

TEST_CASE("endings: however a vector is written, it means the same") {
  Random random(test_seed(1));
  for (int round = 0; round < 5000; ++round) {
    CAPTURE(round);
    const Endings endings = random_endings(random);
    const VersionVector one = random_vector(random, endings);
    const VersionVector other = random_vector(random, endings);
    const Model means = meaning(endings, one);
    const Model means_too = meaning(endings, other);

    VersionVector folded = one;
    endings.fold(folded);
    REQUIRE(meaning(endings, folded) == means);
    VersionVector again = folded;
    endings.fold(again);
    CHECK(again == folded);

    const VersionVector spelt = endings.in_terms_of(one, other);
    CHECK(meaning(endings, spelt) == means);
    for (NodeId node = 1; node <= nodes; ++node) {
      CHECK(spelt.at(ended(node)) <= other.at(ended(node)));
    }
    VersionVector plain = endings.in_terms_of(one, {});
    CHECK(meaning(endings, plain) == means);
    endings.fold(plain);
    CHECK(plain == folded);  // one meaning, one short form

    CHECK(endings.covers(one, other) == covered(means, means_too));
    const Dot dot{all_actors()[random.below(nodes * incarnations)], 1 + random.below(6)};
    CHECK(Known(one, endings).covers(dot) == (dot.sequence <= at(means, dot.actor)));

    CHECK(meaning(endings, endings.meet(one, other)) == met(means, means_too));

    VersionVector lowered = one;
    endings.lower(lowered, dot.actor, dot.sequence - 1);
    Model lower = means;
    if (at(lower, dot.actor) >= dot.sequence) {
      lower[dot.actor] = dot.sequence - 1;
      std::erase_if(lower, [](const auto& item) { return item.second == 0; });
    }
    CHECK(meaning(endings, lowered) == lower);
  }
}

TEST_CASE("endings: what is above the last event of an incarnation keeps its item") {
  Endings endings;
  REQUIRE(endings.add(1, {7, 3}));
  CHECK_FALSE(endings.add(1, {7, 4}));  // twice
  CHECK_FALSE(endings.add(1, {0, 4}));
  CHECK_FALSE(endings.add(1, {8, 0}));
  VersionVector vector{{{1, 7}, 5}, {{1, 9}, 1}};
  endings.fold(vector);
  CHECK(vector == VersionVector{{ended(1), 1}, {{1, 7}, 5}, {{1, 9}, 1}});
  CHECK(endings.at(vector, {1, 7}) == 5);
}

TEST_CASE("endings: ten years of daily starts on ten nodes leave a vector of less than 1 KB") {
  Endings endings;
  VersionVector vector;
  Random random(test_seed(2));
  for (int day = 0; day < 3650; ++day) {
    for (NodeId node = 1; node <= 10; ++node) {
      const std::uint64_t incarnation = 1 + random.below(UINT64_MAX);
      vector.add({{node, incarnation}, 1 + random.below(1000)});
      if (day < 3648) {  // the last two are not yet held by all
        REQUIRE(endings.add(node, {incarnation, vector.at({node, incarnation})}));
      }
    }
    endings.fold(vector);
  }
  CHECK(vector.items().size() == 30);
  CHECK(encode(vector).size() < 1024);
}

TEST_CASE("endings: a list is taken where it goes on from one's own, and not where it differs") {
  Endings whole;
  for (const Ending& ending : {Ending{11, 1}, Ending{12, 2}, Ending{13, 3}}) {
    REQUIRE(whole.add(1, ending));
  }
  Endings other;
  REQUIRE(other.add(1, {11, 1}));
  REQUIRE(other.add(1, {99, 2}));
  struct Case {
    const char* name;
    ToldEndings told;
    bool taken;
    std::uint64_t length;
  };
  const Case cases[] = {
      {"the beginning", told(0, {{11, 1}}, whole), true, 1},
      {"the beginning again", told(0, {{11, 1}}, whole), true, 1},
      {"with a gap", told(2, {{13, 3}}, whole), true, 1},
      {"no list, the same so far", told(1, {}, whole), true, 1},
      {"overlapping", told(0, {{11, 1}, {12, 2}}, whole), true, 2},
      {"another one that is shorter", told(1, {{99, 2}}, other), false, 2},
      {"a mark of another one", {1, 3, 2, {{13, 3}}, other.mark(1, 2)}, false, 2},
      {"one that is on it",
       {1, 3, 2, {{11, 1}}, Endings::mark_after(whole.mark(1, 2), {11, 1})},
       false,
       2},
      {"the rest", told(2, {{13, 3}}, whole), true, 3},
  };
  NodeOptions options;
  options.self = 2;
  options.members = {{1, "alpha"}, {2, "beta"}};
  options.incarnation = 50;
  Replica replica(options, {});
  for (const Case& test : cases) {
    CAPTURE(test.name);
    CHECK(replica.take(test.told) == test.taken);
    CHECK(replica.endings().of(1).size() == test.length);
  }
  CHECK(replica.take_change().endings.size() == 3);

  // Nobody else says of a living incarnation that it is over.
  const Ending own{50, 1};
  CHECK_FALSE(replica.take({2, 1, 0, {own}, Endings::mark_after(0, own)}));
}

TEST_CASE("node: the incarnations of restarts are folded away, and all still agree") {
  Pair pair;
  pair.start(1, true);
  pair.start(2, true);
  pair.connect();
  for (int start = 0; start < 24; ++start) {
    CAPTURE(start);
    const NodeId id = start % 3 == 0 ? 2 : 1;
    pair.disconnect();
    pair.start(id, false, loaded_from(pair.host(id).node->replica()));
    pair.connect();
    const Path name = "f" + std::to_string(start % 5);
    pair.make(id, name, Kind::symlink, std::to_string(start), start);
    pair.touch(id, name);
    REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  }
  const auto folded = [&] {
    return std::ranges::all_of(std::array<NodeId, 2>{1, 2}, [&](NodeId id) {
      return pair.host(id).node->replica().knowledge().items().size() <= 4;
    });
  };
  REQUIRE(pair.run_until(folded));
  CHECK(pair.host(1).knowledge == pair.host(2).knowledge);
  CHECK(pair.host(1).node->replica().endings().lengths().at(ended(1)) >= 15);
  const Instant later = pair.now() + std::chrono::seconds(30);  // what is stable is known as well
  REQUIRE(pair.run_until([&] { return pair.now() >= later; }));
  pair.make(1, "f0", Kind::symlink, "last", 100);
  pair.touch(1, "f0");
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.host(1).node->record("f0")->entry.context.items().size() == 1);
  CHECK(pair.tree(1) == pair.tree(2));

  // Who comes with nothing learns all of it.
  pair.disconnect();
  pair.host(2).disk.clear();
  pair.start(2, true);
  pair.connect();
  REQUIRE(pair.run_until([&] {
    return pair.in_sync() &&
           pair.host(2).node->replica().knowledge() == pair.host(1).node->replica().knowledge();
  }));
  CHECK(pair.tree(1) == pair.tree(2));
  CHECK(pair.tree(2).size() == 5);
  CHECK(pair.disconnects.empty());
}

TEST_CASE(
    "node: an incarnation does not end while a member knows its events and does not hold them") {
  Pair pair;
  pair.start(1, true);
  pair.start(2, true);
  pair.connect();
  pair.host(2).full = true;
  pair.make(1, "f", Kind::file, "bytes", 10);
  pair.touch(1, "f");
  const auto length = [&] { return pair.host(1).node->replica().endings().lengths().at(ended(1)); };
  const auto after = [&](Duration time) {
    return [&pair, end = pair.now() + time] { return pair.now() >= end; };
  };
  REQUIRE(pair.run_until(after(std::chrono::seconds(5))));
  pair.disconnect();
  pair.start(1, false, loaded_from(pair.host(1).node->replica()));
  pair.connect();
  REQUIRE(pair.run_until(after(std::chrono::seconds(30)), 100'000));
  CHECK(pair.host(2).knowledge == pair.host(1).knowledge);
  CHECK(length() == 0);
  pair.host(2).full = false;
  CHECK(pair.run_until([&] { return length() == 1; }, 100'000));
}

TEST_CASE(
    "node: two of which each has a long list that the other has not heard of tell each other") {
  // As after a cut in which each side has ended many incarnations.
  for (const std::uint64_t count : {1UL, endings_unasked, endings_unasked + 1, 3 * endings_max}) {
    CAPTURE(count);
    Pair pair;
    for (const NodeId id : {NodeId{1}, NodeId{2}}) {
      Loaded loaded;
      for (std::uint64_t incarnation = 1; incarnation <= count; ++incarnation) {
        REQUIRE(loaded.endings.add(id, {1000 * 1000 * id + incarnation, 1}));
      }
      loaded.knowledge.set(ended(id), count);
      pair.start(id, false, std::move(loaded));
      const Path name = "of " + std::to_string(id);
      pair.make(id, name, Kind::symlink, name, 1);
      pair.touch(id, name);
    }
    pair.connect();
    CHECK(pair.run_until([&] { return pair.in_sync(); }));
    CHECK(pair.tree(1).size() == 2);
    CHECK(pair.tree(1) == pair.tree(2));
    CHECK(pair.disconnects.empty());
  }
}
