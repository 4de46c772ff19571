// The index on the simulated disk: every call fails once, every call is the last one.
#include <doctest/doctest.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "storage/index_store.h"
#include "tests/sim/sim_fs.h"

using namespace p2psync;
using storage::IndexStore;

namespace {

constexpr engine::NodeId self = 5;
constexpr const char* index_file = ".p2psync/index.db";
constexpr std::size_t records_in_commit = 8;

std::string path_of(std::size_t at) {
  return "directory/file" + std::to_string(at);
}

engine::Record record_of(std::uint64_t number) {
  engine::Record record;
  record.entry.context.add({{self, 7}, number});
  engine::Version version;
  version.kind = engine::Kind::symlink;
  version.label = "node1";
  // Long enough that a commit has several pages.
  version.target = std::string(500, static_cast<char>('a' + (number % 26)));
  record.entry.versions.push_back({{{self, 7}, number}, version});
  return record;
}

/// The nth commit, from 1: all of its rows carry its number.
engine::Change change_of(std::uint64_t number) {
  engine::Change change;
  for (std::size_t at = 0; at < records_in_commit; ++at) {
    change.records.push_back({path_of(at), record_of(number)});
  }
  change.knowledge = engine::VersionVector{{{self, 7}, number}};
  return change;
}

Result<void> commit(IndexStore& store, std::uint64_t number) {
  const engine::Change change = change_of(number);
  return store.commit({&change, 1});
}

/// How many commits are in the index, which must hold exactly what that many have made.
std::uint64_t commits_in(IndexStore& store) {
  const auto loaded = store.load();
  REQUIRE_MESSAGE(loaded.has_value(), loaded.error().message());
  const std::uint64_t count = loaded->knowledge.at({self, 7});
  CHECK(loaded->index.size() == (count == 0 ? 0 : records_in_commit));
  loaded->index.for_each("", "", [count](const engine::Path&, const engine::Record& record) {
    CHECK(record.entry == record_of(count).entry);
    return true;
  });
  return count;
}

std::unique_ptr<IndexStore> must_open(sim::SimFs& fs) {
  auto store = IndexStore::open(fs, index_file, self, 1);
  REQUIRE_MESSAGE(store.has_value(), store.error().message());
  return std::move(*store);
}

/// A disk on which nothing has happened yet, or the one that a start finds after `commits`.
sim::Disk disk_after(std::uint64_t commits) {
  sim::SimFs fs;
  fs.mkdir(".p2psync");
  if (commits == 0) {
    return fs.image();
  }
  const auto store = must_open(fs);
  for (std::uint64_t number = 1; number <= commits; ++number) {
    REQUIRE(commit(*store, number).has_value());
  }
  return fs.image();  // killed: the WAL is there
}

/// So many that the next one is followed by a checkpoint: it writes to the database itself.
std::uint64_t commits_before_checkpoint() {
  sim::SimFs fs(disk_after(0));
  bool checkpoint = false;  // before the store, which calls until it is closed
  const auto store = must_open(fs);
  fs.before_call = [&](std::string_view operation, std::string_view path) {
    checkpoint = checkpoint || (operation == "File::write" && path == index_file);
  };
  std::uint64_t number = 0;
  while (!checkpoint) {
    REQUIRE(commit(*store, ++number).has_value());
  }
  return number - 1;
}

/// What a start finds, and from which of its calls on it is disturbed.
struct Start {
  explicit Start(std::uint64_t before) : commits(before), disk(disk_after(before)) {}

  std::uint64_t commits;
  sim::Disk disk;
  std::uint64_t first_call = 1;
};

Start new_index() {
  return Start(0);
}

Start after_a_kill() {
  return Start(3);
}

/// Recovery reads a thousand frames there: what follows it is of interest.
Start before_a_checkpoint() {
  Start start(commits_before_checkpoint());
  sim::SimFs fs(start.disk);
  const auto store = must_open(fs);
  start.first_call = fs.calls + 1;
  return start;
}

constexpr std::uint64_t more_commits = 3;

}  // namespace

TEST_CASE("index disk: what was committed is there after a restart, and leaves one file at rest") {
  sim::SimFs fs(disk_after(0));
  {
    const auto store = must_open(fs);
    CHECK(store->epoch() == static_cast<std::uint64_t>(fs.wall_time()) / 1'000'000);
    REQUIRE(commit(*store, 1).has_value());
    CHECK(fs.exists(".p2psync/index.db-wal"));
  }
  CHECK(fs.tree(".p2psync").size() == 1);
  CHECK(commits_in(*must_open(fs)) == 1);
}

TEST_CASE("index disk: that the brake is on is known after a restart, and nothing else says so") {
  sim::SimFs fs(disk_after(1));
  const auto braked = [&fs](std::optional<bool> said) {
    {
      const auto store = must_open(fs);
      engine::Change change = change_of(2);
      change.braked = said;
      REQUIRE(store->commit({&change, 1}).has_value());
    }
    return must_open(fs)->load()->braked;
  };
  CHECK(!braked(std::nullopt));
  CHECK(braked(true));
  CHECK(braked(std::nullopt));
  CHECK(!braked(false));
}

TEST_CASE("index disk: each disk has its own index, at once") {
  sim::SimFs one(disk_after(0));
  sim::SimFs two(disk_after(0));
  const auto first = must_open(one);
  const auto second = must_open(two);
  REQUIRE(commit(*first, 1).has_value());
  CHECK(commits_in(*second) == 0);
  REQUIRE(commit(*second, 1).has_value());
  REQUIRE(commit(*second, 2).has_value());
  CHECK(commits_in(*first) == 1);
  CHECK(commits_in(*second) == 2);
}

TEST_CASE("index disk: with equal seeds the disks are equal to the byte") {
  const auto wal_of = [](std::uint64_t seed) {
    sim::SimFs fs(disk_after(0));
    const auto store = *IndexStore::open(fs, index_file, self, seed);
    REQUIRE(commit(*store, 1).has_value());
    return fs.read(".p2psync/index.db-wal");
  };
  CHECK(wal_of(1).has_value());
  CHECK(wal_of(1) == wal_of(1));
  CHECK(wal_of(1) != wal_of(2));
}

TEST_CASE("index disk: a value of many pages needs no temporary file") {
  sim::SimFs fs(disk_after(0));
  const auto store = must_open(fs);
  for (std::uint64_t round = 1; round <= 3; ++round) {
    engine::Change change;
    change.knowledge.emplace();
    for (std::uint64_t actor = 1; actor < 50'000; ++actor) {
      change.knowledge->add({{actor, actor}, round});
    }
    const auto done = store->commit({&change, 1});
    REQUIRE_MESSAGE(done.has_value(), done.error().message());
  }
  CHECK(fs.tree(".p2psync").size() == 2);
}

TEST_CASE("index disk: the error says what the disk said") {
  sim::SimFs fs(disk_after(1));
  const auto store = must_open(fs);
  const auto refuse = [&](const std::string& operation, int number) {
    fs.fault = [=](std::string_view called, std::string_view) {
      return called == operation ? number : 0;
    };
    const auto done = commit(*store, 2);
    fs.fault = nullptr;
    REQUIRE_FALSE(done.has_value());
    return done.error();
  };
  const std::string wal = ".p2psync/index.db-wal";
  CHECK(refuse("File::write", ENOSPC) == Error{ErrorCode::no_space, "write", wal, ENOSPC});
  CHECK(refuse("File::write", EIO) == Error{ErrorCode::io, "write", wal, EIO});
  CHECK(refuse("File::sync", EIO) == Error{ErrorCode::io, "fsync", wal, EIO});
  REQUIRE(commit(*store, 2).has_value());
  CHECK(commits_in(*store) == 2);
}

TEST_CASE("index disk: the name of every file is synced after its first bytes") {
  std::uint64_t before = 0;
  SUBCASE("all files are new") {}
  SUBCASE("a start that was killed has made them") {
    before = 1;
  }
  sim::SimFs fs(disk_after(before));
  std::set<std::string> synced;
  std::optional<std::string> waits;
  fs.before_call = [&](std::string_view operation, std::string_view path) {
    if (waits) {
      CHECK(operation == "sync_directory");
      CHECK(path == ".p2psync");
      waits.reset();
    }
    if (operation == "File::sync" && synced.emplace(path).second) {
      waits = path;
    }
  };
  const auto store = must_open(fs);
  REQUIRE(commit(*store, before + 1).has_value());
  CHECK_FALSE(waits.has_value());
  CHECK(synced.contains(".p2psync/index.db-wal"));
  CHECK(synced.contains(index_file));
}

TEST_CASE("index disk: what the disk refuses once can be tried again, and nothing is torn") {
  Start start = new_index();
  SUBCASE("a new index") {}
  SUBCASE("after a kill") {
    start = after_a_kill();
  }
  SUBCASE("with a checkpoint") {
    start = before_a_checkpoint();
  }
  for (const int number : {EIO, ENOSPC}) {
    std::uint64_t refused = 0;
    bool reached = true;
    for (std::uint64_t at = start.first_call; reached; ++at) {
      CAPTURE(at);
      sim::SimFs fs(start.disk);
      reached = false;
      fs.fault = [&](std::string_view, std::string_view) {
        const bool now = fs.calls == at;
        reached = reached || now;
        return now ? number : 0;
      };
      auto opened = IndexStore::open(fs, index_file, self, 1);
      if (!opened) {
        refused++;
        CHECK(opened.error().error_number == number);
        opened = IndexStore::open(fs, index_file, self, 1);
      }
      REQUIRE_MESSAGE(opened.has_value(), opened.error().message());
      std::uint64_t count = start.commits;
      while (count < start.commits + more_commits) {
        if (const auto done = commit(**opened, count + 1); !done) {
          refused++;
          CHECK(done.error().error_number == number);
          CHECK(commits_in(**opened) == count);
          // A kill now: it may have been refused when all of it was there.
          sim::SimFs next(fs.image());
          const std::uint64_t there = commits_in(*must_open(next));
          CHECK((there == count || there == count + 1));
          REQUIRE(commit(**opened, count + 1).has_value());
        }
        count++;
        CHECK(commits_in(**opened) == count);
      }
      opened->reset();
      fs.fault = nullptr;
      CHECK(commits_in(*must_open(fs)) == count);
    }
    CHECK(refused > 0);
  }
}

/// What is found after a power cut that leaves nothing but what was synced.
std::uint64_t commits_after_power_cut(const sim::SimFs& fs) {
  sim::SimFs next(fs.disk().power_cuts(1).images.front());
  return commits_in(*must_open(next));
}

TEST_CASE("index disk: what was confirmed after a sync that failed survives a power cut") {
  for (std::uint64_t fails = 1; fails <= 12; ++fails) {
    CAPTURE(fails);
    sim::SimFs fs(disk_after(0));
    std::uint64_t syncs = 0;  // outlives the store, which syncs when it closes
    auto store = must_open(fs);
    fs.fault = [&](std::string_view operation, std::string_view) {
      return operation == "File::sync" && ++syncs == fails ? EIO : 0;
    };
    for (std::uint64_t count = 1; count <= 12; ++count) {
      while (!commit(*store, count)) {
      }
      CHECK(commits_after_power_cut(fs) == count);
    }
    CHECK(syncs >= fails);
  }
}

TEST_CASE("index disk: what is told at a start survives a power cut") {
  // A process that was killed in a commit leaves pages that were written and not synced.
  sim::SimFs fs(disk_after(1));
  auto store = must_open(fs);
  fs.before_call = [&](std::string_view operation, std::string_view path) {
    if (operation == "File::sync" && path == ".p2psync/index.db-wal") {
      throw sim::Crash{};
    }
  };
  CHECK_THROWS_AS(std::ignore = commit(*store, 2), sim::Crash);
  store.reset();
  fs.before_call = nullptr;
  fs.restart();
  const std::uint64_t told = commits_in(*must_open(fs));
  CHECK(commits_after_power_cut(fs) == told);
}

TEST_CASE("index disk: an index that cannot be read just now is not damaged") {
  sim::SimFs fs(after_a_kill().disk);
  must_open(fs).reset();  // all pages go from the WAL into the database
  std::uint64_t refused = 0;
  bool reached = true;
  for (std::uint64_t at = 1; reached; ++at) {
    CAPTURE(at);
    std::uint64_t reads = 0;
    fs.fault = [&](std::string_view operation, std::string_view path) {
      return operation == "File::read" && path == index_file && ++reads == at ? EIO : 0;
    };
    const auto opened = IndexStore::open(fs, index_file, self, 1);
    reached = reads >= at;
    if (!opened) {
      refused++;
      CHECK(opened.error() == Error{ErrorCode::io, "read", index_file, EIO});
    }
  }
  CHECK(refused > 1);
}

TEST_CASE("index disk: with a rotten bit it is as it was, or damaged, but never another one") {
  sim::SimFs start(disk_after(2));
  must_open(start).reset();  // all pages go from the WAL into the database
  const sim::Disk image = start.image();
  const std::size_t size = start.read(index_file)->size();
  std::size_t refused = 0;
  for (std::size_t at = 0; at < size; at += at < 100 ? 1 : 11) {
    CAPTURE(at);
    sim::SimFs fs(image);
    REQUIRE(fs.rot(index_file, at));
    const auto opened = IndexStore::open(fs, index_file, self, 1);
    if (!opened || !(*opened)->load()) {
      ++refused;
      continue;
    }
    CHECK((*opened)->fresh());
    CHECK(commits_in(**opened) == 2);
    CHECK(commit(**opened, 3).has_value());
  }
  CHECK(refused > 100);
}

TEST_CASE("index disk: a crash at any call leaves the commits that were confirmed, or one more") {
  Start start = new_index();
  SUBCASE("a new index") {}
  SUBCASE("after a kill") {
    start = after_a_kill();
  }
  SUBCASE("with a checkpoint") {
    start = before_a_checkpoint();
  }
  std::set<std::uint64_t> seen;
  bool reached = true;
  for (std::uint64_t at = start.first_call; reached; ++at) {
    CAPTURE(at);
    sim::SimFs fs(start.disk);
    fs.before_call = [&](std::string_view, std::string_view) {
      if (fs.calls == at) {
        throw sim::Crash{};
      }
    };
    std::uint64_t confirmed = start.commits;
    std::unique_ptr<IndexStore> store;
    try {
      store = must_open(fs);
      while (confirmed < start.commits + more_commits) {
        const bool done = commit(*store, confirmed + 1).has_value();
        REQUIRE(done);
        confirmed++;
        // Also where SQLite takes no notice of a failed call, as in a checkpoint.
        REQUIRE_FALSE(fs.crashed());
      }
    } catch (const sim::Crash&) {
      CHECK(fs.crashed());
    }
    store.reset();
    reached = fs.crashed();

    sim::SimFs next(fs.image());
    const auto found = must_open(next);
    const std::uint64_t count = commits_in(*found);
    CHECK(count >= confirmed);
    CHECK(count <= confirmed + 1);
    seen.insert(count);
    REQUIRE(commit(*found, count + 1).has_value());
    CHECK(commits_in(*found) == count + 1);
  }
  CHECK(seen.size() == more_commits + 1);
}

TEST_CASE("index disk: what the disk throws comes through SQLite, and the index goes on") {
  const Start start = after_a_kill();
  std::uint64_t thrown = 0;
  bool reached = true;
  for (std::uint64_t at = 1; reached; ++at) {
    CAPTURE(at);
    sim::SimFs fs(start.disk);
    reached = false;
    fs.before_call = [&](std::string_view, std::string_view) {
      if (fs.calls == at) {
        reached = true;
        throw std::bad_alloc();
      }
    };
    const auto tried_twice = [&](const auto& work) {
      try {
        return work();
      } catch (const std::bad_alloc&) {
        thrown++;
        return work();
      }
    };
    const auto store = tried_twice([&] { return must_open(fs); });
    REQUIRE(tried_twice([&] { return commit(*store, start.commits + 1); }).has_value());
    CHECK(tried_twice([&] { return commits_in(*store); }) == start.commits + 1);
    REQUIRE(tried_twice([&] { return commit(*store, start.commits + 2); }).has_value());
    CHECK(tried_twice([&] { return commits_in(*store); }) == start.commits + 2);
  }
  CHECK(thrown > 0);
}
