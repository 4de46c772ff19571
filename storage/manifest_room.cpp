// How many lists are kept. Nothing here reads one.
#include <algorithm>

#include "storage/manifest.h"

namespace p2psync::storage {

void expire_lists(Fs& fs) {
  auto items = fs.list(manifests_directory);
  if (!items) {
    return;
  }
  std::uint64_t bytes = 0;
  for (const DirItem& item : *items) {
    bytes += item.stat.signature.size;
  }
  const std::uint64_t bytes_max = fs.space().all_bytes / lists_part;
  if (bytes <= bytes_max) {
    return;
  }
  std::ranges::sort(*items, {}, [](const DirItem& item) { return item.stat.signature.mtime; });
  for (const DirItem& item : *items) {
    if (bytes <= bytes_max) {
      return;
    }
    if (fs.unlink(engine::child_of(manifests_directory, item.name))) {
      bytes -= item.stat.signature.size;
    }
  }
}

}  // namespace p2psync::storage
