// A crash, or a fault, at every system call of a batch: every content is somewhere, and no name
// shows anything but a whole one.
#include <cerrno>
#include <functional>

#include "tests/unit/storage_apply_scene.h"

namespace p2psync::tests {
namespace {

using namespace engine;
using storage::Applier;

constexpr std::uint64_t call_max = 1000;

void crash_at(Scene& scene, std::uint64_t call) {
  scene.disk.calls = 0;
  scene.disk.before_call = [&scene, call](std::string_view, std::string_view) {
    if (scene.disk.calls == call) {
      throw sim::Crash{};
    }
  };
}

/// True: it ran to its end. Otherwise a new process can begin.
bool survives(Scene& scene, const std::function<void()>& run) {
  try {
    run();
  } catch (const sim::Crash&) {
    scene.disk.before_call = nullptr;
    scene.disk.restart();
    return false;
  }
  scene.disk.before_call = nullptr;
  return true;
}

/// Nothing was lost, nothing is half, nothing is invented. `sync_failed`: then new bytes may be
/// thrown away, to be fetched anew.
void check_contents(const Scene& scene, bool sync_failed = false) {
  const auto held = [&](const std::string& bytes) { return scene.holds(bytes); };
  CHECK(std::ranges::all_of(scene.old_bytes, held));
  CHECK((sync_failed || std::ranges::all_of(scene.new_bytes, held)));
  CHECK(std::ranges::all_of(scene.disk.tree(), [&](const auto& item) {
    const sim::TreeNode& node = item.second;
    return node.kind == Kind::directory || scene.old_bytes.contains(node.bytes) ||
           scene.new_bytes.contains(node.bytes);
  }));
}

/// Nothing is news; what was displaced is told of until it is on record.
void check_surfaced(const Scene& scene) {
  CHECK(std::ranges::all_of(scene.surfaced, [](const Surfaced& surfaced) {
    return surfaced.seen.content == surfaced.replaced;
  }));
}

void check_recovered(Scene& scene, bool sync_failed = false) {
  check_contents(scene, sync_failed);
  check_surfaced(scene);
  for (const auto& [path, node] : scene.disk.tree(storage::staging_directory)) {
    const std::string_view name = engine::name_of(path);
    if (name.starts_with("batch-log") || (name.starts_with("intent-") && !scene.surfaced.empty())) {
      continue;
    }
    CHECK(storage::from_hex(engine::name_of(path)).has_value());  // staged, whole
    CHECK(storage::sha256(node.bytes) == storage::from_hex(engine::name_of(path)));
  }
}

TEST_CASE("apply: what a cut-off batch displaced is told of until it is on record") {
  bool displaced = false;
  bool over = false;  // then the crash comes before the answers are on record
  for (std::uint64_t call = 1; !over; ++call) {
    REQUIRE(call < call_max);
    Scene scene;
    crash_at(scene, call);
    over = survives(scene, [&] {
      Applier applier(scene.disk);
      std::ignore = applier.apply(scene.apply);
    });
    for (int start = 0; start < 2; ++start) {
      scene.disk.restart();
      Applier applier(scene.disk);
      const auto told = applier.recover(nothing_recorded);
      REQUIRE(told.has_value());
      INFO("crash at call " << call << ", start " << start);
      std::set<std::string> files;
      for (const Surfaced& surfaced : *told) {
        files.insert(surfaced.file);
        displaced = true;
      }
      for (const auto& [path, node] : scene.disk.tree(storage::versions_directory)) {
        // Of "found" the index knows.
        CHECK((engine::name_of(path) == "found" || node.kind != Kind::file ||
               files.contains(std::string(engine::name_of(path)))));
      }
    }
    scene.disk.restart();
    Applier applier(scene.disk);
    const auto told = applier.recover([&](const std::string& file) -> std::optional<Hash> {
      return storage::sha256(*scene.disk.read(storage::kept_path(file)));
    });
    REQUIRE(told.has_value());
    CHECK(told->empty());
  }
  CHECK(displaced);
}

TEST_CASE("apply: what a crash left both staged and laid, as links, is laid only") {
  OnPlainDisk disk;
  const Put put = put_file(disk.fs, "a", "new");
  const std::string staged =
      engine::child_of(storage::staging_directory, storage::to_hex(put.wanted.content));
  REQUIRE(disk.fs.link(staged, "a").has_value());
  Applier applier(disk.fs);
  REQUIRE(applier.recover(nothing_recorded).has_value());
  CHECK_FALSE(exists(disk.fs, staged));
  CHECK(content_of(disk.fs, "a") == "new");
}

TEST_CASE("apply: the intent goes when the next batch begins") {
  OnSimDisk disk;
  make_file(disk.fs, "a", "old");
  Applier applier(disk.fs);
  CHECK(only<Done>(apply_one(applier, {put_file(disk.fs, "a", "new")})) != nullptr);
  CHECK(staging_names(disk.fs, "intent-") == 1);
  CHECK(only<Done>(apply_one(applier, {put_file(disk.fs, "b", "another")})) != nullptr);
  CHECK(staging_names(disk.fs, "intent-") == 0);
}

TEST_CASE("apply: a crash at any system call loses nothing, nor does one while recovering") {
  for (const bool exchange : {true, false}) {
    bool over = false;
    for (std::uint64_t call = 1; !over; ++call) {
      REQUIRE(call < call_max);
      bool recovered = false;
      for (std::uint64_t second = 1; !recovered; ++second) {
        REQUIRE(second < call_max);
        Scene scene(exchange);
        crash_at(scene, call);
        over = survives(scene, [&] {
          Applier applier(scene.disk);
          std::ignore = applier.apply(scene.apply);
        });
        INFO("crash at call " << call << ", then at " << second << " of the recovery");
        check_contents(scene);
        crash_at(scene, second);
        recovered = survives(scene, [&] {
          Applier applier(scene.disk);
          scene.recover(applier);
        });
        if (!recovered) {
          check_contents(scene);
          Applier applier(scene.disk);
          scene.recover(applier);
        }
        check_recovered(scene);
        // The loser lives on: it has its conflict name, or is told of so that it gets one.
        CHECK(scene.owns_up_to("old a"));
      }
    }
  }
}

TEST_CASE("apply: after a crash at any call the same batch can be planned again and done") {
  bool over = false;
  for (std::uint64_t call = 1; !over; ++call) {
    REQUIRE(call < call_max);
    Scene scene;
    crash_at(scene, call);
    over = survives(scene, [&] {
      Applier applier(scene.disk);
      std::ignore = applier.apply(scene.apply);
    });
    INFO("crash at call " << call);
    Applier applier(scene.disk);
    scene.recover(applier);
    for (const char* name : {"a", "b", "c", "f"}) {
      const std::string wanted = std::string("new ") + name;
      const Hash hash = storage::sha256(std::string_view(wanted));
      if (scene.disk.read(name) == wanted) {
        continue;
      }
      REQUIRE(exists(scene.disk, storage::staged_path(hash)));
      const auto results =
          apply_one(applier, {put_at(scene.disk, name, wanted_file(wanted), Staged{})});
      CHECK(only<Done>(results) != nullptr);
      CHECK(scene.disk.read(name) == wanted);
    }
  }
}

TEST_CASE("apply: an editor that writes after the crash surfaces at the next start") {
  bool over = false;
  for (std::uint64_t call = 1; !over; ++call) {
    REQUIRE(call < call_max);
    for (const char* name : {"b", "d", "e", "g", "m"}) {
      Scene scene;
      auto editor = scene.disk.open_writer(name);
      REQUIRE(editor.has_value());
      crash_at(scene, call);
      over = survives(scene, [&] {
        Applier applier(scene.disk);
        std::ignore = applier.apply(scene.apply);
      });
      INFO("crash at call " << call << ", editor on " << name);
      if (call % 2 == 0) {
        editor->write(0, "later");
      }
      Applier applier(scene.disk);
      scene.recover(applier);
      if (call % 2 == 1) {
        editor->write(0, "later");
      }
      editor.reset();
      scene.settle(applier);
      CHECK(scene.owns_up_to("later"));
      CHECK(applier.still_open() == 0);
    }
  }
}

TEST_CASE("apply: what the index has on record does not surface twice") {
  Scene scene;
  auto editor = scene.disk.open_writer("b");
  std::string file;
  {
    Applier applier(scene.disk);
    scene.answers = applier.apply(scene.apply);
    file = std::get<Done>(scene.answers[1].results[0]).displaced->file;
    CHECK(std::get<Done>(scene.answers[1].results[0]).displaced->still_open);
    CHECK(applier.still_open() == 1);
    CHECK(applier.revisit().empty());
    editor->write(0, "more");
    const auto surfaced = applier.revisit();
    REQUIRE(surfaced.size() == 1);
    CHECK(surfaced[0].file == file);
    CHECK(surfaced[0].name == "b");
    CHECK(surfaced[0].replaced == storage::sha256(std::string_view("old b")));
    CHECK(applier.revisit().empty());
  }
  const Hash recorded = storage::sha256(std::string_view("moreb"));
  CHECK(scene.disk.read(storage::kept_path(file)) == "moreb");
  scene.disk.restart();
  {
    Applier applier(scene.disk);
    const auto again = applier.recover(nothing_recorded).value();
    const auto it = std::ranges::find(again, file, &Surfaced::file);
    REQUIRE(it != again.end());  // nobody had recorded it
    CHECK(it->seen.content == recorded);
    CHECK(it->replaced == storage::sha256(std::string_view("old b")));
  }
  scene.disk.restart();
  Applier applier(scene.disk);
  const auto on_record = [&](const std::string& kept) {
    return std::optional(storage::sha256(*scene.disk.read(storage::kept_path(kept))));
  };
  CHECK(applier.recover(on_record)->empty());
  CHECK(applier.still_open() == 1);
  editor.reset();
  CHECK(applier.revisit().empty());
  CHECK(applier.still_open() == 0);
  CHECK(left_over(scene.disk) == 0);
}

TEST_CASE("apply: without a log nothing is changed at all") {
  OnSimDisk disk;
  for (const char* name : {"mode", "gone"}) {
    REQUIRE(disk.fs.make_directory(name, 0755).has_value());
  }
  engine::Wanted other_mode = wanted_directory();
  other_mode.mode = 0700;
  disk.disk.fault = [](std::string_view operation, std::string_view path) {
    return operation == "create" && path.contains("batch-log") ? EIO : 0;
  };
  Applier applier(disk.fs);
  const auto answers = applier.apply(
      batch({{"mode", {put_at(disk.fs, "mode", other_mode, engine::Nothing{})}},
             {"made", {put_at(disk.fs, "made", wanted_directory(), engine::Nothing{})}},
             {"gone", {remove_at(disk.fs, "gone")}}}));
  for (const engine::Applied& job : answers) {
    REQUIRE(job.results.size() == 1);
    CHECK(std::holds_alternative<Error>(job.results[0]));
  }
  CHECK(disk.fs.stat("mode")->signature.mode == 0755);
  CHECK_FALSE(exists(disk.fs, "made"));
  CHECK(exists(disk.fs, "gone"));
}

TEST_CASE("apply: displaced bytes surface once at a start, whatever intents a crash has left") {
  std::size_t intents = 0;
  bool over = false;
  for (std::uint64_t call = 1; !over; ++call) {
    REQUIRE(call < call_max);
    OnSimDisk disk;
    make_file(disk.fs, "a", "old");
    auto editor = disk.disk.open_writer("a");
    {
      Applier applier(disk.fs);
      std::ignore = apply_one(applier, {put_file(disk.fs, "a", "new")});
      disk.disk.calls = 0;
      disk.disk.before_call = [&](std::string_view, std::string_view) {
        if (disk.disk.calls == call) {
          throw sim::Crash{};
        }
      };
      try {
        std::ignore = applier.apply({});  // its intent gives way to one of what is left in limbo
        over = true;
      } catch (const sim::Crash&) {
      }
    }
    disk.disk.before_call = nullptr;
    editor->write(0, "mine");
    disk.disk.restart();
    intents = std::max(intents, staging_names(disk.fs, "intent-"));
    Applier applier(disk.fs);
    const auto surfaced = applier.recover(nothing_recorded);
    REQUIRE(surfaced.has_value());
    CHECK(surfaced->size() == 1);
  }
  CHECK(intents == 2);
}

TEST_CASE("apply: a late write surfaces, whatever a look just then is refused") {
  constexpr std::uint64_t calls_max = 25;
  for (std::uint64_t writes = 1; writes < calls_max; ++writes) {
    for (std::uint64_t refused = 1; refused < calls_max; ++refused) {
      INFO("the user writes at call " << writes << ", and call " << refused << " is refused");
      OnSimDisk disk;
      make_file(disk.fs, "a", "old");
      auto editor = disk.disk.open_writer("a");
      Applier applier(disk.fs);
      std::ignore = apply_one(applier, {put_file(disk.fs, "a", "new")});
      const auto write = [&] {
        if (editor) {
          editor->write(0, "mine");
          editor.reset();
        }
      };
      disk.disk.calls = 0;
      disk.disk.before_call = [&](std::string_view, std::string_view) {
        if (disk.disk.calls == writes) {
          write();
        }
      };
      disk.disk.fault = [&](std::string_view, std::string_view) {
        return disk.disk.calls == refused ? EACCES : 0;
      };
      std::size_t surfaced = applier.revisit().size();
      CHECK(disk.disk.calls < calls_max);
      disk.disk.before_call = nullptr;
      disk.disk.fault = nullptr;
      write();
      surfaced += applier.revisit().size();
      CHECK(surfaced == 1);
    }
  }
}

TEST_CASE("apply: a step that failed is not taken for done if it could not be struck out") {
  OnSimDisk disk;
  int logs = 0;
  disk.disk.fault = [&](std::string_view operation, std::string_view path) {
    return operation == "create" && path.contains("batch-log") && ++logs == 2 ? ENOSPC : 0;
  };
  Apply apply = batch({{"a", {put_file(disk.fs, "a", "new")}}});
  apply.batch = 7;
  make_file(disk.fs, "a", "a user's");
  {
    Applier applier(disk.fs);
    const auto answers = applier.apply(apply);
    REQUIRE(std::holds_alternative<Obstructed>(answers.at(0).results.at(0)));
    REQUIRE(logs == 2);
  }
  disk.disk.restart();
  Applier applier(disk.fs);
  REQUIRE(applier.recover(nothing_recorded).has_value());
  CHECK(applier.relaid().empty());
  CHECK(left_over(disk.fs) == 1);  // staged again
}

TEST_CASE("apply: where leases prove something, only one that is granted ends the watch") {
  OnSimDisk disk;
  make_file(disk.fs, "a", "old");
  auto editor = disk.disk.open_writer("a");
  Applier applier(disk.fs);
  std::ignore = apply_one(applier, {put_file(disk.fs, "a", "new")});
  REQUIRE(applier.still_open() == 1);
  disk.disk.lease = storage::Lease::unknown;  // an error, once
  disk.disk.disk().now += 61'000'000'000;
  CHECK(applier.revisit().empty());
  disk.disk.lease.reset();
  editor->write(0, "late");
  editor.reset();
  const auto surfaced = applier.revisit();
  REQUIRE(surfaced.size() == 1);
  CHECK(surfaced[0].seen.content == storage::sha256("late"));
  CHECK(applier.still_open() == 0);
}

TEST_CASE("apply: where a lease proves nothing, a replaced file is hashed again after the grace") {
  OnSimDisk disk;
  disk.disk.lease = storage::Lease::unknown;
  make_file(disk.fs, "a", "old");
  make_file(disk.fs, "b", "old b");
  auto mapped = disk.disk.open_writer("a");
  Applier applier(disk.fs);
  const auto results =
      apply_one(applier, {put_file(disk.fs, "a", "new"), put_file(disk.fs, "b", "new b")});
  CHECK(std::get<Done>(results[0]).displaced->still_open);
  CHECK(applier.still_open() == 2);
  // A write through a mapping that the time does not show.
  const auto& kept = std::get<Done>(results[0]).displaced->file;
  mapped->write(0, "OLD");
  disk.disk.utimes(storage::kept_path(kept), old_time);
  disk.disk.disk().now += 59'000'000'000;
  const auto early = applier.revisit();
  disk.disk.disk().now += 2'000'000'000;
  auto late = applier.revisit();
  late.insert(late.end(), early.begin(), early.end());
  REQUIRE(late.size() == 1);
  CHECK(late[0].file == kept);
  CHECK(late[0].seen.content == storage::sha256(std::string_view("OLD")));
  CHECK(applier.still_open() == 0);
}

TEST_CASE(
    "apply: where a lease proves nothing, a replaced file is watched until the grace is over") {
  OnSimDisk disk;
  disk.disk.lease = storage::Lease::unknown;
  make_file(disk.fs, "a", "old");
  auto editor = disk.disk.open_writer("a");
  Applier applier(disk.fs);
  std::ignore = apply_one(applier, {put_file(disk.fs, "a", "new")});
  disk.disk.disk().now += 10'000'000'000;
  CHECK(applier.revisit().empty());
  editor->write(0, "late");
  disk.disk.disk().now += 51'000'000'000;
  const auto surfaced = applier.revisit();
  REQUIRE(surfaced.size() == 1);
  CHECK(surfaced[0].seen.content == storage::sha256("late"));
}

TEST_CASE("apply: a directory that is gone and whose place is empty stays away after a power cut") {
  // The look that follows finds nothing, and puts that on record: the disk may not be behind.
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    OnSimDisk disk;
    REQUIRE(disk.fs.make_directory("d", 0755).has_value());
    disk.disk.disk().sync_all();
    Applier applier(disk.fs);
    disk.disk.fault = [&disk](std::string_view operation, std::string_view) {
      return operation == "rename" && !disk.disk.exists("d") ? EACCES : 0;
    };
    const auto results = apply_one(applier, {put_at(disk.fs, "d", wanted_link("x"), Nothing{})});
    REQUIRE(only<engine::Unsure>(results) != nullptr);
    engine::Random random(seed);
    disk.disk.power_cut(random);
    CHECK(!disk.disk.exists("d"));
  }
}

TEST_CASE("apply: any call may fail, once or from then on, and nothing is lost nor claimed") {
  for (const int number : {EIO, ENOSPC, EACCES}) {
    for (const bool for_good : {false, true}) {
      bool over = false;
      for (std::uint64_t call = 1; !over; ++call) {
        REQUIRE(call < call_max);
        Scene scene;
        bool sync_failed = false;
        scene.disk.fault = [&](std::string_view operation, std::string_view) {
          const bool fails = scene.disk.calls == call || (for_good && scene.disk.calls > call);
          sync_failed = sync_failed || (fails && operation.contains("sync"));
          return fails ? number : 0;
        };
        INFO("errno " << number << " at call " << call << (for_good ? " and ever after" : ""));
        {
          Applier applier(scene.disk);
          scene.answers = applier.apply(scene.apply);
          over = scene.disk.calls < call;
          check_contents(scene, sync_failed);
          scene.check_answers();
          scene.disk.fault = nullptr;
          scene.settle(applier);
          CHECK(applier.still_open() == 0);
          check_surfaced(scene);
        }
        scene.disk.restart();
        Applier applier(scene.disk);
        scene.recover(applier);
        check_recovered(scene, sync_failed);
      }
    }
  }
}

}  // namespace
}  // namespace p2psync::tests
