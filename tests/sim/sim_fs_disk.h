#pragma once
// A disk in memory: inodes and names with the semantics of a Linux file system, as a plain value.
//
// Copying a Disk copies everything, so a crash image is one assignment. Deterministic: inode
// numbers are the lowest that are free (ext4 also gives a freed number to the next file, which is
// what programs that trust inode numbers trip over), names are in byte order, time is `now`.
//
// What is seen is the page cache. What a power cut leaves of it is the journal's matter: see there
// for what is guaranteed.
//
// No symbolic link is ever followed: one in the middle of a path is ENOTDIR, as PosixFs says.
// Errors are the kernel's errno values. Permissions are not modelled;
// faults are injected above, in SimFs.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/random.h"
#include "storage/fs.h"
#include "tests/sim/sim_fs_inode.h"
#include "tests/sim/sim_fs_journal.h"

namespace p2psync::sim {

/// The value, or an errno.
template <class T>
using Sys = std::expected<T, int>;

class Disk {
 public:
  static constexpr InodeNumber root = 2;

  std::int64_t now = 1'700'000'000'000'000'000;  ///< wall clock, ns since 1970
  std::int64_t grain_ns = 1;                     ///< timestamps are multiples of this

  Disk();

  /// What the disk would hold after a reboot: no descriptor is open, what has no name is gone, all
  /// else is durable.
  [[nodiscard]] Disk image() const;
  /// As when all processes have ended: what is pending is so still.
  [[nodiscard]] Disk without_processes() const;
  /// What it could hold after a power cut. Draws from the legal images, the extreme ones often.
  [[nodiscard]] Disk power_cut(engine::Random& random) const;
  struct PowerCuts {
    std::vector<Disk> images;
    std::uint64_t total = 0;
  };
  /// See Journal::power_cuts.
  [[nodiscard]] PowerCuts power_cuts(std::size_t cap,
                                     std::uint64_t count_max = Journal::total_max) const;

  [[nodiscard]] std::int64_t stamp() const { return to_grain(now); }
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

  /// Of a file: its bytes, not its name. Of a directory: the names in it.
  void sync(InodeNumber number) { journal_.sync(number, inode(number).id); }
  void sync_all() { journal_.sync_all(); }
  /// What was pending is lost at the next power cut, though reads show it and later syncs succeed.
  void sync_failed(InodeNumber number) { journal_.sync_failed(number, inode(number).id); }
  /// The kernel makes something durable of its own accord.
  void write_back(engine::Random& random) { journal_.write_back(random); }
  /// A bit flips, and neither mtime nor ctime tells. False: the file has no such byte.
  bool rot(InodeNumber number, std::uint64_t offset);
  /// Changes that a power cut may take.
  [[nodiscard]] std::size_t pending() const { return journal_.size(); }
  /// Counts changes and syncs since the beginning.
  [[nodiscard]] std::uint64_t changes() const { return journal_.recorded(); }
  /// Disks that look the same, now and after every cut, append the same (sim_fs_digest.cpp). The
  /// clock does not count.
  void append_to(std::string& digest) const;

  void open(InodeNumber number, bool writer);
  void close(InodeNumber number, bool writer);

 private:
  struct Place {
    InodeNumber directory = 0;
    std::string name;
  };
  Disk(const Disk& settings, Inodes inodes);
  [[nodiscard]] std::int64_t to_grain(std::int64_t ns) const;
  [[nodiscard]] Sys<Place> place(std::string_view path) const;
  [[nodiscard]] Sys<InodeNumber> child(const Place& at) const;  ///< 0: nothing there
  [[nodiscard]] bool is_inside(InodeNumber directory, InodeNumber ancestor) const;
  /// Carries it out and records it.
  void change(NameChange names);
  void change(InodeNumber number, decltype(DataChange::what) what);
  void collect(InodeNumber number);

  Inodes inodes_;
  InodeId next_id_ = 1;
  Journal journal_;
};

}  // namespace p2psync::sim
