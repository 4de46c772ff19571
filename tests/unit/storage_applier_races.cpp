// A user at every system call of a batch: no byte is lost, no answer is false.
#include <functional>

#include "tests/unit/storage_apply_scene.h"

namespace p2psync::tests {
namespace {

using namespace engine;
using storage::Applier;

constexpr std::uint64_t call_max = 1000;
/// As long as the old bytes: only the time gives the write away.
const std::string users = "user!";

/// What a user may do to a name between two system calls; true: `users` stands somewhere then.
struct Act {
  std::string what;
  std::function<bool(sim::SimFs& disk, const std::string& name)> act;
};

const std::vector<Act>& acts() {
  static const std::vector<Act> all = {
      {"saves by rename", [](auto& disk, auto& name) { return disk.save_file(name, users); }},
      {"writes in place",
       [](auto& disk, auto& name) { return disk.exists(name) && disk.write_file(name, users); }},
      {"makes it anew",
       [](auto& disk, auto& name) {
         disk.remove(name);
         return disk.write_file(name, users);
       }},
      {"deletes it", [](auto& disk, auto& name) { return disk.remove(name) && false; }},
      {"puts a directory there",
       [](auto& disk, auto& name) {
         disk.remove(name);
         return disk.mkdir(name) && disk.write_file(name + "/below", users);
       }},
      {"puts a symlink there",
       [](auto& disk, auto& name) {
         disk.remove(name);
         return disk.symlink("target", name) && false;
       }},
      {"puts a FIFO there",
       [](auto& disk, auto& name) {
         disk.remove(name);
         return disk.make_special(name) && false;
       }},
      {"moves an old file there",
       [](auto& disk, auto& name) {
         const std::string other = name + ".old";
         return disk.write_file(other, users) && disk.utimes(other, old_time) &&
                disk.rename_path(other, name);
       }},
      {"renames it away and writes anew",
       [](auto& disk, auto& name) {
         disk.rename_path(name, name + ".moved");
         return disk.write_file(name, users);
       }},
  };
  return all;
}

/// Everything that nobody touched must be there, what was touched must be accounted for.
void check_scene(const Scene& scene, const std::string& touched, bool wrote) {
  scene.check_answers();
  if (wrote) {
    CHECK(scene.owns_up_to(users));
  }
  const std::string job = touched == "a.conflict-n" ? "a" : touched == "n" ? "m" : touched;
  CHECK(std::ranges::all_of(scene.old_bytes, [&](const std::string& bytes) {
    return bytes.ends_with(job) || scene.holds(bytes);
  }));
  CHECK(std::ranges::all_of(scene.new_bytes, [&](const std::string& bytes) {
    return bytes.ends_with(job) || scene.shows(bytes);
  }));
  CHECK(!scene.has_slots());
}

/// One act at one call. True: the batch was that long.
bool disturb(Scene& scene, const Act& act, const std::string& name, std::uint64_t call) {
  bool wrote = false;
  scene.disk.before_call = [&](std::string_view, std::string_view) {
    if (scene.disk.calls == call) {
      wrote = act.act(scene.disk, name);
    }
  };
  Applier applier(scene.disk);
  scene.answers = applier.apply(scene.apply);
  scene.disk.before_call = nullptr;
  const bool reached = scene.disk.calls >= call;
  scene.settle(applier);
  INFO("the user " << act.what << ": " << name << " at call " << call);
  check_scene(scene, name, wrote);
  CHECK(applier.still_open() == 0);
  return reached;
}

TEST_CASE("apply: a user at any system call loses nothing") {
  for (const auto hashes : {Scene::Hashes::known, Scene::Hashes::unknown}) {
    for (const Act& act : acts()) {
      if (hashes == Scene::Hashes::unknown && !act.what.contains("place") &&
          !act.what.contains("save")) {
        continue;  // the others do not depend on it
      }
      for (const std::string name : Scene::names) {
        bool reached = true;
        for (std::uint64_t call = 1; reached; ++call) {
          REQUIRE(call < call_max);
          Scene scene(true, hashes);
          reached = disturb(scene, act, name, call);
        }
      }
    }
  }
}

TEST_CASE("apply: what had a name for a moment only may have been written to") {
  // A directory there makes the exchange go back; who writes to the file that was laid in between
  // has written to a file of the tree.
  bool ever = false;
  for (const std::string name : {"a", "b", "d", "e"}) {
    bool reached = true;
    for (std::uint64_t call = 1; reached; ++call) {
      for (std::uint64_t later = call + 1; later < call + 6; ++later) {
        CAPTURE(name);
        CAPTURE(call);
        CAPTURE(later);
        Scene scene(true);
        bool wrote = false;
        scene.disk.before_call = [&](std::string_view, std::string_view) {
          if (scene.disk.calls == call) {
            scene.disk.remove(name);
            scene.disk.mkdir(name);
          } else if (scene.disk.calls == later && scene.disk.read(name)) {
            wrote = scene.disk.write_file(name, users);
          }
        };
        Applier applier(scene.disk);
        scene.answers = applier.apply(scene.apply);
        scene.disk.before_call = nullptr;
        reached = scene.disk.calls >= call;
        scene.settle(applier);
        CHECK((scene.owns_up_to(users) || !wrote));
        for (const Surfaced& one : scene.surfaced) {
          // What was laid and came back as it was is no event of anybody's.
          const auto kept = scene.disk.read(storage::kept_path(one.file));
          CHECK((!kept || !scene.new_bytes.contains(*kept) || one.replaced == one.seen.content));
        }
        CHECK(applier.still_open() == 0);
        CHECK(!scene.has_slots());
        ever = ever || wrote;
      }
      REQUIRE(call < call_max);
    }
  }
  CHECK(ever);
}

TEST_CASE("apply: without exchange a user who writes in place or deletes loses nothing") {
  for (const Act& act : acts()) {
    if (act.what != "writes in place" && act.what != "deletes it") {
      continue;
    }
    for (const std::string name : Scene::names) {
      bool reached = true;
      for (std::uint64_t call = 1; reached; ++call) {
        REQUIRE(call < call_max);
        Scene scene(false);
        reached = disturb(scene, act, name, call);
      }
    }
  }
}

TEST_CASE("apply: without exchange what a user puts there before the link stays there alone") {
  for (const bool moves : {true, false}) {  // linked to a conflict name, or to the kept versions
    for (const bool special : {true, false}) {
      CAPTURE(moves);
      CAPTURE(special);
      OnPlainDisk disk;
      make_file(disk.fs, "a", "old");
      Put put = put_file(disk.fs, "a", "new");
      if (moves) {
        put.moved = Moved{"a.conflict-n", wanted_file("old")};
      }
      bool acted = false;
      disk.disk.before_call = [&](std::string_view operation, std::string_view) {
        if (operation == "link" && !acted) {
          acted = disk.disk.remove("a") &&
                  (special ? disk.disk.make_special("a") : disk.disk.write_file("a", "user's"));
        }
      };
      Applier applier(disk.fs);
      const auto results = apply_one(applier, {put});
      disk.disk.before_call = nullptr;
      REQUIRE(acted);
      CHECK(only<Obstructed>(results));
      const sim::Tree tree = disk.disk.tree();
      REQUIRE(tree.size() == 1);
      CHECK(tree.contains("a"));
      CHECK(tree.begin()->second.special == special);
      CHECK((special || tree.begin()->second.bytes == "user's"));
      CHECK(names_in(disk.fs, storage::versions_directory) == 0);
      CHECK(applier.still_open() == 0);
    }
  }
}

TEST_CASE("apply: without exchange a user may take a loser's conflict name at any call") {
  for (const bool keep : {true, false}) {
    for (const bool replaced : {true, false}) {
      int kept = 0;
      bool reached = true;
      for (std::uint64_t call = 1; reached; ++call) {
        REQUIRE(call < call_max);
        INFO("call " << call << ", keep " << keep << ", replaced " << replaced);
        OnPlainDisk disk;
        make_file(disk.fs, "a", "old");
        const Moved copy{"a.conflict-n", wanted_file("old")};
        Put put = put_file(disk.fs, "a", "new");
        put.moved = copy;
        Remove remove = remove_at(disk.fs, "a");
        remove.moved = copy;
        reached = false;
        bool was_free = false;
        disk.disk.calls = 0;
        disk.disk.before_call = [&](std::string_view, std::string_view) {
          if (disk.disk.calls == call) {
            reached = true;
            was_free = !disk.disk.exists("a.conflict-n");
            REQUIRE(disk.disk.save_file("a.conflict-n", "a user's"));
          }
        };
        Applier applier(disk.fs, {.keep = keep});
        const auto results = apply_one(applier, {replaced ? Step(put) : Step(remove)});
        disk.disk.before_call = nullptr;
        CHECK(disk.disk.read("a.conflict-n") == (reached ? "a user's" : "old"));
        CHECK(left_over(disk.fs) == (exists(disk.fs, "a") && disk.disk.read("a") == "new" ? 0 : 1));
        if (reached && was_free && disk.disk.read("a") != "old") {
          const auto& done = std::get<Done>(results.at(0));
          REQUIRE(done.displaced);
          CHECK(done.displaced->as_expected);
          CHECK(content_of(disk.fs, storage::kept_path(done.displaced->file)) == "old");
          ++kept;
        }
      }
      CHECK(kept > 0);
    }
  }
}

TEST_CASE("apply: a process that holds a file open writes at any call, and after it") {
  for (const auto hashes : {Scene::Hashes::known, Scene::Hashes::unknown}) {
    for (const std::string name : {"a", "b", "d", "e", "g", "m"}) {
      bool reached = true;
      for (std::uint64_t call = 1; reached; ++call) {
        REQUIRE(call < call_max);
        Scene scene(true, hashes);
        auto editor = scene.disk.open_writer(name);
        REQUIRE(editor.has_value());
        scene.disk.before_call = [&](std::string_view, std::string_view) {
          if (scene.disk.calls == call) {
            editor->write(0, users);
          }
        };
        Applier applier(scene.disk);
        scene.answers = applier.apply(scene.apply);
        reached = scene.disk.calls >= call;
        scene.revisit(applier);
        INFO("editor of " << name << " at call " << call);
        CHECK((scene.owns_up_to(users) || !reached));
        if (call % 2 == 0) {
          editor->write(0, "more!");
        }
        editor.reset();
        scene.settle(applier);
        check_scene(scene, name, false);
        CHECK((call % 2 == 1 || scene.owns_up_to("more!")));
        CHECK(applier.still_open() == 0);
      }
    }
  }
}

}  // namespace
}  // namespace p2psync::tests
