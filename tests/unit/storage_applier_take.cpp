// A file that goes from one path to another is moved there, unless somebody is in the way.
#include <cerrno>
#include <functional>

#include "tests/unit/storage_apply.h"

namespace p2psync::tests {
namespace {

using namespace engine;
using storage::Applier;

constexpr std::uint64_t call_max = 200;
const std::string users = "user!";

Put move_to(storage::Fs& fs, std::string_view name, std::string_view bytes = "bytes") {
  return put_at(fs, name, wanted_file(bytes, old_time, 0644), AtName{"old"});
}

/// old becomes new, in the order that the engine has them.
Apply renamed(storage::Fs& fs) {
  return batch({{"new", {move_to(fs, "new")}}, {"old", {remove_at(fs, "old")}}});
}

struct Renaming {
  OnSimDisk disk;
  std::uint64_t inode = 0;
  Apply apply;
  std::optional<sim::UserFile> editor;

  Renaming() {
    make_file(disk.fs, "old", "bytes");
    inode = signature_of(disk.fs, "old").inode;
    disk.disk.disk().now += 1'000'000'000;
    apply = renamed(disk.fs);
    disk.disk.calls = 0;
  }
  void open_old() {
    if (auto file = disk.disk.open_writer("old")) {
      editor.emplace(std::move(*file));
    }
  }
  [[nodiscard]] std::optional<std::string> read(const char* name) const {
    return disk.disk.read(name);
  }
};

/// Each call of the batch in turn: `act` just before it, then what is to be seen.
void at_every_call(const std::function<void(Renaming&)>& act,
                   const std::function<void(Renaming&, Applier&, std::vector<Applied>)>& judge) {
  bool reached = true;
  for (std::uint64_t call = 1; reached; ++call) {
    REQUIRE(call < call_max);
    Renaming scene;
    scene.disk.disk.before_call = [&](std::string_view, std::string_view) {
      if (scene.disk.disk.calls == call) {
        act(scene);
      }
    };
    Applier applier(scene.disk.fs);
    auto answers = applier.apply(scene.apply);
    scene.disk.disk.before_call = nullptr;
    reached = scene.disk.disk.calls >= call;
    CAPTURE(call);
    if (reached) {
      judge(scene, applier, std::move(answers));
    }
  }
}

TEST_CASE_TEMPLATE("take: a file that is removed here and wanted there moves, unread", Disk,
                   OnSimDisk, OnRealDisk) {
  Disk disk;
  make_file(disk.fs, "old", "bytes");
  const std::uint64_t inode = signature_of(disk.fs, "old").inode;
  Applier applier(disk.fs);
  const auto answers = applier.apply(renamed(disk.fs));
  REQUIRE(answers.size() == 2);
  const auto* laid = only<Done>(answers[0].results);
  const auto* gone = only<Done>(answers[1].results);
  REQUIRE(laid != nullptr);
  REQUIRE(gone != nullptr);
  CHECK(!gone->displaced);
  CHECK(!exists(disk.fs, "old"));
  CHECK(content_of(disk.fs, "new") == "bytes");
  CHECK(signature_of(disk.fs, "new").inode == inode);
  CHECK(laid->signature == signature_of(disk.fs, "new"));
  CHECK(names_in(disk.fs, storage::versions_directory) == 0);
  CHECK(left_over(disk.fs) == 0);
}

TEST_CASE("take: what is wanted in another way is copied") {
  const auto other = [](const std::function<void(Renaming&)>& change) {
    Renaming scene;
    change(scene);
    Applier applier(scene.disk.fs);
    const auto answers = applier.apply(scene.apply);
    for (const Applied& answer : answers) {
      CHECK(only<Done>(answer.results) != nullptr);
    }
    CHECK(scene.read("new") == "bytes");
    CHECK(signature_of(scene.disk.fs, "new").inode != scene.inode);
    CHECK(!exists(scene.disk.fs, "old"));
    CHECK(names_in(scene.disk.fs, storage::versions_directory) == 1);
  };
  const auto wanted = [](Renaming& scene) -> Wanted& {
    return std::get<Put>(scene.apply.jobs[0].steps[0]).wanted;
  };
  SUBCASE("mode") {
    other([&](Renaming& scene) { wanted(scene).mode = 0600; });
  }
  SUBCASE("time") {
    other([&](Renaming& scene) { ++wanted(scene).mtime; });
  }
  SUBCASE("a second name of it stays") {
    other([&](Renaming& scene) {
      REQUIRE(scene.disk.disk.hard_link("old", "second"));
      scene.apply = renamed(scene.disk.fs);
    });
  }
  SUBCASE("a process that has it open may write on") {
    other([](Renaming& scene) { scene.open_old(); });
  }
  SUBCASE("leases prove nothing") {
    other([&](Renaming& scene) { scene.disk.disk.lease = storage::Lease::unknown; });
  }
}

TEST_CASE("take: of two that want it one moves it and the other has copied it") {
  Renaming scene;
  scene.apply.jobs.insert(scene.apply.jobs.begin(), {"more", {move_to(scene.disk.fs, "more")}});
  Applier applier(scene.disk.fs);
  for (const Applied& answer : applier.apply(scene.apply)) {
    CHECK(only<Done>(answer.results) != nullptr);
  }
  CHECK(scene.read("more") == "bytes");
  CHECK(scene.read("new") == "bytes");
  CHECK(signature_of(scene.disk.fs, "more").inode != signature_of(scene.disk.fs, "new").inode);
}

TEST_CASE("take: what a user writes to the old name is of the old name") {
  for (const bool in_place : {true, false}) {
    CAPTURE(in_place);
    at_every_call(
        [&](Renaming& scene) {
          std::ignore = in_place ? scene.disk.disk.write_file("old", users)
                                 : scene.disk.disk.save_file("old", users);
        },
        [](Renaming& scene, Applier&, const std::vector<Applied>& answers) {
          CHECK(scene.read("new") != users);
          const auto* gone = std::get_if<Done>(&answers[1].results.at(0));
          const bool told = gone != nullptr && gone->displaced && !gone->displaced->as_expected &&
                            gone->displaced->seen.content == storage::sha256(users);
          CHECK((told || scene.read("old") == users));
        });
  }
}

TEST_CASE("take: a user who opens the old name at any call and writes later is heard") {
  at_every_call([](Renaming& scene) { scene.open_old(); },
                [](Renaming& scene, Applier& applier, const std::vector<Applied>&) {
                  if (scene.editor) {
                    scene.editor->write(0, users);
                  }
                  const auto surfaced = applier.revisit();
                  const bool told = std::ranges::any_of(surfaced, [](const Surfaced& one) {
                    return one.name == "old" && one.seen.content == storage::sha256(users);
                  });
                  CHECK((!scene.editor || told || scene.read("old") == users));
                  CHECK((scene.read("new") == "bytes" || scene.read("new") == std::nullopt));
                });
}

TEST_CASE("take: the new name that a user has taken stays theirs, and nothing is lost") {
  at_every_call(
      [](Renaming& scene) {
        if (!scene.disk.disk.exists("new")) {
          scene.disk.disk.write_file("new", users);
        }
      },
      [](Renaming& scene, Applier&, const std::vector<Applied>& answers) {
        if (scene.read("new") == users) {
          CHECK(std::holds_alternative<Obstructed>(answers[0].results.at(0)));
          CHECK((exists(scene.disk.fs, "old") ||
                 names_in(scene.disk.fs, storage::versions_directory) == 1));
        } else {
          CHECK(scene.read("new") == "bytes");
        }
      });
}

TEST_CASE("take: what was not laid is not said to have been, whatever cannot be synced") {
  Renaming scene;
  sim::SimFs& disk = scene.disk.disk;
  bool failing = false;
  disk.before_call = [&](std::string_view operation, std::string_view path) {
    if (operation == "rename" && path == "new") {
      disk.write_file("new", users);
      failing = true;
    }
  };
  disk.fault = [&](std::string_view operation, std::string_view) {
    return failing && operation == "sync_directory" ? EIO : 0;
  };
  Applier applier(scene.disk.fs);
  const auto answers = applier.apply(scene.apply);
  CHECK(std::holds_alternative<Obstructed>(answers[0].results.at(0)));
  CHECK(std::holds_alternative<Unsure>(answers[1].results.at(0)));
}

/// What a start makes of a crash at any call, whatever users did to the names before it.
TEST_CASE("take: after a crash the log tells what has been carried out") {
  const auto nobody = [](sim::SimFs&, bool) {};
  const auto removes = [](sim::SimFs& disk, bool laid) { disk.remove(laid ? "new" : "old"); };
  const auto saves = [](sim::SimFs& disk, bool laid) {
    disk.save_file(laid ? "new" : "old", users);
  };
  for (const auto& act :
       std::vector<std::function<void(sim::SimFs&, bool)>>{nobody, removes, saves}) {
    bool over = false;
    bool moving = false;  // some crash comes while it has no name
    for (std::uint64_t call = 1; !over; ++call) {
      REQUIRE(call < call_max);
      CAPTURE(call);
      Renaming scene;
      sim::SimFs& disk = scene.disk.disk;
      scene.apply.batch = 1;
      over = applied_before(disk, call, scene.apply);
      disk.restart();
      const bool laid = disk.exists("new");
      const bool removed = !disk.exists("old");
      moving = moving || (removed && !laid);
      if (laid || !removed) {
        act(disk, laid);
      }
      Applier applier(scene.disk.fs);
      const auto surfaced = applier.recover(nothing_recorded);
      REQUIRE(surfaced.has_value());
      const auto says = [&](const char* name, bool stands) {
        return std::ranges::any_of(applier.relaid(), [&](const Relaid& step) {
          return step.name == name && step.path == name && step.wanted.has_value() == stands;
        });
      };
      CHECK(says("new", true) == laid);
      CHECK(says("old", false) == removed);
      CHECK(surfaced->size() == (removed && !laid ? 1 : 0));  // owed a name
      CHECK(left_over(scene.disk.fs) == 0);
    }
    CHECK(moving);
  }
}

}  // namespace
}  // namespace p2psync::tests
