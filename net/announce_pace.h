#pragma once
// When a node announces itself on the LAN.
//
//   quick   at once and five times within some 8 s, asking: at the start, and on another network
//   slow    every 30 s, asking nobody, while a member is missing
//   answer  within 100 ms of being asked
//   rest    never, while no member is missing
//
// A member that lost its connections says where it is when it starts, and is answered; so a node
// that has only lost one need not ask. All together keep to one announcement a second, up to four
// saved up: no number of questions makes a node say more.
//
// A value; time comes in. Intervals are shortened by up to a quarter, at random.
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>

#include "net/token_bucket.h"

namespace p2psync::net {

class AnnouncePace {
 public:
  enum class Kind : std::uint8_t { asks, says };
  static constexpr std::size_t quick_steps = 6;
  static constexpr std::chrono::seconds slow_interval{30};
  static constexpr std::chrono::milliseconds answer_after_max{100};
  static constexpr std::chrono::seconds spacing{1};
  static constexpr int saved_up = 4;

  explicit AnnouncePace(std::uint64_t seed)
      : jitter_(static_cast<std::minstd_rand::result_type>(seed)) {}

  /// A start, or another network.
  void hurry(Instant now);
  /// Whether any member is missing by now.
  void missing(Instant now, bool any);
  void asked(Instant now);

  /// When take() has something; Instant::max() if nothing is to come.
  [[nodiscard]] Instant due() const;
  /// What to send now, if anything; it is taken for sent.
  [[nodiscard]] std::optional<Kind> take(Instant now);

 private:
  [[nodiscard]] std::chrono::nanoseconds about(std::chrono::nanoseconds interval);

  std::minstd_rand jitter_;
  bool seeking_ = false;
  std::size_t step_ = quick_steps;
  Instant seek_at_ = Instant::max();
  Instant answer_at_ = Instant::max();
  Instant spent_until_{};  ///< by as much as this is ahead of now, less is saved up
};

}  // namespace p2psync::net
