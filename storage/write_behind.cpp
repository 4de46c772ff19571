#include "storage/write_behind.h"

#include <algorithm>

namespace p2psync::storage {

void write_behind(File& file, std::uint64_t begin, std::uint64_t end) {
  const std::uint64_t from = begin / stretch_bytes * stretch_bytes;
  const std::uint64_t to = end / stretch_bytes * stretch_bytes;
  if (from == to) {
    return;
  }
  // It will be synced, and the disk has nothing to do meanwhile.
  file.begin_sync(from, to - from);
  if (to > cached_bytes) {
    const std::uint64_t old = std::max(from, cached_bytes) - cached_bytes;
    file.uncache(old, to - cached_bytes - old);
  }
}

}  // namespace p2psync::storage
