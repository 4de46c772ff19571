#pragma once
// The last part of the disk, which contents on their way in do not take: so a transfer that is too
// large does not keep the index and the applier, which need a little room for each step, from
// carrying on with everything else, deletions above all.
//
// Whoever else fills the disk to its last byte stops them all the same, until there is room.
#include <algorithm>
#include <cerrno>
#include <string_view>

#include "storage/fs.h"

namespace p2psync::storage {

inline constexpr std::uint64_t reserve_bytes_max = 16 * 1024 * 1024;
inline constexpr std::uint64_t reserve_part = 16;  ///< of a small disk, no more than one in so many

/// no_space if so many bytes at `path` would reach into the reserve.
[[nodiscard]] inline Result<void> leave_reserve(Fs& fs, std::string_view path,
                                                std::uint64_t bytes) {
  if (bytes == 0) {
    return {};
  }
  const Space space = fs.space();
  const std::uint64_t reserve = std::min(reserve_bytes_max, space.all_bytes / reserve_part);
  if (space.free_bytes < reserve || space.free_bytes - reserve < bytes) {
    return std::unexpected(system_error("write", path, ENOSPC));
  }
  return {};
}

}  // namespace p2psync::storage
