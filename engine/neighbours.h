#pragma once
// Neighbours: which members a node keeps connections with.
//
// Up to mesh_max members, with all. In a larger cluster a node wants connections with
// neighbours_wanted others: the first that can be reached in an order of its own, made by hashing
// its id with theirs. Nobody has to agree on anything, an order lasts across restarts, and all
// choices together are a random graph: connected, with paths of a few steps, and so when a good
// part of the members is away, since the next in the order take their places. Whoever is chosen by
// others accepts them, so a node has about twice as many connections, and some more after others
// were away: none is ended for being one too many. News and contents go from neighbour to
// neighbour; of the other members a node knows what neighbours tell.
// Source: Fenner and Frieze, On the Connectivity of Random m-orientable Graphs and Digraphs, 1982
// (two choices each are enough, in the limit).
#include <functional>
#include <span>
#include <vector>

#include "engine/version_vector.h"

namespace p2psync::engine {

inline constexpr std::size_t mesh_max = 100;
inline constexpr std::size_t neighbours_wanted = 10;

class Neighbours {
 public:
  /// `members`: all, self included or not. `wanted`: how many; 0: all.
  Neighbours(NodeId self, std::span<const NodeId> members, std::size_t wanted);
  /// How many a node of a cluster of so many members wants: 0, all, up to mesh_max.
  [[nodiscard]] static std::size_t wanted_of(std::size_t members) {
    return members <= mesh_max ? 0 : neighbours_wanted;
  }

  /// True if the node should be connected with the member, or try to be. O(wanted + out of reach).
  [[nodiscard]] bool wants(NodeId member, const std::function<bool(NodeId)>& out_of_reach) const;

 private:
  std::vector<NodeId> order_;
  std::size_t wanted_;
};

}  // namespace p2psync::engine
