// Looking at names and listing directories, on a real file system with a spy in between.
#include "storage/scanner.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "engine/ignore.h"
#include "storage/content.h"
#include "storage/hash.h"
#include "storage/staging.h"
#include "storage_folder.h"
#include "storage_spy_fs.h"

using namespace p2psync;
using namespace p2psync::storage;
using engine::Seen;
using tests::Folder;
using tests::SpyFs;

namespace {

constexpr std::int64_t hour_ns = 3'600'000'000'000;

Seen seen(const engine::Looked& looked) {
  REQUIRE(std::holds_alternative<Seen>(looked.sight));
  return std::get<Seen>(looked.sight);
}

Seen look_at(Fs& fs, const std::string& name) {
  return seen(look(fs, {name, std::nullopt}));
}

}  // namespace

TEST_CASE("hash: the known answers, and hex both ways") {
  const engine::Hash abc = sha256("abc");
  const std::string hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  CHECK(to_hex(abc) == hex);
  CHECK(from_hex(hex) == abc);
  CHECK(to_hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 sum;
  sum.add(tests::bytes_of("a"));
  sum.add({});
  sum.add(tests::bytes_of("bc"));
  CHECK(sum.finish() == abc);
  sum.add(tests::bytes_of("abc"));
  CHECK(sum.finish() == abc);
  for (const std::string& bad :
       {hex.substr(1), hex + "0", "BA" + hex.substr(2), "g" + hex.substr(1), std::string()}) {
    CHECK_FALSE(from_hex(bad).has_value());
  }
}

TEST_CASE("scanner: a file, a link, a directory and what is none of them") {
  const Folder folder;
  folder.write("f", "content");
  REQUIRE(folder.fs->make_directory("d", 0750));
  REQUIRE(folder.fs->make_symlink("to/nowhere", "l"));
  REQUIRE(::mkfifo((folder.path + "/pipe").c_str(), 0600) == 0);

  const Seen file = look_at(*folder.fs, "f");
  CHECK(file.content == sha256("content"));
  CHECK(file.signature == folder.fs->stat("f")->signature);
  const Seen link = look_at(*folder.fs, "l");
  CHECK(link.content == sha256("to/nowhere"));
  CHECK(link.target == "to/nowhere");
  const Seen directory = look_at(*folder.fs, "d");
  CHECK(directory.content == engine::Hash{});
  CHECK(directory.signature.mode == 0750);
  CHECK_FALSE(directory.fresh);
  CHECK(std::holds_alternative<engine::Special>(look(*folder.fs, {"pipe", {}}).sight));
  CHECK(std::holds_alternative<engine::Absent>(look(*folder.fs, {"none", {}}).sight));
  CHECK(std::holds_alternative<engine::Absent>(look(*folder.fs, {"f/below", {}}).sight));
  CHECK(std::holds_alternative<engine::Absent>(look(*folder.fs, {"l/below", {}}).sight));
}

TEST_CASE("scanner: a listing brings the rules that stand in the directory") {
  const Folder folder;
  folder.write("f", "1");
  CHECK(!list(*folder.fs, {""}).rules.has_value());
  REQUIRE(folder.fs->make_directory("d", 0755));
  folder.write("d/.p2pignore", "*.log\n");
  const auto rules = list(*folder.fs, {"d"}).rules;
  REQUIRE(rules.has_value());
  CHECK(rules->text == "*.log\n");
  const engine::Looked looked = look(*folder.fs, {"d/.p2pignore", std::nullopt});
  REQUIRE(std::holds_alternative<Seen>(looked.sight));
  CHECK(rules->content == std::get<Seen>(looked.sight).content);
  CHECK(!list(*folder.fs, {""}).rules.has_value());

  folder.write("d/.p2pignore", std::string(engine::ignore_bytes_max, '#'));
  CHECK(list(*folder.fs, {"d"}).rules->text.size() == engine::ignore_bytes_max);
  folder.write("d/.p2pignore", std::string(engine::ignore_bytes_max + 1, '#'));
  CHECK(list(*folder.fs, {"d"}).rules->content == engine::Hash{});
  REQUIRE(folder.fs->unlink("d/.p2pignore"));
  REQUIRE(folder.fs->make_directory("d/.p2pignore", 0755));
  CHECK(!list(*folder.fs, {"d"}).rules.has_value());
  REQUIRE(folder.fs->remove_directory("d/.p2pignore"));
  REQUIRE(folder.fs->make_symlink("../f", "d/.p2pignore"));
  CHECK(!list(*folder.fs, {"d"}).rules.has_value());
}

TEST_CASE("scanner: the program's own directory is neither looked at nor listed") {
  const Folder folder;
  REQUIRE(prepare_state(*folder.fs));
  folder.write(".p2psync/f", "x");
  folder.write("f", "x");
  REQUIRE(folder.fs->make_directory("d", 0755));
  REQUIRE(folder.fs->make_directory("d/.p2psync", 0755));
  for (const char* const name : {".p2psync", ".p2psync/f", "", "a/../f"}) {
    CHECK(std::holds_alternative<Error>(look(*folder.fs, {name, {}}).sight));
  }
  const auto root = list(*folder.fs, {""}).items;
  REQUIRE(root);
  REQUIRE(root->size() == 2);
  CHECK(root->at(0).name == "d");
  CHECK(root->at(1).name == "f");
  CHECK(root->at(1).signature == folder.fs->stat("f")->signature);
  CHECK(list(*folder.fs, {"d"}).items->size() == 1);  // below the root it is a name like any other
  CHECK_FALSE(list(*folder.fs, {".p2psync"}).items);
  CHECK(list(*folder.fs, {"none"}).items.error().code == ErrorCode::not_found);
  CHECK(see(*folder.fs, ".p2psync/f")->content == sha256("x"));
}

TEST_CASE("scanner: what was a file just now is opened at once, and may be none any more") {
  const Folder folder;
  SpyFs spy(*folder.fs);
  folder.write("f", "content");
  REQUIRE(folder.fs->make_directory("d", 0750));
  REQUIRE(folder.fs->make_symlink("to/nowhere", "l"));
  REQUIRE(::mkfifo((folder.path + "/pipe").c_str(), 0600) == 0);
  spy.clock_offset = hour_ns;
  for (const char* name : {"f", "d", "l", "pipe", "none", "f/below"}) {
    const engine::Looked at_once = look(spy, {name, {}, false, true});
    const engine::Looked as_any = look(spy, {name, {}});
    CHECK(at_once.sight.index() == as_any.sight.index());
    if (const auto* same = std::get_if<Seen>(&as_any.sight)) {
      CHECK(seen(at_once) == *same);
    }
  }
  spy.opened = 0;
  CHECK(std::holds_alternative<engine::Special>(look(spy, {"pipe", {}}).sight));
  CHECK(spy.opened == 0);  // somebody may wait for a reader
  const auto stats_of = [&](bool regular) {
    spy.stats = 0;
    CHECK(seen(look(spy, {"f", {}, false, regular})).content == sha256("content"));
    return spy.stats;
  };
  CHECK(stats_of(true) == 0);
  CHECK(stats_of(false) == 1);
}

TEST_CASE("scanner: what is known is not read again unless it was fresh") {
  const Folder folder;
  SpyFs spy(*folder.fs);
  folder.write("f", "content");
  spy.clock_offset = hour_ns;
  const Seen settled = look_at(spy, "f");
  CHECK_FALSE(settled.fresh);
  CHECK(spy.opened == 1);
  CHECK(seen(look(spy, {"f", settled})) == settled);
  CHECK(spy.opened == 1);

  spy.clock_offset = folder.fs->stat("f")->signature.ctime - folder.fs->wall_time();
  Seen fresh = look_at(spy, "f");
  CHECK(fresh.fresh);
  CHECK(spy.opened == 2);
  spy.clock_offset = -hour_ns;  // the clock was set back: later changes are visible
  CHECK_FALSE(look_at(spy, "f").fresh);
  spy.clock_offset = hour_ns;
  CHECK(seen(look(spy, {"f", fresh})) == settled);
  CHECK(spy.opened == 4);

  folder.write("f", "NEW CONTENT");
  CHECK(seen(look(spy, {"f", settled})).content == sha256("NEW CONTENT"));
}

TEST_CASE("scanner: a large file that has just changed is put off once, and not read twice") {
  const Folder folder;
  SpyFs spy(*folder.fs);
  folder.write("large", std::string(spy.chunk_sizes.max + 1, 'x'));
  folder.write("small", "x");
  CHECK(std::holds_alternative<engine::Unstable>(look(spy, {"large", {}, true}).sight));
  CHECK(spy.opened == 0);
  CHECK(seen(look(spy, {"small", {}, true})).fresh);
  CHECK(seen(look(spy, {"large", {}, false})).fresh);
}

TEST_CASE("scanner: a file that changes once while it is read is read again") {
  const Folder folder;
  SpyFs spy(*folder.fs);
  const std::string first(9'000'000, 'a');
  folder.write("f", first);
  int reads = 0;
  spy.before_read = [&](const std::string&, std::uint64_t offset) {
    if (++reads == 2) {
      CHECK(offset > 0);
      folder.write("f", std::string(9'000'001, 'b'));
    }
  };
  CHECK(look_at(spy, "f").content == name_of(tests::bytes_of(std::string(9'000'001, 'b')), {}));
}

TEST_CASE("scanner: a file that keeps changing, or is replaced, is unstable") {
  const Folder folder;
  SpyFs spy(*folder.fs);
  folder.write("f", "0");
  int changes = 0;
  SUBCASE("in place, with another size") {
    spy.before_read = [&](const std::string&, std::uint64_t) {
      folder.write("f", std::string(static_cast<std::size_t>(++changes) + 1, 'x'));
    };
  }
  SUBCASE("shorter") {
    folder.write("f", "0000");
    spy.before_read = [&](const std::string&, std::uint64_t) {
      folder.write("f", std::string(static_cast<std::size_t>(3 - ++changes), 'x'));
    };
  }
  SUBCASE("the mode only") {
    spy.before_read = [&](const std::string&, std::uint64_t) {
      ::chmod((folder.path + "/f").c_str(), ++changes % 2 == 0 ? 0600 : 0644);
    };
  }
  SUBCASE("by a rename over it") {
    spy.before_read = [&](const std::string&, std::uint64_t) {
      folder.write("new", "1");
      REQUIRE(folder.fs->rename("new", "f", RenameMode::replace));
      ++changes;
    };
  }
  for (const bool regular : {false, true}) {
    changes = 0;
    CHECK(std::holds_alternative<engine::Unstable>(look(spy, {"f", {}, false, regular}).sight));
    CHECK(changes == 2);
  }
  changes = 0;
  CHECK(see(spy, "f").error().code == ErrorCode::busy);
}

TEST_CASE("scanner: a file that is deleted while it is read is absent") {
  const Folder folder;
  SpyFs spy(*folder.fs);
  folder.write("f", "0");
  spy.before_read = [&](const std::string&, std::uint64_t) { REQUIRE(folder.fs->unlink("f")); };
  CHECK(std::holds_alternative<engine::Absent>(look(spy, {"f", {}}).sight));
}

TEST_CASE("scanner: what is new is durable before the answer, few one by one, many at once") {
  const Folder folder;
  SpyFs spy(*folder.fs);
  spy.clock_offset = hour_ns;
  REQUIRE(folder.fs->make_directory("d", 0755));
  engine::Look few;
  for (const char* const name : {"a", "d/b", "d/c"}) {
    folder.write(name, name);
    few.names.push_back({name, std::nullopt});
  }
  few.names.push_back({"d", std::nullopt});
  few.names.push_back({"none", std::nullopt});
  auto answers = look_all(spy, few);
  REQUIRE(answers.size() == 5);
  CHECK(spy.files_synced == 3);
  CHECK(spy.directories_synced == 2);  // the root and d, for their names and for d's mode
  CHECK(spy.all_synced == 0);

  for (std::size_t i = 0; i < 4; ++i) {
    few.names[i].known = seen(answers[i]);
  }
  answers = look_all(spy, few);
  CHECK(spy.files_synced == 3);        // nothing new
  CHECK(spy.directories_synced == 3);  // but that `none` is not there

  engine::Look many;
  for (int i = 0; i < 9; ++i) {
    const std::string name = "many" + std::to_string(i);
    folder.write(name, name);
    many.names.push_back({name, std::nullopt});
  }
  answers = look_all(spy, many);
  CHECK(spy.files_synced == 3);
  CHECK(spy.all_synced == 1);
  for (const engine::Looked& answer : answers) {
    CHECK(seen(answer).content == sha256(answer.name));
  }
}

TEST_CASE("scanner: what could not be made durable is not seen, the rest is") {
  const Folder folder;
  SpyFs spy(*folder.fs);
  spy.clock_offset = hour_ns;
  folder.write("known", "k");
  const Seen known = look_at(spy, "known");
  spy.on_sync_all = [] { return Result<void>(std::unexpected(system_error("sync", "", EIO))); };
  engine::Look request{{{"known", known}}};
  for (int i = 0; i < 9; ++i) {
    const std::string name = "f" + std::to_string(i);
    folder.write(name, name);
    request.names.push_back({name, std::nullopt});
  }
  const auto answers = look_all(spy, request);
  CHECK(seen(answers.front()) == known);
  for (std::size_t i = 1; i < answers.size(); ++i) {
    REQUIRE(std::holds_alternative<Error>(answers[i].sight));
    CHECK(std::get<Error>(answers[i].sight).error_number == EIO);
  }
}
