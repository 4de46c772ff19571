#pragma once
// Runs many seeds, in several processes, and adds up what they met.
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "tests/sim/world.h"

namespace p2psync::sim {

struct RunOptions {
  std::uint64_t start = 1;
  std::uint64_t seeds = 100;
  std::uint64_t jobs = 2;
  bool twice = false;      ///< each seed twice in its process, with equal traces
  bool fail_fast = false;  ///< stop at the first that fails
  bool progress = false;
  std::set<std::uint64_t> except;  ///< seeds that are known to fail, and left out
  PlanOptions plan;
};

struct Totals {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  std::uint64_t events = 0;
  std::uint64_t simulated_ms = 0;
  std::uint64_t to_rest_ms_max = 0;
  /// Of all seeds' traces, whatever their order.
  std::uint64_t trace_hash = 0;
  FaultCounts faults;
  Sometimes sometimes;
  std::map<std::string, std::uint64_t> user_acts;

  void add(const Report& report);
  Totals& operator+=(const Totals& other);
};

/// Failures are printed as they come: seed, invariant, and the command that replays it.
[[nodiscard]] Totals run_seeds(const RunOptions& options);
/// `how`: the command that replays it; left out, it is the seed's.
void print_failure(const Report& report, const std::string& how = {});

}  // namespace p2psync::sim
