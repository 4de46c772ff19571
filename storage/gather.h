#pragma once
// Gathers the chunks of a content that are on this disk: what an earlier run left of its unfinished
// file, and what the old version has of them.
//
// All that is taken is read and checked against its hash, on other threads than the one that reads
// and writes: for an edit of a large file, this is where its time goes.
#include "storage/content.h"

namespace p2psync::storage {

/// Makes the unfinished file, of full length, and have all chunks that can be had here; says which
/// those are. no_space, and nothing is read or written, where all that it lacks has no room.
[[nodiscard]] Result<std::vector<bool>> gather(Fs& fs, const engine::OpenStage& request,
                                               const Manifest& manifest);

}  // namespace p2psync::storage
