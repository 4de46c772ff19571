#pragma once
// Faults: everything that the simulator lets go wrong, each with an id, a switch and counters.
//
// Each seed draws which of them are in play and how often (swarm testing: a fault that is always on
// hides what its absence would show). A fault that strikes is counted by the phase that the host
// was in: the table fault x phase says what a run has covered, and `reachable` which cells there
// are. Source: Groce et al., Swarm Testing, 2012; reliability of the list: section 3 of the
// project's fault catalogue.
#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace p2psync::sim {

enum class Fault : std::uint8_t {
  // The network between two hosts.
  net_loss,
  net_duplicate,
  net_reorder,
  net_tail,
  net_slow,
  net_late_content,
  net_reset,
  net_cut,
  net_isolate,
  net_halves,
  net_one_way,
  net_half_open,
  net_replay,
  net_corrupt_block,
  net_stranger,
  // The process and the machine.
  crash,
  crash_in_call,
  crash_in_recovery,
  power_cut,
  power_cut_in_call,
  power_cut_in_recovery,
  pause,
  clock_skew,
  clock_step,
  clock_far,
  index_lost,
  index_old,
  index_corrupt,
  index_foreign,
  machine_restored,
  // The disk.
  disk_error,
  disk_full,
  disk_read_only,
  disk_denied,
  disk_sync_fails,
  disk_no_exchange,
  disk_grain,
  disk_rot,
  // The kernel's change events.
  watch_lost,
  watch_late,
  watch_overflow,
  // Users between two system calls of the program.
  user_in_call,
  user_holds_open,
  user_pauses,
  count
};

inline constexpr std::size_t fault_count = static_cast<std::size_t>(Fault::count);

/// What a host is doing when a fault strikes.
enum class Phase : std::uint8_t {
  idle,
  scan,       ///< lists a directory
  hash,       ///< looks at names and reads them
  summarise,  ///< hello and tick
  diff,       ///< vectors, entries, ranges
  request,    ///< asks for a block
  serve,      ///< reads or sends a block
  stage,      ///< writes a block
  apply,      ///< lays names
  commit,     ///< writes the index
  recover,    ///< a start after a crash
  count
};
inline constexpr std::size_t phase_count = static_cast<std::size_t>(Phase::count);

struct FaultInfo {
  Fault fault;
  std::string_view id;
  std::string_view what;
  /// False: it can take the last copy of something; only safety is judged then.
  bool survivable;
  /// Strikes at a moment or at a rate in these phases; bits by Phase.
  std::uint16_t reachable;
};

[[nodiscard]] std::span<const FaultInfo, fault_count> fault_table();
[[nodiscard]] const FaultInfo& info(Fault fault);
[[nodiscard]] std::optional<Fault> fault_by_id(std::string_view id);
[[nodiscard]] std::string_view name_of(Phase phase);

using FaultSet = std::bitset<fault_count>;

/// How often which fault struck in which phase.
class FaultCounts {
 public:
  void add(Fault fault, Phase phase, std::uint64_t by = 1) {
    counts_[static_cast<std::size_t>(fault)][static_cast<std::size_t>(phase)] += by;
  }
  [[nodiscard]] std::uint64_t at(Fault fault, Phase phase) const {
    return counts_[static_cast<std::size_t>(fault)][static_cast<std::size_t>(phase)];
  }
  [[nodiscard]] std::uint64_t of(Fault fault) const;
  FaultCounts& operator+=(const FaultCounts& other);

 private:
  std::array<std::array<std::uint64_t, phase_count>, fault_count> counts_{};
};

}  // namespace p2psync::sim
