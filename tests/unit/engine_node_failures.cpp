// What a node does about a disk that could not tell what it was asked.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "engine/node.h"
#include "engine_pair.h"

namespace p2psync::engine {
namespace {

constexpr Dot first{{1, 1}, 1};

NodeOptions alone() {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}};
  options.incarnation = 2;
  return options;
}

/// A file "a" that the disk shows.
Loaded file_a() {
  Version version;
  version.mode = 0644;
  version.size = 3;
  version.content.bytes[0] = 7;
  version.label = "alpha";
  version.tag = tag_of(first);
  Signature signature;
  signature.size = 3;
  signature.inode = 11;
  signature.ctime = 12;
  Loaded loaded;
  loaded.knowledge.add(first);
  loaded.index.put(
      "a", {{loaded.knowledge, {{first, version}}, {}}, {{"a", {first}, version, signature}}, {}});
  return loaded;
}

Listed root_of(const Loaded& loaded) {
  return {"", std::vector<Listing>{{"a", false, loaded.index.find("a")->shown[0].signature}}};
}

template <class T, class Wanted>
bool asks(const std::vector<Output>& outputs, Wanted wanted) {
  return std::ranges::any_of(outputs, [&](const Output& output) {
    const auto* one = std::get_if<T>(&output);
    return one != nullptr && wanted(*one);
  });
}

TEST_CASE("node: a folder that could not be listed is listed again, and is not known till then") {
  Instant now{};
  const Loaded loaded = file_a();
  Node node(alone(), loaded, now);
  std::ignore = node.start(now);
  for (int failures = 0; failures < 3; ++failures) {
    const Error error{ErrorCode::io, "list", "", EIO};
    std::ignore = node.step(now, Listed{"", std::unexpected(error)});
    CHECK(node.looking());
    CHECK(!node.all_in_sync());
    bool listed = false;
    for (int wakes = 0; wakes < 100 && !listed; ++wakes) {
      now = node.wake_at();
      listed = asks<List>(node.step(now, Wake{}),
                          [](const List& list) { return list.directory.empty(); });
    }
    REQUIRE(listed);
  }
  std::ignore = node.step(now, root_of(loaded));
  CHECK(!node.looking());
  CHECK(node.status().problems.empty());
}

TEST_CASE("node: where bytes could not be read for a peer it looks again") {
  const Instant now{};
  const Loaded loaded = file_a();
  Node node(alone(), loaded, now);
  std::ignore = node.start(now);
  std::ignore = node.step(now, root_of(loaded));
  const Hash content = loaded.index.find("a")->shown[0].version.content;
  CHECK(asks<Look>(node.step(now, BlockRead{2, 1, content, nullptr}),
                   [](const Look& look) { return look.names.front().name == "a"; }));
}

TEST_CASE("node: what power took back to an older version is no news") {
  const Instant now{};
  Loaded loaded = file_a();
  Version old;
  old.content.bytes[0] = 5;
  old.mtime = 17;
  loaded.index.update(
      "a", [&old](Record& a) { a.entry.versions[0].version.superseded = {recognition(old)}; });
  for (const bool written_by_user : {false, true}) {
    Node node(alone(), loaded, now);
    std::ignore = node.start(now);
    std::ignore = node.step(now, root_of(loaded));
    Surfaced surfaced{"a", "17", {}, {}};
    surfaced.seen.content = old.content;
    surfaced.seen.signature.mtime = written_by_user ? 18 : old.mtime;
    std::ignore = node.step(now, surfaced);
    CHECK(node.record("a")->entry.versions.size() == (written_by_user ? 2 : 1));
  }
}

TEST_CASE("node: a displaced file that is written to once more stays on record") {
  // Else the next start takes what it holds then for an edit of what it held first, beside the
  // version in between, whose bytes nobody has.
  Instant now{};
  Node node(alone(), {}, now);
  std::ignore = node.start(now);
  std::ignore = node.step(now, Listed{"", std::vector<Listing>{}});
  Surfaced surfaced{"a", "17", {}, {}};
  surfaced.replaced.bytes[0] = 1;
  surfaced.seen.content.bytes[0] = 2;
  surfaced.seen.signature.size = 1;
  std::map<std::string, Hash> on_record;
  const auto takes_it = [&](const std::vector<Output>& outputs) {
    for (const Output& output : outputs) {
      if (const auto* persist = std::get_if<Persist>(&output)) {
        for (const KeptVersion& kept : persist->change.kept) {
          on_record[kept.file] = kept.version.content;
        }
        for (const std::string& file : persist->change.forgotten) {
          on_record.erase(file);
        }
      }
    }
    return asks<Apply>(outputs, [](const Apply& apply) {
      const auto& put = std::get<Put>(apply.jobs.at(0).steps.at(0));
      const auto* kept = std::get_if<Kept>(&put.source);
      return kept != nullptr && kept->file == "17" && kept->move;
    });
  };
  REQUIRE(takes_it(node.step(now, surfaced)));
  std::ignore = takes_it(node.step(now, ApplyDone{{Applied{"a", {SourceGone{}}}}}));
  CHECK(on_record["17"] == surfaced.seen.content);
  for (int wakes = 0; wakes < 10; ++wakes) {
    now = node.wake_at();
    CHECK_FALSE(asks<Apply>(node.step(now, Wake{}), [](const Apply&) { return true; }));
  }
  surfaced.replaced = std::exchange(surfaced.seen.content, Hash{});
  CHECK(takes_it(node.step(now, surfaced)));
  CHECK(node.record("a")->entry.versions.size() == 1);
}

/// Two nodes in sync whose folders have a directory "d", and a file that the first then writes in
/// it.
void into_directory(Pair& pair, const std::function<void()>& before_the_file) {
  pair.make(1, "d", Kind::directory, "", 1);
  pair.start(1, true);
  pair.start(2, true);
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  before_the_file();
  pair.make(1, "d/a", Kind::file, "new", 2);
  pair.touch(1, "d/a");
}

TEST_CASE("node: a directory that went without a word from the watcher is missed by an apply") {
  Pair pair;
  into_directory(pair, [&] { pair.host(2).disk.erase("d"); });
  CHECK(pair.run_until([&] { return pair.in_sync() && pair.host(2).disk.contains("d/a"); }, 50));
  CHECK(pair.host(2).applies < 10);
}

TEST_CASE("node: a full disk is said for the path, stops no deletion, and is over once it is not") {
  Pair pair;
  pair.make(1, "goes", Kind::symlink, "there", 1);
  const auto failing = [&] { return pair.host(2).node->status().state == State::error; };
  into_directory(pair, [&] { pair.host(2).full = true; });
  REQUIRE(pair.run_until(failing));
  const Problem problem = pair.host(2).node->status().problems.at(0);
  CHECK(problem.path == "d/a");
  CHECK(problem.message == "the disk is full: this goes on by itself as soon as there is room");
  CHECK(pair.host(2).node->status().incoming.at(0).path == "d/a");

  pair.host(1).disk.erase("goes");
  pair.touch(1, "goes");
  CHECK(pair.run_until([&] { return !pair.host(2).disk.contains("goes"); }));
  bool always = true;
  std::ignore = pair.run_until([&] { return !(always = always && failing()); }, 50);
  CHECK(always);
  CHECK(pair.host(2).node->status().problems.at(0).since == problem.since);

  pair.host(2).full = false;
  CHECK(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.host(2).disk.contains("d/a"));
  CHECK(pair.host(2).node->status().state == State::in_sync);
  CHECK(pair.host(2).node->status().problems.empty());
  CHECK(pair.host(2).node->arrived_bytes() == 3);
}

TEST_CASE("node: a disk is not full any more for what nobody needs any more") {
  Pair pair;
  into_directory(pair, [&] { pair.host(2).full = true; });
  REQUIRE(pair.run_until([&] { return pair.host(2).node->status().state == State::error; }));
  pair.host(1).disk.erase("d/a");
  pair.touch(1, "d/a");
  CHECK(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.host(2).node->status().state == State::in_sync);
  CHECK(pair.host(2).node->status().problems.empty());
}

TEST_CASE(
    "node: what is refused whatever a look says is tried again at longer and longer intervals") {
  Pair pair;
  into_directory(pair, [&] { pair.host(2).refused = "d/a"; });
  std::ignore = pair.run_until([] { return false; }, 200);
  CHECK(pair.host(2).applies > 5);
  CHECK(pair.host(2).applies < 50);
  pair.host(2).refused.clear();
  CHECK(pair.run_until([&] { return pair.in_sync(); }, 300));
  CHECK(pair.host(2).disk.contains("d/a"));
}

/// Two nodes in sync with a file "d/a"; then no copy on the second finds in it what it shows, and
/// something there wants to be made of it.
void copy_of_unreadable(Pair& pair) {
  into_directory(pair, [] {});
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  pair.host(2).unreadable = "d/a";
}

TEST_CASE("node: what a name here shows and does not give comes from another member") {
  Pair pair;
  copy_of_unreadable(pair);
  pair.make(1, "b", Kind::file, "new", 3);
  pair.touch(1, "b");
  const Instant before = pair.now();
  CHECK(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.host(2).disk.contains("b"));
  CHECK(pair.host(2).node->arrived_bytes() == 6);
  CHECK(pair.now() - before < std::chrono::seconds(2));
  CHECK(pair.host(2).applies < 10);
}

TEST_CASE("node: what only a name here shows is copied from it as soon as it gives it") {
  Pair pair;
  copy_of_unreadable(pair);
  pair.disconnect();
  pair.make(1, "b", Kind::file, "new", 3);
  pair.touch(1, "b");
  pair.host(1).contents.clear();
  pair.connect();
  std::ignore = pair.run_until([] { return false; }, 200);
  CHECK_FALSE(pair.host(2).disk.contains("b"));
  CHECK(pair.host(2).applies < 60);
  pair.host(2).unreadable.clear();
  CHECK(pair.run_until([&] { return pair.in_sync(); }));
  CHECK(pair.host(2).disk.contains("b"));
  CHECK(pair.host(2).node->arrived_bytes() == 3);
}

}  // namespace
}  // namespace p2psync::engine
