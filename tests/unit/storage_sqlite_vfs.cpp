#include <doctest/doctest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/sqlite_vfs.h"
#include "tests/sim/sim_fs.h"

using namespace p2psync;
using storage::SqliteVfs;

namespace {

constexpr int read_write = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB;
constexpr int or_create = read_write | SQLITE_OPEN_CREATE;

/// A VFS on a simulated disk, called as SQLite calls it.
struct Bench {
  sim::SimFs fs;
  SqliteVfs vfs{fs, std::nullopt};
  sqlite3_vfs* calls = sqlite3_vfs_find(vfs.name());

  int fail_with = 0;
  Bench() {
    fs.fault = [this](std::string_view, std::string_view) { return fail_with; };
  }
};

/// A file as SQLite holds it.
class Handle {
 public:
  Handle(Bench& bench, const char* name, int flags)
      : memory_(static_cast<std::size_t>(bench.calls->szOsFile)) {
    code = bench.calls->xOpen(bench.calls, name, file(), flags, nullptr);
  }
  ~Handle() {
    if (file()->pMethods != nullptr) {
      CHECK(methods().xClose(file()) == SQLITE_OK);
    }
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  [[nodiscard]] sqlite3_file* file() { return reinterpret_cast<sqlite3_file*>(memory_.data()); }
  [[nodiscard]] const sqlite3_io_methods& methods() { return *file()->pMethods; }
  int write(std::string_view bytes, std::int64_t offset) {
    return methods().xWrite(file(), bytes.data(), static_cast<int>(bytes.size()), offset);
  }
  int read(std::string& into, std::int64_t offset) {
    return methods().xRead(file(), into.data(), static_cast<int>(into.size()), offset);
  }

  int code = SQLITE_OK;

 private:
  std::vector<std::max_align_t> memory_;  ///< more than enough
};

}  // namespace

TEST_CASE("sqlite vfs: it is known by a name of its own as long as it lives") {
  sim::SimFs fs;
  std::string name;
  {
    const SqliteVfs one(fs, std::nullopt);
    const SqliteVfs two(fs, std::nullopt);
    name = one.name();
    CHECK(name != two.name());
    CHECK(sqlite3_vfs_find(one.name()) != sqlite3_vfs_find(two.name()));
  }
  CHECK(sqlite3_vfs_find(name.c_str()) == nullptr);
}

TEST_CASE("sqlite vfs: a seed does not make it the VFS of everybody") {
  sim::SimFs fs;
  const sqlite3_vfs* const usual = sqlite3_vfs_find(nullptr);
  const SqliteVfs vfs(fs, 1);
  CHECK(sqlite3_vfs_find(nullptr) == usual);
}

TEST_CASE("sqlite vfs: bytes past the end of a file read as zeros, and are told") {
  Bench bench;
  Handle handle(bench, "db", or_create);
  REQUIRE(handle.code == SQLITE_OK);
  REQUIRE(handle.write("abcdef", 0) == SQLITE_OK);
  std::string whole(6, 'x');
  CHECK(handle.read(whole, 0) == SQLITE_OK);
  CHECK(whole == "abcdef");
  std::string partly(6, 'x');
  CHECK(handle.read(partly, 4) == SQLITE_IOERR_SHORT_READ);
  CHECK(partly == std::string("ef\0\0\0\0", 6));
  std::string beyond(2, 'x');
  CHECK(handle.read(beyond, 100) == SQLITE_IOERR_SHORT_READ);
  CHECK(beyond == std::string(2, '\0'));
  CHECK_FALSE(bench.vfs.failure().has_value());
}

TEST_CASE("sqlite vfs: a file has the size that it was cut to") {
  Bench bench;
  Handle handle(bench, "db", or_create);
  REQUIRE(handle.write("abcdef", 0) == SQLITE_OK);
  CHECK(handle.methods().xTruncate(handle.file(), 4) == SQLITE_OK);
  sqlite3_int64 size = 0;
  CHECK(handle.methods().xFileSize(handle.file(), &size) == SQLITE_OK);
  CHECK(size == 4);
  CHECK(bench.fs.read("db") == "abcd");
}

TEST_CASE("sqlite vfs: only what may be created is, and a directory is no file") {
  Bench bench;
  bench.fs.mkdir("directory");
  CHECK(Handle(bench, "db", read_write).code == SQLITE_CANTOPEN);
  CHECK_FALSE(bench.fs.exists("db"));
  CHECK(Handle(bench, "directory", or_create).code == SQLITE_CANTOPEN);
  CHECK(Handle(bench, "db", or_create).code == SQLITE_OK);
  CHECK(bench.fs.exists("db"));
  CHECK(Handle(bench, nullptr, or_create).code == SQLITE_CANTOPEN);
}

TEST_CASE("sqlite vfs: it promises no more than that a torn write spoils nothing beside it") {
  Bench bench;
  Handle handle(bench, "db", or_create);
  CHECK(handle.methods().xDeviceCharacteristics(handle.file()) == SQLITE_IOCAP_POWERSAFE_OVERWRITE);
  CHECK(handle.methods().xSectorSize(handle.file()) == 4096);
}

TEST_CASE("sqlite vfs: what is deleted is gone, durably where that is asked for") {
  Bench bench;
  bench.fs.mkdir("directory");
  bench.fs.write_file("directory/a", "x");
  bench.fs.write_file("directory/b", "x");
  int there = 0;
  CHECK(bench.calls->xAccess(bench.calls, "directory/a", SQLITE_ACCESS_EXISTS, &there) ==
        SQLITE_OK);
  CHECK(there == 1);
  CHECK(bench.calls->xDelete(bench.calls, "directory/a", 0) == SQLITE_OK);
  CHECK(bench.fs.calls_by_operation["sync_directory"] == 0);
  CHECK(bench.calls->xDelete(bench.calls, "directory/b", 1) == SQLITE_OK);
  CHECK(bench.fs.calls_by_operation["sync_directory"] == 1);
  CHECK(bench.calls->xAccess(bench.calls, "directory/b", SQLITE_ACCESS_EXISTS, &there) ==
        SQLITE_OK);
  CHECK(there == 0);
  CHECK(bench.calls->xDelete(bench.calls, "directory/b", 1) == SQLITE_IOERR_DELETE_NOENT);
  CHECK_FALSE(bench.vfs.failure().has_value());
}

TEST_CASE("sqlite vfs: a full disk is told from a broken one, and the first failure is the cause") {
  Bench bench;
  Handle handle(bench, "db", or_create);
  bench.fail_with = ENOSPC;
  CHECK(handle.write("a", 0) == SQLITE_FULL);
  CHECK(bench.calls->xGetLastError(bench.calls, 0, nullptr) == ENOSPC);
  bench.fail_with = EIO;
  CHECK(handle.write("a", 0) == SQLITE_IOERR_WRITE);
  CHECK(handle.methods().xSync(handle.file(), SQLITE_SYNC_FULL) == SQLITE_IOERR_FSYNC);
  REQUIRE(bench.vfs.failure().has_value());
  CHECK(*bench.vfs.failure() == Error{ErrorCode::no_space, "write", "db", ENOSPC});
  bench.vfs.begin();
  CHECK(handle.methods().xTruncate(handle.file(), 0) == SQLITE_IOERR_TRUNCATE);
  CHECK(bench.calls->xGetLastError(bench.calls, 0, nullptr) == EIO);
}

TEST_CASE("sqlite vfs: after the disk has thrown, nothing reaches it until that is passed on") {
  Bench bench;
  Handle handle(bench, "db", or_create);
  bench.fs.before_call = [](std::string_view, std::string_view) { throw std::bad_alloc(); };
  CHECK(handle.write("a", 0) == SQLITE_IOERR_WRITE);
  bench.fs.before_call = nullptr;
  const std::uint64_t calls = bench.fs.calls;
  CHECK(handle.write("a", 0) == SQLITE_IOERR_WRITE);
  CHECK(Handle(bench, "db", read_write).code == SQLITE_CANTOPEN);
  CHECK(bench.fs.calls == calls);
  CHECK_THROWS_AS(bench.vfs.rethrow(), std::bad_alloc);
  CHECK_NOTHROW(bench.vfs.rethrow());
  CHECK(handle.write("a", 0) == SQLITE_OK);
}

TEST_CASE("sqlite vfs: its time is that of the disk") {
  Bench bench;
  bench.fs.disk().now = 1'700'000'000'123'000'000;  // 2023-11-14 22:13:20.123 UTC
  sqlite3_int64 ms = 0;
  CHECK(bench.calls->xCurrentTimeInt64(bench.calls, &ms) == SQLITE_OK);
  CHECK(ms == 212'566'760'000'123);
}
