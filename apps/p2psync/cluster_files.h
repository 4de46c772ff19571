#pragma once
// A new cluster's files: cluster.toml, the same for every node, and a private key for each.
//
// The keys are written first, cluster.toml last and at once (a temporary file that is linked to its
// name when it is durable), so a directory that holds cluster.toml is complete. Nothing is ever
// overwritten.
#include <string>
#include <string_view>
#include <vector>

#include "apps/p2psync/config.h"
#include "engine/error.h"

namespace p2psync::app {

enum class IfPresent : std::uint8_t {
  refuse,  ///< any file that is there already is an error (`changed`)
  keep,    ///< what is there stays: keys are used, and a complete directory is a success
};

/// Writes DIR/NAME.key and DIR/cluster.toml, making DIR if it is absent. Gives the members with
/// their ids; none when everything was there already.
[[nodiscard]] Result<std::vector<Member>> write_cluster_files(const std::string& directory,
                                                              const std::string& cluster,
                                                              std::vector<Member> members,
                                                              IfPresent present);

/// The text of cluster.toml, with every key and its default explained.
[[nodiscard]] std::string cluster_toml(std::string_view cluster,
                                       const std::vector<Member>& members);

/// "NAME=HOST:PORT" from the command line; "NAME" is a member to be found on the LAN.
[[nodiscard]] Parsed<Member> parse_member(std::string_view text);

}  // namespace p2psync::app
