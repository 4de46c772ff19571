// What a folder showed at a time, and how it comes back.
#include "engine/past.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/history.h"
#include "tests/unit/engine_pair.h"

using namespace p2psync::engine;

namespace {

using What = Since::Change;

constexpr std::int64_t then = 1000;

Version version(std::int64_t mtime, char content, bool from_nothing = true) {
  Version made;
  made.mode = 0644;
  made.mtime = mtime;
  made.size = 1;
  made.content.bytes[0] = static_cast<std::uint8_t>(content);
  made.label = "alpha";
  if (!from_nothing) {
    made.superseded = {1};
  }
  return made;
}

Version directory() {
  Version made;
  made.kind = Kind::directory;
  made.mode = 0755;
  return made;
}

Shown shown(const Version& version, std::int64_t ctime) {
  return {"f", {}, version, {version.kind, version.mode, 1, version.size, version.mtime, ctime}};
}

/// Two nodes that hold a small tree, some time ago.
class Past : public Pair {
 public:
  Past() {
    wall = 500;
    make(1, "d", Kind::directory, "", 0);
    make(1, "d/empty", Kind::directory, "", 0);
    make(1, "d/f", Kind::file, "a file", 10);
    make(1, "d/link", Kind::symlink, "f", 20);
    make(1, "g", Kind::file, "another", 30);
    start(1, false);
    start(2, false);
    connect();
    sync();
    before = tree(1);
    REQUIRE(before.size() == 5);
    REQUIRE(tree(2) == before);
    wall = 2000;
  }
  void sync() {
    REQUIRE(run_until([this] { return in_sync(); }));
  }
  void erase(NodeId id, const Path& name) {
    host(id).disk.erase(name);
    touch(id, name);
  }
  void erase_all(NodeId id) {
    for (const auto& [name, what] : before) {
      host(id).disk.erase(name);
    }
    for (const auto& [name, what] : before) {
      touch(id, name);
    }
    sync();
    REQUIRE(tree(1).empty());
    REQUIRE(tree(2).empty());
    wall = 3000;
  }
  [[nodiscard]] const Replica& replica(NodeId id) { return host(id).node->replica(); }
  [[nodiscard]] std::vector<Since> changes(NodeId id, const Path& path = "",
                                           std::int64_t when = then) {
    const SincePage page = changed_since(replica(id), path, when, "");
    CHECK_FALSE(page.more);
    return page.changes;
  }
  void bring_back(NodeId id, const Path& path = "", std::int64_t when = then) {
    BringBack asked{{}, std::chrono::seconds(10)};
    for (const Since& since : changes(id, path, when)) {
      if (since.change == What::bring || since.change == What::remove) {
        asked.items.push_back({since.path, since.was});
      }
    }
    hear(id, std::move(asked));
    REQUIRE(run_until([&] {
      return std::ranges::none_of(changes(id, path, when), [&](const Since& since) {
        return host(id).node->awaits(since.path);
      });
    }));
  }
  std::map<Path, std::pair<Kind, Hash>> before;
};

}  // namespace

TEST_CASE("past: names of what left the tree tell when, and whether there is a file") {
  CHECK(departure_name(1767322984000000000) == "1767322984000000000-");
  CHECK(departure_name(5) == "0000000000000000005-");
  CHECK(is_departure(departure_name(5)));
  CHECK(left_at(departure_name(5)) == 5);
  CHECK(left_at("1767322984000000000") == 1767322984000000000);
  for (const std::string odd : {"", "-", "kept-1", "1767322984000000000+", "176732298400000000",
                                "17673229840000000000", "x767322984000000000"}) {
    CAPTURE(odd);
    CHECK_FALSE(is_departure(odd));
    CHECK(left_at(odd) == 0);
  }
}

TEST_CASE("past: what a path was follows from what left it, and what stands there") {
  struct Case {
    const char* name;
    std::vector<std::pair<std::int64_t, Version>> left;
    std::optional<Shown> now;
    std::optional<What> change;
    char was = 0;
  };
  const Version old = version(100, 'o');
  const Version young = version(1500, 'y');
  const std::vector<Case> cases{
      {"nothing ever left it, and it was there", {}, shown(old, 900), {}},
      {"nothing, neither then nor now", {}, {}, {}},
      {"deleted since", {{2000, old}}, {}, What::bring, 'o'},
      {"replaced since", {{2000, old}}, shown(young, 2000), What::bring, 'o'},
      {"replaced twice",
       {{2000, old}, {3000, young}},
       shown(version(2500, 'z'), 3000),
       What::bring,
       'o'},
      {"replaced, and back by now", {{2000, old}, {3000, young}}, shown(old, 3000), {}},
      {"its mode was changed",
       {{2000, old}},
       [&] {
         Version other = old;
         other.mode = 0600;
         return shown(other, 2000);
       }(),
       What::bring,
       'o'},
      {"came and went since", {{2000, young}}, {}, {}},
      {"came, went and came again", {{2000, young}}, shown(version(2500, 'z'), 2600), What::remove},
      {"deleted, then another one came and went",
       {{1200, old}, {2000, young}},
       {},
       What::bring,
       'o'},
      {"came since", {}, shown(young, 1500), What::remove},
      {"came since, in place of something that nobody kept",
       {},
       shown(version(1500, 'y', false), 1500),
       What::unsure},
      {"came or was touched since, with an older time", {}, shown(old, 1500), What::unsure},
      {"has a time that was still to come", {}, shown(version(9000, 'f'), 1500), What::unsure},
      {"left with a time that was still to come",
       {{2000, version(9000, 'f')}},
       {},
       What::bring,
       'f'},
      {"was looked at too soon to tell", {}, shown(young, 0), What::unsure},
      {"a directory that came since stays", {}, shown(directory(), 1500), {}},
      {"a file where a directory is now",
       {{2000, old}},
       shown(directory(), 2000),
       What::blocked,
       'o'},
      {"a directory where a file is now", {{2000, directory()}}, shown(young, 2000), What::bring},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    std::vector<Departure> departures;
    for (const auto& [left, version] : one.left) {
      departures.push_back({left, &version});
    }
    const auto found = since("f", departures, one.now ? &*one.now : nullptr, then);
    REQUIRE(found.has_value() == one.change.has_value());
    if (found) {
      CHECK(found->change == *one.change);
      CHECK(found->now.has_value() == one.now.has_value());
      CHECK(found->was.has_value() ==
            (found->change == What::bring || found->change == What::blocked));
    }
    if (one.was != 0) {
      CHECK(found->was->content.bytes[0] == static_cast<std::uint8_t>(one.was));
    }
  }
}

TEST_CASE("past: a tree that was deleted comes back whole, whoever deleted it") {
  for (const NodeId by : {NodeId{1}, NodeId{2}}) {
    CAPTURE(by);
    Past pair;
    pair.erase_all(by);
    const auto changes = pair.changes(1);
    REQUIRE(changes.size() == 5);
    CHECK(std::ranges::all_of(changes, [](const Since& one) { return one.change == What::bring; }));
    pair.bring_back(1);
    pair.sync();
    CHECK(pair.tree(1) == pair.before);
    CHECK(pair.tree(2) == pair.before);
    CHECK(pair.host(1).disk["d/f"].signature.mtime == 10);
    CHECK(pair.changes(1).empty());
  }
}

TEST_CASE("past: what its own user wrote over comes back from the member that kept it") {
  Past pair;
  pair.make(1, "g", Kind::file, "edited", 1500);
  pair.make(1, "d/new", Kind::file, "new", 1600);
  pair.host(1).disk["d/new"].signature.ctime = 1600;
  pair.touch(1, "g");
  pair.touch(1, "d/new");
  pair.sync();
  pair.wall = 3000;
  const auto changes = pair.changes(1);
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].path == "d/new");
  CHECK(changes[0].change == What::remove);
  CHECK(changes[1].path == "g");
  CHECK_FALSE(pair.replica(1).available(*changes[1].was));
  CHECK(pair.changes(1, "d").size() == 1);
  CHECK(pair.changes(1, "g").size() == 1);
  CHECK(pair.changes(1, "d/f").empty());
  SUBCASE("all of it") {
    pair.bring_back(1);
    pair.sync();
    CHECK(pair.tree(1) == pair.before);
    CHECK(pair.tree(2) == pair.before);
    SUBCASE("and that can be undone") {
      pair.wall = 5000;
      pair.bring_back(1, "", 2500);
      pair.sync();
      CHECK(pair.tree(1).contains("d/new"));
      CHECK(pair.tree(1)["g"] != pair.before["g"]);
      CHECK(pair.tree(2) == pair.tree(1));
    }
  }
  SUBCASE("not over an edit that was made while its bytes were on their way") {
    pair.lose = [](NodeId, const Message& message) {
      return std::holds_alternative<Block>(message);
    };
    BringBack asked{{{"g", changes[1].was}}, std::chrono::seconds(60)};
    pair.hear(1, std::move(asked));
    pair.drain();
    REQUIRE(pair.host(1).node->awaits("g"));
    pair.make(1, "g", Kind::file, "edited again", 3100);
    pair.touch(1, "g");
    pair.drain();
    pair.lose = [](NodeId, const Message&) { return false; };
    REQUIRE(pair.run_until([&] { return !pair.host(1).node->awaits("g"); }));
    pair.sync();
    CHECK(pair.host(1).disk["g"].signature.mtime == 3100);
    CHECK(pair.tree(2) == pair.tree(1));
  }
}

TEST_CASE("past: what nobody has the bytes of leaves alone what is there") {
  Past pair;
  pair.disconnect();
  pair.make(1, "g", Kind::file, "between", 700);
  pair.touch(1, "g");
  pair.drain();
  pair.make(1, "g", Kind::file, "edited", 1500);
  pair.touch(1, "g");
  pair.drain();
  const auto wanted = pair.changes(1);
  REQUIRE(wanted.size() == 1);
  SUBCASE("nobody is connected") {}
  SUBCASE("who is connected has not got them") {
    pair.connect();
    pair.sync();
  }
  const auto tree = pair.tree(1);
  pair.bring_back(1, "", 2000);  // the version between the two: it left at 2001
  pair.drain();
  CHECK_FALSE(pair.host(1).node->awaits("g"));
  CHECK(pair.tree(1) == tree);
  CHECK(pair.changes(1, "", 2000).size() == 1);
}

TEST_CASE("past: without bytes a wish ends with its patience") {
  Past pair;
  pair.erase_all(1);
  pair.lose = [](NodeId, const Message& message) { return std::holds_alternative<Get>(message); };
  const auto changes = pair.changes(1, "g");
  REQUIRE(changes.size() == 1);
  const Instant began = pair.now();
  pair.hear(1, BringBack{{{"g", changes[0].was}}, std::chrono::seconds(5)});
  REQUIRE(pair.run_until([&] { return !pair.host(1).node->awaits("g"); }));
  CHECK(pair.now() - began >= std::chrono::seconds(5));
  CHECK(pair.tree(1).empty());
}

TEST_CASE("past: notes of what left have a limit of time, and none are taken where none are kept") {
  Past pair;
  pair.erase_all(1);
  REQUIRE(pair.replica(1).departed().size() == 5);
  pair.replica(1).departed().for_each_from("", [](const PackedVersions::Item& note) {
    CHECK(is_departure(note.file));
    CHECK(left_at(note.file) >= 2000);
    return true;
  });
  pair.hear(1, Expired{{}, 2002});
  CHECK(pair.replica(1).departed().size() == 3);
  pair.hear(1, Expired{{}, 9000});
  CHECK(pair.replica(1).departed().empty());
  CHECK(pair.changes(1).empty());
}

TEST_CASE("past: of a kept version that went before its time there is a note") {
  Past pair;
  pair.make(1, "g", Kind::file, "edited", 1500);
  pair.touch(1, "g");
  pair.sync();
  const auto changes = pair.changes(2, "g");
  REQUIRE(changes.size() == 1);
  REQUIRE(pair.replica(2).kept().size() == 1);
  const std::string file(pair.replica(2).kept().first().file);
  pair.hear(2, Expired{{file}, left_at(file)});
  CHECK(pair.replica(2).kept().empty());
  const auto after = pair.changes(2, "g");
  REQUIRE(after.size() == 1);
  CHECK(after[0].was == changes[0].was);
  // Its time was over.
  pair.hear(2, Expired{{}, left_at(file) + 1});
  CHECK(pair.changes(2, "g").empty());
}

TEST_CASE("past: of notes there are so many and no more, and the oldest go") {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}};
  Replica replica(options, {});
  replica.depart("f", version(1, 'f'));
  CHECK(replica.departed().empty());  // nobody knows when
  replica.note_time(5000);
  for (std::size_t i = 0; i < departed_max + 10; ++i) {
    replica.depart("f", version(1, 'f'));
  }
  REQUIRE(replica.departed().size() == departed_max);
  CHECK(replica.departed().first().file == departure_name(5010));
  CHECK(replica.departed().bytes() < departed_max * 130);
  const Change change = replica.take_change();
  REQUIRE(change.forgotten.size() == 10);
  CHECK(change.forgotten.back() == departure_name(5009));
}

TEST_CASE("past: a directory that others removed is noted, and comes back empty") {
  Past pair;
  pair.erase(2, "d/empty");
  pair.sync();
  const auto changes = pair.changes(1);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].was->kind == Kind::directory);
  pair.bring_back(1);
  pair.sync();
  CHECK(pair.tree(2) == pair.before);
}

TEST_CASE("past: pages lead through everything, and none is larger than it may be") {
  Loaded loaded;
  const std::size_t files = 2 * since_page_max + 10;
  for (std::size_t i = 0; i < files; ++i) {
    std::string name = departure_name(static_cast<std::int64_t>(2000 + i));
    if (i % 2 == 0) {
      name.pop_back();  // there is a file
    }
    loaded.kept.push_back({name, "f" + std::to_string(i), version(100, 'o')});
  }
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}};
  const Replica replica(options, std::move(loaded));
  std::set<Path, PathLess> found;
  std::string after;
  std::size_t pages = 0;
  while (true) {
    const SincePage page = changed_since(replica, "", then, after);
    ++pages;
    CHECK(page.changes.size() <= since_page_max);
    for (const Since& since : page.changes) {
      CHECK((found.empty() || PathLess()(*found.rbegin(), since.path)));
      found.insert(since.path);
    }
    if (!page.more) {
      break;
    }
    after = page.last;
  }
  CHECK(found.size() == files);
  CHECK(pages == 3);
  CHECK(has_past(replica, "f7"));
  CHECK_FALSE(has_past(replica, "g"));
}

TEST_CASE("past: a version that a conflict has moved to another name is told of once") {
  Past pair;
  pair.disconnect();
  pair.make(1, "g", Kind::file, "of alpha", 1500);
  pair.make(2, "g", Kind::file, "of beta", 1600);
  pair.touch(1, "g");
  pair.touch(2, "g");
  pair.drain();
  pair.connect();
  pair.sync();
  REQUIRE(pair.tree(1).contains("g.conflict-alpha"));
  const auto known = history(pair.replica(1), "g");
  REQUIRE(known.has_value());
  std::vector<PastVersion::State> states;
  for (const PastVersion& past : known->versions) {
    states.push_back(past.state);
  }
  using State = PastVersion::State;
  CHECK(states == std::vector{State::current, State::copy, State::kept});
  CHECK(known->versions[2].version.mtime == 30);
  CHECK(known->versions[2].version.label == "alpha");
  CHECK(pair.changes(1, "g").size() == 1);
}
