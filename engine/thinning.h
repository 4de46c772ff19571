#pragma once
// Thinning: of the kept versions of one path fewer are needed the older they are.
//
//   of the last day     all
//   of the last week    the last of each hour
//   older               the last of each day
//
// By the clock of this node, hours and days in UTC. What goes is noted (Replica::forget_kept), so
// that nobody takes a later version for what was shown at a time (past.h).
//
// Source: grandfather, father and son, as tapes are rotated; Syncthing's staggered versions.
#include <cstdint>
#include <set>
#include <string>

#include "engine/packed_versions.h"

namespace p2psync::engine {

/// Names in `.p2psync/versions` of what is no longer needed at `now`, ns since 1970.
[[nodiscard]] std::set<std::string> thinned(const PackedVersions& kept, std::int64_t now);

}  // namespace p2psync::engine
