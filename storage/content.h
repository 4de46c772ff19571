#pragma once
// Contents: what a file's bytes are called, and the chunks they consist of.
//
// A content of at most ChunkSizes::max bytes is one chunk, and its name is their SHA-256. A larger
// one is cut (chunker.h); its manifest is the list of its chunks, and its name is the SHA-512/256
// of that: another function, so that no file can pass for a manifest. Whoever trusts the name can
// therefore check the manifest, and by that each chunk alone, in any order, from anybody.
//
// A manifest's bytes, which are hashed: for each chunk its length (32 bits, little-endian) and its
// SHA-256.
#include <span>
#include <vector>

#include "engine/disk.h"
#include "storage/chunker.h"
#include "storage/fs.h"

namespace p2psync::storage {

using Manifest = std::vector<engine::Chunk>;

struct Content {
  engine::Hash name;
  Manifest chunks;  ///< empty if it is one chunk
};

/// Reads the first `size` bytes of a file, each once. Holes are not read. A shorter file: changed.
[[nodiscard]] Result<Content> read_content(File& file, std::uint64_t size, const ChunkSizes& sizes);

/// The name of a content that is in memory.
[[nodiscard]] engine::Hash name_of(std::span<const std::uint8_t> bytes, const ChunkSizes& sizes);

[[nodiscard]] std::vector<std::uint8_t> bytes_of(const Manifest& manifest);
/// The name of the content with these chunks.
[[nodiscard]] engine::Hash name_of(const Manifest& manifest);

/// Whether it is one of those that a run of zeros is cut into.
[[nodiscard]] bool is_zeros(const engine::Chunk& chunk, const ChunkSizes& sizes);

}  // namespace p2psync::storage
