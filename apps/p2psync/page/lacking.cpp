#include "apps/p2psync/page/lacking.h"

#include <algorithm>
#include <set>

#include "engine/replica.h"

namespace p2psync::app {
namespace {

Json lacking_at(const engine::Replica& replica, const engine::VersionVector& held,
                std::size_t most) {
  std::set<engine::Path> paths;
  std::uint64_t bytes = 0;
  bool more = false;
  for (const auto& [actor, newest] : replica.knowledge().items()) {
    replica.for_events(
        actor, replica.endings().at(held, actor), [&](std::uint64_t, const engine::Path& path) {
          if (paths.size() == most) {
            more = true;
            return false;
          }
          if (paths.insert(path).second) {
            for (const engine::Sibling& sibling : replica.record(path).entry.versions) {
              bytes += replica.known(held).covers(sibling.dot) ? 0 : sibling.version.size;
            }
          }
          return true;
        });
  }
  return Json::Object{{"paths", paths.size()}, {"bytes", bytes}, {"more", more}};
}

}  // namespace

Json lacking(const Config& config, const engine::Node& node) {
  const engine::Replica& replica = node.replica();
  const std::size_t others = std::max<std::size_t>(config.members.size(), 2) - 1;
  Json::Object told;
  for (const Member& member : config.members) {
    if (member.node == config.me().node) {
      continue;
    }
    const auto row = replica.rows().find(member.node);
    told.emplace_back(member.name,
                      row == replica.rows().end()
                          ? Json()
                          : lacking_at(replica, row->second.held, lacking_paths_max / others + 1));
  }
  return told;
}

}  // namespace p2psync::app
