#pragma once
// Contents: what a file's bytes are called, and the chunks they consist of.
//
// A content of at most ChunkSizes::max bytes is one chunk, and its name is their SHA-256. A larger
// one is cut (chunker.h), and what it is cut into is parted into sections where a chunk's hash says
// so: an insertion changes the section it is in, and leaves the others what they were. A section's
// manifest is the list of its chunks, and its name is the SHA-512/256 of that: another function, so
// that no file can pass for a manifest. A content of one section, as nearly all are, is called what
// that is called; one of several by the SHA-512/256 of its outline, the list of its sections.
//
// Whoever trusts the name can therefore check the outline, by that each manifest, and by that each
// chunk, alone, in any order, from anybody; and however large a content is, no list is longer than
// some MiB.
//
// What is hashed, integers little-endian: of a manifest for each chunk its length (32 bits) and its
// SHA-256. Of an outline first 32 bits of zero, which no manifest begins with, then for each
// section its length and how much of that is not zeros (64 bits each), and its name.
#include <functional>
#include <span>
#include <vector>

#include "engine/disk.h"
#include "storage/chunker.h"
#include "storage/fs.h"

namespace p2psync::storage {

using Manifest = std::vector<engine::Chunk>;

/// Chunks that follow one another.
struct Section {
  std::uint64_t length = 0;
  std::uint64_t data = 0;  ///< bytes in chunks that are not zeros (is_zeros)
  engine::Hash name;       ///< of its manifest
  bool operator==(const Section&) const = default;
};
using Outline = std::vector<Section>;

struct Content {
  engine::Hash name;
  Outline sections;  ///< empty if it is one chunk
};

/// Is given each manifest as it is complete, in order; only one is in memory at a time.
using TakeManifest = std::function<void(const Section&, const Manifest&)>;

/// Reads the first `size` bytes of a file, each once. Holes are not read. A shorter file: changed.
[[nodiscard]] Result<Content> read_content(File& file, std::uint64_t size, const ChunkSizes& sizes,
                                           const TakeManifest& take = {});

/// The name of a content that is in memory.
[[nodiscard]] engine::Hash name_of(std::span<const std::uint8_t> bytes, const ChunkSizes& sizes);

[[nodiscard]] std::vector<std::uint8_t> bytes_of(const Manifest& manifest);
[[nodiscard]] std::vector<std::uint8_t> bytes_of(const Outline& outline);
/// The name of the section with these chunks.
[[nodiscard]] engine::Hash name_of(const Manifest& manifest);
/// The name of the content with these sections.
[[nodiscard]] engine::Hash name_of(const Outline& outline);
/// What an outline says of the section with this manifest.
[[nodiscard]] Section section_of(const Manifest& manifest, const ChunkSizes& sizes);

/// Whether it is one of those that a run of zeros is cut into.
[[nodiscard]] bool is_zeros(const engine::Chunk& chunk, const ChunkSizes& sizes);

}  // namespace p2psync::storage
