#pragma once
// Quota: how many incarnations of nodes a member can make this node keep.
//
// What a member writes it may write: entries are bounded by the disk, as those of a user here are.
// Incarnations are not a user's work. A node has one for each start, and those that are over are
// folded (endings.h); all others are told on to everybody in one message (Vectors), and a context
// has to fit into one, too. Whoever made up so many that they do not would end all talk between all
// members, for ever, since what was taken in is never given up. So what would go beyond is not
// taken in, and who said it loses its connection. Should a cluster come to that by itself, then
// nothing is lost, and it goes on when incarnations have ended.
//
// A value. Cost: that of reading the message once.
#include <cstddef>
#include <set>

#include "engine/message.h"
#include "engine/replica.h"

namespace p2psync::engine {

/// In what a node knows: 23 bytes each at the most, so less than half of a message.
inline constexpr std::size_t known_actors_max = 16 * 1024;
/// In contexts, before the stream is complete that makes them known: of one path, with the known
/// ones, no more than fits into a message.
inline constexpr std::size_t strange_actors_max = 16 * 1024;
/// In the matrix, all rows together: what codec_held.h takes of a peer.
inline constexpr std::size_t row_items_max = 1024 * 1024 / 17;
/// On all lists of incarnations that are over: 16 MiB.
inline constexpr std::size_t kept_endings_max = 1024 * 1024;

class Quota {
 public:
  /// Taking this in would make it too many.
  [[nodiscard]] bool refuses(const Replica& replica, const Message& message);

 private:
  [[nodiscard]] bool too_many_actors(const Replica& replica, const Entries& entries);

  std::set<Actor> strange_;  ///< in contexts that were taken in, and not known a while ago
};

}  // namespace p2psync::engine
