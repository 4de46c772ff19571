// Siblings that say the same: which of them are left, and that nobody can tell.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "engine/layout.h"
#include "engine/replica.h"
#include "engine_dice.h"
#include "engine_pair.h"

using namespace p2psync::engine;

namespace {

constexpr Actor a{1, 1};
constexpr Actor b{2, 1};
constexpr Actor c{3, 1};

Sibling sibling(const Dot& dot, std::uint8_t text, std::int64_t rank) {
  Version version;
  version.mode = 0644;
  version.mtime = rank;
  version.size = 1;
  version.content.bytes[0] = text;
  version.rank = rank;
  version.label = "n" + std::to_string(dot.actor.node);
  version.tag = tag_of(dot);
  return {dot, version};
}

Entry entry_of(std::vector<Sibling> versions) {
  std::ranges::sort(versions, {}, &Sibling::dot);
  Entry entry{{}, std::move(versions), {}};
  for (const Sibling& each : entry.versions) {
    entry.context.add(each.dot);
  }
  return entry;
}

/// What users see of an entry.
struct Face {
  Path name;
  Kind kind;
  Hash content;
  std::uint16_t mode;
  std::int64_t mtime;
  std::string label;
  std::uint64_t tag;
  bool copy;
  bool operator==(const Face&) const = default;
};

std::vector<Face> faces(const Entry& entry) {
  std::vector<Face> list;
  for (const Place& place : layout("f", entry, false, [](std::string_view) { return false; })) {
    const Version& version = place.version;
    list.push_back({place.name, version.kind, version.content, version.mode, version.mtime,
                    version.label, version.tag, version.copy});
  }
  return list;
}

/// Several nodes' writes of few contents: many say the same, some nearly.
Entry drawn(Random& random) {
  std::vector<Sibling> versions;
  const std::uint64_t count = 1 + random.below(7);
  for (std::uint64_t i = 0; i < count; ++i) {
    Sibling made =
        sibling({{1 + i, 1}, 1 + random.below(9)}, static_cast<std::uint8_t>(random.below(3)),
                static_cast<std::int64_t>(random.below(3)));
    Version& version = made.version;
    if (random.chance(20)) {
      version.kind = Kind::directory;
      version.size = 0;
    }
    version.mode = random.chance(50) ? 0644 : 0755;
    version.mtime += static_cast<std::int64_t>(random.below(2));
    version.copy = random.chance(20);
    version.imported = random.chance(50);
    version.superseded.assign(random.below(2), 7);
    version.metadata_only = random.chance(10);
    version.base = version.metadata_only ? random.below(2) * 7 : 0;
    versions.push_back(std::move(made));
  }
  return entry_of(std::move(versions));
}

NodeOptions options() {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "n1"}, {2, "n2"}};
  options.incarnation = 1;
  return options;
}

std::vector<Dot> dots_of(const Record& record) {
  std::vector<Dot> dots;
  for (const Sibling& each : record.entry.versions) {
    dots.push_back(each.dot);
  }
  return dots;
}

}  // namespace

TEST_CASE("collapse: one is left, with the time of the highest rank and the smallest tag") {
  Entry entry = entry_of(
      {sibling({a, 1}, 7, 5), sibling({b, 1}, 7, 9), sibling({c, 1}, 7, 3), sibling({c, 2}, 8, 1)});
  const VersionVector context = entry.context;
  const Entry whole = entry;
  CHECK(distinct(entry) == 2);
  REQUIRE(collapse(entry, context));
  REQUIRE(entry.versions.size() == 2);
  CHECK(entry.versions[0].dot == Dot{b, 1});
  CHECK(entry.versions[0].version.mtime == 9);
  const std::uint64_t smallest = std::min({tag_of({a, 1}), tag_of({b, 1}), tag_of({c, 1})});
  CHECK(entry.versions[0].version.tag == smallest);
  CHECK(entry.context == context);
  CHECK(!collapse(entry, context));
  // Who merges it with what it was has it, and who had it before loses nothing.
  CHECK(merge(entry, context, whole, context) == entry);
  CHECK(merge(whole, context, entry, context) == entry);
}

TEST_CASE("collapse: with equal ranks the one that is left is as its writer made it") {
  for (std::uint64_t i = 1; i < 20; ++i) {
    Entry entry = entry_of({sibling({a, i}, 7, 5), sibling({b, i}, 7, 5)});
    const Entry whole = entry;
    REQUIRE(collapse(entry, entry.context));
    CHECK(*whole.find(entry.versions[0].dot) == entry.versions[0].version);
  }
}

TEST_CASE("collapse: what is not shown by all stays, and what differs in more than who and when") {
  const std::vector<Sibling> two{sibling({a, 1}, 7, 5), sibling({b, 1}, 7, 6)};
  Entry entry = entry_of(two);
  CHECK(!collapse(entry, VersionVector{{a, 1}}));
  CHECK(!collapse(entry, VersionVector()));
  const auto differs = [&](auto change) {
    Entry other = entry_of(two);
    change(other.versions[1].version);
    CHECK(distinct(other) == 2);
    CHECK(!collapse(other, other.context));
  };
  differs([](Version& version) { version.content.bytes[0] = 8; });
  differs([](Version& version) { version.copy = true; });
  differs([](Version& version) { version.metadata_only = true; });
  differs([](Version& version) { version.base = 1; });
  differs([](Version& version) { version.imported = true; });
  differs([](Version& version) { version.superseded = {1}; });
}

TEST_CASE("collapse: nobody can tell, in whatever order and however often it is done") {
  const std::uint64_t seed = test_seed(20261128);
  CAPTURE(seed);
  Random random(seed);
  int collapsed = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Entry whole = drawn(random);
    Entry entry = whole;
    for (int times = 0; times < 3; ++times) {
      VersionVector held;
      for (const Sibling& each : whole.versions) {
        if (times == 2 || random.chance(60)) {
          held.add(each.dot);
        }
      }
      collapsed += collapse(entry, held) ? 1 : 0;
      CHECK(faces(entry) == faces(whole));
      CHECK(fingerprint("f", entry) == fingerprint("f", whole));
      CHECK(distinct(entry) == distinct(whole));
      CHECK(std::ranges::is_sorted(entry.versions, {}, &Sibling::dot));
      CHECK(!entry_problem(entry));
    }
    Entry at_once = whole;
    (void)collapse(at_once, whole.context);
    CHECK(entry == at_once);
    CHECK(entry.versions.size() == distinct(whole));
  }
  CHECK(collapsed > 1000);
}

TEST_CASE("replica: what the disk shows is of the one that is left, and a start finds the rest") {
  Loaded loaded;
  const Sibling one = sibling({a, 1}, 7, 5);
  const Sibling two = sibling({b, 1}, 7, 9);
  for (const char* path : {"f", "g", "h"}) {
    Record record{entry_of({one, two}), {}, {}};
    record.shown.push_back({path, {one.dot, two.dot}, two.version, {}});
    loaded.index.put(path, record);
    loaded.knowledge = record.entry.context;
  }
  Replica replica(options(), std::move(loaded));
  (void)replica.take_change();
  (void)replica.take_dirty();
  const Summary summary = replica.index().summary();
  REQUIRE(replica.any_alike());
  replica.collapse(VersionVector{{a, 1}}, 10);
  CHECK(replica.take_change().empty());
  const VersionVector shown{{a, 1}, {b, 1}};
  std::size_t persisted = 0;
  for (int times = 0; times < 10; ++times) {
    replica.collapse(shown, 2);
    const Change change = replica.take_change();
    CHECK(change.records.size() <= 2);
    persisted += change.records.size();
  }
  CHECK(persisted == 3);
  CHECK(!replica.any_alike());
  CHECK(!replica.collapsing());
  CHECK(!replica.any_dirty());
  CHECK(replica.index().summary() == summary);
  replica.index().check();
  const Record& record = replica.record("f");
  CHECK(dots_of(record) == std::vector{two.dot});
  CHECK(record.shown.at(0).dots == std::vector{two.dot});
}

TEST_CASE("node: two that begin with equal trees end with one version a path") {
  Pair pair;
  for (const NodeId id : {NodeId{1}, NodeId{2}}) {
    pair.make(id, "d", Kind::directory, "", 0);
    pair.make(id, "d/same", Kind::file, "text", 10);
    pair.make(id, "d/later", Kind::file, "text", static_cast<std::int64_t>(10 * id));
    pair.start(id, true);
  }
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  const auto one_version = [&](NodeId id) {
    bool all = true;
    pair.host(id).node->replica().index().for_each("", "", [&](const Path&, const Record& record) {
      all = all && record.entry.versions.size() == 1 && record.shown.at(0).dots.size() == 1;
      return true;
    });
    return all;
  };
  CHECK(pair.run_until([&] { return one_version(1) && one_version(2); }));
  CHECK(pair.root(1) == pair.root(2));
  CHECK(pair.host(1).disk.at("d/later").signature.mtime == 20);
  // A deletion ends it on both, and an edit is no conflict.
  pair.host(1).disk.erase("d/same");
  pair.touch(1, "d/same");
  pair.make(2, "d/later", Kind::file, "edited", 30);
  pair.touch(2, "d/later");
  REQUIRE(pair.run_until([&] {
    return pair.in_sync() && pair.tree(1) == pair.tree(2) && !pair.tree(1).contains("d/same");
  }));
  CHECK(pair.tree(1).size() == 2);
}

TEST_CASE("node: what not all members have shown does not collapse") {
  Pair pair;
  for (const NodeId id : {NodeId{1}, NodeId{2}}) {
    pair.make(id, "f", Kind::file, "text", 10);
    pair.start(id, true);
  }
  pair.lose = [](NodeId, const Message& message) { return std::holds_alternative<Tick>(message); };
  pair.connect();
  const auto versions = [&](NodeId id) {
    const Record* record = pair.host(id).node->record("f");
    return record == nullptr ? 0 : record->entry.versions.size();
  };
  REQUIRE(pair.run_until([&] { return versions(1) == 2 && versions(2) == 2; }));
  CHECK(!pair.run_until([&] { return versions(1) == 1 || versions(2) == 1; }, 200));
  pair.lose = [](NodeId, const Message&) { return false; };
  CHECK(pair.run_until([&] { return versions(1) == 1 && versions(2) == 1; }));
}
