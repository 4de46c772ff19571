#pragma once
// Manifests and outlines on disk and on the wire.
//
//   .p2psync/manifests/<64 hex digits>   the bytes that content.h describes, under the name that
//                                        they prove
//
// Proven by its name, so nothing here is synced and a damaged one is one that is not there: it can
// be made again from the file. They are kept for contents that are gone too, since the next
// version's manifest travels as a difference to the last one's. A list takes 0.06 % of what it is
// of; all together have the room that the lists of three times the disk's bytes take, and what was
// used last stays.
//
// The difference: one after the other, as numbers in LEB128, until the chunks are complete, n > 0,
//   2n+1, i      n chunks of the base, from its i-th on
//   2n, chunk    a chunk (as in a manifest), n times
// An outline travels as it is: no difference begins with zeros, as it does.
#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "storage/content.h"

namespace p2psync::storage {

inline constexpr std::string_view manifests_directory = ".p2psync/manifests";
/// More sections than this no content may have, some 128 TiB. It bounds an outline to 3 MiB, as
/// section_chunks_max() does a manifest.
inline constexpr std::size_t sections_max = std::size_t{1} << 16;

inline constexpr std::uint64_t lists_part = 512;  ///< of the disk
/// When one was used is known to within so much: a list that is in use is written to once a day.
inline constexpr std::chrono::hours list_use_interval{24};

/// Deletes those that were not used for longest, until the others take no more than their part.
void expire_lists(Fs& fs);

/// Keeps it for later, if that succeeds.
void store_manifest(Fs& fs, const engine::Hash& section, const Manifest& manifest);
/// An outline of one section is its manifest, and not stored.
Result<void> store_outline(Fs& fs, const engine::Hash& content, const Outline& outline);
/// Keeps each as it is given.
[[nodiscard]] TakeManifest storing_in(Fs& fs);

[[nodiscard]] std::optional<Manifest> find_manifest(Fs& fs, const engine::Hash& section);
/// Of a content of one section, that.
[[nodiscard]] std::optional<Outline> find_outline(Fs& fs, const engine::Hash& content);

[[nodiscard]] std::vector<std::uint8_t> difference(const Manifest& base, const Manifest& manifest);
/// The manifest of a section of this length. Nothing if it cannot be one.
[[nodiscard]] std::optional<Manifest> apply_difference(const Manifest& base,
                                                       std::span<const std::uint8_t> difference,
                                                       std::uint64_t length,
                                                       const ChunkSizes& sizes);

/// Whether it is to be read as one.
[[nodiscard]] bool is_outline(std::span<const std::uint8_t> bytes);
/// Nothing if these bytes are none.
[[nodiscard]] std::optional<Outline> read_outline(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::uint64_t length_of(const Outline& outline);

}  // namespace p2psync::storage
