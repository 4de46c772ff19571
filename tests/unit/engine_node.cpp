#include "engine/node.h"

#include <doctest/doctest.h>

#include <tuple>

#include "engine_pair.h"

using namespace p2psync::engine;

namespace {

constexpr Actor alpha{1, 100};

/// So many symlinks with targets so long that their entries need several messages.
void make_links(Pair& pair, NodeId id, int count) {
  for (int i = 0; i < count; ++i) {
    pair.make(id, "link-" + std::to_string(i), Kind::symlink,
              std::string(3000, 't') + std::to_string(i), 1000 + i);
  }
}

Version directory_version() {
  Version version;
  version.kind = Kind::directory;
  version.mode = 0755;
  version.label = "alpha";
  return version;
}

/// An index with directories d0, d1, …, one event each, as both members know them.
Loaded index_of(int count) {
  Loaded loaded;
  for (int i = 0; i < count; ++i) {
    const Dot dot{{1, 1}, static_cast<std::uint64_t>(i) + 1};
    Version version = directory_version();
    version.tag = tag_of(dot);
    loaded.index.put("d" + std::to_string(i), {{{dot}, {{dot, version}}, {}}, {}, {}});
    loaded.knowledge.add(dot);
  }
  return loaded;
}

bool settled(Pair& pair) {
  const auto quiet = [&](NodeId id) {
    const Status status = pair.host(id).node->status();
    return !pair.host(id).node->looking() && status.pending_files == 0;
  };
  return quiet(1) && quiet(2);
}

}  // namespace

TEST_CASE("node: what one imports both have") {
  Pair pair;
  pair.make(1, "d", Kind::directory, "", 0);
  pair.make(1, "d/e", Kind::directory, "", 0);
  pair.make(1, "d/e/file", Kind::file, "bytes", 10);
  pair.make(1, "d/twin", Kind::file, "bytes", 11);
  pair.make(1, "empty", Kind::file, "", 12);
  pair.make(1, "link", Kind::symlink, "d/e", 13);
  const auto wanted = pair.tree(1);
  pair.start(1, true);
  pair.start(2, true);
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.root(1) == pair.root(2));
  CHECK(pair.root(1) != Fingerprint());
  CHECK(pair.tree(1) == wanted);
  CHECK(pair.tree(2) == wanted);
  CHECK(pair.host(2).disk.at("d/e/file").signature.mtime == 10);
  CHECK(pair.host(1).knowledge == pair.host(2).knowledge);
  CHECK(pair.disconnects.empty());
  CHECK(pair.host(1).node->status().conflicts == 0);
}

TEST_CASE("node: an edit, a deletion and a conflict reach the other side") {
  Pair pair;
  pair.make(1, "edited", Kind::file, "old", 10);
  pair.make(1, "deleted", Kind::file, "gone", 10);
  pair.start(1, true);
  pair.start(2, true);
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));

  pair.make(2, "edited", Kind::file, "new", 20);
  pair.host(1).disk.erase("deleted");
  pair.make(1, "both", Kind::file, "mine", 30);
  pair.make(2, "both", Kind::file, "theirs", 40);
  pair.touch(1, "deleted");
  pair.touch(1, "both");
  pair.touch(2, "edited");
  pair.touch(2, "both");
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.tree(1) == pair.tree(2));
  std::vector<Path> names;
  for (const auto& [name, what] : pair.tree(1)) {
    names.push_back(name);
  }
  CHECK(names == std::vector<Path>{"both", "both.conflict-alpha", "edited"});
  CHECK(pair.host(1).disk.at("edited").signature.mtime == 20);
  CHECK(pair.host(1).disk.at("both").signature.mtime == 40);
  CHECK(pair.host(2).node->status().conflicts == 1);
}

TEST_CASE("node: equal trees imported on both sides are no conflict") {
  Pair pair;
  for (const NodeId id : {NodeId{1}, NodeId{2}}) {
    pair.make(id, "d", Kind::directory, "", 0);
    pair.make(id, "d/same", Kind::file, "same", 10);
  }
  const auto wanted = pair.tree(1);
  pair.start(1, true);
  pair.start(2, true);
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.tree(1) == wanted);
  CHECK(pair.tree(2) == wanted);
  CHECK(pair.root(1) == pair.root(2));
}

TEST_CASE("node: a lost message in the middle of a stream lets knowledge stand still") {
  Pair pair;
  make_links(pair, 1, 250);
  pair.start(1, true);
  pair.start(2, true);
  REQUIRE(pair.run_until([&] { return settled(pair); }));
  REQUIRE(pair.host(1).knowledge.at(alpha) == 250);

  std::uint64_t highest = 0;
  int lost = 0;
  pair.lose = [&](NodeId from, const Message& message) {
    const auto* entries = std::get_if<Entries>(&message);
    if (from != 1 || entries == nullptr) {
      return false;
    }
    highest = std::max(highest, entries->index);
    const bool middle = entries->index == 1;
    lost += middle ? 1 : 0;
    return middle;
  };
  pair.connect();
  pair.drain();
  REQUIRE(lost >= 1);
  REQUIRE(highest >= 2);  // the last one, with the ranges, did arrive
  CHECK(pair.host(2).knowledge.at(alpha) == 0);
  CHECK(pair.host(2).node->record("link-0") != nullptr);  // what came was merged all the same

  pair.lose = [](NodeId, const Message&) { return false; };
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.host(2).knowledge.at(alpha) == 250);
  CHECK(pair.root(1) == pair.root(2));
  CHECK(pair.tree(2) == pair.tree(1));
}

TEST_CASE("node: whatever single message is lost, both end with the same tree") {
  for (int lost = 0; lost < 40; ++lost) {
    CAPTURE(lost);
    Pair pair;
    pair.make(1, "d", Kind::directory, "", 0);
    pair.make(1, "d/file", Kind::file, "bytes", 10);
    pair.make(2, "other", Kind::file, "more", 10);
    pair.start(1, true);
    pair.start(2, true);
    int count = 0;
    pair.lose = [&](NodeId, const Message&) { return count++ == lost; };
    pair.connect();
    REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
    CHECK(pair.tree(1) == pair.tree(2));
    CHECK(pair.tree(1).size() == 3);
    CHECK(pair.root(1) == pair.root(2));
  }
}

TEST_CASE("node: equal knowledge and unequal roots are repaired") {
  struct Case {
    const char* name;
    std::function<void(Loaded&)> damage;  // of the second member's index
    std::function<bool(const Node&)> holds;
  };
  const Case cases[] = {
      {"an entry is missing: by its knowledge it was removed",
       [](Loaded& loaded) { loaded.index.erase("d70"); },
       [](const Node& node) {
         const Record* record = node.record("d70");
         return record == nullptr || !record->entry.live();
       }},
      {"a sibling is no copy there",
       [](Loaded& loaded) {
         loaded.index.update("d3", [](Record& d3) { d3.entry.versions[0].version.copy = true; });
       },
       [](const Node& node) { return node.record("d3")->entry.versions.at(0).version.copy; }},
      {"half of the entries are missing",
       [](Loaded& loaded) {
         for (int i = 10; i < 100; ++i) {
           loaded.index.erase("d" + std::to_string(i));
         }
       },
       [](const Node& node) {
         const Record* record = node.record("d55");
         return (record == nullptr || !record->entry.live()) && node.record("d5") != nullptr;
       }},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    Pair pair;
    bool repaired = false;
    pair.lose = [&](NodeId, const Message& message) {
      repaired = repaired || std::holds_alternative<Ranges>(message);
      return false;
    };
    Loaded damaged = index_of(100);
    test.damage(damaged);
    pair.start(1, false, index_of(100));
    pair.start(2, false, std::move(damaged));
    REQUIRE(pair.run_until([&] { return settled(pair); }));
    REQUIRE(pair.host(1).knowledge == pair.host(2).knowledge);
    REQUIRE(pair.root(1) != pair.root(2));
    pair.connect();
    CHECK(pair.run_until([&] { return pair.in_sync() && pair.root(1) == pair.root(2); }));
    CHECK(repaired);
    CHECK(pair.tree(1) == pair.tree(2));
    CHECK(test.holds(*pair.host(1).node));
    CHECK(test.holds(*pair.host(2).node));
  }
}

TEST_CASE("node: silence about an entry that is ahead of its node's knowledge removes nothing") {
  for (const NodeId behind : {NodeId{1}, NodeId{2}}) {
    CAPTURE(behind);
    // A stream of entries was cut off after the deletion of d3 and before the knowledge of it.
    Loaded ahead = index_of(10);
    Entry entry = ahead.index.find("d3")->entry;
    const Dot deletion{{2, 77}, 1};
    entry.versions.clear();
    entry.context.add(deletion);
    entry.deletions.push_back({deletion, {}});
    ahead.index.put("d3", {entry, {}, {}});
    Pair pair;
    bool repaired = false;
    bool removed_unseen = false;
    pair.lose = [&](NodeId, const Message& message) {
      repaired = repaired || std::holds_alternative<Ranges>(message);
      // Removed with the deletion's dot, or not at all: equal knowledge is to mean equal entries.
      const Record* record = pair.host(behind).node->record("d3");
      removed_unseen = removed_unseen || record == nullptr ||
                       (!record->entry.live() && !record->entry.context.covers(deletion));
      return false;
    };
    pair.start(behind, false, index_of(10));
    pair.start(3 - behind, false, std::move(ahead));
    REQUIRE(pair.run_until([&] { return settled(pair); }));
    pair.connect();
    REQUIRE(pair.run_until([&] { return repaired; }));
    CHECK_FALSE(removed_unseen);
  }
}

TEST_CASE("node: silence removes nothing by an event that this node does not know yet") {
  for (const bool known : {false, true}) {
    CAPTURE(known);
    Pair pair;
    pair.start(1, false, index_of(10));
    pair.start(2, false, index_of(10));
    pair.connect();
    REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
    VersionVector theirs = index_of(10).knowledge;
    if (!known) {
      theirs.add({{2, 77}, 1});  // a deletion, say
    }
    Received list{2, Ranges{0, theirs, {}, {RangeList{"d3", "d4", {}}}, {}}};
    std::ignore = pair.host(1).node->step(Instant{std::chrono::hours(2)}, std::move(list));
    CHECK(pair.host(1).node->record("d3")->entry.live() != known);
  }
}

TEST_CASE("node: what a crash left of contents goes when nobody wants them") {
  Loaded loaded = index_of(3);
  Hash left;
  left.bytes[0] = 9;
  loaded.staged = {left};
  Pair pair;
  pair.start(1, false, std::move(loaded));
  pair.start(2, false, index_of(3));
  REQUIRE(pair.run_until([&] { return !pair.host(1).dropped.empty(); }));
  CHECK(pair.host(1).dropped == std::vector<Hash>{left});
}

TEST_CASE("node: what only a lost index could tell of, its author takes back") {
  Pair pair;
  const auto no_contents = [](NodeId, const Message& message) {
    return std::holds_alternative<Get>(message) || std::holds_alternative<Block>(message);
  };
  pair.make(1, "f", Kind::file, "first", 10);
  pair.start(1, true);
  pair.start(2, true);
  pair.connect();
  pair.lose = no_contents;
  const auto known = [&](NodeId id) {
    const Record* record = pair.host(id).node->record("f");
    return record != nullptr && record->entry.live();
  };
  REQUIRE(pair.run_until([&] { return known(2); }));
  pair.disconnect();
  SUBCASE("when its user has overwritten it") {
    pair.host(1).contents.clear();
    pair.make(1, "f", Kind::file, "second", 20);
  }
  SUBCASE("when its user has deleted it") {
    pair.host(1).contents.clear();
    pair.host(1).disk.clear();
  }
  SUBCASE("but not when it is still there") {}
  const auto left = pair.tree(1);
  pair.start(1, true);
  pair.lose = [](NodeId, const Message&) { return false; };
  pair.connect();
  CHECK(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.tree(1) == left);
  CHECK(pair.tree(2) == left);
}

TEST_CASE("node: what a lost index told of and another member has comes back") {
  Pair pair;
  pair.make(1, "f", Kind::file, "first", 10);
  pair.start(1, true);
  pair.start(2, true);
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  const auto both = pair.tree(2);
  pair.disconnect();
  pair.host(1).contents.clear();
  pair.host(1).disk.clear();
  pair.start(1, true);
  pair.connect();
  CHECK(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.tree(1) == both);
}

TEST_CASE("node: who writes on into a file that was replaced has seen what it held") {
  Pair pair;
  pair.make(1, "f", Kind::file, "old", 10);
  pair.start(1, true);
  pair.start(2, true);
  pair.drain();
  const Hash old = pair.host(1).disk.at("f").content;
  Seen seen = pair.host(1).disk.at("f");
  seen.content.bytes[0] ^= 1;
  Node& node = *pair.host(1).node;
  std::ignore = node.step(pair.now(), Surfaced{"f", "kept", seen, old});
  REQUIRE(node.record("f")->entry.versions.size() == 1);
  CHECK(node.record("f")->entry.versions[0].version.content == seen.content);
}

TEST_CASE("node: of another cluster nothing is taken and nothing is told") {
  Pair pair;
  pair.make(1, "secret", Kind::symlink, "s", 1);
  pair.start(1, true);
  REQUIRE(pair.host(1).node->looking());
  Node& node = *pair.host(1).node;
  const Instant now{std::chrono::hours(2)};
  REQUIRE(node.step(now, PeerUp{2}).size() >= 1);
  Hello hello;
  hello.cluster = "elsewhere";
  bool disconnected = false;
  for (const Output& output : node.step(now, Received{2, hello})) {
    disconnected = disconnected || std::holds_alternative<Disconnect>(output);
    CHECK_FALSE(std::holds_alternative<Send>(output));
  }
  CHECK(disconnected);
  for (const Output& output : node.step(now, Received{2, Vectors{}})) {
    CHECK_FALSE(std::holds_alternative<Send>(output));
  }
}
