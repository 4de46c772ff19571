#pragma once
// Manifests on disk and on the wire.
//
//   .p2psync/manifests/<64 hex digits>   the bytes that content.h describes, under the content's
//   name
//
// A manifest is proven by its name, so nothing here is synced and a damaged one is one that is not
// there: it can be made again from the file. They are kept for contents that are gone too, since
// the next version's manifest travels as a difference to the last one's.
//
// The difference: one after the other, as numbers in LEB128, until the chunks are complete,
//   2n+1, i      n chunks of the base, from its i-th on
//   2n, chunk    a chunk (as in a manifest), n times
#include <optional>
#include <span>
#include <vector>

#include "storage/content.h"

namespace p2psync::storage {

inline constexpr std::string_view manifests_directory = ".p2psync/manifests";
/// More chunks than this no manifest may have: 1 TiB of chunks of average length.
inline constexpr std::size_t chunks_max = std::size_t{1} << 24;

/// Keeps it for later, if that succeeds.
void store_manifest(Fs& fs, const engine::Hash& content, const Manifest& manifest);
[[nodiscard]] std::optional<Manifest> find_manifest(Fs& fs, const engine::Hash& content);

[[nodiscard]] std::vector<std::uint8_t> difference(const Manifest& base, const Manifest& manifest);
/// The manifest of a content of this size. Nothing if it cannot be one.
[[nodiscard]] std::optional<Manifest> apply_difference(const Manifest& base,
                                                       std::span<const std::uint8_t> difference,
                                                       std::uint64_t size, const ChunkSizes& sizes);

}  // namespace p2psync::storage
