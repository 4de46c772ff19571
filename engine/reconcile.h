#pragma once
// Reconciliation: brings the disk to what the entries want, path by path.
//
// A path that changed is pending until its layout stands on the disk. plan() compares the layout
// with what is shown and gives the steps, what they need, and what they wait for. The Reconciler
// gathers the steps of many paths into one Apply at a time (a batch shares its syncs), takes the
// results in, and says which dots are held: known, committed and laid out.
//
// No wait without an end: what a plan waits for is pending itself from then on, though nothing has
// changed there. A directory that stands only for what lives below it has no record that a start
// would find. And a name from which a path was to be copied and, time and again, was not what looks
// say it is, is no source for a while: what members offer is fetched from them.
//
// Order of steps in a job: losers that are copied to their conflict names, then the path itself,
// then removals. A loser that still has the name keeps it until the winner's bytes are here, so a
// name never shows nothing; when it goes, it moves, and is never under two names.
#include <map>
#include <set>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/output.h"
#include "engine/replica.h"

namespace p2psync::engine {

inline constexpr std::size_t apply_jobs_max = 4000;
/// While contents come in, a batch waits so long after the one before for so many jobs: one of a
/// few files costs nearly as many syncs, and what it costs slows down what comes.
inline constexpr Duration gather_wait = std::chrono::milliseconds(50);
inline constexpr std::size_t gathered_jobs = 1000;
inline constexpr std::size_t plans_a_step_max = 4000;
/// Contents come no faster than they are laid: what is left to lay when the last has come is laid
/// by one thread, and until then it fills `.p2psync/tmp`.
inline constexpr std::size_t behind_jobs = 2 * gathered_jobs;

/// Bytes that a path needs and that are not on this disk.
struct Need {
  Hash content;
  std::uint64_t size = 0;
  std::vector<Dot> dots;
  std::uint16_t mode = 0600;  ///< that it shall be laid with
};

struct Plan {
  /// Of one step: what is then shown at the name, or nothing.
  struct Effect {
    Path name;
    std::optional<Shown> before;
    std::optional<Place> after;
    std::optional<Place> moved;  ///< what was there, and under which name it is shown then
    Source source;               ///< what a put is made of
  };
  std::vector<Step> steps;
  std::vector<Effect> effects;  ///< one a step
  std::vector<Need> needs;
  bool waits = false;  ///< for a parent, for children to go, or for another path to free a name
  std::vector<Path> awaited;  ///< the paths that it waits for: they are planned as well
  [[nodiscard]] bool done() const { return steps.empty() && needs.empty() && !waits; }
};

/// `coming`: directories that the same batch lays first.
[[nodiscard]] Plan plan(const Replica& replica, const Path& path, const std::set<Path>& coming);

class Reconciler {
 public:
  explicit Reconciler(Replica& replica) : replica_(replica) {}

  void add(std::vector<Dirty> dirty);
  /// The bytes of a content are here now, or can no longer be had where they were thought to be.
  void content_changed(const Path& path) { ready(path); }
  /// To be called before the replica says what has appeared: where nothing was copied from for a
  /// while, it may be now.
  void trust_again(Instant now);
  using Tell = std::function<void(const Path&, std::vector<Need>)>;
  /// Plans what is ready; gives a batch if none is in flight. `held_up(name)`: a look at it is
  /// under way. `need` is told what each planned path needs (an empty list: nothing any more).
  /// `coming`: contents are on their way in.
  [[nodiscard]] std::optional<Apply> next(Instant now,
                                          const std::function<bool(const Path&)>& held_up,
                                          const Tell& need, bool coming);
  /// Results of the batch; gives the names to look at again.
  struct Outcome {
    std::vector<Path> look;
    std::vector<Path> unproven;  ///< laid, and to be looked at when the clock has gone on
    std::vector<Path> list;
    std::vector<Hash> staged_used;  ///< moved to their names
  };
  [[nodiscard]] Outcome done(Instant now, const ApplyDone& results);

  /// True while a job in flight has to do with this name.
  [[nodiscard]] bool busy(const Path& name) const { return busy_names_.contains(name); }
  [[nodiscard]] bool idle() const { return pending_.empty(); }
  [[nodiscard]] bool in_flight() const { return !flight_.empty(); }
  /// As much as makes some batches can be laid, and is not yet.
  [[nodiscard]] bool behind() const { return ready_.size() >= held_up_ + behind_jobs; }
  [[nodiscard]] VersionVector held() const;
  [[nodiscard]] std::uint64_t pending_paths() const { return pending_.size(); }
  [[nodiscard]] std::vector<Problem> problems() const;
  /// There was no room on the disk for something that is to be laid.
  [[nodiscard]] bool disk_full() const;
  /// When a path that failed is tried again.
  [[nodiscard]] std::optional<Instant> wake_at() const;
  /// What a look found may let its path go on at once: a few times, for what is refused whatever
  /// the looks say would spin.
  void retry(const Path& name);

 private:
  struct Pending {
    std::vector<std::pair<Actor, std::uint64_t>> floor;  ///< each actor once
    bool coming = false;  ///< not ready: whatever else it waits for, contents that it needs come
  };
  struct Trouble {
    Error error;
    Instant since;
    Instant retry;
    Duration delay;
    unsigned looks = 0;  ///< that let it go on before its time
    bool due = false;    ///< its time has come; it is tried as soon as nothing holds it up
  };

  void plan_ahead(const Tell& need);
  [[nodiscard]] std::optional<Plan> plan_next(const Path& path, const Tell& need);
  void ready(const Path& path);
  void ready_below(const Path& directory);
  void ready_awaited(const Plan& made);
  void fail(const Path& path, const Error& error, Instant now);
  void take(const Path& path, Plan::Effect& effect, const StepResult& result, Instant now,
            Outcome& outcome);
  void laid(const Path& path, Plan::Effect& effect, const Done& done, Outcome& outcome);
  void source_used(const Plan::Effect& effect, Outcome& outcome);

  Replica& replica_;
  std::map<Path, Pending, PathLess> pending_;
  std::set<Path, PathLess> ready_;
  std::size_t held_up_ = 0;  ///< so many of them by looks, when the last batch was made
  /// Those of them that have changed since they were planned: what they need is found out while a
  /// batch is in flight or gathers, so that it is on its way meanwhile.
  std::set<Path, PathLess> news_;
  std::optional<Instant> gather_until_;  ///< since a batch came back
  std::map<Path, Plan> flight_;          ///< without their steps
  std::uint64_t batch_in_flight_ = 0;
  std::unordered_set<Path> busy_names_;
  /// Directories that the last batch lays: what is below them is planned already.
  std::set<Path> coming_;
  bool more_ = false;  ///< the last call stopped at its limit, not at the end
  std::map<Path, Trouble> troubles_;
  std::map<Path, Instant> distrusted_;  ///< until then no bytes are copied from there
};

}  // namespace p2psync::engine
