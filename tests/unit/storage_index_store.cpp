#include <doctest/doctest.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "engine/codec.h"
#include "storage/index_store.h"
#include "storage/posix_fs.h"

using namespace p2psync;
using namespace p2psync::storage;
using engine::Change;
using engine::Record;

namespace {

namespace fs = std::filesystem;
constexpr engine::NodeId self = 0xfedcba9876543210;
constexpr const char* index_file = "index.db";

/// A directory for one test, removed at its end.
struct Scratch {
  Scratch() {
    std::string name = fs::temp_directory_path().string() + "/p2psync-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    disk = *open_posix_fs(path);
  }
  ~Scratch() { fs::remove_all(path); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] std::string at(const std::string& name) const { return path + '/' + name; }
  [[nodiscard]] std::string database() const { return at(index_file); }
  std::string path;
  std::unique_ptr<PosixFs> disk;
};

std::unique_ptr<IndexStore> must_open(const Scratch& scratch,
                                      const std::string& file = index_file) {
  auto store = IndexStore::open(*scratch.disk, file, self);
  REQUIRE_MESSAGE(store.has_value(), store.error().message());
  return std::move(*store);
}

Error must_fail(const Scratch& scratch, engine::NodeId id = self,
                const std::string& file = index_file) {
  const auto store = IndexStore::open(*scratch.disk, file, id);
  REQUIRE_FALSE(store.has_value());
  return store.error();
}

Record record_of(std::uint64_t number) {
  Record record;
  record.entry.context.add({{self, 7}, number + 1});
  engine::Version version;
  version.size = number;
  version.label = "node1";
  record.entry.versions.push_back({{{self, 7}, number + 1}, version});
  record.shown.push_back({"name", {{{self, 7}, number + 1}}, version, {}});
  return record;
}

Change change_of(const std::string& path, std::uint64_t number) {
  Change change;
  change.records.push_back({path, record_of(number)});
  return change;
}

void must_commit(IndexStore& store, const Change& change) {
  const auto done = store.commit({&change, 1});
  REQUIRE_MESSAGE(done.has_value(), done.error().message());
}

engine::Loaded must_load(IndexStore& store) {
  auto loaded = store.load();
  REQUIRE_MESSAGE(loaded.has_value(), loaded.error().message());
  return std::move(*loaded);
}

std::vector<std::string> paths_in(IndexStore& store) {
  std::vector<std::string> paths;
  must_load(store).index.for_each("", "", [&paths](const engine::Path& path, const Record&) {
    paths.push_back(path);
    return true;
  });
  return paths;
}

std::string contents(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void overwrite(const std::string& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

void run_sql(const std::string& file, const char* sql) {
  sqlite3* connection = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &connection) == SQLITE_OK);
  CHECK(sqlite3_exec(connection, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  CHECK(sqlite3_close(connection) == SQLITE_OK);
}

std::int64_t number_in(const std::string& file, const char* sql) {
  sqlite3* connection = nullptr;
  sqlite3_stmt* statement = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &connection) == SQLITE_OK);
  REQUIRE(sqlite3_prepare_v2(connection, sql, -1, &statement, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
  const std::int64_t number = sqlite3_column_int64(statement, 0);
  CHECK(sqlite3_finalize(statement) == SQLITE_OK);
  CHECK(sqlite3_close(connection) == SQLITE_OK);
  return number;
}

}  // namespace

TEST_CASE("index store: everything that was committed is there after opening it again") {
  const Scratch scratch;
  std::uint64_t epoch = 0;
  engine::KeptVersion kept{"0001", "a/b", record_of(1).entry.versions[0].version};
  {
    const auto store = must_open(scratch);
    epoch = store->epoch();
    Change change;
    change.records = {{"a/b", record_of(1)}, {"a", record_of(2)}, {"gone", record_of(3)}};
    change.knowledge = engine::VersionVector{{{self, 7}, 9}};
    change.rows = {{self, 5, {{{self, 7}, 9}}}, {1, 6, {}}};
    change.endings = {{self, 1, {41, 5}}, {1, 1, {51, 6}}};
    change.kept = {kept, {"0002", "gone", {}}};
    change.applied = 7;
    Change later;
    later.records = {{"gone", std::nullopt}, {"a", record_of(4)}};
    later.rows = {{1, 8, {{{1, 1}, 1}}}};
    later.endings = {{self, 2, {42, 7}}};
    later.forgotten = {"0002"};
    REQUIRE(store->commit(std::vector<Change>{change, later}).has_value());
  }
  const auto store = must_open(scratch);
  CHECK(store->epoch() == epoch);
  const auto loaded = must_load(*store);
  CHECK(paths_in(*store) == std::vector<std::string>{"a", "a/b"});
  CHECK(loaded.index.find("a")->entry == record_of(4).entry);
  CHECK(loaded.index.find("a")->shown == record_of(4).shown);
  CHECK(loaded.knowledge == engine::VersionVector{{{self, 7}, 9}});
  REQUIRE(loaded.rows.size() == 2);
  CHECK(std::ranges::count(loaded.rows, engine::HeldRow{1, 8, {{{1, 1}, 1}}}) == 1);
  CHECK(loaded.kept == std::vector<engine::KeptVersion>{kept});
  CHECK(loaded.applied == 7);
  CHECK(std::ranges::equal(loaded.endings.of(self), std::vector<engine::Ending>{{41, 5}, {42, 7}}));
  CHECK(std::ranges::equal(loaded.endings.of(1), std::vector<engine::Ending>{{51, 6}}));
}

TEST_CASE("index store: it is fresh until the first scan is complete") {
  const Scratch scratch;
  for (int start = 0; start < 2; ++start) {
    const auto store = must_open(scratch);
    CHECK(store->fresh());
    CHECK(store->epoch() > 1'600'000'000'000);
  }
  REQUIRE(must_open(scratch)->scanned().has_value());
  CHECK_FALSE(must_open(scratch)->fresh());
}

TEST_CASE("index store: records come in the order of paths") {
  const Scratch scratch;
  const auto store = must_open(scratch);
  std::vector<std::string> paths = {"a",   "a/b",     "a/b/c",         "a/\x01", "a\x01b", "a!",
                                    "a-b", "a-b/c/d", "\xff\xfe/\xff", "b",      "a/b!c"};
  Change change;
  for (const auto& path : paths) {
    change.records.push_back({path, record_of(1)});
  }
  must_commit(*store, change);
  std::ranges::sort(paths, engine::PathLess{});
  CHECK(paths_in(*store) == paths);
}

TEST_CASE("index store: a database of a newer version is refused and left alone") {
  const Scratch scratch;
  must_commit(*must_open(scratch), change_of("a", 1));
  run_sql(scratch.database(), "PRAGMA user_version = 6");
  const std::string before = contents(scratch.database());
  const Error error = must_fail(scratch);
  CHECK(error.code == ErrorCode::newer);
  CHECK(error.message().contains("newer version"));
  CHECK(contents(scratch.database()) == before);
}

TEST_CASE("index store: most records take few bytes, and come back as they were") {
  const Scratch scratch;
  Record plain = record_of(1);
  plain.shown[0].signature.size = plain.shown[0].version.size;
  Record other = plain;
  other.shown[0].signature.mtime = 5;
  {
    Change change;
    change.records = {{"name", plain}, {"other", other}};
    must_commit(*must_open(scratch), change);
  }
  {
    const auto loaded = must_load(*must_open(scratch));
    CHECK(loaded.index.find("name")->shown == plain.shown);
    CHECK(loaded.index.find("name")->entry == plain.entry);
    CHECK(loaded.index.find("other")->shown == other.shown);
  }
  CHECK(number_in(scratch.database(),
                  "SELECT 2 * min(length(data)) < max(length(data)) FROM entry") == 1);
}

TEST_CASE("index store: a database of schema 4 is read as it is, and is one of schema 5 then") {
  const Scratch scratch;
  must_commit(*must_open(scratch), change_of("a", 1));
  run_sql(scratch.database(), "PRAGMA user_version = 4");
  {
    const auto store = must_open(scratch);
    CHECK(must_load(*store).index.find("a")->shown == record_of(1).shown);
    must_commit(*store, change_of("name", 2));
  }
  CHECK(number_in(scratch.database(), "PRAGMA user_version") == 5);
  CHECK(paths_in(*must_open(scratch)) == std::vector<std::string>{"a", "name"});
}

TEST_CASE("index store: a header that was damaged before it had tables is no dead end") {
  const Scratch scratch;
  run_sql(scratch.database(), "CREATE TABLE none(at); DROP TABLE none");
  std::string bytes = contents(scratch.database());
  bytes.at(18) = 3;  // the format that a writer must know
  overwrite(scratch.database(), bytes);
  CHECK(must_fail(scratch).code == ErrorCode::corrupt);
}

TEST_CASE("index store: a database of an older version counts as damaged: it is read anew") {
  const Scratch scratch;
  must_commit(*must_open(scratch), change_of("a", 1));
  run_sql(scratch.database(), "PRAGMA user_version = 1");
  const Error error = must_fail(scratch);
  CHECK(error.code == ErrorCode::corrupt);
  CHECK(error.message().contains("older version"));
}

TEST_CASE("index store: the index of another node is refused with both ids") {
  const Scratch scratch;
  must_open(scratch);
  const Error error = must_fail(scratch, 0x42);
  CHECK(error.code == ErrorCode::invalid);
  CHECK(error.message().contains("fedcba9876543210"));
  CHECK(error.message().contains("0000000000000042"));
}

TEST_CASE("index store: what is no index, or a damaged one, is named and can be set aside") {
  const Scratch scratch;
  const std::string file = scratch.database();
  SUBCASE("garbage") {
    overwrite(file, std::string(10'000, 'x'));
  }
  SUBCASE("somebody else's database") {
    run_sql(file, "CREATE TABLE t(x)");
  }
  SUBCASE("a table is missing") {
    must_open(scratch);
    run_sql(file, "DROP TABLE kept");
  }
  SUBCASE("cut off") {
    Change change;
    for (std::uint64_t i = 0; i < 500; ++i) {
      change.records.push_back({std::to_string(i), record_of(i)});
    }
    must_commit(*must_open(scratch), change);
    fs::resize_file(file, fs::file_size(file) / 2);
  }
  SUBCASE("a page overwritten") {
    Change change;
    for (std::uint64_t i = 0; i < 500; ++i) {
      change.records.push_back({std::to_string(i), record_of(i)});
    }
    must_commit(*must_open(scratch), change);
    std::string bytes = contents(file);
    const std::size_t page = bytes.size() / 4096 / 2;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(page * 4096), 4096, '\x55');
    overwrite(file, bytes);
  }
  SUBCASE("a bit of its header that forbids to write to it") {
    must_open(scratch);
    std::string bytes = contents(file);
    bytes.at(18) ^= 1;
    overwrite(file, bytes);
  }
  const Error error = must_fail(scratch);
  CHECK_MESSAGE(error.code == ErrorCode::corrupt, error.message());
  CHECK(error.message().contains(index_file));

  const std::string damaged = contents(file);
  CHECK(IndexStore::set_aside(*scratch.disk, index_file).value() == "index.db.damaged-1");
  CHECK(contents(file + ".damaged-1") == damaged);
  CHECK(must_open(scratch)->fresh());
  CHECK(IndexStore::set_aside(*scratch.disk, index_file).value() == "index.db.damaged-2");
}

TEST_CASE("index store: a value that does not decode makes the load fail, not the process") {
  const Scratch scratch;
  Change change = change_of("a", 1);
  change.endings = {{self, 1, {41, 5}}, {self, 2, {42, 5}}};
  must_commit(*must_open(scratch), change);
  const char* sql = nullptr;
  SUBCASE("a record") {
    sql = "UPDATE entry SET data = x'ffff'";
  }
  SUBCASE("a path") {
    sql = "UPDATE entry SET path = x'2e2e'";
  }
  SUBCASE("a value of another type") {
    sql = "INSERT INTO meta VALUES('knowledge', 'text')";
  }
  SUBCASE("a list of endings with a gap") {
    sql = "DELETE FROM ended WHERE number = 1";
  }
  run_sql(scratch.database(), sql);
  const auto store = must_open(scratch);
  const auto loaded = store->load();
  REQUIRE_FALSE(loaded.has_value());
  CHECK(loaded.error().code == ErrorCode::corrupt);
}

TEST_CASE("index store: a database goes aside together with its WAL") {
  const Scratch scratch;
  const Scratch crashed;
  {
    const auto store = must_open(scratch);
    must_commit(*store, change_of("old", 1));
    // What a crash would leave: the WAL not yet read back into the database.
    REQUIRE(fs::exists(scratch.database() + "-wal"));
    fs::copy(scratch.path, crashed.path, fs::copy_options::recursive);
  }
  const std::string aside = IndexStore::set_aside(*crashed.disk, index_file).value();
  CHECK(paths_in(*must_open(crashed)).empty());
  CHECK(paths_in(*must_open(crashed, aside)) == std::vector<std::string>{"old"});
}

TEST_CASE("index store: whatever of the WAL survives, whole commits in their order are there") {
  const Scratch scratch;
  const Scratch image;
  const int commits = 12;
  {
    const auto store = must_open(scratch);
    for (int i = 0; i < commits; ++i) {
      Change change;
      // Several pages each, all with the number of the commit.
      for (int k = 0; k < 20; ++k) {
        change.records.push_back({"p" + std::to_string(k), record_of(static_cast<unsigned>(i))});
      }
      change.knowledge = engine::VersionVector{{{self, 7}, static_cast<unsigned>(i) + 1}};
      must_commit(*store, change);
    }
    fs::copy(scratch.database(), image.database());
    fs::copy(scratch.database() + "-wal", image.path + "/wal");
  }
  const std::string database = contents(image.database());
  const std::string wal = contents(image.path + "/wal");
  std::uint64_t last = 0;
  for (std::size_t size = 0; size <= wal.size(); size += 1024) {
    overwrite(image.database(), database);
    overwrite(image.database() + "-wal", wal.substr(0, size));
    const auto store = IndexStore::open(*image.disk, index_file, self);
    if (!store) {
      // Before the tables were in the database or in the WAL there was nothing to lose.
      CHECK(last == 0);
      continue;
    }
    const auto loaded = must_load(**store);
    const std::uint64_t number = loaded.knowledge.at({self, 7});
    CHECK(number >= last);
    last = number;
    CHECK(loaded.index.size() == (number == 0 ? 0 : 20));
    loaded.index.for_each("", "", [number](const engine::Path&, const Record& record) {
      CHECK(record.entry == record_of(number - 1).entry);
      return true;
    });
  }
  overwrite(image.database(), database);
  overwrite(image.database() + "-wal", wal);
  CHECK(must_load(*must_open(image)).knowledge.at({self, 7}) == commits);
}

TEST_CASE("index store: what commit confirmed is there after kill -9") {
  const Scratch scratch;
  must_open(scratch);
  int confirmed[2];
  REQUIRE(::pipe(confirmed) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto store = IndexStore::open(*scratch.disk, index_file, self);
    for (std::uint64_t i = 0; store; ++i) {
      const Change change = change_of("f" + std::to_string(i), i);
      if (!(*store)->commit({&change, 1}) || ::write(confirmed[1], "x", 1) != 1) {
        break;
      }
    }
    ::_exit(1);
  }
  ::close(confirmed[1]);
  std::size_t count = 0;
  char byte = 0;
  while (count < 50 && ::read(confirmed[0], &byte, 1) == 1) {
    ++count;
  }
  ::kill(child, SIGKILL);
  while (::read(confirmed[0], &byte, 1) == 1) {
    ++count;
  }
  ::close(confirmed[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(count >= 50);
  const auto paths = paths_in(*must_open(scratch));
  CHECK(paths.size() >= count);
  CHECK(paths.size() <= count + 1);
}

TEST_CASE("index store: a commit that the disk refuses stores nothing and can be tried again") {
  const Scratch scratch;
  const auto store = must_open(scratch);
  must_commit(*store, change_of("before", 1));
  Change large;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    large.records.push_back({"large/" + std::to_string(i), record_of(i)});
  }
  rlimit old{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit low{200'000, old.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &low) == 0);
  const auto refused = store->commit({&large, 1});
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &old) == 0);
  std::signal(SIGXFSZ, handler);
  REQUIRE_FALSE(refused.has_value());
  CHECK((refused.error().code == ErrorCode::io || refused.error().code == ErrorCode::no_space));
  CHECK(paths_in(*store) == std::vector<std::string>{"before"});
  must_commit(*store, large);
  CHECK(paths_in(*store).size() == 3001);
}

TEST_CASE("index store: a folder whose path is longer than SQLite takes works") {
  const Scratch scratch;
  std::string folder = scratch.path;
  while (folder.size() < 1500) {
    folder += '/' + std::string(200, 'd');
  }
  fs::create_directories(folder);
  const auto disk = *open_posix_fs(folder);
  {
    const auto store = *IndexStore::open(*disk, index_file, self);
    must_commit(*store, change_of("a", 1));
    CHECK(fs::exists(folder + "/index.db-wal"));
    CHECK_FALSE(fs::exists(folder + "/index.db-shm"));  // nothing is mapped
  }
  CHECK(paths_in(**IndexStore::open(*disk, index_file, self)) == std::vector<std::string>{"a"});
}

TEST_CASE("index store: a folder that takes the place of the one in use does not get its index") {
  const Scratch scratch;
  fs::create_directory(scratch.at("data"));
  const auto disk = *open_posix_fs(scratch.at("data"));
  {
    const auto store = *IndexStore::open(*disk, index_file, self);
    fs::rename(scratch.at("data"), scratch.at("moved"));
    fs::create_directory(scratch.at("data"));
    must_commit(*store, change_of("a", 1));
  }
  CHECK(fs::is_empty(scratch.at("data")));
  CHECK(paths_in(*must_open(scratch, "moved/index.db")) == std::vector<std::string>{"a"});
}

TEST_CASE("index store: its files are for nobody else's eyes") {
  const Scratch scratch;
  const auto store = must_open(scratch);
  must_commit(*store, change_of("a", 1));
  for (const char* suffix : {"", "-wal"}) {
    const auto mode = fs::status(scratch.database() + suffix).permissions() & fs::perms::all;
    CHECK(mode == (fs::perms::owner_read | fs::perms::owner_write));
  }
}

TEST_CASE("index store: without its directory it says so") {
  const Scratch scratch;
  CHECK(must_fail(scratch, self, "missing/index.db").code == ErrorCode::not_found);
}
