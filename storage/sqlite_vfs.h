#pragma once
// SqliteVfs: SQLite's files as files of an Fs.
//
// One for each database, for one connection, used by the thread that uses the connection; it must
// be gone before the Fs and outlive the connection. Names are paths below the Fs's root.
//
// Locks do nothing: the database is opened with locking_mode=EXCLUSIVE by its only connection, and
// FolderLock keeps other processes of ours away. There is no shared memory, so a WAL works in that
// mode only, with its index on the heap. Nothing is promised of the disk: a write may be torn, and
// may spoil the 4096 bytes around it. The first sync of a file makes its name durable too, whoever
// made it: a process that was killed may have left a file whose name never reached the disk.
//
// Errors: SQLite passes numbers on, so the Error behind a failed call is kept here. An exception
// out of the Fs must not cross SQLite's C frames: the call fails, no further one reaches the disk,
// and rethrow() lets it go on where the C++ caller is.
#include <sqlite3.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>

#include "storage/fs.h"

namespace p2psync::storage {

class SqliteVfs {
 public:
  /// With a seed, SQLite's random numbers (the WAL's salts) follow from it. Its generator is one
  /// for the process: for a simulator, which has one thread, and gives each start another seed, or
  /// a WAL of one start could pass for that of another.
  SqliteVfs(Fs& fs, std::optional<std::uint64_t> seed);
  ~SqliteVfs();
  SqliteVfs(const SqliteVfs&) = delete;
  SqliteVfs& operator=(const SqliteVfs&) = delete;

  /// For sqlite3_open_v2.
  [[nodiscard]] const char* name() const { return name_.c_str(); }

  /// Before each call into SQLite: forgets the failure of the one before.
  void begin() { failure_.reset(); }
  /// After each: throws what the Fs has thrown since, also where SQLite made nothing of it.
  void rethrow();
  /// The first thing that the disk has refused since begin(): the cause of what followed.
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }

 private:
  struct Calls;

  /// SQLite's number for a call's outcome; `code` is that of a failure.
  int outcome(int code, const Result<void>& done);
  int failed(int code, Error error);
  /// Runs `work`, which returns SQLite's number; `code` stands for an exception.
  template <class Work>
  int guarded(int code, const Work& work);
  void seed_generator();

  Fs& fs_;
  std::optional<std::uint64_t> seed_;
  std::string name_;
  sqlite3_vfs vfs_{};
  std::optional<Error> failure_;
  std::exception_ptr thrown_;
};

}  // namespace p2psync::storage
