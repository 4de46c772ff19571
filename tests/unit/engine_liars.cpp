// What a member says that cannot be true: it loses its connection and changes nothing.
#include <doctest/doctest.h>

#include "engine/codec.h"
#include "engine/gossip.h"
#include "engine/quota.h"
#include "engine/replica.h"
#include "engine/secret_hash.h"
#include "engine_pair.h"

using namespace p2psync::engine;

namespace {

/// Two nodes in sync, of which the second then says whatever a test has it say.
struct Company {
  Company() {
    pair.make(1, "here", Kind::symlink, "target", 10);
    pair.make(2, "there", Kind::symlink, "target", 10);
    pair.start(1, true);
    pair.start(2, true);
    pair.connect();
    REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  }

  Pair pair;
  [[nodiscard]] const Replica& victim() { return pair.host(1).node->replica(); }
};

}  // namespace

TEST_CASE("liars: who speaks of events that this node has not had hides none of its next ones") {
  const std::vector<std::pair<const char*, Message (*)(const Actor&)>> lies{
      {"vectors",
       [](const Actor& own) -> Message { return Vectors{{{own, 1000}}, {}, {}, false, {}}; }},
      {"a row in vectors",
       [](const Actor& own) -> Message {
         return Vectors{{}, {{2, 1, {{own, 1000}}}}, {}, true, {}};
       }},
      {"a row", [](const Actor& own) -> Message { return Held{{2, 1, {{own, 1000}}}}; }},
      {"a stream",
       [](const Actor& own) -> Message { return Entries{7, 0, {}, {{own, 0, 1000}}, {}}; }},
      {"an entry",
       [](const Actor& own) -> Message {
         PathEntry item{"new", {}};
         item.entry.context.add({own, 1000});
         return Entries{0, 0, {}, {}, {item}};
       }},
      {"what an entry's absence means",
       [](const Actor& own) -> Message { return Entries{0, 0, {{own, 1000}}, {}, {}}; }},
      {"ranges",
       [](const Actor& own) -> Message {
         return Ranges{1, {{own, 1000}}, {}, {{"", "", {}}}, {}};
       }},
  };
  for (const auto& [what, lie] : lies) {
    CAPTURE(std::string(what));
    Company company;
    const Actor own = company.victim().newest_own().actor;
    company.pair.hear(1, Received{2, lie(own)});
    REQUIRE(company.pair.disconnects.size() == 1);
    CHECK(company.pair.disconnects[0] == "it speaks of events of this node that it has not had");
    CHECK(company.victim().knowledge().at(own) < 1000);
    company.pair.disconnect();
    company.pair.make(1, "new", Kind::symlink, "its own", 20);
    company.pair.touch(1, "new");
    company.pair.drain();
    CHECK(company.victim().newest_own().actor != own);
    company.pair.connect();
    REQUIRE(company.pair.run_until([&] { return company.pair.in_sync(); }));
    CHECK(company.pair.tree(2) == company.pair.tree(1));
    CHECK(company.pair.tree(2).contains("new"));
  }
}

TEST_CASE("liars: numbers that nothing can have are not even decoded") {
  const auto refusal = [](const auto& value) -> std::string {
    const auto decoded = decode<std::remove_cvref_t<decltype(value)>>(encode(value));
    return decoded ? "none" : decoded.error().object;
  };
  const Actor actor{1, 2};
  VersionVector vector{{actor, sequence_max}};
  CHECK(refusal(vector) == "none");
  vector.set(actor, sequence_max + 1);
  CHECK(refusal(vector) == "a version vector out of order, or beyond reason");
  CHECK(refusal(Dot{actor, UINT64_MAX}) == "more events than can be");
  CHECK(refusal(Entries{1, 0, {}, {{actor, 0, UINT64_MAX}}, {}}) == "more events than can be");
  Version version;
  version.size = size_bytes_max;
  CHECK(refusal(version) == "none");
  ++version.size;
  CHECK(refusal(version) == "a file larger than can be");
}

TEST_CASE("liars: contents that begin alike do not fall together in a table") {
  std::set<std::size_t> places;
  std::set<std::size_t> elsewhere;
  for (std::uint8_t i = 0; i < 200; ++i) {
    Hash chosen;
    chosen.bytes[31] = i;
    places.insert(SecretHash{1}(chosen));
    elsewhere.insert(SecretHash{2}(chosen));
  }
  CHECK(places.size() == 200);
  CHECK(elsewhere.size() == 200);
  CHECK(*places.begin() != *elsewhere.begin());
}

TEST_CASE("liars: what is true of this node is no lie") {
  Company company;
  const Dot newest = company.victim().newest_own();
  company.pair.hear(1, Received{2, Held{{2, 1, {newest}}}});
  CHECK(company.pair.disconnects.empty());
  CHECK(company.victim().newest_own() == newest);
}

namespace {

/// `lie` is told again and again, each time another, until who tells it is cut off.
void tell_until_cut_off(Company& company, const std::function<Message(std::uint64_t)>& lie) {
  for (std::uint64_t number = 1; company.pair.disconnects.empty(); ++number) {
    REQUIRE(number < 1000);
    company.pair.hear(1, Received{2, lie(number)});
  }
  CHECK(company.pair.disconnects[0] ==
        "it speaks of more incarnations of nodes than members can tell each other of");
}

/// What the victim took in by then it can tell others, and they go on as ever.
void check_unharmed(Company& company) {
  constexpr std::size_t message_bytes_max = 1024 * 1024;
  const Replica& victim = company.victim();
  Vectors vectors{victim.knowledge(), {}, {}, false, {}};
  for (const auto& [member, row] : victim.rows()) {
    vectors.rows.push_back(row);
  }
  CHECK(encode(vectors).size() < message_bytes_max);
  CHECK(decode<Vectors>(encode(vectors)).has_value());
  CHECK(encode(PathEntry{"here", victim.record("here").entry}).size() < message_bytes_max);
  company.pair.disconnects.clear();
  company.pair.disconnect();
  company.pair.make(1, "new", Kind::symlink, "its own", 20);
  company.pair.touch(1, "new");
  company.pair.drain();
  company.pair.connect();
  REQUIRE(company.pair.run_until([&] { return company.pair.in_sync(); }));
  CHECK(company.pair.tree(2) == company.pair.tree(1));
  CHECK(company.pair.tree(2).contains("new"));
}

}  // namespace

TEST_CASE("liars: who makes up members and what they hold fills no message with it") {
  Company company;
  tell_until_cut_off(company, [](std::uint64_t number) -> Message {
    Vectors vectors;
    vectors.answer = true;
    for (std::uint64_t i = 0; i < 1000; ++i) {
      vectors.rows.push_back({1000 * number + i, 1, {{{9, number}, 1}}});
    }
    return vectors;
  });
  check_unharmed(company);
}

TEST_CASE("liars: who makes up events of ever more incarnations fills no message with it") {
  Company company;
  tell_until_cut_off(company, [](std::uint64_t number) -> Message {
    Entries entries{number, 0, {}, {}, {}};
    for (std::uint64_t i = 0; i < 1000; ++i) {
      entries.ranges.push_back({{9, 1000 * number + i}, 0, 1});
    }
    return entries;
  });
  CHECK(company.victim().knowledge().items().size() <= known_actors_max);
  check_unharmed(company);
}

TEST_CASE("liars: who makes up what a path's history was fills no message with it") {
  Company company;
  const Entry before = company.victim().record("here").entry;
  tell_until_cut_off(company, [&](std::uint64_t number) -> Message {
    PathEntry item{"here", before};
    for (std::uint64_t i = 0; i < 1000; ++i) {
      item.entry.context.add({{9, 1000 * number + i}, 1});
    }
    return Entries{0, 0, {}, {}, {item}};
  });
  check_unharmed(company);
}

TEST_CASE("liars: who makes up incarnations that are over is cut off at a number") {
  Company company;
  std::uint64_t mark = 0;
  tell_until_cut_off(company, [&](std::uint64_t number) -> Message {
    ToldEndings told{9, 1U << 31, 50'000 * (number - 1), {}, 0};
    for (std::uint64_t i = 0; i < 50'000; ++i) {
      told.endings.push_back({50'000 * number + i, 1});
      mark = Endings::mark_after(mark, told.endings.back());
    }
    told.mark = mark;
    return Vectors{{}, {}, {}, true, {told}};
  });
  CHECK(company.victim().endings().of(9).size() <= kept_endings_max);
}
