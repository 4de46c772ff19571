#include "storage/write_behind.h"

#include <algorithm>
#include <utility>

namespace p2psync::storage {
namespace {

/// Of the stretches that end in there.
std::pair<std::uint64_t, std::uint64_t> completed(std::uint64_t begin, std::uint64_t end) {
  return {begin / stretch_bytes * stretch_bytes, end / stretch_bytes * stretch_bytes};
}

}  // namespace

void write_behind(File& file, std::uint64_t begin, std::uint64_t end) {
  const auto [from, to] = completed(begin, end);
  if (from < to) {
    // It will be synced, and the disk has nothing to do meanwhile.
    file.begin_sync(from, to - from);
    uncache_behind(file, begin, end);
  }
}

void uncache_behind(File& file, std::uint64_t begin, std::uint64_t end, std::uint64_t distance) {
  const auto [from, to] = completed(begin, end);
  if (from < to && to > distance) {
    const std::uint64_t old = std::max(from, distance) - distance;
    file.uncache(old, to - distance - old);
  }
}

}  // namespace p2psync::storage
