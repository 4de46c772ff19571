#pragma once
// Fs: every system call that touches the synchronised directory, behind one interface.
//
// Two twins: PosixFs (openat2 below a root descriptor) and the simulated disk in tests/sim. All of
// storage/ is written against this interface, so the simulator runs the very code that ships.
//
// Paths are relative to the root ("" is the root itself), components divided by '/'. No call ever
// follows a symbolic link, leaves the root or crosses into it by a magic link; what is opened is
// opened by descriptor. The program's own files are reached the same way, below `.p2psync/`. Thread
// safety: PosixFs may be used from several threads at once; a File by one at a time. Errors: the
// errno is in Error::error_number; the code says what a caller decides on:
//   not_found (ENOENT, ENOTDIR), changed (EEXIST, ENOTEMPTY, EISDIR), unsupported (flags or leases
//   that the file system has not), no_space, denied, busy.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/disk.h"
#include "engine/error.h"
#include "storage/chunker.h"

namespace p2psync::storage {

struct Stat {
  engine::Signature signature;  ///< kind is meaningless when `special`
  bool special = false;         ///< socket, FIFO or device
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t links = 1;
};

struct DirItem {
  std::string name;
  Stat stat;
};

enum class RenameMode : std::uint8_t {
  no_replace,  ///< the target must not exist (RENAME_NOREPLACE)
  exchange,    ///< both must exist (RENAME_EXCHANGE)
  replace,  ///< plain rename: only for the program's own files, or where the disk has no exchange
};

enum class Lease : std::uint8_t {
  granted,  ///< no process has the file open for writing or mapped shared
  refused,  ///< some process has
  unknown,  ///< a lease proves nothing here (overlayfs) or may not be taken (another owner's file)
};

/// Of the file system. Where it does not say, everything is free.
struct Space {
  std::uint64_t all_bytes = UINT64_MAX;
  std::uint64_t free_bytes = UINT64_MAX;  ///< to a process without privileges
};

/// An open regular file. Closed by the destructor.
class File {
 public:
  virtual ~File() = default;
  [[nodiscard]] virtual Result<Stat> stat() = 0;
  /// As it was when it was opened, if that is remembered; else as it is.
  [[nodiscard]] virtual Result<Stat> stat_when_opened() { return stat(); }
  /// Reads up to into.size() bytes at offset; fewer only at the end of the file.
  [[nodiscard]] virtual Result<std::size_t> read(std::uint64_t offset,
                                                 std::span<std::uint8_t> into) = 0;
  /// Writes all of it.
  [[nodiscard]] virtual Result<void> write(std::uint64_t offset,
                                           std::span<const std::uint8_t> bytes) = 0;
  [[nodiscard]] virtual Result<void> resize(std::uint64_t size) = 0;
  [[nodiscard]] virtual Result<void> set_mode(std::uint16_t mode) = 0;
  [[nodiscard]] virtual Result<void> set_mtime(std::int64_t ns) = 0;
  /// As far as the process may: tries owner and group, then group alone; never an error.
  virtual void set_owner(std::uint32_t uid, std::uint32_t gid) = 0;
  [[nodiscard]] virtual Result<void> sync() = 0;
  /// Begins to bring this part to the disk and does not wait: a sync finds less to do. No more than
  /// a hint.
  virtual void begin_sync(std::uint64_t /*offset*/, std::uint64_t /*length*/) {}
  /// What of this part is on the disk need not stay in memory. No more than a hint.
  virtual void uncache(std::uint64_t /*offset*/, std::uint64_t /*length*/) {}
  /// Copies length bytes at offset from `from` (same Fs) to the same offset here, sharing blocks
  /// where possible.
  [[nodiscard]] virtual Result<void> copy_from(File& from, std::uint64_t offset,
                                               std::uint64_t length) = 0;
  /// Takes a read lease and gives it back: says whether anybody can still write to this inode.
  [[nodiscard]] virtual Lease try_lease() = 0;
  /// The parts that hold data, ascending: [begin, end). Whole file where the disk cannot tell.
  [[nodiscard]] virtual Result<std::vector<std::pair<std::uint64_t, std::uint64_t>>>
  data_extents() = 0;
};

class Fs {
 public:
  virtual ~Fs() = default;

  /// How contents are cut, which names them: the same on all nodes. Simulated ones are small.
  ChunkSizes chunk_sizes;

  [[nodiscard]] virtual Result<Stat> stat(std::string_view path) = 0;
  /// Everything in a directory with its stat (items that vanish meanwhile are left out), in name
  /// order.
  [[nodiscard]] virtual Result<std::vector<DirItem>> list(std::string_view directory) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open_read(std::string_view path) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open_write(std::string_view path) = 0;
  /// A new file (it must not exist), of this mode or, where the umask has its say, less.
  [[nodiscard]] virtual Result<std::unique_ptr<File>> create(std::string_view path,
                                                             std::uint16_t mode = 0600) = 0;
  [[nodiscard]] virtual Result<std::string> read_link(std::string_view path) = 0;

  [[nodiscard]] virtual Result<void> make_directory(std::string_view path, std::uint16_t mode) = 0;
  [[nodiscard]] virtual Result<void> make_symlink(std::string_view target,
                                                  std::string_view path) = 0;
  /// A second name for a file or a symlink; the new name must not exist.
  [[nodiscard]] virtual Result<void> link(std::string_view from, std::string_view to) = 0;
  [[nodiscard]] virtual Result<void> rename(std::string_view from, std::string_view to,
                                            RenameMode mode) = 0;
  /// The same, and what has the name `to` then; nothing if that cannot be told.
  [[nodiscard]] virtual Result<std::optional<Stat>> rename_and_stat(std::string_view from,
                                                                    std::string_view to,
                                                                    RenameMode mode) {
    if (auto done = rename(from, to, mode); !done) {
      return std::unexpected(std::move(done.error()));
    }
    auto now = stat(to);
    return now ? std::optional(std::move(*now)) : std::nullopt;
  }
  /// Only for the program's own files.
  [[nodiscard]] virtual Result<void> unlink(std::string_view path) = 0;
  [[nodiscard]] virtual Result<void> remove_directory(std::string_view path) = 0;
  /// Mode of a directory.
  [[nodiscard]] virtual Result<void> set_directory_mode(std::string_view path,
                                                        std::uint16_t mode) = 0;
  /// mtime of what has the name, be it a symlink.
  [[nodiscard]] virtual Result<void> set_mtime(std::string_view path, std::int64_t ns) = 0;
  /// Owner and group of a symlink itself, as far as the process may.
  virtual void set_link_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid) = 0;

  /// Makes the names in this directory durable.
  [[nodiscard]] virtual Result<void> sync_directory(std::string_view directory) = 0;
  /// Makes everything written so far to this file system durable.
  [[nodiscard]] virtual Result<void> sync_all() = 0;
  [[nodiscard]] virtual Space space() = 0;
  /// Wall clock, ns since 1970, as the file system stamps its files.
  [[nodiscard]] virtual std::int64_t wall_time() = 0;
  /// False where the file system has no RENAME_EXCHANGE (NFS): a replacement links the old file
  /// aside first.
  [[nodiscard]] virtual bool can_exchange() = 0;
};

}  // namespace p2psync::storage
