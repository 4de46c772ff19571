#pragma once
// What is wrong with a member, for people: why there is no connection with it, or that it was cut
// off. Who breaks the protocol dials again at once and looks well for a moment each time, so that
// it was cut off is told for ten minutes, whether it is connected or not.
//
// A value: no clock and no locks.
#include <chrono>
#include <string>
#include <utility>

#include "net/token_bucket.h"

namespace p2psync::net {

class Trouble {
 public:
  static constexpr std::chrono::minutes told_for{10};

  void connected() { why_down_.clear(); }
  /// It cannot be reached, or its connection has ended.
  void down(std::string why) { why_down_ = std::move(why); }
  /// This node has closed the connection for what the member said.
  void cut_off(Instant now, std::string why) {
    fault_ = std::move(why);
    fault_at_ = now;
    why_down_.clear();
  }
  /// One line; "" if nothing is wrong.
  [[nodiscard]] std::string text(Instant now) const;

 private:
  std::string why_down_;
  std::string fault_;
  Instant fault_at_{};
};

}  // namespace p2psync::net
