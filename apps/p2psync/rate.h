#pragma once
// How fast something comes in, over the last few seconds, and how long the rest takes at that rate.
//
// The mean over a window, and at the beginning over the time since the first bytes: blocks come in
// lumps, and a figure that people read must not jump with each. While nothing comes it sinks to 0
// within a window. A value; time comes in, and never goes back. Bounded: window / grain samples.
#include <cstdint>
#include <deque>
#include <optional>

#include "engine/status.h"

namespace p2psync::app {

class Rate {
 public:
  static constexpr engine::Duration window = std::chrono::seconds(8);
  /// What comes within so little time is one sample.
  static constexpr engine::Duration grain = std::chrono::milliseconds(250);
  /// The shortest time that a mean is taken over.
  static constexpr engine::Duration span_min = std::chrono::seconds(1);

  /// So many bytes have come.
  void add(engine::Instant now, std::uint64_t bytes);
  [[nodiscard]] std::uint64_t bytes_per_s(engine::Instant now) const;
  /// Nothing when there is no saying: nothing comes, or nothing is left.
  [[nodiscard]] std::optional<std::uint64_t> seconds_left(engine::Instant now,
                                                          std::uint64_t bytes) const;

 private:
  struct Sample {
    engine::Instant at;  ///< the first of it
    std::uint64_t bytes = 0;
  };
  std::deque<Sample> samples_;
  engine::Instant begun_;  ///< when bytes came after none had for a window
};

}  // namespace p2psync::app
