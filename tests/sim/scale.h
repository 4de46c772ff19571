#pragma once
// How news spreads among many nodes: the engine's Replica and Gossip, 2 to 1,000 of them, without
// disks, on a network with delay and loss.
//
// A round is the interval between two ticks of a node to which something happens. What is known is
// held at once.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace p2psync::sim {

struct Spread {
  std::size_t nodes = 0;
  bool push = false;  ///< else by ticks alone
  unsigned loss_percent = 0;
  std::size_t changes = 5;  ///< one after the other, each by another node, between nodes at rest
  std::uint64_t seed = 1;
};

struct Spreading {
  std::vector<double> rounds;  ///< until all have it; ascending
  bool reached_all = true;     ///< else some change did not within rounds_max
  // Of the median change, by node and in the time until all had it:
  double messages = 0;
  double bytes = 0;
  double bytes_at_rest = 0;  ///< until all know that all have it
  std::size_t tick_bytes_max = 0;
  std::size_t message_bytes_max = 0;

  [[nodiscard]] double median() const { return rounds.at(rounds.size() / 2); }
  [[nodiscard]] double worst() const { return rounds.back(); }
};

inline constexpr double rounds_max = 200;

[[nodiscard]] Spreading spread(const Spread& how);

/// log2(n) + ln(n) + 4: what pushing a rumour to one random node a round takes (Pittel, 1987), and
/// some rounds so that nearly no run is above it. A tick that brings news is three messages of
/// which none may be lost: with loss it takes so many times as long.
[[nodiscard]] double rounds_allowed(std::size_t nodes, unsigned loss_percent = 0);

/// Prints a table of all sizes up to `nodes_max` and writes a plot. 1 if a bound is missed.
[[nodiscard]] int run_scale(const std::string& svg, std::size_t nodes_max);

}  // namespace p2psync::sim
