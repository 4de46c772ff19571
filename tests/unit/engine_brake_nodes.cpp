// Masses of deletions that somebody has to confirm: of whole nodes.
#include <doctest/doctest.h>

#include "engine/replica.h"
#include "engine_loaded.h"
#include "engine_pair.h"

using namespace p2psync::engine;

namespace {

Path file(int number) {
  return "f" + std::to_string(100 + number);
}

struct Two : Pair {
  explicit Two(int files = 100) {
    brake.percent = 50;
    make(1, "d", Kind::directory, "", 0);
    for (int i = 0; i < files; ++i) {
      make(1, "d/" + file(i), Kind::file, "bytes " + std::to_string(i), 10);
    }
    start(1, true);
    start(2, true);
    connect();
    REQUIRE(run_until([&] { return in_sync(); }));
    REQUIRE(tree(2) == tree(1));
    before = tree(2);
    disk = host(1).disk;
  }
  /// With the directory, as `rm -rf d` does.
  void lose_all() {
    host(1).disk.clear();
    for (const auto& [name, shown] : before) {
      touch(1, name);
      drain();
    }
    REQUIRE(run_until([&] { return node(1).status().held_deletions == before.size() - 1; }));
  }
  void settle() {
    REQUIRE(run_until([&] { return !node(1).looking() && !node(2).looking(); }));
    for (int i = 0; i < 100; ++i) {
      let_time_go_on(1);
      let_time_go_on(2);
    }
  }
  Node& node(NodeId id) { return *host(id).node; }
  std::map<Path, std::pair<Kind, Hash>> before;
  std::map<Path, Seen> disk;
};

}  // namespace

TEST_CASE("brake: a node says what it holds, is not in sync, and all else goes on") {
  Two pair;
  pair.lose_all();
  const Status status = pair.node(1).status();
  CHECK(status.state == State::error);
  REQUIRE(status.problems.size() == 1);
  CHECK(status.problems[0].message.starts_with("100 of 100 files are gone here"));
  pair.make(1, "mine", Kind::file, "mine", 20);
  pair.touch(1, "mine");
  pair.make(2, "theirs", Kind::file, "theirs", 20);
  pair.touch(2, "theirs");
  pair.settle();
  CHECK(pair.tree(2).size() == pair.before.size() + 2);
  CHECK(pair.tree(1).size() == 2);  // and nothing was made anew
  CHECK(!pair.node(1).all_in_sync());
  CHECK(!pair.node(2).all_in_sync());
  CHECK(!pair.node(2).status().peers[0].in_sync);
  SUBCASE("confirmed") {
    pair.hear(1, ConfirmDeletes{});
    REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
    CHECK(pair.tree(2).size() == 2);
  }
  SUBCASE("undone") {
    pair.hear(1, ConfirmDeletes{.undo = true});
    REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
    CHECK(pair.tree(1).size() == pair.before.size() + 2);
  }
  SUBCASE("put back") {
    pair.host(1).disk.merge(pair.disk);
    pair.hear(1, Rescan{});
    REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
    CHECK(pair.tree(1).size() == pair.before.size() + 2);
  }
  SUBCASE("put back, as by a mount, which no event tells of") {
    pair.host(1).disk.merge(pair.disk);
    REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
    CHECK(pair.tree(1).size() == pair.before.size() + 2);
  }
  CHECK(pair.tree(1) == pair.tree(2));
  CHECK(pair.node(1).status().held_deletions == 0);
  CHECK(pair.node(1).status().problems.empty());
}

TEST_CASE("brake: a start while half of it is back tells nothing of the other half") {
  Two pair;
  pair.lose_all();
  Loaded loaded = loaded_from(pair.node(1).replica());
  pair.disconnect();
  int back = 0;
  for (const auto& [name, seen] : pair.disk) {
    if (++back <= 60) {
      pair.host(1).disk[name] = seen;
    }
  }
  pair.start(1, false, std::move(loaded));
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.node(1).status().held_deletions > 0; }));
  pair.settle();
  CHECK(pair.tree(2) == pair.before);
  CHECK(pair.node(1).status().held_deletions == 41);
}

TEST_CASE("brake: a directory with everything in it is renamed as ever") {
  Two pair;
  const auto old = std::exchange(pair.host(1).disk, {});
  for (const auto& [name, seen] : old) {
    pair.host(1).disk["e" + name.substr(1)] = seen;
  }
  pair.touch(1, "d");
  pair.touch(1, "e");
  REQUIRE(pair.run_until([&] { return pair.in_sync() && !pair.tree(2).contains("d"); }));
  CHECK(pair.tree(2) == pair.tree(1));
  CHECK(pair.tree(2).size() == pair.before.size());
}

TEST_CASE("brake: an edit of a held file is laid, and stays when the rest goes") {
  Two pair;
  pair.lose_all();
  const Path name = "d/" + file(5);
  pair.make(2, name, Kind::file, "edited", 30);
  pair.touch(2, name);
  REQUIRE(pair.run_until([&] { return pair.host(1).disk.contains(name); }));
  CHECK(pair.node(1).status().held_deletions == 99);
  CHECK(pair.tree(1).size() == 2);  // with its directory
  pair.hear(1, ConfirmDeletes{});
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.tree(2) == pair.tree(1));
  CHECK(pair.tree(2).size() == 2);
}

TEST_CASE("brake: what others delete of it is held no more") {
  Two pair;
  pair.lose_all();
  for (const auto& [name, shown] : pair.before) {
    pair.host(2).disk.erase(name);
  }
  pair.brake.percent = 0;
  Loaded loaded = loaded_from(pair.node(2).replica());
  pair.disconnect();
  pair.start(2, false, std::move(loaded));
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.tree(1).empty());
  CHECK(pair.node(1).status().held_deletions == 0);
}

TEST_CASE("brake: a directory that something new belongs in is made anew") {
  Two pair;
  pair.lose_all();
  pair.make(2, "d/new", Kind::file, "new", 30);
  pair.touch(2, "d/new");
  REQUIRE(pair.run_until([&] { return pair.host(1).disk.contains("d/new"); }));
  CHECK(pair.tree(1).size() == 2);
  CHECK(pair.node(1).status().held_deletions == 100);
}
