#pragma once
// What a node can say of itself, without words: the daemon adds names, addresses and times.
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/disk.h"
#include "engine/message.h"

namespace p2psync::engine {

/// Monotonic time; its zero means nothing.
using Instant = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
using Duration = std::chrono::nanoseconds;

enum class State : std::uint8_t { scanning, syncing, in_sync, isolated, error };

struct PeerStatus {
  NodeId peer = 0;
  bool connected = false;
  bool in_sync = false;
  std::optional<Fingerprint> root;
  std::optional<Instant> last_exchange;
  std::optional<Duration> round_trip;
  std::string version;
  /// Members that only one of the two lists has, or whose names differ; empty when the lists agree.
  std::vector<std::string> list_differences;
};

struct Problem {
  Path path;
  std::string message;
  Instant since;
};

/// A content on its way in: how much of it is on this disk already.
struct Incoming {
  Path path;  ///< of those that need it, one
  std::uint64_t bytes = 0;
  std::uint64_t done_bytes = 0;
};
/// The most that a status lists of them.
inline constexpr std::size_t incoming_max = 32;

struct Status {
  State state = State::scanning;
  std::uint64_t files = 0, directories = 0, symlinks = 0, bytes = 0;  ///< shown on this disk
  std::uint64_t conflicts = 0;                                        ///< conflict copies
  std::uint64_t tombstones = 0;
  std::uint64_t skipped = 0;
  std::uint64_t held_deletions = 0;  ///< files gone that the brake keeps from being told
  Fingerprint root;
  std::uint64_t still_open = 0;
  bool safe_to_power_off = false;
  std::uint64_t pending_files = 0, pending_bytes = 0;
  std::vector<Incoming> incoming;  ///< in progress before waiting, then large before small
  /// Members that hold the collection of tombstones up: their row lacks what all others hold.
  std::vector<NodeId> holding_up;
  std::vector<PeerStatus> peers;  ///< every configured member but this one, by id
  std::vector<Problem> problems;
};

/// What the rows of the other members say: whether one of them holds everything, and which lack
/// what this node holds.
void add_members(Status& status, const class Replica& replica, const std::set<NodeId>& others,
                 const VersionVector& held);

}  // namespace p2psync::engine
