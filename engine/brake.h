#pragma once
// Brake: holds a suspicious mass of deletions until somebody says that it is meant
// ([scan] max_delete).
//
// What a look finds gone is a user's deletion, and every member follows it. A volume that is not
// mounted, an `rm -rf` in the wrong place or a restore that failed look the same. With the brake
// fitted, names found gone are gathered until none has been for `brake_pause` (or the first has
// waited for `brake_gather_max`), and are then judged together:
//
//   gone   the files and symlinks among them, and those told as deleted within `brake_window`
//   before the files and symlinks that this node shows (those gathered still count), and those told
//
// With gone >= files_min and gone > percent of before, the brake is on: none of the gathered is
// told, and whatever is found gone from then on is held as well. Otherwise they are told at once.
// So of a burst that takes no longer than brake_gather_max, however many scans or events it comes
// in, either all is told or nothing is. Of a longer one what came before that may be told, and
// counts against what comes after. What the first scan after a start finds is one burst, whatever
// time it takes. Deletions are `brake_pause` later than without a brake.
//
// No deletion, and told at once:
//   - what was renamed: its content was seen at a name where it is new, since the last moment at
//     which nothing was gathered or held nor looked at; of a directory, it has another name now
//   - what nothing is left of to delete, since others have replaced or deleted it: an edit that
//     comes in for a held name is the usual edit beside a deletion, and is laid
//
// Held names are left alone: nothing is laid there (but for a directory that something new
// belongs in), and this node is not in sync. It ends, name by name, when what was gone is back; for
// all of them with confirm(), after one more look at each; or with undo(), which takes them for
// lost by the disk: they are fetched from the other members. Only when no file is held any more is
// the brake off. No event tells of a mount, so a name in each directory that lacks some is looked
// at every brake_probe_interval, and when one is back the whole tree is. That the brake is on is in
// the index: a start while half of the files are back would else judge the other half anew.
// Directories are held with the rest and count nothing; once no file is held they are told.
//
// Not fitted (percent 0) it does nothing and costs nothing. Single thread; no clock.
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine/replica.h"
#include "engine/status.h"

namespace p2psync::engine {

inline constexpr Duration brake_pause = std::chrono::seconds(1);
inline constexpr Duration brake_gather_max = std::chrono::minutes(2);
inline constexpr Duration brake_window = std::chrono::minutes(10);
inline constexpr Duration brake_probe_interval = std::chrono::seconds(10);
inline constexpr std::size_t brake_probes_max = 64;

class Brake {
 public:
  Brake(Replica& replica, const BrakeOptions& options) : replica_(replica), options_(options) {}

  [[nodiscard]] bool fitted() const { return options_.percent > 0; }
  /// Found at a name: what has that content may be gone elsewhere by a rename.
  void seen(const Path& name, const Seen& seen);
  /// Nothing was found there.
  void gone(Instant now, const Path& name);
  /// Something may have been learnt of the path from others: what was held of it may be no
  /// deletion any more.
  void changed(const Path& path);
  /// A step at or below the name failed since something else than expected is there. A held
  /// directory that something belongs in is made anew.
  void obstructed(const Path& name);
  /// `quiet`: no look or listing is outstanding.
  void next(Instant now, bool quiet);

  /// What to look at while something is held: nothing before it is time.
  struct Probe {
    std::vector<Path> names;
    bool everything = false;
  };
  [[nodiscard]] Probe probe(Instant now);

  /// Tells what is held, each name as soon as one more look has found nothing there. Gives the
  /// names to look at.
  [[nodiscard]] std::vector<Path> confirm();
  /// The held names are to show again what they showed.
  void undo();

  /// The name was found gone, and that is not told yet.
  [[nodiscard]] bool has(const Path& name) const {
    return gathered_.contains(name) || held_.contains(name);
  }
  [[nodiscard]] bool has_some() const { return !gathered_.empty() || !held_.empty(); }
  [[nodiscard]] bool gathering() const { return !gathered_.empty(); }
  /// So many files and symlinks.
  [[nodiscard]] std::uint64_t held_files() const { return held_files_; }
  [[nodiscard]] bool holding() const { return held_files_ > 0; }
  /// What to tell a person while something is held.
  [[nodiscard]] std::optional<Problem> problem() const;
  [[nodiscard]] std::optional<Instant> wake_at() const;

 private:
  using Names = std::map<Path, bool, PathLess>;  ///< true: it counts
  struct Told {
    Instant at;
    std::uint64_t files = 0;
  };
  [[nodiscard]] bool is_deletion(const Path& name) const;
  [[nodiscard]] bool is_suspicious(Instant now);
  void forget(const Path& name);
  void drop_what_is_none();
  void judge(Instant now);
  void hold(Instant now);
  void tell_all(Names& names);
  Names::iterator unhold(Names::iterator place);
  [[nodiscard]] std::uint64_t shown_files() const;

  Replica& replica_;
  const BrakeOptions options_;
  bool started_ = false;  ///< the first scan is over
  bool quiet_ = false;    ///< as the last step had it
  Names gathered_;
  Instant first_{}, last_{};  ///< when they were found gone
  Names held_;
  std::uint64_t held_files_ = 0;
  Instant held_since_{};
  std::map<Path, Path> probes_;  ///< a held name in each directory
  Instant probe_at_{};
  bool returned_ = false;  ///< one of them, since the last time
  std::unordered_set<Path> confirmed_;
  std::deque<Told> told_;
  /// Of what is new at some name while names are gathered or held.
  std::unordered_set<Hash, HashOfHash> appeared_;
  bool more_appeared_ = false;
};

}  // namespace p2psync::engine
