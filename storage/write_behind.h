#pragma once
// What is done behind a content while it is written: the disk is kept busy with it, and of a large
// one no more than the end stays in memory, as far as the disk keeps up.
//
// A content of many GiB would else drive out what this machine's programs have in the page cache,
// for bytes that nobody here may ever read. And a page that is used again costs less than one that
// is not: measured with 2 GiB on a virtual machine, a quarter of the time that the copy takes. The
// price: a peer who asks for what came before that has it read from the disk.
//
// Hints only. What is dirty, or not there yet, when its turn comes stays, and nothing is lost.
#include <cstdint>

#include "storage/fs.h"

namespace p2psync::storage {

/// Of these many bytes at a time, at multiples of it.
inline constexpr std::uint64_t stretch_bytes = 8 * 1024 * 1024;
/// So much before the end of the stretch that was completed last stays: peers that fetch the same
/// content ask for it, and what was made a moment ago is likely to be used or changed next.
inline constexpr std::uint64_t cached_bytes = 512 * 1024 * 1024;
static_assert(cached_bytes % stretch_bytes == 0);

/// [begin, end) was written: stretches that are complete by that begin to go to the disk, and those
/// that are old by that leave memory.
void write_behind(File& file, std::uint64_t begin, std::uint64_t end);
/// Only the latter: for one who has all that he writes go to the disk at once; or who reads what is
/// about to go, with a distance of 0.
void uncache_behind(File& file, std::uint64_t begin, std::uint64_t end,
                    std::uint64_t distance = cached_bytes);

}  // namespace p2psync::storage
