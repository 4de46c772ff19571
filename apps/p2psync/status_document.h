#pragma once
// The document of `status --json` (interface.md): what the engine says of itself, with the names,
// addresses, times and totals that only the daemon knows. Pure.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/p2psync/config.h"
#include "apps/p2psync/json.h"
#include "engine/status.h"

namespace p2psync::app {

/// A state that the engine has not: its driver keeps it from peers and from the disk.
inline constexpr std::string_view paused_state = "paused";

/// What the daemon adds.
struct DaemonStatus {
  std::string folder;
  engine::Instant started;
  engine::Instant now;
  std::chrono::system_clock::time_point wall_now;
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t bytes_per_s = 0;              ///< of what is pending
  std::optional<std::uint64_t> seconds_left;  ///< for all that is pending, at that rate
  bool paused = false;                        ///< the state, unless that is `error`
  /// It cannot go on: the state is `error`.
  bool broken = false;
  std::vector<engine::Problem> problems;  ///< the daemon's own; path "" where none is concerned
  /// Where members were found that have no address in the configuration.
  std::map<engine::NodeId, std::string> found_at;
  /// What is wrong with a member, where something is: one line each.
  std::map<engine::NodeId, std::string> troubles;
};

[[nodiscard]] Json status_document(const Config& config, const engine::Status& status,
                                   const DaemonStatus& daemon);

[[nodiscard]] std::string_view state_name(engine::State state);
/// RFC 3339 in UTC, to the second.
[[nodiscard]] std::string time_text(std::chrono::system_clock::time_point time);

}  // namespace p2psync::app
