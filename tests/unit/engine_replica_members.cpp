// The replica's starts (a crash's leftovers, a lost index) and what it knows of other members.
#include <doctest/doctest.h>

#include <algorithm>

#include "engine/replica.h"

using namespace p2psync::engine;

namespace {

constexpr NodeId self = 1;
constexpr Actor own{self, 100};
constexpr Actor before{self, 99};  // the incarnation of the start before
constexpr Actor peer{2, 200};

NodeOptions options(bool fresh = false) {
  NodeOptions options;
  options.self = self;
  options.members = {{1, "alpha"}, {2, "beta"}};
  options.incarnation = own.incarnation;
  options.index_epoch = 7;
  options.fresh_index = fresh;
  return options;
}

Version version(std::uint8_t text, std::int64_t rank, const char* label = "beta") {
  Version made;
  made.mode = 0644;
  made.mtime = rank;
  made.size = 1;
  made.content.bytes[0] = text;
  made.rank = rank;
  made.label = label;
  made.tag = text;
  return made;
}

Seen seen(const Version& version) {
  return {{version.kind, version.mode, version.content.bytes[0], version.size, version.mtime, 1},
          version.content,
          version.target,
          false};
}

Wanted wanted(const Version& version) {
  return {version.kind, version.mode, version.mtime, version.size, version.content, version.target};
}

Entry entry_of(std::vector<Sibling> versions, std::vector<Deletion> deletions = {}) {
  Entry entry{{}, std::move(versions), std::move(deletions)};
  for (const Sibling& sibling : entry.versions) {
    entry.context.add(sibling.dot);
  }
  for (const Deletion& deletion : entry.deletions) {
    entry.context.add(deletion.dot);
  }
  return entry;
}

/// An index that shows `shown` at "f", and whose entry wants something else by now.
Loaded loaded(const Entry& entry, const std::optional<Sibling>& shown) {
  Loaded loaded;
  Record record{entry, {}};
  if (shown) {
    record.shown.push_back({"f", {shown->dot}, shown->version, seen(shown->version).signature});
  }
  loaded.index.put("f", record);
  loaded.knowledge = entry.context;
  loaded.applied = 3;
  return loaded;
}

void receive(Replica& replica, const Path& path, Entry entry) {
  const VersionVector all = entry.context;
  replica.merge({path, std::move(entry)}, all);
}

Entry entry(const Replica& replica, const Path& path) {
  const Record* record = replica.index().find(path);
  return record == nullptr ? Entry() : record->entry;
}

std::uint64_t events(const Replica& replica) {
  return replica.knowledge().at(own);
}

}  // namespace

TEST_CASE("replica: what a cut-off batch had laid is what the user saw") {
  const Sibling wants{{peer, 2}, version(2, 20)};
  const Sibling showed{{peer, 1}, version(1, 10)};
  Loaded start = loaded(entry_of({wants}), showed);
  start.relaid = {{4, "f", "f", wanted(wants.version)}};
  Replica replica(options(), std::move(start));
  REQUIRE(replica.shown("f") != nullptr);
  CHECK(replica.shown("f")->dots == std::vector<Dot>{wants.dot});
  CHECK(replica.next_batch() == 5);

  SUBCASE("an edit since then supersedes it") {
    replica.observe("f", seen(version(3, 30)));
    CHECK(entry(replica, "f").versions.size() == 1);
    CHECK(entry(replica, "f").versions[0].dot == Dot{own, 1});
  }
  SUBCASE("a deletion since then removes it") {
    replica.observe_absent("f");
    CHECK_FALSE(entry(replica, "f").live());
  }
  SUBCASE("the next look reads it and makes no event of it") {
    CHECK(replica.shown("f")->signature.ctime == 0);
    replica.observe("f", seen(wants.version));
    CHECK(events(replica) == 0);
    CHECK(replica.shown("f")->signature == seen(wants.version).signature);
  }
}

TEST_CASE("replica: without that step the same edit would not have seen the new version") {
  const Sibling wants{{peer, 2}, version(2, 20)};
  const Sibling showed{{peer, 1}, version(1, 10)};
  Loaded start = loaded(entry_of({wants}), showed);
  start.relaid = {{3, "f", "f", wanted(wants.version)}};  // recorded already: batch 3 is applied
  Replica replica(options(), std::move(start));
  CHECK(replica.shown("f")->dots == std::vector<Dot>{showed.dot});
  CHECK(replica.next_batch() == 4);
  replica.observe("f", seen(version(3, 30)));
  CHECK(entry(replica, "f").versions.size() == 2);
}

TEST_CASE("replica: a doubt outlives a restart, as far as the disk bears it out") {
  const Sibling laid{{peer, 2}, version(2, 20)};
  const Sibling showed{{peer, 1}, version(1, 10)};
  const Sibling newest{{peer, 3}, version(3, 30)};
  for (const bool carried_out : {true, false}) {
    CAPTURE(carried_out);
    Loaded start = loaded(entry_of({newest}), showed);
    start.index.update("f", [&laid](Record& record) {
      record.doubts = {{"f", Shown{"f", {laid.dot}, laid.version, {}}}};
    });
    if (carried_out) {
      start.relaid = {{3, "f", "f", wanted(laid.version)}};
    }
    Replica replica(options(), std::move(start));
    CHECK(replica.in_doubt("f") == carried_out);
    CHECK(replica.doubtful().contains("f") == carried_out);
    CHECK(replica.shown("f")->dots == std::vector<Dot>{showed.dot});

    SUBCASE("what it had laid is there") {
      replica.observe("f", seen(laid.version));
      CHECK(events(replica) == (carried_out ? 0 : 1));
    }
    SUBCASE("what it had replaced is there again") {
      replica.observe("f", seen(showed.version));
      CHECK(events(replica) == 0);
      CHECK(replica.shown("f")->dots == std::vector<Dot>{showed.dot});
    }
    SUBCASE("a user deleted it") {
      replica.observe_absent("f");
      CHECK_FALSE(replica.in_doubt("f"));
      CHECK(entry(replica, "f").live());  // what nobody here has seen
    }
  }
}

TEST_CASE("replica: a removal that a cut-off batch had carried out is no user's deletion") {
  const Sibling showed{{peer, 1}, version(1, 10)};
  const Sibling wants{{peer, 2}, version(2, 20)};
  Loaded start = loaded(entry_of({wants}), showed);
  start.relaid = {{4, "f", "f", std::nullopt}};
  Replica replica(options(), std::move(start));
  CHECK(replica.shown("f") == nullptr);
  replica.observe_absent("f");
  CHECK(events(replica) == 0);
  CHECK(entry(replica, "f").live());
}

TEST_CASE("replica: a loser that a cut-off batch moved to its conflict name is shown there") {
  const Sibling winner{{peer, 1}, version(2, 20)};
  const Sibling loser{{before, 1}, version(1, 10, "alpha")};
  Loaded start = loaded(entry_of({loser, winner}), loser);
  // The log says first what moved away from the name, then what was laid there.
  start.relaid = {{4, "f", "f", std::nullopt},
                  {4, "f", "f.conflict-alpha", wanted(loser.version)},
                  {4, "f", "f", wanted(winner.version)}};
  Replica replica(options(), std::move(start));
  CHECK(replica.shown("f")->dots == std::vector<Dot>{winner.dot});
  REQUIRE(replica.shown("f.conflict-alpha") != nullptr);
  CHECK(replica.shown("f.conflict-alpha")->dots == std::vector<Dot>{loser.dot});
}

TEST_CASE("replica: a copy whose name went to another copy is shown at its new name") {
  const Sibling winner{{peer, 1}, version(9, 30)};
  const Sibling first{{peer, 2}, version(2, 10, "alpha")};
  const Sibling second{{before, 1}, version(5, 20, "alpha")};
  Loaded start = loaded(entry_of({second, winner, first}), winner);
  const Path bare = "f.conflict-alpha";
  start.index.update("f", [&](Record& record) {
    record.shown.push_back({bare, {second.dot}, second.version, seen(second.version).signature});
  });
  const auto places = Replica(options(), start).layout("f");
  const auto moved = std::ranges::find(places, std::vector{second.dot}, &Place::dots);
  REQUIRE(moved != places.end());
  REQUIRE(moved->name != bare);
  start.relaid = {{4, "f", moved->name, wanted(second.version)},
                  {4, "f", bare, wanted(first.version)}};
  Replica replica(options(), std::move(start));
  CHECK(replica.shown(bare)->dots == std::vector{first.dot});
  CHECK(replica.shown(moved->name)->dots == std::vector{second.dot});
  // Once an edit of it superseded nothing, and all waited for the bytes that it had replaced.
  replica.observe(moved->name, seen(version(7, 40)));
  CHECK(entry(replica, "f").find(second.dot) == nullptr);
}

TEST_CASE("replica: a copy that moved to the name is shown there") {
  const Sibling copy{{before, 1}, version(1, 10, "alpha")};
  Loaded start = loaded(entry_of({copy}), {});
  const Path name = "f.conflict-alpha";
  start.index.update("f", [&](Record& record) {
    record.shown.push_back({name, {copy.dot}, copy.version, seen(copy.version).signature});
  });
  start.relaid = {{4, "f", "f", wanted(copy.version)}, {4, "f", name, std::nullopt}};
  Replica replica(options(), std::move(start));
  CHECK(replica.shown(name) == nullptr);
  CHECK(replica.shown("f")->dots == std::vector{copy.dot});
}

TEST_CASE(
    "replica: what was laid is the same version where the layout has another name for it now") {
  const Sibling laid{{peer, 1}, version(1, 10)};
  const Sibling newer{{before, 1}, version(2, 20, "alpha")};  // committed while the batch ran
  Loaded start = loaded(entry_of({newer, laid}), {});
  start.relaid = {{4, "f", "f", wanted(laid.version)}};
  Replica replica(options(), std::move(start));
  CHECK(replica.shown("f")->dots == std::vector{laid.dot});
  replica.observe("f", seen(version(3, 30)));
  CHECK(entry(replica, "f").find(laid.dot) == nullptr);
  CHECK(entry(replica, "f").find(newer.dot) != nullptr);
}

TEST_CASE("replica: what is found with a fresh index is an import, until the first scan is over") {
  Replica replica(options(true), {});
  replica.observe("f", seen(version(1, 10)));
  CHECK(entry(replica, "f").versions.at(0).version.imported);
  replica.observe("f", seen(version(2, 20)));  // an edit of what was just read is news
  CHECK_FALSE(entry(replica, "f").versions.at(0).version.imported);
  replica.end_imports();
  replica.observe("g", seen(version(1, 10)));
  CHECK_FALSE(entry(replica, "g").versions.at(0).version.imported);
}

TEST_CASE("replica: an import that the cluster has superseded is not news") {
  Replica replica(options(true), {});
  replica.observe("f", seen(version(1, 10)));
  Version newer = version(2, 20);
  newer.superseded = {recognition(version(1, 10))};
  receive(replica, "f", entry_of({{{peer, 5}, newer}}));
  REQUIRE(entry(replica, "f").versions.size() == 1);
  CHECK(entry(replica, "f").versions[0].dot == Dot{peer, 5});
}

TEST_CASE("replica: an imported conflict copy goes back to the path it was a copy of") {
  const Version copy = version(2, 10);
  struct Case {
    const char* name;
    Entry arrives;
    bool retracted;
  };
  Version edited = version(3, 30);
  edited.superseded = {recognition(copy)};
  const Case cases[] = {
      {"a sibling", entry_of({{{peer, 1}, version(1, 20)}, {{peer, 2}, copy}}), true},
      {"a superseded one", entry_of({{{peer, 2}, edited}}), true},
      {"a deleted one", entry_of({}, {{{peer, 3}, {recognition(copy)}}}), true},
      {"something unknown", entry_of({{{peer, 1}, version(1, 20)}}), false},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    Replica replica(options(true), {});
    const Path name = "f.conflict-beta";
    replica.observe(name, seen(copy));
    REQUIRE(entry(replica, name).live());
    receive(replica, "f", test.arrives);
    CHECK(entry(replica, name).live() == !test.retracted);
    CHECK(replica.owner(name) == (test.retracted ? "f" : name));
    CHECK(replica.shown(name) != nullptr);
  }
}

TEST_CASE("replica: an imported conflict copy goes back after a restart as well") {
  const Version copy = version(2, 10);
  const Path name = "f.conflict-beta";
  Loaded start;
  {
    Replica replica(options(true), {});
    replica.observe(name, seen(copy));
    for (Change::PathRecord& record : replica.take_change().records) {
      start.index.put(record.path, std::move(*record.record));
    }
    start.knowledge = replica.knowledge();
  }
  NodeOptions next = options();
  next.incarnation = own.incarnation + 1;
  Replica replica(next, std::move(start));
  receive(replica, "f", entry_of({}, {{{peer, 3}, {recognition(copy)}}}));
  CHECK_FALSE(entry(replica, name).live());
  CHECK(replica.owner(name) == "f");
}

TEST_CASE("replica: only what this index did not see it make is a node's to take back") {
  const Version mine = version(1, 10, "alpha");
  Replica replica(options(true), {});
  receive(replica, "f", entry_of({{{before, 1}, mine}, {{peer, 1}, mine}}));
  CHECK_FALSE(replica.retract("f", version(2, 20).content));
  CHECK(replica.retract("f", mine.content));
  REQUIRE(entry(replica, "f").versions.size() == 1);
  CHECK(entry(replica, "f").versions[0].dot == Dot{peer, 1});
  CHECK(events(replica) == 1);
  CHECK_FALSE(replica.retract("f", mine.content));  // the rest is the other's

  replica.observe("g", seen(mine));
  CHECK_FALSE(replica.retract("g", mine.content));
  CHECK(entry(replica, "g").live());
}

TEST_CASE("replica: a deletion is forgotten when every member holds it, and not before") {
  Replica replica(options(), {});
  replica.observe("f", seen(version(1, 10)));
  replica.observe_absent("f");
  replica.observe("g", seen(version(2, 10)));
  const std::vector<MemberName> members = options().members;
  CHECK(replica.tombstones() == 1);
  replica.set_own_held(replica.knowledge());
  CHECK(replica.stable(members).empty());  // nothing is known of the peer

  const auto hold = [&](std::uint64_t sequence) {
    replica.set_own_held(replica.knowledge());
    CHECK(replica.join_row({2, 1, {{own, sequence}}}));
    replica.collect(replica.stable(members));
  };
  hold(1);
  CHECK(replica.stable(members) == VersionVector{{own, 1}});
  CHECK(replica.tombstones() == 1);
  const Fingerprint root = replica.index().summary().fingerprint;
  hold(2);
  CHECK(replica.tombstones() == 0);
  CHECK(replica.index().find("f") == nullptr);
  CHECK(replica.index().summary().fingerprint == root);
  CHECK(entry(replica, "g").live());

  const Change change = replica.take_change();
  const auto erased = std::ranges::find(change.records, "f", &Change::PathRecord::path);
  REQUIRE(erased != change.records.end());
  CHECK_FALSE(erased->record);
  // A stale push brings nothing back: knowledge remembers for the entry.
  receive(replica, "f", entry_of({{{own, 1}, version(1, 10)}}));
  CHECK_FALSE(entry(replica, "f").live());
}

TEST_CASE("replica: what lives keeps its versions when the notes beside them are collected") {
  Replica replica(options(), {});
  const Entry both = entry_of({{{peer, 2}, version(1, 10)}}, {{{peer, 3}, {7}}});
  receive(replica, "f", both);
  CHECK(replica.tombstones() == 1);
  replica.collect({{peer, 3}});
  CHECK(replica.tombstones() == 0);
  CHECK(entry(replica, "f").versions == both.versions);
  CHECK(entry(replica, "f").deletions.empty());
}

TEST_CASE("replica: knowledge grows without gaps") {
  Replica replica(options(), {});
  struct Case {
    const char* name;
    SequenceRange range;
    std::uint64_t known;
  };
  const Case cases[] = {
      {"a gap at the beginning", {peer, 1, 5}, 0},
      {"from the beginning", {peer, 0, 3}, 3},
      {"a gap", {peer, 4, 9}, 3},
      {"overlapping", {peer, 1, 6}, 6},
      {"nothing new", {peer, 0, 2}, 6},
      {"adjacent", {peer, 6, 7}, 7},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    replica.learn({&test.range, 1});
    CHECK(replica.knowledge().at(peer) == test.known);
  }
  CHECK(replica.take_change().knowledge == VersionVector{{peer, 7}});
}

TEST_CASE("replica: ticks tell knowledge apart, though all rows are the same") {
  // Of an event whose path is deleted again the roots say nothing, and the rows only later.
  Replica replica(options(), {});
  const Fingerprint unlearned = replica.matrix_fingerprint();
  replica.learn(std::vector<SequenceRange>{{peer, 0, 1}});
  CHECK(replica.matrix_fingerprint() != unlearned);
}

TEST_CASE("replica: a row joins, a newer index replaces it, and nobody knows ours better") {
  Replica replica(options(), {});
  const Actor third{3, 1};
  CHECK(replica.join_row({2, 5, {{peer, 3}}}));
  CHECK_FALSE(replica.join_row({2, 5, {{peer, 2}}}));
  CHECK(replica.join_row({2, 5, {{third, 1}}}));
  CHECK(replica.rows().at(2).held == VersionVector{{peer, 3}, {third, 1}});
  CHECK_FALSE(replica.join_row({2, 4, {{peer, 9}}}));  // of an index that is no more
  CHECK(replica.join_row({2, 6, {{peer, 1}}}));
  CHECK(replica.rows().at(2).held == VersionVector{{peer, 1}});
  CHECK_FALSE(replica.join_row({self, 99, {{peer, 9}}}));
  CHECK(replica.own_row() == HeldRow{self, 7, {}});
}

TEST_CASE("replica: events of an actor are listed in order, each path at its highest") {
  Replica replica(options(), {});
  replica.observe("a", seen(version(1, 10)));
  replica.observe("b", seen(version(2, 10)));
  replica.observe("a", seen(version(3, 30)));
  const auto list = [&](std::uint64_t from, std::size_t most) {
    std::vector<std::pair<std::uint64_t, Path>> found;
    replica.for_events(own, from, [&](std::uint64_t sequence, const Path& path) {
      found.emplace_back(sequence, path);
      return found.size() < most;
    });
    return found;
  };
  using List = std::vector<std::pair<std::uint64_t, Path>>;
  CHECK(list(0, 9) == List{{2, "b"}, {3, "a"}});
  CHECK(list(0, 1) == List{{2, "b"}});
  CHECK(list(2, 9) == List{{3, "a"}});
  CHECK(list(3, 9).empty());
}
