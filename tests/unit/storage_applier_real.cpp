// The applier against editors on a real file system: what the kernel's exchange and leases promise.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "storage/descriptor.h"
#include "tests/unit/storage_apply.h"
#include "tests/unit/storage_spy_fs.h"

namespace p2psync::tests {
namespace {

using namespace engine;
using storage::Applier;
using storage::kept_path;

bool leases_prove_something(OnRealDisk& disk) {
  make_file(disk.fs, "probe", "bytes");
  return (*disk.fs.open_read("probe"))->try_lease() == storage::Lease::granted;
}

TEST_CASE("apply: on a real disk a save between the check and the exchange is found") {
  OnRealDisk disk;
  make_file(disk.fs, "a", "old");
  const std::string name = disk.folder.path + "/a";
  SpyFs spy(disk.fs);
  Applier applier(spy);
  for (const bool in_place : {true, false}) {
    spy.before_rename = [&](std::string_view, std::string_view to) {
      if (to == "a" && in_place) {
        std::ofstream(name) << "user";
      } else if (to == "a") {
        std::ofstream(name + "~") << "user";
        std::filesystem::rename(name + "~", name);
      }
    };
    const auto results = apply_one(applier, {put_file(spy, "a", in_place ? "one" : "two")});
    const auto* done = only<Done>(results);
    REQUIRE(done != nullptr);
    REQUIRE(done->displaced.has_value());
    CHECK(!done->displaced->as_expected);
    CHECK(done->displaced->seen.content == storage::sha256(std::string_view("user")));
    CHECK(content_of(disk.fs, kept_path(done->displaced->file)) == "user");
    CHECK(content_of(disk.fs, "a") == (in_place ? "one" : "two"));
    CHECK(done->signature == signature_of(disk.fs, "a"));
  }
}

TEST_CASE("apply: a staged content gets a free name in one rename, and goes by a slot to others") {
  OnRealDisk disk;
  make_file(disk.fs, "b", "old");
  SpyFs spy(disk.fs);
  std::vector<std::string> renames;
  spy.before_rename = [&](std::string_view from, std::string_view to) {
    if (!to.contains("batch-log")) {
      renames.push_back(from == storage::staged_path(wanted_file("new").content)
                            ? std::string(to.starts_with("a") ? "staged to a" : "staged to slot")
                            : std::string("other"));
    }
  };
  Applier applier(spy);
  CHECK(only<Done>(apply_one(applier, {put_file(spy, "a", "new")})) != nullptr);
  CHECK(renames == std::vector<std::string>{"staged to a"});
  CHECK(left_over(spy) == 0);
  renames.clear();
  CHECK(only<Done>(apply_one(applier, {put_file(spy, "b", "new")})) != nullptr);
  CHECK(renames == std::vector<std::string>{"staged to slot", "other", "other"});
}

TEST_CASE("apply: what was staged with its mode is not opened to be laid among many") {
  OnSimDisk disk;
  Applier applier(disk.fs);
  Apply many;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "f" + std::to_string(i);
    const std::string bytes = "new " + name;
    const std::uint16_t mode = i == 0 ? 0644 : 0640;
    many.jobs.push_back({name, {put_at(disk.fs, name, wanted_file(bytes), Staged{})}});
    make_file(disk.fs, storage::staged_path(storage::sha256(bytes)), bytes, old_time, mode);
  }
  disk.disk.calls_by_operation.clear();
  for (const Applied& applied : applier.apply(many)) {
    const auto* done = only<Done>(applied.results);
    REQUIRE(done != nullptr);
    CHECK(done->signature == signature_of(disk.fs, applied.path));
    CHECK(done->signature->mode == 0640);
    CHECK(done->signature->mtime == old_time + 1);
  }
  CHECK(disk.disk.calls_by_operation["open_read"] == 1);  // of another mode
  CHECK(disk.disk.calls_by_operation["File::set_mode"] == 1);
  CHECK(disk.disk.calls_by_operation["set_mtime"] == 19);
}

TEST_CASE("apply: on a real disk an editor that holds the old file open is watched") {
  OnRealDisk disk;
  if (!leases_prove_something(disk)) {
    MESSAGE("skipped: leases prove nothing on this file system");
    return;
  }
  make_file(disk.fs, "a", "old");
  storage::Descriptor editor(::open((disk.folder.path + "/a").c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(editor);
  Applier applier(disk.fs);
  const auto results = apply_one(applier, {put_file(disk.fs, "a", "new")});
  const auto* done = only<Done>(results);
  REQUIRE(done != nullptr);
  CHECK(done->displaced->as_expected);
  CHECK(done->displaced->still_open);
  CHECK(applier.still_open() == 1);
  CHECK(applier.revisit().empty());

  REQUIRE(::write(editor.get(), "late", 4) == 4);
  const auto surfaced = applier.revisit();
  REQUIRE(surfaced.size() == 1);
  CHECK(surfaced[0].file == done->displaced->file);
  CHECK(surfaced[0].seen.content == storage::sha256(std::string_view("late")));
  CHECK(content_of(disk.fs, "a") == "new");
  CHECK(applier.still_open() == 1);

  // The engine has it laid beside: the editor goes on writing into what everybody sees.
  const auto laid = apply_one(applier, {put_at(disk.fs, "a.conflict-n", wanted_file("late"),
                                               Kept{done->displaced->file, true})});
  CHECK(only<Done>(laid) != nullptr);
  REQUIRE(::write(editor.get(), "r", 1) == 1);
  CHECK(content_of(disk.fs, "a.conflict-n") == "later");
  CHECK(signature_of(disk.fs, "a.conflict-n") != only<Done>(laid)->signature);
  CHECK(applier.still_open() == 0);
  CHECK(left_over(disk.fs) == 0);
}

}  // namespace
}  // namespace p2psync::tests
