#pragma once
// Scan: learns what users did, by looking at names and listing directories.
//
// Names to look at come from the watcher, from listings that differ from what is remembered, and
// from applies that met something unexpected. A look's answer goes to the replica, which makes an
// event of it if it is news. That something is gone is acted upon last, when no look or listing is
// outstanding (or after absence_wait): a rename's new name is then known before the old one goes.
//
// Whether a mass of names found gone are deletions is the brake's matter (brake.h).
//
// A look and an apply never have the same name in flight at once, so answers are never stale.
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "engine/brake.h"
#include "engine/input.h"
#include "engine/output.h"
#include "engine/replica.h"

namespace p2psync::engine {

/// In one Look, which shares one sync; but what it finds is told to nobody before its end.
inline constexpr std::size_t look_names_max = 1024;
inline constexpr std::uint64_t look_bytes_max = std::uint64_t{64} << 20;
/// What nobody has listed may be of any size.
inline constexpr std::uint64_t unlisted_bytes = look_bytes_max / 128;
inline constexpr std::size_t looks_in_flight_max = 2;
inline constexpr std::size_t lists_in_flight_max = 4;
inline constexpr Duration absence_wait = std::chrono::seconds(2);
/// While directories are being listed, a look waits so long after the one before for all the names
/// that fit.
inline constexpr Duration look_gather_wait = std::chrono::milliseconds(50);
/// Until a change must show in the signature of what has changed just now.
inline constexpr Duration fresh_wait = std::chrono::milliseconds(50);

/// Between looks at a file that somebody goes on writing to (a log): each reads all of it.
[[nodiscard]] Duration writing_pause(std::uint64_t size);

class Scan {
 public:
  explicit Scan(Replica& replica, const BrakeOptions& brake = {});

  void touch(const Path& name, std::uint64_t bytes = unlisted_bytes, bool regular = false);
  /// As the watcher tells.
  void on(Instant now, const Touched& touched);
  /// What was laid so close to its own time that the signature proves nothing: is read once more
  /// as soon as it can. The next full scan would else come upon it, long after all is at rest.
  void look_later(Instant now, const Path& name);
  /// Lists a directory, and with `deep` everything below it.
  void list(const Path& directory, bool deep);
  void on(Instant now, const Listed& listed);
  void on(Instant now, const LookDone& done);
  /// The rules of what is ignored are being read: nothing else is looked at, told or laid.
  [[nodiscard]] bool reading_rules() const {
    return !rule_files_.empty() || !rules_awaited_.empty() || replica_.any_rules();
  }
  /// An apply is over: what it kept from being looked at can be.
  void apply_ended() { queue_.merge(held_up_); }
  /// `busy(name)`: an apply is at work there.
  void next(Instant now, const std::function<bool(const Path&)>& busy, std::vector<Output>& out);

  /// True if an apply must keep off the name.
  [[nodiscard]] bool holds(const Path& name) const {
    return in_flight_.contains(name) || absent_.contains(name) || queue_.contains(name) ||
           held_up_.contains(name) || brake_.has(name);
  }
  /// Nothing asked for is outstanding. What changed too recently to be read counts until its second
  /// look; further retries, of files that keep changing, and those of directories that cannot be
  /// read do not, but without the root nothing has been read.
  [[nodiscard]] bool idle() const {
    return quiet() && unread_.empty() && absent_.empty() && !brake_.gathering() &&
           !list_again_.contains("");
  }
  /// What was judged is what is held just now.
  void judged(const ConfirmDeletes& verdict);
  [[nodiscard]] Brake& brake() { return brake_; }
  [[nodiscard]] const Brake& brake() const { return brake_; }
  [[nodiscard]] std::uint64_t skipped() const;
  [[nodiscard]] std::vector<Problem> problems() const;
  [[nodiscard]] std::optional<Instant> wake_at() const;

 private:
  struct Retry {
    Instant at;
    Duration delay;
  };
  [[nodiscard]] bool quiet() const {
    return queue_.empty() && held_up_.empty() && in_flight_.empty() && lists_.empty() &&
           listing_.empty();
  }
  void being_written(Instant now, const Path& name);
  void take(Instant now, const Looked& looked);
  void take_seen(Instant now, const Path& name, const Seen& seen);
  void touch_below(const Path& directory);
  [[nodiscard]] bool passes_over(const Path& name);
  void take_rules(Instant now, const Listed& listed);
  void read_rules(const std::function<bool(const Path&)>& busy, std::vector<Output>& out);
  /// Which is in flight from here on.
  [[nodiscard]] LookAt look_at(const Path& name, bool regular = false);
  struct Compared {
    const Listing* listing;
    std::optional<Signature> plain;  ///< of what the name shows, if that is a plain item
  };
  [[nodiscard]] std::vector<Compared> compare(const Listed& listed);
  void retry(Instant now, const Path& name, Duration first, Duration longest);
  void list_again(Instant now, const Path& directory, bool deep);
  void act_on_absences(Instant now);
  [[nodiscard]] bool gathers(Instant now) const {
    return (!lists_.empty() || !listing_.empty()) && queue_.size() < look_names_max &&
           now < gather_until_;
  }
  void note_rename(const Path& directory, std::uint64_t inode);
  [[nodiscard]] std::optional<Seen> known(const Path& name) const;

  Replica& replica_;
  Brake brake_;
  struct Queued {
    std::uint64_t bytes = 0;  ///< to read there
    bool regular = false;  ///< a listing has shown a file there, and nothing was told of it since
  };
  using Queue = std::map<Path, Queued, PathLess>;
  Queue queue_;
  Queue held_up_;  ///< by a look under way, or by the apply that is
  std::set<Path> in_flight_;
  std::size_t looks_ = 0;
  Instant gather_until_{};  ///< since a look came back
  std::map<Path, bool, PathLess> lists_;
  std::map<Path, bool> listing_;
  struct ListAgain {
    Retry when;
    bool deep = false;
  };
  std::map<Path, ListAgain> list_again_;  ///< could not be read
  std::map<Path, Instant, PathLess> absent_;
  std::map<Path, Retry> retries_;
  std::set<Path> unread_;  ///< to be looked at for the second time
  /// Files that are written to and were not closed; not to be looked at before. No harm if one is
  /// forgotten: it is looked at sooner.
  std::map<Path, Instant> open_;
  std::set<Path> written_meanwhile_;  ///< to while it was looked at
  std::map<Path, Path> renamed_;      ///< directories that may have had another name before
  /// Directories that were moved to where they are, and not looked at since. Whatever is remembered
  /// below such a name, it is listed down to its leaves: changes may have been missed there.
  std::set<Path> arrived_;
  std::map<Path, std::set<std::string>> special_;  ///< by directory
  std::map<Path, Problem> problems_;
  /// Files of rules that are to be looked at, or are: before anything else is.
  std::set<Path> rule_files_;
  /// Directories whose rules come with their next listing; true: all below is listed if they differ
  /// from those before.
  std::map<Path, bool> rules_awaited_;
  std::map<Path, Problem> rule_problems_;  ///< by directory
};

}  // namespace p2psync::engine
