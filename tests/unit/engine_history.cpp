// What a node tells people of a path's versions, and what they ask for by command.
#include "engine/history.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/engine_pair.h"

using namespace p2psync::engine;

namespace {

using Past = PastVersion::State;

/// Two nodes that wrote `a` without knowing of each other; beta's is the later one.
class Conflict : public Pair {
 public:
  Conflict() {
    make(1, "a", Kind::file, "of alpha", 100);
    make(2, "a", Kind::file, "of beta", 200);
    start(1, false);
    start(2, false);
    connect();
    sync();
  }
  void sync() {
    REQUIRE(run_until([this] { return in_sync(); }));
  }
  [[nodiscard]] const Replica& replica(NodeId id) { return host(id).node->replica(); }
  void resolve(NodeId id, std::string_view keep) {
    const auto name = name_to_keep(replica(id), "a", keep);
    REQUIRE(name.has_value());
    hear(id, Resolve{"a", *name});
  }
  void restore(NodeId id, const Path& path, const std::string& version) {
    const auto found = version_to_restore(replica(id), path, version);
    REQUIRE(found.has_value());
    hear(id, Restore{path, *found});
  }
  /// Names, and the texts that they hold.
  [[nodiscard]] std::map<Path, std::string> disk(NodeId id) {
    std::map<Path, std::string> texts;
    for (const auto& [name, seen] : host(id).disk) {
      const auto& bytes = host(id).contents[seen.content];
      texts[name] = bytes ? std::string(bytes->begin(), bytes->end()) : "?";
    }
    return texts;
  }
  [[nodiscard]] std::vector<Past> states(NodeId id, const Path& path) {
    std::vector<Past> all;
    const auto known = history(replica(id), path);
    REQUIRE(known.has_value());
    for (const PastVersion& past : known->versions) {
      all.push_back(past.state);
    }
    return all;
  }
};

const std::map<Path, std::string> both{{"a", "of beta"}, {"a.conflict-alpha", "of alpha"}};

}  // namespace

TEST_CASE("history: a conflict is told with both versions, the same on both nodes") {
  Conflict pair;
  REQUIRE(pair.disk(1) == both);
  for (const NodeId id : {NodeId{1}, NodeId{2}}) {
    const auto copies = conflict_copies(pair.replica(id), "", 10);
    REQUIRE(copies.size() == 1);
    CHECK(copies[0].path == "a");
    CHECK(copies[0].copy == "a.conflict-alpha");
    CHECK(copies[0].version.label == "alpha");
    REQUIRE(copies[0].holder.has_value());
    CHECK(copies[0].holder->label == "beta");
    CHECK(conflict_copies(pair.replica(id), copies[0].copy, 10).empty());
    CHECK(conflict_copies(pair.replica(id), "", 0).empty());
    const auto known = history(pair.replica(id), "a");
    REQUIRE(known.has_value());
    REQUIRE(known->versions.size() == 2);
    CHECK(known->versions[0].state == Past::current);
    CHECK(known->versions[0].version.label == "beta");
    CHECK(known->versions[1].state == Past::copy);
    CHECK(known->versions[1].name == "a.conflict-alpha");
    CHECK(known->versions[0].id != known->versions[1].id);
  }
}

TEST_CASE("resolve: the version that is kept has the name on both nodes, whoever's it was") {
  for (const std::string keep : {"alpha", "beta"}) {
    for (const NodeId by : {NodeId{1}, NodeId{2}}) {
      CAPTURE(keep);
      CAPTURE(by);
      Conflict pair;
      pair.resolve(by, keep);
      pair.sync();
      const std::map<Path, std::string> wanted{{"a", "of " + keep}};
      CHECK(pair.disk(1) == wanted);
      CHECK(pair.disk(2) == wanted);
      CHECK(laid_out(pair.replica(by), "a"));
      CHECK(conflict_copies(pair.replica(1), "", 10).empty());
      CHECK(pair.host(1).disk["a"].signature.mtime == (keep == "alpha" ? 100 : 200));
    }
  }
}

TEST_CASE("resolve: opposite choices of two nodes that cannot hear each other are a conflict") {
  Conflict pair;
  pair.disconnect();
  pair.resolve(1, "alpha");
  pair.resolve(2, "beta");
  pair.drain();
  CHECK(pair.disk(1) == std::map<Path, std::string>{{"a", "of alpha"}});
  CHECK(pair.disk(2) == std::map<Path, std::string>{{"a", "of beta"}});
  pair.connect();
  pair.sync();
  CHECK(pair.disk(1).size() == 2);
  CHECK(pair.disk(1) == pair.disk(2));
  SUBCASE("and the same choice is none") {
    pair.disconnect();
    pair.resolve(1, "alpha");
    pair.resolve(2, "alpha");
    pair.drain();
    pair.connect();
    pair.sync();
    CHECK(pair.disk(1) == std::map<Path, std::string>{{"a", "of alpha"}});
    CHECK(pair.disk(2) == pair.disk(1));
  }
}

TEST_CASE("resolve: an edit that its author made without knowing of it stays beside it") {
  Conflict pair;
  pair.disconnect();
  pair.make(2, "a.conflict-alpha", Kind::file, "edited", 300);
  pair.touch(2, "a.conflict-alpha");
  pair.resolve(1, "beta");
  pair.drain();
  pair.connect();
  pair.sync();
  CHECK(pair.disk(1) ==
        std::map<Path, std::string>{{"a", "of beta"}, {"a.conflict-alpha", "edited"}});
  CHECK(pair.disk(2) == pair.disk(1));
}

TEST_CASE("resolve: an edit on this disk that nobody has looked at yet is not lost") {
  Conflict pair;
  pair.make(1, "a", Kind::file, "edited", 300);
  pair.resolve(1, "alpha");
  pair.touch(1, "a");
  pair.sync();
  const auto texts = pair.disk(1);
  CHECK(std::ranges::any_of(texts, [](const auto& file) { return file.second == "edited"; }));
  CHECK(std::ranges::any_of(texts, [](const auto& file) { return file.second == "of alpha"; }));
  CHECK(texts.size() == 2);
  CHECK(pair.disk(2) == texts);
}

TEST_CASE(
    "resolve: with bytes that users delete everywhere before they are laid it is taken back") {
  Conflict pair;
  pair.disconnect();
  pair.host(1).refused = "a";
  pair.resolve(1, "alpha");
  for (const NodeId id : {NodeId{1}, NodeId{2}}) {
    pair.host(id).disk.erase("a.conflict-alpha");
    pair.touch(id, "a.conflict-alpha");
  }
  pair.drain();
  pair.host(1).refused.clear();
  pair.connect();
  pair.sync();
  CHECK(pair.disk(1) == pair.disk(2));
  CHECK(history(pair.replica(1), "a")->versions.front().state != Past::current);
}

TEST_CASE("resolve: a wrong choice is told, with what there is to choose from") {
  Conflict pair;
  const auto why = [&](const Path& path, std::string_view keep) {
    const auto name = name_to_keep(pair.replica(1), path, keep);
    REQUIRE_FALSE(name.has_value());
    return name.error();
  };
  CHECK(why("b", "alpha") == "nothing is known of \"b\"");
  CHECK(why("a", "gamma") == "no version of \"a\" is by gamma; by: alpha beta");
  CHECK(why("a.conflict-alpha", "alpha") ==
        "\"a.conflict-alpha\" is a conflict copy of \"a\": resolve that");
  CHECK(name_to_keep(pair.replica(1), "a", "a.conflict-alpha") == "a.conflict-alpha");
  pair.resolve(1, "alpha");
  pair.sync();
  CHECK(why("a", "alpha") == "\"a\" has no conflict copies");
}

TEST_CASE("resolve: a directory keeps its name") {
  Pair pair;
  pair.make(1, "a", Kind::directory, "", 0);
  pair.make(1, "a/b", Kind::file, "below", 10);
  pair.make(2, "a", Kind::file, "a file", 20);
  pair.start(1, false);
  pair.start(2, false);
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  const Replica& replica = pair.host(1).node->replica();
  const auto refused = name_to_keep(replica, "a", "beta");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() ==
        "\"a\" is a directory and keeps the name: rename \"a.conflict-beta\", or delete it");
  pair.hear(1, Resolve{"a", name_to_keep(replica, "a", "alpha").value()});
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.host(2).disk.contains("a/b"));
  CHECK_FALSE(pair.host(2).disk.contains("a.conflict-beta"));
}

TEST_CASE("restore: what another node replaced comes back as an edit of this one") {
  Conflict pair;
  pair.resolve(1, "beta");
  pair.sync();
  pair.make(2, "a", Kind::file, "newer", 300);
  pair.touch(2, "a");
  pair.sync();
  REQUIRE(pair.disk(1) == std::map<Path, std::string>{{"a", "newer"}});
  const auto known = history(pair.replica(1), "a");
  REQUIRE(known.has_value());
  REQUIRE(known->versions.size() >= 2);
  REQUIRE(known->versions[1].state == Past::kept);
  REQUIRE(known->versions[1].version.label == "beta");
  pair.restore(1, "a", known->versions[1].id);
  pair.sync();
  CHECK(pair.disk(1) == std::map<Path, std::string>{{"a", "of beta"}});
  CHECK(pair.disk(2) == pair.disk(1));
  CHECK(pair.host(2).disk["a"].signature.mtime == 200);
  const auto after = history(pair.replica(2), "a");
  CHECK(after->versions[0].version.label == "alpha");  // whose edit it is
}

TEST_CASE(
    "restore: what another node deleted comes back, also when nobody remembers the deletion") {
  Conflict pair;
  pair.resolve(1, "beta");
  pair.sync();
  pair.host(2).disk.erase("a");
  pair.touch(2, "a");
  pair.sync();
  REQUIRE(pair.disk(1).empty());
  SUBCASE("at once") {}
  SUBCASE("later") {
    REQUIRE(pair.run_until([&] { return pair.host(1).node->record("a") == nullptr; }));
  }
  const auto known = history(pair.replica(1), "a");
  REQUIRE(known.has_value());
  REQUIRE(known->versions.size() >= 2);
  CHECK(known->versions[0].state == Past::deleted);
  CHECK(known->versions[1].state == Past::kept);
  pair.restore(1, "a", known->versions[1].id);
  pair.sync();
  CHECK(pair.disk(1) == std::map<Path, std::string>{{"a", "of beta"}});
  CHECK(pair.disk(2) == pair.disk(1));
}

TEST_CASE("restore: a concurrent edit stays beside it") {
  Conflict pair;
  pair.resolve(1, "beta");
  pair.sync();
  const auto known = history(pair.replica(1), "a");
  const auto kept = std::ranges::find(known->versions, Past::kept, &PastVersion::state);
  REQUIRE(kept != known->versions.end());
  pair.disconnect();
  pair.make(2, "a", Kind::file, "edited", 900);
  pair.touch(2, "a");
  pair.restore(1, "a", kept->id);
  pair.drain();
  pair.connect();
  pair.sync();
  CHECK(pair.disk(1).size() == 2);
  CHECK(pair.disk(1)["a"] == "edited");
  CHECK(pair.disk(1) == pair.disk(2));
}

TEST_CASE("restore: what cannot be brought back is told") {
  Conflict pair;
  const auto why = [&](const Path& path, std::string_view id) {
    const auto version = version_to_restore(pair.replica(1), path, id);
    REQUIRE_FALSE(version.has_value());
    return version.error();
  };
  CHECK(why("b", "0") == "nothing is known of \"b\"");
  CHECK(why("a", "") == "no version of \"a\" has the id ");
  CHECK(why("a", "0123") == "no version of \"a\" has the id 0123");
  const auto known = history(pair.replica(1), "a");
  CHECK(why("a", known->versions[0].id) == "that is what has the name already");
  // A copy can have the name; it stays what it is.
  pair.restore(1, "a", known->versions[1].id);
  pair.sync();
  CHECK(pair.disk(1)["a"] == "of alpha");
  CHECK(pair.disk(2) == pair.disk(1));
}

TEST_CASE("restore: of kept files that have expired nothing is promised") {
  Conflict pair;
  pair.resolve(1, "beta");
  pair.sync();
  const auto known = history(pair.replica(1), "a");
  std::vector<std::string> files;
  for (const PastVersion& past : known->versions) {
    if (past.state == Past::kept) {
      files.push_back(past.id);
    }
  }
  REQUIRE_FALSE(files.empty());
  pair.hear(1, Expired{files, left_at(*std::ranges::max_element(files)) + 1});
  CHECK(pair.states(1, "a") == std::vector{Past::current});
  CHECK_FALSE(version_to_restore(pair.replica(1), "a", files[0]).has_value());
}
