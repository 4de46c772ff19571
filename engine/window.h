#pragma once
// How much is asked of one peer before it has answered: as much as it sends within a moment. Then
// no queue builds up at a peer that many ask, what comes later does not wait behind what came
// before, and who is quick is asked for more.
//
// The time that an answer takes beyond the shortest ever seen is time in queues. Below queue_min
// the window grows by what came (it doubles with each round trip), above queue_max it shrinks by
// half of that.
//
// Once it is full, no more of a large content is asked until a quarter has come: what is then asked
// goes out at once, for less than as many requests one by one cost on both sides. Small contents
// would wait for that quarter, too, and do not.
//
// Source: Shalunov et al., Low Extra Delay Background Transport (LEDBAT), RFC 6817, 2012.
#include <algorithm>
#include <cstdint>

#include "engine/status.h"

namespace p2psync::engine {

class Window {
 public:
  static constexpr std::uint64_t bytes_min = 256 * 1024;
  static constexpr std::uint64_t bytes_begin = 1024 * 1024;
  static constexpr std::uint64_t bytes_max = 8 * 1024 * 1024;
  static constexpr std::size_t requests_max = 256;
  static constexpr Duration queue_min = std::chrono::milliseconds(100);
  static constexpr Duration queue_max = std::chrono::milliseconds(250);
  static constexpr Duration patience_min = std::chrono::seconds(20);
  static constexpr Duration patience_max = std::chrono::minutes(10);

  [[nodiscard]] bool open() const { return requests_ < requests_max && outstanding_ < bytes_; }
  /// For what many requests are needed: not when it was full and less than a quarter has come.
  [[nodiscard]] bool open_for_many() const { return open() && !was_full_; }
  [[nodiscard]] std::uint64_t outstanding() const { return outstanding_; }
  /// An answer that takes longer than that does not come.
  [[nodiscard]] Duration patience() const { return patience_; }
  /// Likewise where somebody else can be asked who has nothing else to do.
  [[nodiscard]] Duration short_patience() const {
    return std::min(patience_, std::max<Duration>(std::chrono::seconds(2), 4 * latest_));
  }

  void asked(std::uint64_t bytes) {
    ++requests_;
    outstanding_ += bytes;
    was_full_ = was_full_ || !open();
  }
  void answered(std::uint64_t bytes, Duration after) {
    latest_ = after;
    shortest_ = std::min(shortest_, after);
    patience_ = after < patience_min ? patience_min : patience_;
    if (after - shortest_ < queue_min) {
      bytes_ = std::min(bytes_ + bytes, bytes_max);
    } else if (after - shortest_ > queue_max) {
      bytes_ = std::max(bytes_ - std::min(bytes_, bytes / 2), bytes_min);
    }
    taken_back(bytes);
  }
  /// It is not waited for any more.
  void taken_back(std::uint64_t bytes) {
    --requests_;
    outstanding_ -= bytes;
    was_full_ = was_full_ && (requests_ > requests_again || outstanding_ > bytes_ / 4 * 3);
  }
  /// It was waited for in vain. A link that needs longer than that for one block must not be asked
  /// for it again and again. (A slow answer is no reason to wait longer: its peer may have slept.)
  void late() { patience_ = std::min<Duration>(2 * patience_, patience_max); }

 private:
  static constexpr std::size_t requests_again = requests_max / 4 * 3;

  std::size_t requests_ = 0;
  std::uint64_t outstanding_ = 0;
  std::uint64_t bytes_ = bytes_begin;
  bool was_full_ = false;  ///< and has not been a quarter empty since
  Duration shortest_ = patience_max;
  Duration latest_{};
  Duration patience_ = patience_min;
};

}  // namespace p2psync::engine
