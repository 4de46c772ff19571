// A manifest as a peer sends it: a difference to one that is here.
//
// First byte: how many chunks the base has. Two bytes: the size that is claimed, in steps of 4 KiB.
#include "storage/manifest.h"

#include "tests/fuzz/input.h"
#include "tests/fuzz/some_manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  fuzz::View bytes(data, size);
  const storage::ChunkSizes sizes;
  const storage::Manifest base = fuzz::some_manifest(fuzz::take_byte(bytes) % 16);
  const std::uint64_t low = fuzz::take_byte(bytes);
  const std::uint64_t claimed = (low | std::uint64_t{fuzz::take_byte(bytes)} << 8) * 4096;
  const auto manifest = storage::apply_difference(base, bytes, claimed, sizes);
  if (manifest) {
    std::uint64_t sum = 0;
    for (const engine::Chunk& chunk : *manifest) {
      sum += chunk.length;
    }
    fuzz::require(sum == claimed, "the chunks come to the size");
    const auto difference = storage::difference(base, *manifest);
    fuzz::require(storage::apply_difference(base, difference, claimed, sizes) == manifest,
                  "its own difference gives the same manifest");
  }
  return 0;
}
