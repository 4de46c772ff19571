#pragma once
// Content-defined chunking: where a file is cut depends on the bytes around the cut alone, so an
// insertion moves the cuts behind it along with the bytes, and all chunks but those it touches are
// the same as before.
//
// FastCDC (Xia et al., USENIX ATC 2016; IEEE TPDS 2020) with a gear table and normalised chunking
// at level 2: a cut is four times less likely below the average length, and four times likelier
// above it. The table and the lengths are part of what names a content (content.h): all nodes of a
// cluster must agree on them.
//
// A run of zeros (`min` or more) is cut off from what is before it, and is chunks of its own: of
// `max`, then of the largest min * 2^k that fits. So what is a hole in a sparse file is known by a
// handful of hashes, and neither crosses the wire nor takes room.
#include <cstddef>
#include <cstdint>
#include <span>

namespace p2psync::storage {

struct ChunkSizes {
  std::uint32_t min = 16 * 1024;
  std::uint32_t average = 64 * 1024;  ///< a power of two
  std::uint32_t max = 256 * 1024;     ///< min * 2^k
  /// Chunks that a section (content.h) has at least, a power of two; one has four times as many at
  /// most. About 1 GiB to 4 GiB.
  std::uint32_t section = 16 * 1024;
};

[[nodiscard]] constexpr std::size_t section_chunks_max(const ChunkSizes& sizes) {
  return 4 * std::size_t{sizes.section};
}

/// The length of the first chunk. `bytes` reach to the end of the file, or are `max` at least.
[[nodiscard]] std::size_t first_chunk(std::span<const std::uint8_t> bytes, const ChunkSizes& sizes);

}  // namespace p2psync::storage
