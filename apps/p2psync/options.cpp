#include "apps/p2psync/options.h"

#include <sys/random.h>

#include <algorithm>

namespace p2psync::app {
namespace {

std::uint64_t random_number() {
  std::uint64_t number = 0;
  invariant(::getrandom(&number, sizeof(number), 0) == sizeof(number), "the kernel has randomness");
  return number;
}

}  // namespace

engine::NodeOptions node_options(const Config& config, const storage::IndexStore& index) {
  engine::NodeOptions options;
  options.cluster = config.cluster;
  options.version = P2PSYNC_VERSION;
  options.self = config.me().node;
  for (const Member& member : config.members) {
    options.members.push_back({member.node, member.name});
  }
  std::ranges::sort(options.members);
  options.gossip_interval = config.gossip_interval;
  options.seed = random_number();
  options.incarnation = std::max<std::uint64_t>(1, random_number());  // 0 is none
  options.index_epoch = index.epoch();
  options.fresh_index = index.fresh();
  options.keep_versions = config.keep_versions.count() > 0;
  options.brake.percent = static_cast<unsigned>(config.max_delete_percent.value_or(0));
  return options;
}

net::TransportOptions transport_options(const Config& config) {
  net::TransportOptions options;
  for (const Member& member : config.members) {
    const auto id = net::KeyId::parse(member.key_id);
    invariant(id.has_value(), "the configuration's ids were judged");
    options.members.push_back(
        {*id, member.name, member.address ? member.address->text() : std::string()});
  }
  options.listen = {config.listen.text()};
  options.upload_limit = config.upload_limit;
  options.download_limit = config.download_limit;
  return options;
}

std::set<std::string> own_hosts(const Config& config) {
  std::set<std::string> hosts{config.me().name};
  for (const auto& address : {config.http, config.me().address}) {
    if (address && !address->host.empty()) {
      hosts.insert(address->host);
    }
  }
  return hosts;
}

}  // namespace p2psync::app
