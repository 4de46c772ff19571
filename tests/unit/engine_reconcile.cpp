// What plan() makes of a path: which steps, and what they wait for.
#include "engine/reconcile.h"

#include <doctest/doctest.h>

using namespace p2psync::engine;

namespace {

constexpr Actor peer{2, 200};
constexpr Actor third{3, 300};

NodeOptions options() {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}, {2, "beta"}, {3, "gamma"}};
  options.incarnation = 100;
  return options;
}

Version version(std::uint8_t text, std::int64_t rank, const std::string& label) {
  Version version;
  version.mode = 0644;
  version.mtime = rank;
  version.size = 1;
  version.content.bytes[0] = text;
  version.rank = rank;
  version.label = label;
  version.tag = text;
  return version;
}

void receive(Replica& replica, const Entry& entry) {
  replica.merge({"f", entry}, entry.context);
}

/// The disk shows the version at the name.
void show(Replica& replica, const Path& name, const Dot& dot, const Version& version) {
  replica.show("f", {name, {dot}, version, {Kind::file, version.mode, 7, 1, version.mtime, 9}});
}

/// The next batch, from what has changed in the replica.
std::optional<Apply> next(Reconciler& reconciler, Replica& replica, const Path& held_up = {},
                          Instant now = {}, bool coming = false) {
  reconciler.add(replica.take_dirty());
  return reconciler.next(
      now, [&](const Path& name) { return name == held_up; },
      [](const Path&, const std::vector<Need>&) {}, coming);
}

}  // namespace

TEST_CASE("plan: a loser waits at the name for the winner's bytes, and is not laid twice") {
  Replica replica(options(), {});
  const Version loser = version(1, 10, "beta");
  const Version winner = version(2, 20, "gamma");
  receive(replica, {{{peer, 1}}, {{{peer, 1}, loser}}, {}});
  show(replica, "f", {peer, 1}, loser);
  receive(replica, {{{third, 1}}, {{{third, 1}, winner}}, {}});

  Plan made = plan(replica, "f", {});
  CHECK(made.steps.empty());
  REQUIRE(made.needs.size() == 1);
  CHECK(made.needs[0].content == winner.content);

  // Elsewhere its mode changes: the same file, so it still has one name here.
  Version changed = loser;
  changed.mode = 0600;
  changed.metadata_only = true;
  changed.copy = true;
  receive(replica, {{{peer, 2}}, {{{peer, 2}, changed}}, {}});
  made = plan(replica, "f", {});
  REQUIRE(made.steps.size() == 1);
  const auto* put = std::get_if<Put>(made.steps.data());
  REQUIRE(put != nullptr);
  CHECK(put->name == "f");
  CHECK(put->wanted.mode == 0600);
  CHECK(made.needs.size() == 1);
}

TEST_CASE("reconcile: what a plan waits for is planned too, though a start found no record of it") {
  // Once "d" was deleted, its tombstone collected, and the start that followed knew only "d/e/f":
  // it waited for a directory that nobody had any reason to make.
  Loaded loaded;
  Version link = version(1, 10, "beta");
  link.kind = Kind::symlink;
  link.target = "t";
  link.size = 0;
  const Entry entry{{{peer, 1}}, {{{peer, 1}, link}}, {}};
  loaded.index.put("d/e/f", {entry, {}, {}});
  loaded.knowledge = entry.context;
  Replica replica(options(), std::move(loaded));
  Reconciler reconciler(replica);
  const auto batch = next(reconciler, replica);
  REQUIRE(batch);
  std::vector<Path> laid;
  for (const ApplyJob& job : batch->jobs) {
    laid.push_back(job.path);
  }
  CHECK(laid == std::vector<Path>{"d", "d/e", "d/e/f"});
}

TEST_CASE("reconcile: what stands as it should is not planned at a start, and what does not is") {
  const Version file = version(1, 10, "beta");
  const Dot dot{peer, 1};
  const Record laid{{{dot}, {{dot, file}}, {}}, {{"f", {dot}, file, {}}}, {}};
  const auto planned = [&](const Record& record, const VersionVector& held) {
    Loaded loaded;
    loaded.index.put("f", record);
    loaded.knowledge = record.entry.context;
    loaded.rows = {{options().self, 0, held}};
    return !Replica(options(), std::move(loaded)).take_dirty().empty();
  };
  CHECK_FALSE(planned(laid, {dot}));
  CHECK(planned(laid, {}));  // how far this node holds things is still to be said
  Record other = laid;
  other.shown = {};
  CHECK(planned(other, {dot}));
  other = laid;
  other.shown[0].version.mode = 0600;
  CHECK(planned(other, {dot}));
  other = laid;
  other.shown[0].dots = {{third, 1}};
  CHECK(planned(other, {dot}));
  other = laid;
  other.shown[0].name = "f.conflict-beta";
  CHECK(planned(other, {dot}));
  other = laid;
  other.entry.versions[0].version.copy = true;
  CHECK(planned(other, {dot}));
}

TEST_CASE("reconcile: no copy is laid while the name beside it is being read") {
  Replica replica(options(), {});
  const Version loser = version(1, 10, "beta");
  const Version winner = version(2, 20, "gamma");
  receive(replica, {{{third, 1}}, {{{third, 1}, winner}}, {}});
  show(replica, "f", {third, 1}, winner);
  receive(replica, {{{peer, 1}}, {{{peer, 1}, loser}}, {}});
  replica.add_staged(loser.content);
  Reconciler reconciler(replica);
  CHECK_FALSE(next(reconciler, replica, "f"));
  const auto batch = next(reconciler, replica);
  REQUIRE(batch);
  CHECK(std::get<Put>(batch->jobs.at(0).steps.at(0)).name == "f.conflict-beta");
}

TEST_CASE("reconcile: trouble with a copy is over when it is laid, whatever its path waits for") {
  Replica replica(options(), {});
  const Version loser = version(1, 10, "beta");
  receive(replica, {{{peer, 1}}, {{{peer, 1}, loser}}, {}});
  receive(replica, {{{third, 1}}, {{{third, 1}, version(2, 20, "gamma")}}, {}});
  replica.add_staged(loser.content);  // and the winner's bytes are nowhere
  Reconciler reconciler(replica);
  REQUIRE(next(reconciler, replica));
  std::ignore =
      reconciler.done({}, {{{"f", {p2psync::Error{p2psync::ErrorCode::io, "write", "f", 5}}}}});
  CHECK(reconciler.problems().size() == 1);

  const Instant later{std::chrono::minutes(1)};
  REQUIRE(next(reconciler, replica, {}, later));
  const Signature laid{Kind::file, 0644, 7, 1, 10, 9};
  std::ignore = reconciler.done(later, {{{"f", {Done{laid, {}, {}}}}}});
  CHECK_FALSE(next(reconciler, replica, {}, later));
  CHECK_FALSE(reconciler.idle());
  CHECK(reconciler.problems().empty());
}

TEST_CASE("reconcile: what was laid within the clock's grain is to be looked at again") {
  Replica replica(options(), {});
  const Version wanted = version(1, 10, "beta");
  receive(replica, {{{peer, 1}}, {{{peer, 1}, wanted}}, {}});
  replica.add_staged(wanted.content);
  Reconciler reconciler(replica);
  REQUIRE(next(reconciler, replica));
  Signature laid{Kind::file, 0644, 7, 1, 10, 9};
  SUBCASE("its signature proves nothing") {
    laid.ctime = 0;
    const auto outcome = reconciler.done({}, {{{"f", {Done{laid, {}, {}}}}}});
    CHECK(outcome.unproven == std::vector<Path>{"f"});
  }
  SUBCASE("or does") {
    CHECK(reconciler.done({}, {{{"f", {Done{laid, {}, {}}}}}}).unproven.empty());
  }
}

TEST_CASE("reconcile: what a path has missed is not held before the path is laid") {
  // Its second event comes alone and brings knowledge of the first, which nobody needs any more.
  Replica replica(options(), {});
  receive(replica, {{{peer, 2}}, {{{peer, 2}, version(1, 10, "beta")}}, {}});
  Reconciler reconciler(replica);
  std::ignore = next(reconciler, replica);
  replica.learn(std::vector<SequenceRange>{{peer, 0, 2}});
  CHECK(reconciler.held().at(peer) == 0);
}

TEST_CASE(
    "reconcile: what stands as it was planned is done with, unless it has changed meanwhile") {
  Replica replica(options(), {});
  receive(replica, {{{peer, 1}}, {{{peer, 1}, version(1, 10, "beta")}}, {}});
  replica.add_staged(version(1, 10, "beta").content);
  Reconciler reconciler(replica);
  REQUIRE(next(reconciler, replica));
  Signature laid{Kind::file, 0644, 7, 1, 10, 9};
  SUBCASE("nothing has") {
    std::ignore = reconciler.done({}, {{{"f", {Done{laid, {}, {}}}}}});
    CHECK(reconciler.idle());
    CHECK(reconciler.held().at(peer) == replica.knowledge().at(peer));
  }
  SUBCASE("its entry has") {
    receive(replica, {{{peer, 2}}, {{{peer, 2}, version(2, 20, "beta")}}, {}});
    replica.learn(std::vector<SequenceRange>{{peer, 0, 2}});
    CHECK_FALSE(next(reconciler, replica));
    std::ignore = reconciler.done({}, {{{"f", {Done{laid, {}, {}}}}}});
    CHECK_FALSE(reconciler.idle());
    CHECK(reconciler.held().at(peer) == 0);
  }
  SUBCASE("the disk could not have it just so") {
    laid.mode = 0600;
    std::ignore = reconciler.done({}, {{{"f", {Done{laid, {}, {}}}}}});
    CHECK_FALSE(reconciler.idle());
  }
}

TEST_CASE(
    "reconcile: what is needed is told while a batch is in flight, what is here waits for it") {
  Replica replica(options(), {});
  const Version here = version(1, 10, "beta");
  const Version missing = version(2, 10, "beta");
  replica.add_staged(here.content);
  replica.merge({"a", {{{peer, 1}}, {{{peer, 1}, here}}, {}}}, {});
  Reconciler reconciler(replica);
  REQUIRE(next(reconciler, replica));
  replica.merge({"b", {{{peer, 2}}, {{{peer, 2}, missing}}, {}}}, {});
  replica.merge({"c", {{{peer, 3}}, {{{peer, 3}, here}}, {}}}, {});
  reconciler.add(replica.take_dirty());
  CHECK(reconciler.wake_at() == Instant{});
  std::vector<Path> told;
  const auto tell = [&](const Path& path, const std::vector<Need>& needs) {
    if (!needs.empty()) {
      told.push_back(path);
    }
  };
  CHECK_FALSE(reconciler.next({}, [](const Path&) { return false; }, tell, false));
  CHECK(told == std::vector<Path>{"b"});
  CHECK_FALSE(reconciler.wake_at());
  const Signature laid{Kind::file, 0644, 7, 1, 10, 9};
  std::ignore = reconciler.done({}, {{{"a", {Done{laid, {}, {}}}}}});
  const auto batch = next(reconciler, replica);
  REQUIRE(batch);
  REQUIRE(batch->jobs.size() == 1);
  CHECK(batch->jobs[0].path == "c");
}

TEST_CASE("reconcile: while contents come in, a batch gathers; the first goes at once") {
  Replica replica(options(), {});
  const auto arrive = [&](const Path& path, std::uint8_t number) {
    const Version one = version(number, 10, "beta");
    replica.add_staged(one.content);
    replica.merge({path, {{{peer, number}}, {{{peer, number}, one}}, {}}}, {});
  };
  Reconciler reconciler(replica);
  const Instant start{std::chrono::hours(1)};
  arrive("a", 1);
  REQUIRE(next(reconciler, replica, {}, start, true));
  arrive("b", 2);
  const Signature laid{Kind::file, 0644, 7, 1, 10, 9};
  std::ignore = reconciler.done(start, {{{"a", {Done{laid, {}, {}}}}}});
  SUBCASE("for a while") {
    CHECK_FALSE(next(reconciler, replica, {}, start, true));
    CHECK(reconciler.wake_at() == start + gather_wait);
    const auto batch = next(reconciler, replica, {}, start + gather_wait, true);
    REQUIRE(batch);
    CHECK(batch->jobs[0].path == "b");
  }
  SUBCASE("until there is enough") {
    CHECK_FALSE(next(reconciler, replica, {}, start, true));
    for (std::size_t i = 1; i < gathered_jobs; ++i) {
      arrive("c" + std::to_string(i), static_cast<std::uint8_t>(3 + i % 200));
    }
    CHECK(next(reconciler, replica, {}, start, true));
  }
  SUBCASE("until nothing more is on its way") {
    CHECK(next(reconciler, replica, {}, start, false));
  }
}

TEST_CASE("reconcile: what can be laid and is not yet is behind, what a look holds up is not") {
  Replica replica(options(), {});
  const Version one = version(1, 10, "beta");
  replica.add_staged(one.content);
  Reconciler reconciler(replica);
  const Instant start{std::chrono::hours(1)};
  std::uint64_t sequence = 0;
  const auto arrive = [&](const std::string& beginning) {
    for (std::size_t i = 0; i < behind_jobs; ++i) {
      const Dot dot{peer, ++sequence};
      replica.merge({beginning + std::to_string(i), {{dot}, {{dot, one}}, {}}}, {});
    }
    reconciler.add(replica.take_dirty());
  };
  const auto next_batch = [&](bool held_up) {
    return reconciler.next(
        start, [held_up](const Path&) { return held_up; },
        [](const Path&, const std::vector<Need>&) {}, true);
  };
  CHECK_FALSE(reconciler.behind());
  arrive("a");
  CHECK(reconciler.behind());
  CHECK_FALSE(next_batch(true));
  CHECK_FALSE(reconciler.behind());
  arrive("b");
  CHECK(reconciler.behind());
}

TEST_CASE(
    "reconcile: contents come while their directory does, and are planned when they are here") {
  Replica replica(options(), {});
  const Version one = version(1, 10, "beta");
  replica.merge({"d/a", {{{peer, 1}}, {{{peer, 1}, one}}, {}}}, {});
  Reconciler reconciler(replica);
  reconciler.add(replica.take_dirty());
  const Instant start{std::chrono::hours(1)};
  std::vector<Hash> told;
  const auto next_batch = [&] {
    return reconciler.next(
        start, [](const Path&) { return false; },
        [&](const Path&, const std::vector<Need>& needs) {
          for (const Need& need : needs) {
            told.push_back(need.content);
          }
        },
        false);
  };
  const auto directory = next_batch();
  REQUIRE(directory);
  REQUIRE(directory->jobs.size() == 1);
  CHECK(directory->jobs[0].path == "d");
  CHECK(told == std::vector{one.content});
  const Signature laid{Kind::directory, 0755, 7, 0, 0, 9};
  std::ignore = reconciler.done(start, {{{"d", {Done{laid, {}, {}}}}}});
  CHECK_FALSE(next_batch());
  CHECK(told.size() == 1);
  replica.add_staged(one.content);
  reconciler.content_changed("d/a");
  const auto file = next_batch();
  REQUIRE(file);
  CHECK(file->jobs[0].path == "d/a");
}
