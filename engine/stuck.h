#pragma once
// Stuck: the contents on their way in that the disk refused to take, full most likely.
//
// One stays in here until it is written on, is whole, or is wanted no more. What was under way when
// the disk refused proves nothing by being written: smaller blocks find room where larger ones did
// not. So only what is asked for after the pause (`full_pause`) counts, and a full disk is shown as
// such without coming and going.
//
// A value. Bounded by the contents in progress (FetchesMax) and those that await their next turn.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/status.h"

namespace p2psync::engine {

/// What the disk refused is not asked for so long, or nothing is (transfer.h).
inline constexpr Duration full_pause = std::chrono::seconds(5);

/// What a person is told of an error of the disk: for a full one, also what happens next.
[[nodiscard]] std::string told(const Error& error);

class Stuck {
 public:
  /// True if nothing else was stuck.
  bool refused(Instant now, const Hash& content, const Error& error);
  void written(Instant now, const Hash& content);
  void whole(const Hash& content) { stuck_.erase(content); }
  /// `needed_by` gives a path that needs a content, null if none does any more.
  using NeededBy = std::function<const Path*(const Hash&)>;
  void forget_unneeded(const NeededBy& needed_by);
  [[nodiscard]] std::vector<Problem> problems(const NeededBy& needed_by) const;

 private:
  struct Refusal {
    Error error;
    Instant since;
    Instant last;
  };
  std::map<Hash, Refusal> stuck_;
};

}  // namespace p2psync::engine
