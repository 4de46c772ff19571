#pragma once
// What the configuration comes to for the parts of a node. Pure, but for fresh random numbers.
#include <set>
#include <string>

#include "apps/p2psync/config.h"
#include "engine/node.h"
#include "net/transport.h"
#include "storage/index_store.h"

namespace p2psync::app {

[[nodiscard]] engine::NodeOptions node_options(const Config& config,
                                               const storage::IndexStore& index);
[[nodiscard]] net::TransportOptions transport_options(const Config& config);
/// By what names the status page may be asked for: see HttpServer.
[[nodiscard]] std::set<std::string> own_hosts(const Config& config);

}  // namespace p2psync::app
