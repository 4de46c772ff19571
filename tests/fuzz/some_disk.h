#pragma once
// A disk in the midst of a batch, for the targets that read what a crash left and for their seeds.
#include <optional>
#include <string>

#include "storage/staging.h"
#include "tests/sim/sim_fs.h"

namespace p2psync::fuzz {

/// Users' files, a slot, a kept file: the inodes are the same each time.
inline void fill(sim::SimFs& disk) {
  std::ignore = storage::prepare_state(disk);
  disk.mkdir("d");
  disk.write_file("a", "of a user");
  disk.write_file("d/b", "of another");
  disk.symlink("a", "l");
  disk.write_file(".p2psync/tmp/slot-4", "to be laid");
  disk.mkdir(".p2psync/tmp/slot-5");
  disk.write_file(".p2psync/versions/1", "displaced");
}

inline std::uint64_t inode_of(sim::SimFs& disk, std::string_view path) {
  const auto stat = disk.stat(path);
  return stat ? stat->signature.inode : 0;
}

/// Makes the n-th call of the program from here on fail; 0: none.
inline void fail_at(sim::SimFs& disk, std::uint64_t n) {
  if (n != 0) {
    disk.fault = [&disk, at = disk.calls + n](std::string_view, std::string_view) {
      return disk.calls == at ? EIO : 0;
    };
  }
}

}  // namespace p2psync::fuzz
