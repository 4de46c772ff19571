#pragma once
// A rate limit that may be overdrawn: who finds it not in debt may move any number of bytes, and
// the next one waits until the debt is paid. So a limit below the size of a block still works.
//
// Not used for longer than `burst`, it saves up no more than that. A value; time comes in.
#include <algorithm>
#include <chrono>
#include <cstdint>

namespace p2psync::net {

using Instant = std::chrono::steady_clock::time_point;

class TokenBucket {
 public:
  /// 0: no limit.
  explicit TokenBucket(std::uint64_t bytes_per_second = 0)
      : rate_(static_cast<double>(bytes_per_second)) {}

  [[nodiscard]] bool limited() const { return rate_ > 0; }
  /// `now`, or when the debt will be paid.
  [[nodiscard]] Instant ready_at(Instant now) {
    if (!limited()) {
      return now;
    }
    balance_ = std::min(rate_ * burst.count(), balance_ + rate_ * Seconds(now - since_).count());
    since_ = now;
    // A little later rather than a little early, or the wait would be repeated.
    return balance_ >= 0 ? now
                         : now + std::chrono::microseconds(1) +
                               std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   Seconds(-balance_ / rate_));
  }
  void spend(std::uint64_t bytes) { balance_ -= limited() ? static_cast<double>(bytes) : 0; }

 private:
  using Seconds = std::chrono::duration<double>;
  static constexpr Seconds burst{0.25};

  double rate_;
  double balance_ = 0;
  Instant since_{};
};

}  // namespace p2psync::net
