// What the batch log says after a crash at any call is what the disk shows, and it says so again
// after a crash of the start.
#include "storage/batch_log.h"

#include <cerrno>

#include "storage/carried_out.h"
#include "storage/slot.h"
#include "storage/staging.h"
#include "tests/unit/storage_apply_scene.h"

namespace p2psync::tests {
namespace {

using namespace engine;
using storage::Applier;

constexpr std::uint64_t call_max = 1000;
constexpr std::size_t cuts_max = 4;

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += name + " ";
  }
  return text;
}

/// The names of the scene that show what its batch wants.
std::string changed_names(Scene& scene) {
  std::set<std::string> names;
  for (const char* name : {"a", "b", "c", "f", "g"}) {
    if (scene.disk.read(name) == std::string("new ") + name) {
      names.insert(name);
    }
  }
  if (scene.disk.exists("a.conflict-n")) {
    names.insert("a.conflict-n");
  }
  if (scene.disk.exists("n")) {
    names.insert("n");
  }
  for (const char* name : {"d", "m"}) {
    if (!scene.disk.exists(name)) {
      names.insert(name);
    }
  }
  if (!scene.disk.read("e")) {
    names.insert("e");  // also while the directory is not there yet
  }
  return joined(names);
}

std::string names_of(const std::vector<Relaid>& steps) {
  std::set<std::string> names;
  for (const Relaid& step : steps) {
    CHECK(step.batch > 0);
    if (step.name == "a" && !step.wanted) {
      continue;  // what moved away from there; what took its place follows
    }
    if (step.name == "f" && !step.wanted) {
      continue;  // the directory that went before a file was laid
    }
    if (step.name == "e" && !step.wanted) {
      names.insert("e");  // the file that went before a directory was made
      continue;
    }
    CHECK(step.wanted.has_value() == (step.name != "d" && step.name != "m"));
    names.insert(step.name);
  }
  return joined(names);
}

TEST_CASE(
    "batch log: after a crash it names exactly the steps that were carried out, again and again") {
  for (const bool exchange : {true, false}) {
    bool over = false;
    for (std::uint64_t call = 1; !over; ++call) {
      REQUIRE(call < call_max);
      Scene scene(exchange);
      scene.apply.batch = 7;
      over = applied_before(scene.disk, call, scene.apply);
      const std::string expected = changed_names(scene);
      for (int start = 0; start < 3; ++start) {
        INFO("crash at call " << call << ", exchange " << exchange << ", start " << start);
        scene.disk.restart();
        Applier applier(scene.disk);
        REQUIRE(applier.recover(nothing_recorded).has_value());
        CHECK(names_of(applier.relaid()) == expected);
      }
    }
  }
}

TEST_CASE("batch log: a file in the place and with the inode of a directory hinders no start") {
  OnSimDisk disk;
  make_file(disk.fs, "a", "old");
  engine::Wanted wanted = wanted_directory();
  wanted.mode = 0555;
  {
    Applier applier(disk.fs);
    std::ignore = applier.apply(batch({{"a", {put_at(disk.fs, "a", wanted, Nothing{})}}}));
  }
  const std::uint64_t inode = disk.fs.stat("a")->signature.inode;
  REQUIRE(disk.disk.remove("a"));
  for (int i = 0; i < 100 && (!exists(disk.fs, "a") || disk.fs.stat("a")->signature.inode != inode);
       ++i) {
    disk.disk.rename_path("a", "other" + std::to_string(i));
    make_file(disk.fs, "a", "a user's");  // numbers of inodes come again
  }
  REQUIRE(disk.fs.stat("a")->signature.inode == inode);
  disk.disk.chmod("a", storage::unmovable_mode);
  disk.disk.fault = [](std::string_view operation, std::string_view) {
    return operation == "set_directory_mode" ? ENOTDIR : 0;
  };
  disk.disk.restart();
  Applier applier(disk.fs);
  CHECK(applier.recover(nothing_recorded).has_value());
  CHECK(disk.fs.stat("a")->signature.mode == storage::unmovable_mode);
}

TEST_CASE("batch log: one that names places of others is no log") {
  for (const char* place :
       {"../outside", "/etc/passwd", "a//b", ".p2psync/../a", "a", ".p2psync"}) {
    CAPTURE(place);
    OnSimDisk disk;
    storage::LoggedStep good;
    good.path = good.name = "a";
    good.place = ".p2psync/tmp/slot-1";
    storage::LoggedStep bad = good;
    bad.place = place;
    REQUIRE(storage::write_batch_log(disk.fs, 1, {good, bad}).has_value());
    const auto carried = storage::carried_out(disk.fs);
    REQUIRE(carried.has_value());
    CHECK(carried->steps.empty());
    bad = good;
    bad.from = place;
    REQUIRE(storage::write_batch_log(disk.fs, 1, {bad}).has_value());
    CHECK(storage::carried_out(disk.fs)->steps.empty());
  }
}

TEST_CASE("batch log: a path in doubt keeps its lines over further batches and a restart") {
  OnSimDisk disk;
  const auto lay = [&](Applier& applier, std::uint64_t number, const char* name,
                       std::set<engine::Path> doubtful) {
    Apply apply = batch({{name, {put_file(disk.fs, name, std::string("new ") + name)}}});
    apply.batch = number;
    apply.doubtful = std::move(doubtful);
    std::ignore = applier.apply(apply);
  };
  {
    Applier applier(disk.fs);
    lay(applier, 1, "a", {});
    lay(applier, 2, "b", {"a"});
    lay(applier, 3, "c", {"a"});
  }
  disk.disk.restart();
  {
    Applier applier(disk.fs);
    REQUIRE(applier.recover(nothing_recorded).has_value());
    CHECK(names_of(applier.relaid()) == "a c ");
    lay(applier, 4, "e", {"a"});
  }
  disk.disk.restart();
  Applier applier(disk.fs);
  REQUIRE(applier.recover(nothing_recorded).has_value());
  CHECK(names_of(applier.relaid()) == "a e ");
}

TEST_CASE("batch log: a copy that moves to the name is known to have moved") {
  bool over = false;
  for (std::uint64_t call = 1; !over; ++call) {
    REQUIRE(call < call_max);
    OnSimDisk disk;
    make_file(disk.fs, "a.conflict-n", "copy");
    Remove move = remove_at(disk.fs, "a.conflict-n");
    move.moved = Moved{"a", wanted_file("copy")};
    Apply apply = batch({{"a", {move}}});
    over = applied_before(disk.disk, call, apply);
    const bool moved = disk.disk.exists("a");
    CHECK(moved != disk.disk.exists("a.conflict-n"));
    for (int start = 0; start < 2; ++start) {
      INFO("crash at call " << call << ", start " << start);
      disk.disk.restart();
      Applier applier(disk.fs);
      REQUIRE(applier.recover(nothing_recorded).has_value());
      CHECK(applier.relaid().size() == (moved ? 2U : 0U));
    }
  }
}

TEST_CASE("batch log: without exchange a link that a user has replaced since was made") {
  for (const bool made : {true, false}) {
    OnPlainDisk disk;
    const Apply apply = batch({{"a", {put_file(disk.fs, "a", "new")}}});
    const std::string_view last = made ? "unlink" : "link";
    const std::string staged = storage::staged_path(wanted_file("new").content);
    disk.disk.before_call = [&](std::string_view operation, std::string_view path) {
      if (operation == last && (path == "a" || path == staged)) {
        throw sim::Crash{};
      }
    };
    {
      Applier applier(disk.fs);
      CHECK_THROWS_AS(std::ignore = applier.apply(apply), sim::Crash);
    }
    disk.disk.before_call = nullptr;
    REQUIRE(disk.disk.save_file("a", "user's"));
    disk.disk.restart();
    Applier applier(disk.fs);
    REQUIRE(applier.recover(nothing_recorded).has_value());
    CHECK(applier.relaid().size() == (made ? 1U : 0U));
    CHECK(disk.disk.read("a") == "user's");
  }
}

TEST_CASE("batch log: a content that was staged anew, in the inode of before, was laid") {
  for (const bool anew : {false, true}) {
    OnSimDisk disk;
    const Apply apply = batch({{"a", {put_file(disk.fs, "a", "new")}}});
    const std::string staged = storage::staged_path(wanted_file("new").content);
    storage::LoggedStep step{
        "a", "a", storage::LoggedStep::What::put, "", staged, 0, 0, wanted_file("new")};
    auto file = disk.fs.open_write(staged);
    REQUIRE((*file)->set_mtime(step.wanted.mtime));
    step.inode = signature_of(disk.fs, staged).inode;
    step.ctime = signature_of(disk.fs, staged).ctime;
    if (anew) {  // its user has removed `a`, and the disk gives its number to the next file
      REQUIRE((*file)->write(0, bytes_of("new")));
    }
    file->reset();
    REQUIRE(storage::write_batch_log(disk.fs, 1, {step}));
    Applier applier(disk.fs);
    REQUIRE(applier.recover(nothing_recorded).has_value());
    CHECK(applier.relaid().size() == (anew ? 1U : 0U));
    CHECK(exists(disk.fs, staged));
  }
}

/// A loser goes from `a` to `a.conflict-n`, and `a` takes this: a file, a directory or nothing.
engine::Apply moving_batch(storage::Fs& fs, const engine::Wanted* wanted) {
  make_file(fs, "a", "old");
  const Moved copy{"a.conflict-n", wanted_file("old", old_time, 0644)};
  if (wanted == nullptr) {
    Remove remove = remove_at(fs, "a");
    remove.moved = copy;
    return batch({{"a", {remove}}});
  }
  Put put = put_at(fs, "a", *wanted, Nothing{});
  if (wanted->kind == Kind::file) {
    stage(fs, "new");
    put.source = Staged{};
  }
  put.moved = copy;
  return batch({{"a", {put}}});
}

/// Which names show the loser as the index sees it once it has heard what had been carried out.
std::set<std::string> names_of_loser(const std::vector<Relaid>& steps) {
  std::set<std::string> names = {"a"};
  for (const Relaid& step : steps) {
    names.erase(step.name);
    if (step.wanted && step.wanted->content == storage::sha256(std::string_view("old"))) {
      names.insert(step.name);
    }
  }
  return names;
}

TEST_CASE("batch log: a loser is judged by the names that it had when the crash came") {
  // Who replaces, deletes or renames a name that shows it means it, and it must not come back.
  const engine::Wanted directory = wanted_directory();
  const engine::Wanted file = wanted_file("new");
  const std::vector<std::pair<std::string, const engine::Wanted*>> cases = {
      {"a directory", &directory}, {"a file", &file}, {"nothing", nullptr}};
  const auto act = [](sim::SimFs& disk, const std::string& name, std::string_view what) {
    if (what == "replaces") {
      REQUIRE(disk.save_file(name, "a user's"));
    } else if (what == "deletes") {
      REQUIRE(disk.remove(name));
    } else {
      REQUIRE(disk.rename_path(name, "elsewhere"));
    }
  };
  for (const bool exchange : {true, false}) {
    for (const auto& [what, wanted] : cases) {
      for (const std::string_view does : {"replaces", "deletes", "renames"}) {
        for (const std::string name : {"a", "a.conflict-n"}) {
          bool over = false;
          int acted = 0;
          for (std::uint64_t call = 1; !over; ++call) {
            REQUIRE(call < call_max);
            OnSimDisk disk;
            disk.disk.exchange = exchange;
            over = applied_before(disk.disk, call, moving_batch(disk.fs, wanted));
            INFO("exchange " << exchange << ", its place takes " << what << ", crash at call "
                             << call << ", a user " << does << " " << name);
            std::set<std::string> shown;
            for (const std::string one : {"a", "a.conflict-n"}) {
              if (disk.disk.read(one) == "old") {
                shown.insert(one);
              }
            }
            CHECK(shown.size() <= 1);  // an inode under two names cannot be told apart later
            if (!shown.contains(name)) {
              continue;
            }
            ++acted;
            act(disk.disk, name, does);
            for (int start = 0; start < 3; ++start) {
              INFO("start " << start);
              disk.disk.restart();
              if (start == 0) {  // ends in the middle of it, somewhere
                disk.disk.calls = 0;
                disk.disk.before_call = [&](std::string_view, std::string_view) {
                  if (disk.disk.calls == 1 + (call * 7) % 20) {
                    throw sim::Crash{};
                  }
                };
              }
              Applier applier(disk.fs);
              try {
                const bool recovered = applier.recover(nothing_recorded).has_value();
                CHECK(recovered);
                // From a name that shows it no more its user took it.
                CHECK(std::ranges::any_of(names_of_loser(applier.relaid()), [&](const auto& one) {
                  return disk.disk.read(one) != "old";
                }));
              } catch (const sim::Crash&) {
              }
              disk.disk.before_call = nullptr;
            }
            CHECK(left_over(disk.fs) ==
                  (exists(disk.fs, storage::staged_path(file.content)) ? 1U : 0U));
          }
          CHECK(acted > 1);
        }
      }
    }
  }
}

TEST_CASE("batch log: what a user makes at a conflict name of his own is no copy") {
  for (const bool exchange : {true, false}) {
    bool over = false;
    for (std::uint64_t call = 1; !over; ++call) {
      REQUIRE(call < call_max);
      OnSimDisk disk;
      disk.disk.exchange = exchange;
      const engine::Wanted file = wanted_file("new");
      over = applied_before(disk.disk, call, moving_batch(disk.fs, &file));
      if (disk.disk.exists("a.conflict-n")) {
        continue;
      }
      INFO("exchange " << exchange << ", crash at call " << call);
      REQUIRE(disk.disk.save_file("a.conflict-n", "a user's"));
      disk.disk.restart();
      Applier applier(disk.fs);
      REQUIRE(applier.recover(nothing_recorded).has_value());
      CHECK_FALSE(names_of_loser(applier.relaid()).contains("a.conflict-n"));
      CHECK(disk.disk.read("a.conflict-n") == "a user's");
      bool held = disk.disk.read("a") == "old";
      for (const auto& item : *disk.fs.list(storage::versions_directory)) {
        held = held || content_of(disk.fs, storage::kept_path(item.name)) == "old";
      }
      CHECK(held);
    }
  }
}

TEST_CASE("batch log: a file that a power cut left with both names has not been removed") {
  OnSimDisk disk;
  make_file(disk.fs, "a", "old");
  Apply apply = batch({{"a", {remove_at(disk.fs, "a")}}});
  {
    Applier applier(disk.fs);
    const auto answers = applier.apply(apply);
    const auto& done = std::get<Done>(answers.at(0).results.at(0));
    // What btrfs shows if the power goes after the sync of one directory and before that of the
    // other.
    REQUIRE(disk.fs.link(storage::kept_path(done.displaced->file), "a").has_value());
  }
  for (int start = 0; start < 2; ++start) {
    disk.disk.restart();
    Applier applier(disk.fs);
    REQUIRE(applier.recover(nothing_recorded).has_value());
    CHECK(applier.relaid().empty());
    CHECK(disk.disk.read("a") == "old");
  }
}

TEST_CASE("batch log: what it names after a crash no power cut takes back") {
  for (const bool exchange : {true, false}) {
    bool over = false;
    for (std::uint64_t call = 1; !over; ++call) {
      REQUIRE(call < call_max);
      Scene scene(exchange);
      scene.apply.batch = 7;
      REQUIRE(scene.disk.mkdir("h", 0755));
      scene.apply.jobs.push_back(
          {"h", {put_at(scene.disk, "h", wanted_directory(0700), Nothing{})}});
      scene.disk.disk().sync_all();
      over = applied_before(scene.disk, call, scene.apply);
      scene.disk.restart();
      Applier applier(scene.disk);
      REQUIRE(applier.recover(nothing_recorded).has_value());
      for (sim::Disk& image : scene.disk.disk().power_cuts(cuts_max).images) {
        INFO("crash at call " << call << ", exchange " << exchange);
        sim::SimFs after(std::move(image));
        for (const Relaid& step : applier.relaid()) {
          const auto now = after.stat(step.name);
          CHECK((!step.wanted || now));
          CHECK((step.name != "h" || now->signature.mode == 0700));
          CHECK((step.wanted || step.name == "a" || step.name == "f" || step.name == "e" || !now));
        }
      }
    }
  }
}

}  // namespace
}  // namespace p2psync::tests
