#pragma once
// What a connection still has to send: control before data, and of data small frames before large
// ones: a small file does not wait behind the blocks of a large one. Each in the order given.
//
// A value with no I/O. Cost: O(1) a frame; small frames are copied once, into a common write.
#include <cstdint>
#include <deque>

#include "engine/output.h"
#include "net/frame.h"

namespace p2psync::net {

class SendQueue {
 public:
  void push(OutFrame frame, engine::Priority priority);
  /// The next to write, whole frames: one large frame, or small ones together. Of no size if there
  /// is nothing, or nothing but data and that may not go now.
  [[nodiscard]] OutFrame take(bool with_data);
  /// What take(true) would give is data.
  [[nodiscard]] bool data_is_next() const { return control_.frames.empty() && has_data(); }

  [[nodiscard]] bool has_data() const { return !small_.frames.empty() || !large_.frames.empty(); }
  [[nodiscard]] std::size_t control_bytes() const { return control_.bytes; }
  [[nodiscard]] std::size_t data_bytes() const { return small_.bytes + large_.bytes; }
  [[nodiscard]] std::size_t bytes() const { return control_.bytes + data_bytes(); }

  static constexpr std::size_t small_bytes_max = 16 * 1024;
  static_assert(small_bytes_max <= copied_bytes_max);
  static constexpr std::size_t gathered_bytes_max = 64 * 1024;

 private:
  struct Lane {
    std::deque<OutFrame> frames;
    std::size_t bytes = 0;
    OutFrame pop();
    OutFrame pop_together();
  };
  Lane control_;
  Lane small_;
  Lane large_;
};

}  // namespace p2psync::net
