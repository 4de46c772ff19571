#pragma once
// A plan: all that happens to a simulated cluster from outside, drawn from a seed before it runs.
//
// What users do and what strikes are moves, each with a time, a host and a seed of its own, so that
// one of them can be left out and the rest stays what it was: the shrinker lives on that. What
// comes in numbers (lost messages, delays) is a rate in the setup, drawn from a stream of its own
// while it runs.
//
// Swarm: about a third of the faults is in play in a seed. Seeds whose number modulo 8 is 7 are of
// the mode "anything goes": faults that can take the last copy of something are in play, and only
// safety is judged. Seeds with 3 modulo 16 are causal: users act one after the other, each knowing
// everything, and there may be no conflict copy at any time.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/status.h"
#include "tests/sim/fault.h"

namespace p2psync::sim {

/// Bugs that are planted in the simulator's own glue, to see that it would notice.
enum class Canary : std::uint8_t {
  none,
  overwritten_write,  ///< what a user writes over another file is soon that file again
  forgotten_commit,   ///< of what is said to be durable in the index, every third change is not
};

struct Setup {
  std::size_t hosts = 3;
  bool causal = false;
  bool anything_goes = false;
  bool sqlite = false;  ///< the index is SQLite's on the simulated disk, else a model of it
  engine::Duration safety{};
  engine::Duration rescan{};
  /// [scan] max_delete in percent, of however few files; users confirm or undo what is held. 0: no
  /// brake.
  unsigned max_delete = 0;
  /// Before the first start so many incarnations of each member are over, at the most; all know
  /// what they did, but not all that they are over (engine/endings.h).
  std::size_t past = 0;
  FaultSet faults;  ///< in play
  Canary canary = Canary::none;

  // Rates of what comes in numbers; percent unless named otherwise.
  std::uint64_t delay_us_max = 2000;
  std::uint64_t loss = 0;
  std::uint64_t duplicate = 0;
  std::uint64_t tail_permille = 0;
  std::uint64_t slow_bytes_per_s = 0;  ///< 0: as fast as can be
  std::uint64_t late_content_s = 0;
  std::uint64_t replay_permille = 0;
  std::uint64_t corrupt_permille = 0;
  std::uint64_t watch_lost = 0;
  std::uint64_t watch_late = 0;
  std::vector<std::int64_t> clock_offset_s;  ///< a host each
  std::vector<std::int64_t> grain_ns;
  std::vector<bool> exchange;
};

/// What a user does, and to which names.
struct Act {
  enum class What : std::uint8_t {
    write,
    remove,
    remove_tree,
    rename,
    metadata,
    link,
    kind,
    make_directory,
    resolve,  ///< by command: a conflict ends with what the name shows
    restore,  ///< by command: what was kept of the name last comes back
  };
  What what = What::write;
  std::string name;
  std::string to;  ///< of a rename
  bool operator==(const Act&) const = default;
};

struct Move {
  enum class What : std::uint8_t { user, strike };
  What what = What::user;
  Fault fault = Fault::count;  ///< of a strike
  engine::Duration at{};
  std::size_t host = 0;
  /// 0: at that time. Else it is done right before that call of the host's program, counted from
  /// then.
  std::uint32_t call = 0;
  std::uint64_t seed = 0;
  /// What a user does there. Left out: drawn when it comes to it, from the seed and from what the
  /// disk shows.
  std::optional<Act> act;
  std::size_t id = no_id;  ///< which of the plan's moves; set by the run

  static constexpr std::size_t no_id = ~std::size_t{0};
};

struct Plan {
  std::uint64_t seed = 0;
  Setup setup;
  std::vector<Move> moves;  ///< ascending by time
};

struct PlanOptions {
  FaultSet without;  ///< switched off
  bool survivable_only = false;
};

[[nodiscard]] Plan draw_plan(std::uint64_t seed, const PlanOptions& options = {});
/// By time, and where times are equal always in the same order.
void sort_moves(std::vector<Move>& moves);
/// The rates of a setup, by the fault that they belong to; Fault::count for the delay.
struct RateInfo {
  std::string_view id;
  Fault fault;
  std::uint64_t Setup::* value;
  std::uint64_t max;
};
[[nodiscard]] std::span<const RateInfo> rate_table();
[[nodiscard]] std::string describe(const Setup& setup);

}  // namespace p2psync::sim
