#pragma once
// Content-defined chunking: where a file is cut depends on the bytes around the cut alone, so an
// insertion moves the cuts behind it along with the bytes, and all chunks but those it touches are
// the same as before.
//
// FastCDC (Xia et al., USENIX ATC 2016; IEEE TPDS 2020) with a gear table and normalised chunking
// at level 2: a cut is four times less likely below the average length, and four times likelier
// above it. The table and the lengths are part of what names a content (content.h): all nodes of a
// cluster must agree on them.
#include <cstddef>
#include <cstdint>
#include <span>

namespace p2psync::storage {

struct ChunkSizes {
  std::uint32_t min = 16 * 1024;
  std::uint32_t average = 64 * 1024;  ///< a power of two
  std::uint32_t max = 256 * 1024;
};

/// The length of the first chunk. `bytes` reach to the end of the file, or are `max` at least.
[[nodiscard]] std::size_t first_chunk(std::span<const std::uint8_t> bytes, const ChunkSizes& sizes);

}  // namespace p2psync::storage
