#pragma once
// Gathers the chunks of a content that are on this disk: what an earlier run left of its unfinished
// file, and what the old version has of them.
//
// All that is taken is read and checked against its hash, on other threads than the one that reads
// and writes: for an edit of a large file, this is where its time goes.
#include "storage/content.h"

namespace p2psync::storage {

/// A section, where it is in the content.
struct Place {
  engine::Hash section;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
[[nodiscard]] std::vector<Place> places_of(const Outline& outline);

/// Makes the unfinished file, of full length, or finds it. no_space, and nothing is made, where all
/// that it lacks has no room.
[[nodiscard]] Result<std::unique_ptr<File>> open_unfinished(Fs& fs,
                                                            const engine::OpenStage& request,
                                                            const Outline& outline);

/// Makes the file have all chunks of the section that can be had here; says which those are.
[[nodiscard]] Result<std::vector<bool>> gather(Fs& fs, File& file, const engine::OpenStage& request,
                                               const Place& place, const Manifest& manifest);

/// The section of a content that has most in common with that place. Nothing: it ends before.
[[nodiscard]] std::optional<engine::Hash> alike(const Outline& base, const Place& wanted);

}  // namespace p2psync::storage
