#pragma once
// Twins: notices that two processes run with one member's key, as when a machine was cloned.
//
// Each of them is taken for the other one that has come anew: its connection replaces the other's,
// and the other dials again. A single process replaces a connection when it was restarted or had
// lost its network without a word, which takes it longer each time than two need to take turns.
//
// A value. At most replacements_min instants for each member.
#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "net/token_bucket.h"

namespace p2psync::net {

class Twins {
 public:
  static constexpr std::size_t replacements_min = 4;
  static constexpr std::chrono::seconds window{60};

  /// A connection that was up has been replaced by one from elsewhere.
  void replaced(Instant now, std::string old_place, std::string new_place) {
    if (!seen(now)) {
      since_ = now;
    }
    at_.push_back(now);
    if (at_.size() > replacements_min) {
      at_.pop_front();
    }
    places_ = {std::move(old_place), std::move(new_place)};
  }
  [[nodiscard]] bool seen(Instant now) const {
    return at_.size() == replacements_min && now - at_.front() < window;
  }
  /// From when on, without a break, they have been seen.
  [[nodiscard]] Instant since() const { return since_; }
  /// What to tell a person.
  [[nodiscard]] std::string text(const std::string& member) const {
    return "two processes seem to run with the key of " + member + ": connections from " +
           places_.first + " and " + places_.second +
           " replace each other; one of the two needs a key of its own";
  }

 private:
  std::deque<Instant> at_;
  Instant since_{};
  std::pair<std::string, std::string> places_;
};

}  // namespace p2psync::net
