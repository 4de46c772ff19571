#pragma once
// Diary: what has happened to a node lately, for people who look at its page.
//
// It is shown the status document now and then, about once a second, and writes down what differs
// from the time before: members that came and went, errors, conflicts. Beside that it keeps a day
// in samples of five minutes. In memory only: it begins with the node. A value; time comes in.
// Limits: 200 happenings, 288 samples; errors and conflicts by name up to 1,000 of each.
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "apps/p2psync/json.h"

namespace p2psync::app {

class Diary {
 public:
  using Time = std::chrono::system_clock::time_point;

  static constexpr std::size_t happenings_max = 200;
  static constexpr std::chrono::minutes sample_time{5};
  static constexpr std::size_t samples_max = 288;
  /// More of a kind at once are told as a number.
  static constexpr std::size_t named_max = 3;
  static constexpr std::size_t known_max = 1000;
  /// Files that come in are told of when none came for as long as a look, or after so long.
  static constexpr std::chrono::seconds laying_max{60};

  /// So many changes of others were laid on this disk, or made by its own users.
  void laid(std::uint64_t changes) { laid_ += changes; }
  void made(std::uint64_t changes) { changes_ += changes; }
  /// `conflicts` gives the conflict copies; it is asked when their number has changed.
  void look(Time now, const Json& status, const std::function<Json()>& conflicts);

  /// [{"time", "kind": "good" | "busy" | "bad", "text"}], newest first, so many at the most.
  [[nodiscard]] Json happenings(std::size_t most) const;
  /// [{"time", "slot", "changes", "bytes", "in_sync", "members"}], oldest first; in_sync: the
  /// fewest members that held the same tree at a look.
  [[nodiscard]] Json day() const;

 private:
  struct Happening {
    Time time;
    std::string kind;
    std::string text;
  };
  struct Sample {
    std::int64_t slot = 0;  ///< sample_time since 1970
    std::uint64_t changes = 0;
    std::uint64_t bytes = 0;
    std::uint64_t in_sync = 0;
    std::uint64_t members = 0;
  };
  void note(Time now, std::string kind, std::string text);
  void note_members(Time now, const Json& status);
  void note_errors(Time now, const Json& status);
  void note_conflicts(Time now, const Json& status, const std::function<Json()>& conflicts);
  void note_laid(Time now);
  void sample(Time now, const Json& status);

  bool looked_ = false;
  std::map<std::string, bool> connected_;  ///< by member
  std::set<std::string> errors_;
  std::set<std::string> copies_;
  std::int64_t conflicts_ = 0;
  std::uint64_t laid_ = 0;
  std::uint64_t laying_ = 0;  ///< of those, not told yet
  std::optional<Time> laying_since_;
  std::uint64_t changes_ = 0;
  std::uint64_t moved_ = 0;  ///< bytes, when it looked last
  std::deque<Happening> happenings_;
  std::deque<Sample> samples_;
};

}  // namespace p2psync::app
