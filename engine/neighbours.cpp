#include "engine/neighbours.h"

#include <xxhash.h>

#include <algorithm>

namespace p2psync::engine {

Neighbours::Neighbours(NodeId self, std::span<const NodeId> members, std::size_t wanted)
    : wanted_(wanted) {
  if (wanted_ == 0) {
    return;
  }
  const auto place = [self](NodeId member) {
    return XXH3_64bits_withSeed(&member, sizeof member, self);
  };
  std::ranges::copy_if(members, std::back_inserter(order_),
                       [self](NodeId member) { return member != self; });
  std::ranges::sort(order_, {}, place);
}

bool Neighbours::wants(NodeId member, const std::function<bool(NodeId)>& out_of_reach) const {
  std::size_t within_reach = 0;
  for (auto other = order_.begin(); other != order_.end() && within_reach < wanted_; ++other) {
    if (*other == member) {
      return true;
    }
    within_reach += out_of_reach(*other) ? 0 : 1;
  }
  return wanted_ == 0;
}

}  // namespace p2psync::engine
