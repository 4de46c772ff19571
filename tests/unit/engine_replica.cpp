#include "engine/replica.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace p2psync::engine;

namespace {

constexpr NodeId self = 1;
constexpr Actor own{self, 100};
constexpr Actor peer{2, 200};
constexpr Actor third{3, 300};

NodeOptions options() {
  NodeOptions options;
  options.self = self;
  options.members = {{1, "alpha"}, {2, "beta"}};
  options.incarnation = own.incarnation;
  return options;
}

Hash hash_of(std::uint8_t text) {
  Hash hash;
  hash.bytes[0] = text;
  return hash;
}

Seen file(std::uint8_t text, std::int64_t mtime) {
  Seen seen;
  seen.signature = {Kind::file, 0644, text, 1, mtime, mtime};
  seen.content = hash_of(text);
  return seen;
}

/// What a peer wrote, as it comes over the wire.
Version theirs(std::uint8_t text, std::int64_t rank) {
  Version version;
  version.mode = 0644;
  version.mtime = rank;
  version.size = 1;
  version.content = hash_of(text);
  version.rank = rank;
  version.label = "beta";
  version.tag = 0xbbbb'0000'0000'0000 + text;
  return version;
}

void receive(Replica& replica, const Path& path, Entry entry) {
  const VersionVector seen = entry.context;
  replica.merge({path, std::move(entry)}, seen);
}

Entry written(const Dot& dot, const Version& version) {
  return {{dot}, {{dot, version}}, {}};
}

/// The disk as the layout wants it, without any event.
void lay(Replica& replica, const Path& path) {
  for (const Place& place : replica.layout(path)) {
    Seen seen;
    seen.signature = {place.version.kind, place.version.mode,  place.version.content.bytes[0],
                      place.version.size, place.version.mtime, place.version.mtime};
    replica.show(path, {place.name, place.dots, place.version, seen.signature});
  }
}

const Entry& entry(const Replica& replica, const Path& path) {
  const Record* record = replica.index().find(path);
  REQUIRE(record != nullptr);
  return record->entry;
}

std::vector<Dot> dots(const Entry& entry) {
  std::vector<Dot> list;
  for (const Sibling& sibling : entry.versions) {
    list.push_back(sibling.dot);
  }
  return list;
}

std::uint64_t events(const Replica& replica) {
  return replica.knowledge().at(own);
}

}  // namespace

TEST_CASE("replica: a new file is a version by this node, and seen again it is no news") {
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  const Entry& now = entry(replica, "f");
  REQUIRE(dots(now) == std::vector<Dot>{{own, 1}});
  const Version& version = now.versions[0].version;
  CHECK(version.label == "alpha");
  CHECK(version.rank == 50);
  CHECK(version.tag == tag_of({own, 1}));
  CHECK_FALSE(version.imported);
  CHECK(version.superseded.empty());

  replica.observe("f", file(1, 50));
  Seen other_ctime = file(1, 50);
  other_ctime.signature.ctime = 999;
  replica.observe("f", other_ctime);
  CHECK(events(replica) == 1);
  CHECK(replica.shown("f")->signature.ctime == 999);
  CHECK(replica.totals().files == 1);
}

TEST_CASE("replica: a write supersedes what the disk showed, not what the node has heard of") {
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  receive(replica, "f", written({peer, 1}, theirs(2, 99)));  // not yet on the disk
  replica.observe("f", file(3, 60));
  const Entry& now = entry(replica, "f");
  CHECK(dots(now) == std::vector<Dot>{{own, 2}, {peer, 1}});
  CHECK(now.versions[0].version.superseded ==
        std::vector<std::uint64_t>{recognition(theirs(1, 50))});

  SUBCASE("a deletion too") {
    replica.observe_absent("f");
    CHECK(dots(entry(replica, "f")) == std::vector<Dot>{{peer, 1}});
  }
  SUBCASE("until it is laid") {
    lay(replica, "f");
    replica.observe("f", file(4, 70));
    // The name showed the peer's; what this node had written stands as a copy.
    CHECK(dots(entry(replica, "f")) == std::vector<Dot>{{own, 2}, {own, 3}});
    CHECK(replica.shown("f.conflict-alpha")->dots == std::vector<Dot>{{own, 2}});
  }
}

TEST_CASE("replica: an edit of the name ranks above what it replaced, whatever its mtime") {
  struct Case {
    const char* name;
    std::int64_t before, mtime, rank;
  };
  const Case cases[] = {
      {"later", 50, 60, 60},
      {"at the same time", 50, 50, 51},
      {"with an old mtime", 50, 7, 51},
      {"after the end of time", INT64_MAX, 7, INT64_MAX},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    Replica replica(options(), {});
    replica.observe("f", file(1, test.before));
    replica.observe("f", file(2, test.mtime));
    REQUIRE(entry(replica, "f").versions.size() == 1);
    CHECK(entry(replica, "f").versions[0].version.rank == test.rank);
    CHECK(entry(replica, "f").versions[0].version.mtime == test.mtime);
  }
}

TEST_CASE("replica: a change of mode or mtime alone remembers whose bytes it changed") {
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  const std::uint64_t base = recognition(entry(replica, "f").versions[0].version);
  Seen chmod = file(1, 50);
  chmod.signature.mode = 0600;
  replica.observe("f", chmod);
  for (const std::int64_t mtime : {70, 80}) {
    Seen touch = file(1, mtime);
    touch.signature.mode = 0600;
    replica.observe("f", touch);
  }
  const Version& version = entry(replica, "f").versions.at(0).version;
  CHECK(events(replica) == 4);
  CHECK(version.metadata_only);
  CHECK(version.base == base);  // of the bytes' writer, not of the changes between
  replica.observe("f", file(2, 80));
  CHECK_FALSE(entry(replica, "f").versions.at(0).version.metadata_only);
  CHECK(entry(replica, "f").versions.at(0).version.base == 0);
}

TEST_CASE("replica: an edit of a copy keeps its label, tag and rank, and stays a copy") {
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  receive(replica, "f", written({peer, 1}, theirs(2, 10)));
  lay(replica, "f");
  const Path copy = "f.conflict-beta";
  REQUIRE(replica.shown(copy) != nullptr);
  CHECK(replica.owner(copy) == "f");
  CHECK(replica.totals().conflicts == 1);

  replica.observe(copy, file(3, 5000));
  const Entry& now = entry(replica, "f");
  CHECK(dots(now) == std::vector<Dot>{{own, 1}, {own, 2}});
  const Version& edit = now.versions[1].version;
  CHECK(edit.label == "beta");
  CHECK(edit.tag == theirs(2, 10).tag);
  CHECK(edit.rank == 10);
  CHECK(edit.mtime == 5000);
  CHECK(edit.copy);
  CHECK(replica.layout("f").front().name == copy);
  CHECK(replica.index().find(copy) == nullptr);
}

TEST_CASE("replica: a copy that is deleted goes alone") {
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  receive(replica, "f", written({peer, 1}, theirs(2, 10)));
  lay(replica, "f");
  replica.observe_absent("f.conflict-beta");
  CHECK(dots(entry(replica, "f")) == std::vector<Dot>{{own, 1}});
  CHECK_FALSE(entry(replica, "f").versions[0].version.copy);
  CHECK(replica.shown("f.conflict-beta") == nullptr);
  CHECK(replica.totals().conflicts == 0);
}

TEST_CASE("replica: deleting the name marks the copies that were shown, and no others") {
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  receive(replica, "f", written({peer, 1}, theirs(2, 10)));
  lay(replica, "f");
  receive(replica, "f", written({third, 1}, theirs(3, 20)));  // heard of, not shown
  replica.observe_absent("f");
  const Entry& now = entry(replica, "f");
  REQUIRE(dots(now) == std::vector<Dot>{{peer, 1}, {third, 1}});
  CHECK(now.versions[0].version.copy);
  CHECK_FALSE(now.versions[1].version.copy);
  REQUIRE(now.deletions.size() == 1);
  CHECK(now.deletions[0].superseded == std::vector<std::uint64_t>{recognition(theirs(1, 50))});
  // The shown copy stays where it is; the other one may have the name.
  const auto places = replica.layout("f");
  REQUIRE(places.size() == 2);
  CHECK(places[0].name == "f.conflict-beta");
  CHECK(places[0].dots == std::vector<Dot>{{peer, 1}});
  CHECK(places[1].dots == std::vector<Dot>{{third, 1}});
}

TEST_CASE("replica: deleting what was superseded already is no event") {
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  Entry removed{{{own, 1}, {peer, 1}}, {}, {{{peer, 1}, {}}}};
  receive(replica, "f", removed);
  REQUIRE_FALSE(entry(replica, "f").live());
  replica.observe_absent("f");
  CHECK(events(replica) == 1);
  CHECK(replica.shown("f") == nullptr);
}

/// A version on its way to its conflict name: laid there, and not yet gone from the name.
void lay_under_two_names(Replica& replica) {
  receive(replica, "f", written({peer, 1}, theirs(1, 10)));
  lay(replica, "f");
  Shown twin = *replica.shown("f");
  twin.name = "f.conflict-beta";
  replica.show("f", twin);
}

TEST_CASE("replica: a version under two names is deleted or edited by either of them") {
  for (const Path name : {"f", "f.conflict-beta"}) {
    CAPTURE(name);
    Replica replica(options(), {});
    lay_under_two_names(replica);
    SUBCASE("a deletion takes it, and its other name is not wanted any more") {
      replica.observe_absent(name);
      CHECK(events(replica) == 1);
      CHECK_FALSE(entry(replica, "f").live());
      CHECK(replica.layout("f").empty());
      replica.observe_absent(name == "f" ? "f.conflict-beta" : "f");
      CHECK(events(replica) == 1);
    }
    SUBCASE("an edit supersedes it") {
      replica.observe(name, file(2, 20));
      CHECK(dots(entry(replica, "f")) == std::vector<Dot>{{own, 1}});
    }
  }
}

/// A step that laid the peer's newer version and could not make that durable; then a third node's
/// version supersedes it.
void lay_unsurely(Replica& replica) {
  receive(replica, "f", written({peer, 1}, theirs(1, 10)));
  lay(replica, "f");
  Entry newer = entry(replica, "f");
  newer.versions = {{{peer, 2}, theirs(2, 20)}};
  newer.context.add({peer, 2});
  receive(replica, "f", newer);
  Shown laid{"f", {{peer, 2}}, theirs(2, 20), {}};
  replica.doubt("f", "f", laid);
}

TEST_CASE("replica: what a step laid and could not make durable is no event of a user's") {
  Replica replica(options(), {});
  lay_unsurely(replica);
  SUBCASE("when it is found there") {
    replica.observe("f", file(2, 20));
    CHECK(replica.shown("f")->dots == std::vector<Dot>{{peer, 2}});
  }
  SUBCASE("when it is found there after it was superseded") {
    Entry newest = entry(replica, "f");
    newest.versions = {{{third, 1}, theirs(3, 30)}};
    newest.context.add({third, 1});
    receive(replica, "f", newest);
    replica.observe("f", file(2, 20));
    CHECK(dots(entry(replica, "f")) == std::vector<Dot>{{third, 1}});
  }
  CHECK(events(replica) == 0);
}

TEST_CASE("replica: a user who deletes what a step laid has seen just that") {
  Replica replica(options(), {});
  lay_unsurely(replica);
  replica.observe_absent("f");
  CHECK(events(replica) == 1);
  CHECK_FALSE(entry(replica, "f").live());
}

TEST_CASE("replica: what stands on the disk as the entries want it is adopted without an event") {
  Replica replica(options(), {});
  receive(replica, "f", written({peer, 1}, theirs(1, 10)));
  replica.observe("f", file(1, 10));
  CHECK(events(replica) == 0);
  REQUIRE(replica.shown("f") != nullptr);
  CHECK(replica.shown("f")->dots == std::vector<Dot>{{peer, 1}});
  // A loser at its conflict name as well, though nothing is shown there yet.
  receive(replica, "f", written({third, 1}, theirs(2, 5)));
  replica.observe("f.conflict-beta-bbbb0000", file(9, 1));
  CHECK(events(replica) == 1);  // not that loser's name: a file of its own
  replica.observe("f.conflict-beta", file(2, 5));
  CHECK(events(replica) == 1);
  CHECK(replica.owner("f.conflict-beta") == "f");
}

TEST_CASE("replica: wanted bytes that a user puts over a live version are an event") {
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  receive(replica, "f", written({peer, 1}, theirs(2, 99)));  // not yet on the disk
  replica.observe("f", file(2, 99));                         // from a stick, say
  CHECK(events(replica) == 2);
  CHECK(dots(entry(replica, "f")) == std::vector<Dot>{{own, 2}, {peer, 1}});
}

TEST_CASE("replica: a conflict copy gives way to a file of its name, even where that is cut") {
  // The name of the copy does not tell any more whose it is: only what is shown there does.
  const Path path(250, 'f');
  Replica replica(options(), {});
  replica.observe(path, file(1, 50));
  receive(replica, path, written({peer, 1}, theirs(2, 10)));
  lay(replica, path);
  const Path copy = replica.layout(path).front().name;
  REQUIRE(replica.owner(copy) == path);
  std::ignore = replica.take_dirty();
  receive(replica, copy, written({peer, 2}, theirs(3, 20)));
  const std::vector<Dirty> dirty = replica.take_dirty();
  CHECK(std::ranges::find(dirty, path, &Dirty::path) != dirty.end());
  CHECK(replica.layout(path).front().name != copy);
}

TEST_CASE("replica: an implied directory that a user makes is an event of its own") {
  Replica replica(options(), {});
  receive(replica, "d/f", written({peer, 1}, theirs(1, 10)));
  REQUIRE(replica.layout("d").size() == 1);
  Seen directory;
  directory.signature = {Kind::directory, 0755, 1, 0, 0, 1};
  replica.observe("d", directory);
  CHECK(events(replica) == 1);
  CHECK(dots(entry(replica, "d")) == std::vector<Dot>{{own, 1}});
}

TEST_CASE("replica: a displaced write is a version, with its bytes where they were found") {
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  const Shown before = *replica.shown("f");
  receive(replica, "f", written({peer, 1}, theirs(2, 99)));
  replica.observe_displaced("f", before, "f", file(3, 60), "kept-1");
  CHECK(dots(entry(replica, "f")) == std::vector<Dot>{{own, 2}, {peer, 1}});
  const Source source = replica.source(entry(replica, "f").versions[0].version);
  REQUIRE(std::holds_alternative<Kept>(source));
  CHECK(std::get<Kept>(source).file == "kept-1");
  CHECK(std::get<Kept>(source).move);
}

TEST_CASE("replica: what was displaced is on record with its event, and pinned until it is laid") {
  // A start hands out every displaced file that is not on record. Once the event was superseded,
  // nothing told that file from news, and what a user had deleted came back.
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  const Shown before = *replica.shown("f");
  static_cast<void>(replica.take_change());
  replica.observe_displaced("f", before, "f", file(3, 60), "kept-1");
  const Change change = replica.take_change();
  REQUIRE(change.kept.size() == 1);
  CHECK(change.kept[0].file == "kept-1");
  CHECK(change.kept[0].path == "f");
  CHECK(change.kept[0].version == entry(replica, "f").versions[0].version);
  CHECK(replica.pinned() == std::set<std::string>{"kept-1"});

  // Written to where it is: the record follows.
  replica.observe_displaced("f", std::nullopt, "f", file(4, 70), "kept-1");
  const Version rewritten = entry(replica, "f").versions.back().version;
  CHECK(replica.take_change().kept.at(0).version == rewritten);

  replica.show("f", {"f", {{own, 3}}, rewritten, {Kind::file, 0644, 8, 1, 70, 9}});
  CHECK(replica.pinned().empty());
}

TEST_CASE("replica: a write to a displaced file has replaced what that held, though others had") {
  Replica replica(options(), {});
  replica.observe("f", file(1, 50));
  const Version first = entry(replica, "f").versions.at(0).version;
  replica.keep({"kept-1", "f", first});
  Entry later = written({peer, 1}, theirs(2, 99));
  later.context.add({own, 1});
  receive(replica, "f", later);
  replica.observe_displaced("f", std::nullopt, "f", file(3, 60), "kept-1");
  const std::vector<std::uint64_t> replaced = {recognition(first)};
  CHECK(entry(replica, "f").find({own, 2})->superseded == replaced);
}

TEST_CASE(
    "replica: of kept files with one content the newest is its source, as long as it is one") {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}};
  Version version;
  version.content.bytes.fill(7);
  Version other;
  other.content.bytes.fill(8);
  const auto name = [](std::int64_t left) { return departure_name(left).substr(0, 19); };
  Loaded loaded;
  loaded.kept = {{name(30), "f", version},
                 {name(10), "g", version},
                 {name(40), "f", other},
                 {name(20), "f", version},
                 {departure_name(50), "f", version}};
  Replica replica(options, std::move(loaded));
  const auto source = [&] {
    const Source found = replica.source(version.content);
    const auto* kept = std::get_if<Kept>(&found);
    CHECK(replica.available(version.content) == (kept != nullptr));
    return kept == nullptr ? "" : kept->file;
  };
  CHECK(source() == name(30));
  replica.drop_kept_source(name(30));
  CHECK(source() == name(20));
  replica.forget_kept(name(20));
  CHECK(source() == name(10));
  replica.forget_kept(name(10));
  CHECK(source().empty());
  CHECK(replica.available(other.content));
  CHECK(replica.kept().size() == 2);
}

TEST_CASE("replica: a displaced symlink is on record, and is no source of a file's bytes") {
  Replica replica(options(), {});
  Seen link;
  link.signature = {Kind::symlink, 0777, 7, 0, 60, 60};
  link.target = "t";
  link.content.bytes[0] = 1;
  replica.observe_displaced("f", std::nullopt, "f", link, "kept-1");
  CHECK(replica.take_change().kept.size() == 1);
  CHECK(!replica.available(theirs(1, 10)));
}

TEST_CASE("replica: of a directory's inode it is known under which name it was seen last") {
  Replica replica(options(), {});
  const auto directory = [](std::uint64_t inode) {
    Seen seen;
    seen.signature = {Kind::directory, 0755, inode, 0, 0, 5};
    return seen;
  };
  CHECK(!replica.directory_with(7));
  replica.observe("a", directory(7));
  replica.observe("c", directory(9));
  CHECK(replica.directory_with(7) == "a");
  CHECK(!replica.directory_with(8));
  replica.observe("b", directory(7));
  CHECK(replica.directory_with(7) == "b");
  replica.observe_absent("a");
  CHECK(replica.directory_with(7) == "b");
  replica.observe("b", directory(8));  // another one in its place
  CHECK(!replica.directory_with(7));
  CHECK(replica.directory_with(8) == "b");
  replica.observe_absent("b");
  CHECK(!replica.directory_with(8));
  CHECK(replica.directory_with(9) == "c");
}
