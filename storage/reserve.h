#pragma once
// The last part of the disk, which contents on their way in do not take: so a transfer that is too
// large does not keep the index and the applier, which need a little room for each step, from
// carrying on with everything else, deletions above all.
//
// Whoever else fills the disk to its last byte stops them all the same, until there is room.
//
// To ask the file system costs as much as the write of a small file (it adds up what its CPUs have
// counted). So an answer is good for a while: for a part of the reserve, of which no more is taken
// than others take from the disk meanwhile; and near the reserve it is good for one write.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string_view>

#include "storage/fs.h"

namespace p2psync::storage {

inline constexpr std::uint64_t reserve_bytes_max = 16 * 1024 * 1024;
inline constexpr std::uint64_t reserve_part = 16;  ///< of a small disk, no more than one in so many

/// So much of the reserve, at most, is written between two questions. Each write counts for
/// write_cost_bytes more than it has: its last block and its inode.
inline constexpr std::uint64_t unasked_part = 16;
inline constexpr std::uint64_t write_cost_bytes = 4096;

/// May be used from several threads at once.
class Reserve {
 public:
  explicit Reserve(Fs& fs) : fs_(fs) {}

  /// no_space if so many bytes at `path` would reach into the reserve.
  [[nodiscard]] Result<void> leave(std::string_view path, std::uint64_t bytes) {
    if (bytes == 0) {
      return {};
    }
    std::uint64_t unasked = unasked_bytes_;
    const std::uint64_t cost = bytes + write_cost_bytes;
    while (unasked >= cost) {
      if (unasked_bytes_.compare_exchange_weak(unasked, unasked - cost)) {
        return {};
      }
    }
    const Space space = fs_.space();
    const std::uint64_t reserve = std::min(reserve_bytes_max, space.all_bytes / reserve_part);
    if (space.free_bytes < reserve || space.free_bytes - reserve < bytes) {
      return std::unexpected(system_error("write", path, ENOSPC));
    }
    // With less than another reserve before it, every write asks.
    unasked_bytes_ = space.free_bytes - reserve < reserve ? 0 : reserve / unasked_part;
    return {};
  }

 private:
  Fs& fs_;
  std::atomic<std::uint64_t> unasked_bytes_ = 0;
};

}  // namespace p2psync::storage
