#pragma once
// What the manifest that a difference refers to looks like, for the target and its seeds.
#include "storage/manifest.h"

namespace p2psync::fuzz {

inline storage::Manifest some_manifest(std::size_t chunks) {
  storage::Manifest made(chunks);
  for (std::size_t i = 0; i < chunks; ++i) {
    made[i].length = static_cast<std::uint32_t>(storage::ChunkSizes{}.min);
    made[i].hash.bytes.fill(static_cast<std::uint8_t>(i + 1));
  }
  return made;
}

}  // namespace p2psync::fuzz
