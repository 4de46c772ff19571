#include "engine/status.h"

#include <algorithm>

#include "engine/replica.h"

namespace p2psync::engine {

void add_members(Status& status, const Replica& replica, const std::set<NodeId>& others,
                 const VersionVector& held) {
  for (const NodeId member : others) {
    const auto row = replica.rows().find(member);
    const auto has = [&](const VersionVector& all) {
      return row != replica.rows().end() && replica.known(row->second.held).covers(all);
    };
    status.safe_to_power_off = status.safe_to_power_off || has(replica.knowledge());
    if (replica.tombstones() > 0 && !has(held)) {
      status.holding_up.push_back(member);
    }
  }
}

}  // namespace p2psync::engine
