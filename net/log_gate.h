#pragma once
// Lets a line through now and then: what strangers do to a port must not fill a disk with logs.
#include <chrono>
#include <optional>
#include <string>

#include "net/token_bucket.h"

namespace p2psync::net {

class LogGate {
 public:
  /// The line to log, with the number of those that were held back before it; or nothing.
  [[nodiscard]] std::optional<std::string> pass(Instant now, std::string line) {
    if (last_ && now - *last_ < pause) {
      ++held_back_;
      return std::nullopt;
    }
    if (held_back_ > 0) {
      line += " (and " + std::to_string(held_back_) + " more since the last such line)";
    }
    last_ = now;
    held_back_ = 0;
    return line;
  }

  static constexpr std::chrono::seconds pause{5};

 private:
  std::optional<Instant> last_;
  std::size_t held_back_ = 0;
};

}  // namespace p2psync::net
