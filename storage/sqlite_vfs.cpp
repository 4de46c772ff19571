#include "storage/sqlite_vfs.h"

#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "engine/path.h"

namespace p2psync::storage {
namespace {

constexpr int sector_bytes = 4096;
constexpr int name_bytes_max = 4095;
constexpr std::int64_t ms_ns = 1'000'000;
/// 1970-01-01 in SQLite's time: ms since the noon that began the Julian period.
constexpr std::int64_t julian_1970_ms = 210'866'760'000'000;
constexpr double day_ms = 86'400'000;

/// What SQLite's memory for an open file holds.
struct OpenFile {
  sqlite3_file base;  ///< first: SQLite sees only this
  SqliteVfs* vfs;
  std::unique_ptr<File> file;
  std::string path;
  bool name_durable = false;
};
static_assert(alignof(OpenFile) <= 8, "SQLite aligns to 8");

OpenFile& opened(sqlite3_file* file) {
  return *reinterpret_cast<OpenFile*>(file);
}

std::string unique_name() {
  static std::atomic<std::uint64_t> count = 0;
  return "p2psync-" + std::to_string(++count);
}

/// splitmix64: enough that salts differ.
std::uint64_t next_random(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

template <class Work>
int SqliteVfs::guarded(int code, const Work& work) {
  if (thrown_) {
    return code;
  }
  try {
    return work();
  } catch (...) {
    thrown_ = std::current_exception();
    return code;
  }
}

/// What SQLite calls, on a file and on the file system. Nothing throws out of these.
struct SqliteVfs::Calls {
  static const sqlite3_io_methods files;

  static SqliteVfs& of(sqlite3_vfs* vfs) { return *static_cast<SqliteVfs*>(vfs->pAppData); }

  // --- Files

  static int close(sqlite3_file* base) {
    opened(base).~OpenFile();
    return SQLITE_OK;
  }

  static int read(sqlite3_file* base, void* into, int size, sqlite3_int64 offset) {
    OpenFile& open = opened(base);
    return open.vfs->guarded(SQLITE_IOERR_READ, [&] {
      const std::span bytes(static_cast<std::uint8_t*>(into), static_cast<std::size_t>(size));
      const auto count = open.file->read(static_cast<std::uint64_t>(offset), bytes);
      if (!count) {
        return open.vfs->failed(SQLITE_IOERR_READ, count.error());
      }
      std::ranges::fill(bytes.subspan(*count), 0);
      return *count < bytes.size() ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
    });
  }

  static int write(sqlite3_file* base, const void* from, int size, sqlite3_int64 offset) {
    OpenFile& open = opened(base);
    return open.vfs->guarded(SQLITE_IOERR_WRITE, [&] {
      const std::span bytes(static_cast<const std::uint8_t*>(from), static_cast<std::size_t>(size));
      return open.vfs->outcome(SQLITE_IOERR_WRITE,
                               open.file->write(static_cast<std::uint64_t>(offset), bytes));
    });
  }

  static int truncate(sqlite3_file* base, sqlite3_int64 size) {
    OpenFile& open = opened(base);
    return open.vfs->guarded(SQLITE_IOERR_TRUNCATE, [&] {
      return open.vfs->outcome(SQLITE_IOERR_TRUNCATE,
                               open.file->resize(static_cast<std::uint64_t>(size)));
    });
  }

  static int sync(sqlite3_file* base, int) {
    OpenFile& open = opened(base);
    return open.vfs->guarded(SQLITE_IOERR_FSYNC, [&] {
      auto synced = open.file->sync();
      if (!synced || open.name_durable) {
        return open.vfs->outcome(SQLITE_IOERR_FSYNC, synced);
      }
      synced = open.vfs->fs_.sync_directory(engine::parent_of(open.path));
      open.name_durable = synced.has_value();
      return open.vfs->outcome(SQLITE_IOERR_DIR_FSYNC, synced);
    });
  }

  static int size(sqlite3_file* base, sqlite3_int64* into) {
    OpenFile& open = opened(base);
    return open.vfs->guarded(SQLITE_IOERR_FSTAT, [&] {
      const auto stat = open.file->stat();
      if (!stat) {
        return open.vfs->failed(SQLITE_IOERR_FSTAT, stat.error());
      }
      *into = static_cast<sqlite3_int64>(stat->signature.size);
      return SQLITE_OK;
    });
  }

  static int lock(sqlite3_file*, int) { return SQLITE_OK; }

  static int is_reserved(sqlite3_file*, int* reserved) {
    *reserved = 0;
    return SQLITE_OK;
  }

  static int control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
  static int sector_size(sqlite3_file*) { return sector_bytes; }
  /// As SQLite's own VFS says of every disk: a write that a power cut tears spoils no byte beside
  /// it. Without this word SQLite pads each commit and writes a part of that after its sync; a
  /// later sync that fails takes that part along, and with it all commits that follow.
  static int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

  // --- The file system

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* base, int flags,
                  int* flags_out) {
    base->pMethods = nullptr;  // nothing to close
    SqliteVfs& self = of(vfs);
    // Temporary files have no name. There are none: temp_store=MEMORY, and a statement of ours
    // changes one row, so it needs no journal of its own.
    if (name == nullptr) {
      return SQLITE_CANTOPEN;
    }
    return self.guarded(SQLITE_CANTOPEN, [&] {
      const bool writes = (flags & SQLITE_OPEN_READWRITE) != 0;
      auto file = writes ? self.fs_.open_write(name) : self.fs_.open_read(name);
      if (!file && file.error().code == ErrorCode::not_found && (flags & SQLITE_OPEN_CREATE) != 0) {
        file = self.fs_.create(name);
      }
      if (!file) {
        return self.failed(SQLITE_CANTOPEN, file.error());
      }
      new (base) OpenFile{{nullptr}, &self, std::move(*file), name};
      base->pMethods = &files;
      if (flags_out != nullptr) {
        *flags_out = flags;
      }
      return SQLITE_OK;
    });
  }

  static int remove(sqlite3_vfs* vfs, const char* name, int sync_directory) {
    SqliteVfs& self = of(vfs);
    return self.guarded(SQLITE_IOERR_DELETE, [&] {
      if (const auto done = self.fs_.unlink(name); !done) {
        return done.error().code == ErrorCode::not_found
                   ? SQLITE_IOERR_DELETE_NOENT
                   : self.failed(SQLITE_IOERR_DELETE, done.error());
      }
      if (sync_directory == 0) {
        return SQLITE_OK;
      }
      return self.outcome(SQLITE_IOERR_DIR_FSYNC, self.fs_.sync_directory(engine::parent_of(name)));
    });
  }

  static int access(sqlite3_vfs* vfs, const char* name, int, int* there) {
    SqliteVfs& self = of(vfs);
    return self.guarded(SQLITE_IOERR_ACCESS, [&] {
      const auto stat = self.fs_.stat(name);
      if (!stat && stat.error().code != ErrorCode::not_found) {
        return self.failed(SQLITE_IOERR_ACCESS, stat.error());
      }
      *there = stat.has_value() ? 1 : 0;
      return SQLITE_OK;
    });
  }

  static int full_name(sqlite3_vfs*, const char* name, int size, char* into) {
    const std::size_t length = std::strlen(name);
    if (length >= static_cast<std::size_t>(size)) {
      return SQLITE_CANTOPEN;
    }
    std::memcpy(into, name, length + 1);
    return SQLITE_OK;
  }

  static int random(sqlite3_vfs* vfs, int size, char* into) {
    SqliteVfs& self = of(vfs);
    if (!self.seed_) {
      return static_cast<int>(::getrandom(into, static_cast<std::size_t>(size), 0));
    }
    std::uint64_t state = *self.seed_;
    std::ranges::generate(std::span(into, static_cast<std::size_t>(size)),
                          [&] { return static_cast<char>(next_random(state)); });
    return size;
  }

  /// There is nobody to wait for.
  static int wait(sqlite3_vfs*, int) { return 0; }

  static int time_ms(sqlite3_vfs* vfs, sqlite3_int64* into) {
    SqliteVfs& self = of(vfs);
    return self.guarded(SQLITE_ERROR, [&] {
      *into = (self.fs_.wall_time() / ms_ns) + julian_1970_ms;
      return SQLITE_OK;
    });
  }

  static int time_days(sqlite3_vfs* vfs, double* into) {
    sqlite3_int64 ms = 0;
    const int code = time_ms(vfs, &ms);
    *into = static_cast<double>(ms) / day_ms;
    return code;
  }

  static int last_error(sqlite3_vfs* vfs, int, char*) {
    const auto& failure = of(vfs).failure_;
    return failure ? failure->error_number : 0;
  }
};

const sqlite3_io_methods SqliteVfs::Calls::files = {
    .iVersion = 1,
    .xClose = close,
    .xRead = read,
    .xWrite = write,
    .xTruncate = truncate,
    .xSync = sync,
    .xFileSize = size,
    .xLock = lock,
    .xUnlock = lock,
    .xCheckReservedLock = is_reserved,
    .xFileControl = control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
};

SqliteVfs::SqliteVfs(Fs& fs, std::optional<std::uint64_t> seed)
    : fs_(fs), seed_(seed), name_(unique_name()) {
  vfs_.iVersion = 2;
  vfs_.szOsFile = sizeof(OpenFile);
  vfs_.mxPathname = name_bytes_max;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = Calls::open;
  vfs_.xDelete = Calls::remove;
  vfs_.xAccess = Calls::access;
  vfs_.xFullPathname = Calls::full_name;
  vfs_.xRandomness = Calls::random;
  vfs_.xSleep = Calls::wait;
  vfs_.xCurrentTime = Calls::time_days;
  vfs_.xGetLastError = Calls::last_error;
  vfs_.xCurrentTimeInt64 = Calls::time_ms;
  invariant(sqlite3_vfs_register(&vfs_, 0) == SQLITE_OK, "SQLite: the VFS");
  if (seed_) {
    seed_generator();
  }
}

SqliteVfs::~SqliteVfs() {
  sqlite3_vfs_unregister(&vfs_);
}

/// SQLite seeds its generator from the default VFS, at the first use after a reset.
void SqliteVfs::seed_generator() {
  sqlite3_vfs* const usual = sqlite3_vfs_find(nullptr);
  invariant(sqlite3_vfs_register(&vfs_, 1) == SQLITE_OK, "SQLite: the VFS");
  sqlite3_randomness(0, nullptr);
  char first = 0;
  sqlite3_randomness(1, &first);
  invariant(sqlite3_vfs_register(usual, 1) == SQLITE_OK, "SQLite: the usual VFS");
}

void SqliteVfs::rethrow() {
  if (thrown_) {
    std::rethrow_exception(std::exchange(thrown_, nullptr));
  }
}

int SqliteVfs::outcome(int code, const Result<void>& done) {
  return done ? SQLITE_OK : failed(code, done.error());
}

int SqliteVfs::failed(int code, Error error) {
  const bool full = error.code == ErrorCode::no_space;
  if (!failure_) {
    failure_ = std::move(error);
  }
  return full ? SQLITE_FULL : code;
}

}  // namespace p2psync::storage
