// What a batch does and answers when nobody disturbs it, on the simulated disk with and without
// exchange and on a real file system.
#include "storage/applier.h"

#include <algorithm>
#include <cerrno>

#include "tests/unit/storage_apply.h"

namespace p2psync::tests {
namespace {

using namespace engine;
using storage::Applier;
using storage::kept_path;

#define ON_ALL_DISKS OnSimDisk, OnPlainDisk, OnRealDisk

TEST_CASE_TEMPLATE("apply: a staged file gets its free name, mode and time", Disk, ON_ALL_DISKS) {
  Disk disk;
  Applier applier(disk.fs);
  const auto results = apply_one(applier, {put_file(disk.fs, "a", "new")});
  const auto* done = only<Done>(results);
  REQUIRE(done != nullptr);
  CHECK(!done->displaced);
  CHECK(content_of(disk.fs, "a") == "new");
  const Signature now = signature_of(disk.fs, "a");
  CHECK(done->signature == now);
  CHECK(now.mode == 0640);
  CHECK(now.mtime == old_time + 1);
  CHECK(left_over(disk.fs) == 0);
}

TEST_CASE_TEMPLATE("apply: an expected file is replaced and kept", Disk, ON_ALL_DISKS) {
  Disk disk;
  make_file(disk.fs, "a", "old");
  const Signature before = signature_of(disk.fs, "a");
  Applier applier(disk.fs);
  const auto results = apply_one(applier, {put_file(disk.fs, "a", "new")});
  const auto* done = only<Done>(results);
  REQUIRE(done != nullptr);
  CHECK(content_of(disk.fs, "a") == "new");
  CHECK(done->signature == signature_of(disk.fs, "a"));
  REQUIRE(done->displaced.has_value());
  CHECK(done->displaced->as_expected);
  CHECK(!done->displaced->still_open);
  CHECK(done->displaced->seen.content == storage::sha256(std::string_view("old")));
  CHECK(done->displaced->seen.signature.inode == before.inode);
  CHECK(content_of(disk.fs, kept_path(done->displaced->file)) == "old");
  CHECK(left_over(disk.fs) == 0);
  CHECK(applier.still_open() == 0);
  CHECK(applier.revisit().empty());
}

TEST_CASE_TEMPLATE("apply: without kept versions what was replaced goes", Disk, ON_ALL_DISKS) {
  Disk disk;
  make_file(disk.fs, "a", "old");
  make_file(disk.fs, "b", "gone");
  Applier applier(disk.fs, {.keep = false});
  const auto results = apply_one(applier, {put_file(disk.fs, "a", "new"), remove_at(disk.fs, "b")});
  REQUIRE(results.size() == 2);
  CHECK(!std::get<Done>(results[0]).displaced);
  CHECK(!std::get<Done>(results[1]).displaced);
  CHECK(!exists(disk.fs, "b"));
  CHECK(names_in(disk.fs, storage::versions_directory) == 0);
}

TEST_CASE_TEMPLATE("apply: what is not expected there obstructs, and stays", Disk, ON_ALL_DISKS) {
  Disk disk;
  Applier applier(disk.fs);
  make_file(disk.fs, "a", "old");
  Put onto_free = put_file(disk.fs, "a", "new");
  onto_free.expected.reset();
  CHECK(only<Obstructed>(apply_one(applier, {onto_free})) != nullptr);

  Put replace = put_at(disk.fs, "a", wanted_file("new"), Staged{});
  for (const int field : {0, 1, 2, 3, 4, 5}) {
    Put changed = replace;
    switch (field) {
      case 0: changed.expected->inode += 1; break;
      case 1: changed.expected->size += 1; break;
      case 2: changed.expected->mtime += 1; break;
      case 3: changed.expected->ctime += 1; break;
      case 4: changed.expected->mode ^= 1; break;
      default: changed.expected->kind = Kind::symlink; break;
    }
    CHECK(only<Obstructed>(apply_one(applier, {changed})) != nullptr);
    CHECK(only<Obstructed>(apply_one(applier, {Remove{"a", *changed.expected}})) != nullptr);
  }
  CHECK(content_of(disk.fs, "a") == "old");
  CHECK(only<Obstructed>(apply_one(applier, {put_file(disk.fs, "none/a", "x")})) != nullptr);
  Put absent = replace;
  absent.name = "b";
  CHECK(only<Obstructed>(apply_one(applier, {absent})) != nullptr);
  CHECK(only<Obstructed>(apply_one(applier, {Remove{"b", *replace.expected}})) != nullptr);
  // Both contents are staged again, for another try.
  CHECK(left_over(disk.fs) == 2);
  CHECK(names_in(disk.fs, storage::versions_directory) == 0);
}

TEST_CASE_TEMPLATE("apply: an unproven signature counts as far as the bytes agree", Disk,
                   ON_ALL_DISKS) {
  for (const bool changed : {false, true}) {
    Disk disk;
    Applier applier(disk.fs);
    make_file(disk.fs, "a", "old");
    make_file(disk.fs, "b", "old");
    Put replace = put_file(disk.fs, "a", "new");
    Remove remove = remove_at(disk.fs, "b");
    for (engine::Signature* signature : {&*replace.expected, &remove.expected}) {
      signature->ctime = 0;
    }
    if (changed) {  // within the grain of the time stamps
      replace.expected_content = remove.expected_content = storage::sha256("odd");
    }
    const engine::Check check{"a", *replace.expected, replace.expected_content};
    const auto checked = apply_one(applier, {check});
    const auto replaced = apply_one(applier, {replace});
    const auto removed = apply_one(applier, {remove});
    CHECK((only<Obstructed>(checked) != nullptr) == changed);
    CHECK((only<Obstructed>(replaced) != nullptr) == changed);
    CHECK((only<Obstructed>(removed) != nullptr) == changed);
    if (!changed) {
      CHECK(std::get<Done>(checked[0]).signature->unproven());
    }
    CHECK(content_of(disk.fs, "a") == (changed ? "old" : "new"));
    CHECK(exists(disk.fs, "b") == changed);
  }
}

TEST_CASE("apply: what was laid within the grain of its time has an unproven signature") {
  for (const std::int64_t age_ns : {std::int64_t{0}, std::int64_t{3'600'000'000'000}}) {
    OnSimDisk disk;
    Applier applier(disk.fs);
    Put file = put_file(disk.fs, "a", "new");
    Put link = put_at(disk.fs, "b", wanted_link("target"), Nothing{});
    file.wanted.mtime = link.wanted.mtime = disk.fs.wall_time() - age_ns;
    for (const Put& put : {file, link}) {
      const auto results = apply_one(applier, {put});
      CHECK(std::get<Done>(results[0]).signature->unproven() == (age_ns == 0));
    }
  }
}

TEST_CASE_TEMPLATE("apply: a source that is not what is wanted is gone", Disk, ON_ALL_DISKS) {
  Disk disk;
  make_file(disk.fs, "other", "something");
  make_file(disk.fs, kept_path("1"), "something");
  Applier applier(disk.fs);
  for (const Source& source :
       std::vector<Source>{Staged{}, AtName{"none"}, AtName{"other"}, Kept{"none"}, Kept{"1"},
                           Kept{"none", true}, Kept{"1", true}, Nothing{}}) {
    CHECK(only<SourceGone>(apply_one(
              applier, {put_at(disk.fs, "a", wanted_file("SOMETHING"), source)})) != nullptr);
    CHECK(only<SourceGone>(apply_one(
              applier, {put_at(disk.fs, "a", wanted_file("longer than it"), source)})) != nullptr);
  }
  CHECK(!exists(disk.fs, "a"));
  CHECK(content_of(disk.fs, kept_path("1")) == "something");
  CHECK(left_over(disk.fs) == 0);
}

TEST_CASE_TEMPLATE("apply: contents are copied from names and kept versions", Disk, ON_ALL_DISKS) {
  Disk disk;
  make_file(disk.fs, "other", "bytes");
  make_file(disk.fs, kept_path("1"), "more");
  Applier applier(disk.fs);
  const auto results =
      apply_one(applier, {put_at(disk.fs, "a", wanted_file("bytes"), AtName{"other"}),
                          put_at(disk.fs, "b", wanted_file("more"), Kept{"1"}),
                          put_at(disk.fs, "empty", wanted_file(""), Nothing{})});
  REQUIRE(results.size() == 3);
  CHECK(content_of(disk.fs, "a") == "bytes");
  CHECK(content_of(disk.fs, "b") == "more");
  CHECK(content_of(disk.fs, "empty").empty());
  CHECK(std::get<Done>(results[2]).signature == signature_of(disk.fs, "empty"));
  CHECK(content_of(disk.fs, "other") == "bytes");
  CHECK(content_of(disk.fs, kept_path("1")) == "more");
}

TEST_CASE_TEMPLATE("apply: a found content moves as the inode that it is", Disk, ON_ALL_DISKS) {
  Disk disk;
  make_file(disk.fs, kept_path("1"), "found", old_time + 5, 0600);
  make_file(disk.fs, kept_path("2"), "found too", old_time + 5, 0600);
  make_file(disk.fs, "b", "old");
  const auto first = signature_of(disk.fs, kept_path("1")).inode;
  const auto second = signature_of(disk.fs, kept_path("2")).inode;
  Applier applier(disk.fs);
  const auto results =
      apply_one(applier, {put_at(disk.fs, "a", wanted_file("found"), Kept{"1", true}),
                          put_at(disk.fs, "b", wanted_file("found too"), Kept{"2", true})});
  REQUIRE(results.size() == 2);
  CHECK(signature_of(disk.fs, "a").inode == first);
  CHECK(signature_of(disk.fs, "a").mode == 0640);
  CHECK(signature_of(disk.fs, "b").inode == second);
  CHECK(!exists(disk.fs, kept_path("1")));
  CHECK(!exists(disk.fs, kept_path("2")));
  const auto& out = std::get<Done>(results[1]).displaced;
  REQUIRE(out.has_value());
  CHECK(content_of(disk.fs, kept_path(out->file)) == "old");
}

TEST_CASE_TEMPLATE("apply: directories and symlinks", Disk, ON_ALL_DISKS) {
  Disk disk;
  Applier applier(disk.fs);
  auto results = apply_one(applier, {put_at(disk.fs, "d", wanted_directory(0555), Nothing{}),
                                     put_at(disk.fs, "e", wanted_directory(0755), Nothing{}),
                                     put_at(disk.fs, "e/l", wanted_link("../x"), Nothing{})});
  REQUIRE(results.size() == 3);
  CHECK(signature_of(disk.fs, "d").mode == 0555);
  CHECK(std::get<Done>(results[0]).signature->mode == 0555);
  CHECK(disk.fs.read_link("e/l") == "../x");
  CHECK(signature_of(disk.fs, "e/l").mtime == old_time + 1);
  CHECK(std::get<Done>(results[2]).signature == signature_of(disk.fs, "e/l"));

  results = apply_one(applier, {put_at(disk.fs, "d", wanted_directory(0700), Nothing{}),
                                put_at(disk.fs, "e/l", wanted_link("y"), Nothing{})});
  REQUIRE(results.size() == 2);
  CHECK(signature_of(disk.fs, "d").mode == 0700);
  CHECK(std::get<Done>(results[0]).signature == signature_of(disk.fs, "d"));
  CHECK(disk.fs.read_link("e/l") == "y");
  const auto& out = std::get<Done>(results[1]).displaced;
  REQUIRE(out.has_value());
  CHECK(out->as_expected);
  CHECK(out->seen.target == "../x");
  CHECK(disk.fs.read_link(kept_path(out->file)) == "../x");

  results = apply_one(applier, {remove_at(disk.fs, "d"), remove_at(disk.fs, "e")});
  REQUIRE(results.size() == 2);
  CHECK(std::holds_alternative<Done>(results[0]));
  CHECK(std::holds_alternative<NotEmpty>(results[1]));
  CHECK(!exists(disk.fs, "d"));
}

TEST_CASE_TEMPLATE("apply: kinds replace each other", Disk, ON_ALL_DISKS) {
  Disk disk;
  Applier applier(disk.fs);
  make_file(disk.fs, "a", "file");
  auto results = apply_one(applier, {put_at(disk.fs, "a", wanted_directory(), Nothing{})});
  const auto* done = only<Done>(results);
  REQUIRE(done != nullptr);
  CHECK(signature_of(disk.fs, "a").kind == Kind::directory);
  CHECK(signature_of(disk.fs, "a").mode == 0750);
  CHECK(done->signature == signature_of(disk.fs, "a"));
  CHECK(content_of(disk.fs, kept_path(done->displaced->file)) == "file");

  REQUIRE(disk.fs.make_directory("a/below", 0755).has_value());
  CHECK(only<NotEmpty>(apply_one(applier, {put_file(disk.fs, "a", "back")})) != nullptr);
  CHECK(exists(disk.fs, "a/below"));
  REQUIRE(disk.fs.remove_directory("a/below").has_value());
  CHECK(only<Done>(apply_one(applier, {put_at(disk.fs, "a", wanted_file("back"), Staged{})})) !=
        nullptr);
  CHECK(content_of(disk.fs, "a") == "back");
  CHECK(only<Done>(apply_one(applier, {put_at(disk.fs, "a", wanted_link("t"), Nothing{})})) !=
        nullptr);
  CHECK(only<Done>(apply_one(applier, {put_file(disk.fs, "a", "again")})) != nullptr);
  CHECK(content_of(disk.fs, "a") == "again");
  CHECK(left_over(disk.fs) == 0);
}

TEST_CASE_TEMPLATE("apply: a loser moves to its conflict name and is not kept", Disk,
                   ON_ALL_DISKS) {
  Disk disk;
  make_file(disk.fs, "a", "loser");
  const auto loser = signature_of(disk.fs, "a");
  Applier applier(disk.fs);
  Put put = put_file(disk.fs, "a", "winner");
  put.moved = Moved{"a.conflict-n", wanted_file("loser")};
  const auto results = apply_one(applier, {put});
  const auto* done = only<Done>(results);
  REQUIRE(done != nullptr);
  CHECK(content_of(disk.fs, "a") == "winner");
  CHECK(content_of(disk.fs, "a.conflict-n") == "loser");
  CHECK(signature_of(disk.fs, "a.conflict-n").inode == loser.inode);
  CHECK(done->moved == signature_of(disk.fs, "a.conflict-n"));
  CHECK(done->signature == signature_of(disk.fs, "a"));
  CHECK(!done->displaced);
  CHECK(names_in(disk.fs, storage::versions_directory) == 0);

  // And a copy that moves to a free name.
  Remove remove = remove_at(disk.fs, "a.conflict-n");
  remove.moved = Moved{"b", wanted_file("loser")};
  const auto moved = apply_one(applier, {remove});
  done = only<Done>(moved);
  REQUIRE(done != nullptr);
  CHECK(!exists(disk.fs, "a.conflict-n"));
  CHECK(done->moved == signature_of(disk.fs, "b"));
  CHECK(!done->displaced);
  CHECK(disk.fs.stat("b")->links == 1);
  CHECK(left_over(disk.fs) == 0);

  // Not onto a name that is taken, and not what is not there.
  remove = remove_at(disk.fs, "b");
  remove.moved = Moved{"a", wanted_file("loser")};
  CHECK(only<Obstructed>(apply_one(applier, {remove})));
  CHECK(content_of(disk.fs, "a") == "winner");
  CHECK(content_of(disk.fs, "b") == "loser");
  remove.name = "none";
  remove.moved->name = "c";
  CHECK(only<Obstructed>(apply_one(applier, {remove})));
}

TEST_CASE("apply: a directory has its mode whatever becomes of what it replaced") {
  OnSimDisk disk;
  make_file(disk.fs, "a", "old");
  engine::Wanted wanted = wanted_directory();
  wanted.mode = 0555;  // it cannot be moved with that
  const Put put = put_at(disk.fs, "a", wanted, Nothing{});
  disk.disk.fault = [&](std::string_view operation, std::string_view path) {
    return operation == "rename" && path.starts_with(storage::versions_directory) ? EIO : 0;
  };
  Applier applier(disk.fs);
  const auto results = apply_one(applier, {put});
  CHECK(std::holds_alternative<engine::Unsure>(results.at(0)));
  CHECK(disk.fs.stat("a")->signature.kind == Kind::directory);
  CHECK(disk.fs.stat("a")->signature.mode == 0555);
}

TEST_CASE("apply: a directory that is gone and whose place is empty is told of") {
  OnSimDisk disk;
  REQUIRE(disk.fs.make_directory("a", 0755).has_value());
  const Put put = put_file(disk.fs, "a", "new");
  disk.disk.fault = [&](std::string_view operation, std::string_view path) {
    return operation == "rename" && path == "a" ? EIO : 0;
  };
  Applier applier(disk.fs);
  const auto results = apply_one(applier, {put});
  REQUIRE_FALSE(exists(disk.fs, "a"));
  CHECK(std::get<engine::Unsure>(results.at(0)).emptied);
}

TEST_CASE("apply: the answer tells which mode a directory has") {
  OnSimDisk disk;
  make_file(disk.fs, "a", "old");
  engine::Wanted wanted = wanted_directory();
  wanted.mode = 0555;
  const Put put = put_at(disk.fs, "a", wanted, Nothing{});
  disk.disk.fault = [&](std::string_view operation, std::string_view) {
    return operation == "set_directory_mode" ? EIO : 0;
  };
  Applier applier(disk.fs);
  const auto results = apply_one(applier, {put});
  CHECK(std::get<Done>(results.at(0)).signature->mode == disk.fs.stat("a")->signature.mode);
}

TEST_CASE("apply: without exchange a link that nobody could look at goes again") {
  OnPlainDisk disk;
  make_file(disk.fs, "a", "old");
  Put put = put_file(disk.fs, "a", "new");
  put.moved = Moved{"a.conflict-n", wanted_file("old")};
  bool failed = false;
  disk.disk.fault = [&](std::string_view operation, std::string_view path) {
    const bool now =
        !failed && operation == "stat" && path.starts_with(storage::versions_directory);
    failed = failed || now;
    return now ? EIO : 0;
  };
  Applier applier(disk.fs);
  const auto results = apply_one(applier, {put});
  REQUIRE(failed);
  CHECK(only<Obstructed>(results));
  CHECK(content_of(disk.fs, "a") == "old");
  CHECK_FALSE(exists(disk.fs, "a.conflict-n"));
  CHECK(names_in(disk.fs, storage::versions_directory) == 0);
}

TEST_CASE("apply: a loser whose conflict name is taken is kept instead") {
  OnSimDisk disk;
  make_file(disk.fs, "a", "loser");
  make_file(disk.fs, "a.conflict-n", "a user's");
  Applier applier(disk.fs);
  Put put = put_file(disk.fs, "a", "winner");
  put.moved = Moved{"a.conflict-n", wanted_file("loser")};
  const auto results = apply_one(applier, {put});
  const auto* done = only<Done>(results);
  REQUIRE(done != nullptr);
  CHECK(!done->moved);
  REQUIRE(done->displaced);
  CHECK(done->displaced->as_expected);
  CHECK(content_of(disk.fs, kept_path(done->displaced->file)) == "loser");
  CHECK(content_of(disk.fs, "a") == "winner");
  CHECK(content_of(disk.fs, "a.conflict-n") == "a user's");
}

TEST_CASE("apply: what moves is never under two names, nor under none at its own") {
  // Two names of one inode: an editor that writes to one would change the other, and a user who
  // renames one would have one file in two places.
  for (const bool by_put : {true, false}) {
    OnSimDisk disk;
    make_file(disk.fs, "a", "loser");
    Put put = put_file(disk.fs, "a", "winner");
    Remove remove = remove_at(disk.fs, "a");
    put.moved = remove.moved = Moved{"a.conflict-n", wanted_file("loser")};
    Applier applier(disk.fs);
    disk.disk.before_call = [&](std::string_view, std::string_view) {
      const auto name = disk.disk.disk().find("a");
      const auto copy = disk.disk.disk().find("a.conflict-n");
      CHECK((name || copy));
      CHECK((!name || !copy || *name != *copy));
    };
    const auto results = by_put ? apply_one(applier, {put}) : apply_one(applier, {remove});
    disk.disk.before_call = nullptr;
    CHECK(only<Done>(results) != nullptr);
  }
}

TEST_CASE_TEMPLATE("apply: removals of a batch come last, and deepest first", Disk, ON_ALL_DISKS) {
  Disk disk;
  REQUIRE(disk.fs.make_directory("d", 0755).has_value());
  REQUIRE(disk.fs.make_directory("d/e", 0755).has_value());
  make_file(disk.fs, "d/e/f", "bytes");
  Applier applier(disk.fs);
  const auto applied =
      applier.apply(batch({{"d", {remove_at(disk.fs, "d")}},
                           {"d/e", {remove_at(disk.fs, "d/e")}},
                           {"d/e/f", {remove_at(disk.fs, "d/e/f")}},
                           {"g", {put_at(disk.fs, "g", wanted_file("bytes"), AtName{"d/e/f"})}}}));
  REQUIRE(applied.size() == 4);
  for (const Applied& job : applied) {
    REQUIRE(job.results.size() == 1);
    CHECK(std::holds_alternative<Done>(job.results[0]));
  }
  CHECK(!exists(disk.fs, "d"));
  CHECK(content_of(disk.fs, "g") == "bytes");
}

TEST_CASE_TEMPLATE("apply: the first step that fails ends its job and no other", Disk,
                   ON_ALL_DISKS) {
  Disk disk;
  make_file(disk.fs, "a", "old");
  make_file(disk.fs, "c", "old");
  Applier applier(disk.fs);
  Put wrong = put_file(disk.fs, "a", "new");
  wrong.expected->mtime += 1;
  const auto applied = applier.apply(batch(
      {{"a", {put_at(disk.fs, "x", wanted_link("1"), Nothing{}), wrong, remove_at(disk.fs, "c")}},
       {"b", {put_file(disk.fs, "b", "bytes")}}}));
  REQUIRE(applied.size() == 2);
  REQUIRE(applied[0].results.size() == 2);
  CHECK(std::holds_alternative<Done>(applied[0].results[0]));
  CHECK(std::holds_alternative<Obstructed>(applied[0].results[1]));
  CHECK(exists(disk.fs, "c"));
  CHECK(content_of(disk.fs, "b") == "bytes");
}

TEST_CASE("apply: a replaced file's owner and group stay") {
  OnSimDisk disk;
  make_file(disk.fs, "a", "old");
  REQUIRE(disk.disk.chown("a", 7, 8));
  Applier applier(disk.fs);
  CHECK(only<Done>(apply_one(applier, {put_file(disk.fs, "a", "new")})) != nullptr);
  CHECK(disk.fs.stat("a")->uid == 7);
  CHECK(disk.fs.stat("a")->gid == 8);
  disk.disk.may_chown = false;
  CHECK(only<Done>(apply_one(applier, {put_file(disk.fs, "a", "newer")})) != nullptr);
  CHECK(disk.fs.stat("a")->uid == disk.disk.uid);
}

TEST_CASE("apply: many files share one sync, few are synced each") {
  OnSimDisk disk;
  Applier applier(disk.fs);
  Apply many;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "f" + std::to_string(i);
    make_file(disk.fs, name, "old");
    many.jobs.push_back({name, {put_file(disk.fs, name, "new " + name)}});
  }
  disk.disk.calls_by_operation.clear();
  CHECK(applier.apply(many).size() == 20);
  CHECK(disk.disk.calls_by_operation["sync_all"] == 1);
  CHECK(disk.disk.calls_by_operation["File::sync"] == 2);      // the log and the intent
  CHECK(disk.disk.calls_by_operation["sync_directory"] == 4);  // the root and the kept versions
  disk.disk.calls_by_operation.clear();
  apply_one(applier, {put_file(disk.fs, "f0", "newer")});
  CHECK(disk.disk.calls_by_operation["sync_all"] == 0);
  CHECK(disk.disk.calls_by_operation["File::sync"] == 3);  // content, log and intent
}

TEST_CASE("apply: kept versions go by age and by size, the oldest first") {
  OnSimDisk disk;
  Applier applier(disk.fs);
  std::vector<std::string> files;
  for (const char* bytes : {"one", "two", "three", "four"}) {
    make_file(disk.fs, "a", bytes);
    const auto results = apply_one(applier, {remove_at(disk.fs, "a")});
    files.push_back(std::get<Done>(results.at(0)).displaced->file);
    disk.disk.disk().now += 1'000'000'000;
  }
  CHECK(std::ranges::is_sorted(files));
  using std::chrono::seconds;
  CHECK(applier.expire({seconds(100), 1000}).empty());
  CHECK(applier.expire({seconds(100), 12}) == std::vector{files[0]});
  CHECK(applier.expire({std::chrono::milliseconds(2500), 1000}) == std::vector{files[1]});
  CHECK(applier.expire({seconds(0), 1000}, {files[2]}) == std::vector{files[3]});
  CHECK(applier.expire({seconds(0), 1000}) == std::vector{files[2]});
  CHECK(names_in(disk.fs, storage::versions_directory) == 0);
}

}  // namespace
}  // namespace p2psync::tests
