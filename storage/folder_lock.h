#pragma once
// FolderLock: this folder belongs to this process, and to this node.
//
//   .p2psync/lock   flock'ed while a process works on the folder; holds its process id as text, for
//                   the message of the next one (inside another container the number means nothing)
//   .p2psync/node   one line: the id of the node whose index this is. A folder that was copied with
//                   its .p2psync would speak with the memory of another node.
//
// The kernel gives the lock back when the process ends, however it ends. The directory and the root
// stay open, so check() notices when their names lead elsewhere.
// Threads: take() once, check() from any.
#include <memory>
#include <string>
#include <string_view>

#include "storage/posix_fs.h"

namespace p2psync::storage {

class FolderLock {
 public:
  /// `.p2psync` must exist (prepare_state). `owner` is the node's id as people see it: printable,
  /// up to owner_bytes_max. busy: another process holds the folder; invalid: it belongs to another
  /// node.
  [[nodiscard]] static Result<std::unique_ptr<FolderLock>> take(PosixFs& fs,
                                                                std::string_view owner);

  /// An error (changed) if the folder's path does not lead to the folder any more, or `.p2psync`
  /// and its lock are not those that were locked. Four system calls and a few: call it now and
  /// then, and when the watcher is in doubt. What an emptied or exchanged folder shows is no
  /// deletion.
  [[nodiscard]] Result<void> check() const;

  static constexpr std::size_t owner_bytes_max = 128;

 private:
  FolderLock(PosixFs& fs, Descriptor lock, std::uint64_t lock_inode, Identity root, Identity state)
      : fs_(fs), lock_(std::move(lock)), lock_inode_(lock_inode), root_(root), state_(state) {}

  PosixFs& fs_;
  Descriptor lock_;
  std::uint64_t lock_inode_;
  Identity root_;
  Identity state_;
};

}  // namespace p2psync::storage
