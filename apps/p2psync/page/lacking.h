#pragma once
// What each other member lacks of that which this node knows: "who holds how much". Reads a node.
//
// From the matrix of what members hold (gossip): also of members that are not connected, as of when
// they were last heard of. Counts path by path, so only so far; equal members cost next to nothing.
#include "apps/p2psync/config.h"
#include "apps/p2psync/json.h"
#include "engine/node.h"

namespace p2psync::app {

/// So many paths are counted at one go, of all members together.
inline constexpr std::size_t lacking_paths_max = 2000;

/// {"node2": {"paths", "bytes", "more": false}}; `more`: it lacks more than that. Null for a member
/// that was never heard of.
[[nodiscard]] Json lacking(const Config& config, const engine::Node& node);

}  // namespace p2psync::app
