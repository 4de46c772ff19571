#pragma once
// A disk in memory: inodes and names with the semantics of a Linux file system, as a plain value.
//
// Copying a Disk copies everything, so a crash image is one assignment. Deterministic: inode
// numbers are the lowest that are free (ext4 also gives a freed number to the next file, which is
// what programs that trust inode numbers trip over), names are in byte order, time is `now`.
//
// No symbolic link is ever followed: one in the middle of a path is ENOTDIR, as PosixFs says.
// Errors are the kernel's errno values. Permissions are not modelled;
// faults are injected above, in SimFs.
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "engine/entry.h"
#include "storage/fs.h"

namespace p2psync::sim {

using InodeNumber = std::uint64_t;
/// The value, or an errno.
template <class T>
using Sys = std::expected<T, int>;

struct Inode {
  engine::Kind kind = engine::Kind::file;
  bool special = false;  ///< socket, FIFO or device
  std::uint16_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t mtime = 0;
  std::int64_t ctime = 0;
  std::string bytes;                         ///< of a file, or the target of a symlink
  std::map<std::string, InodeNumber> names;  ///< of a directory
  InodeNumber parent = 0;                    ///< of a directory
  std::uint64_t links = 0;                   ///< names that lead here
  std::uint32_t handles = 0;                 ///< open descriptors: they keep an unlinked inode
  std::uint32_t writers = 0;                 ///< those of them that can write
};

class Disk {
 public:
  static constexpr InodeNumber root = 2;

  std::int64_t now = 1'700'000'000'000'000'000;  ///< wall clock, ns since 1970
  std::int64_t grain_ns = 1;                     ///< timestamps are multiples of this

  Disk();

  /// What the disk would hold after a reboot: no descriptor is open, what has no name is gone.
  [[nodiscard]] Disk image() const;

  [[nodiscard]] std::int64_t stamp() const { return now - (now % grain_ns); }
  [[nodiscard]] Sys<InodeNumber> find(std::string_view path) const;
  [[nodiscard]] const Inode& inode(InodeNumber number) const { return inodes_.at(number); }
  [[nodiscard]] bool exists(InodeNumber number) const { return inodes_.contains(number); }
  [[nodiscard]] storage::Stat stat(InodeNumber number) const;

  /// A new inode under a free name; kind, mode, owner and bytes are `made`'s.
  Sys<InodeNumber> create(std::string_view path, Inode made);
  Sys<void> link(std::string_view from, std::string_view to);
  Sys<void> rename(std::string_view from, std::string_view to, storage::RenameMode mode);
  Sys<void> unlink(std::string_view path);
  Sys<void> remove_directory(std::string_view path);

  void write(InodeNumber number, std::uint64_t offset, std::string_view bytes);
  void resize(InodeNumber number, std::uint64_t size);
  void set_mode(InodeNumber number, std::uint16_t mode);
  void set_mtime(InodeNumber number, std::int64_t ns);
  void set_owner(InodeNumber number, std::uint32_t uid, std::uint32_t gid);

  void open(InodeNumber number, bool writer);
  void close(InodeNumber number, bool writer);

 private:
  struct Place {
    InodeNumber directory = 0;
    std::string name;
  };
  [[nodiscard]] Sys<Place> place(std::string_view path) const;
  [[nodiscard]] Sys<InodeNumber> child(const Place& at) const;  ///< 0: nothing there
  [[nodiscard]] bool is_inside(InodeNumber directory, InodeNumber ancestor) const;
  void attach(const Place& at, InodeNumber number);
  void detach(const Place& at);
  void touch_directory(InodeNumber number);
  void collect(InodeNumber number);

  std::map<InodeNumber, Inode> inodes_;
};

}  // namespace p2psync::sim
