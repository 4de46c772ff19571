#pragma once
// A simulated machine: a disk, and on it one node with its storage and its index, driven as the
// daemon does.
//
// The node, the scanner, the applier, the staging and (in some seeds) the index store are the
// production code. Here are only the loop around them and what survives a crash: the disk, and the
// index as far as it was committed. Storage jobs run in lanes like the daemon's worker threads: in
// order within a lane, at their own pace between lanes. A process that stands still (pause) does
// nothing until it goes on; what was to come then comes at once.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/node.h"
#include "engine/random.h"
#include "storage/applier.h"
#include "storage/index_store.h"
#include "storage/staging.h"
#include "tests/sim/fault.h"
#include "tests/sim/index_model.h"
#include "tests/sim/sim_fs.h"

namespace p2psync::sim {

using engine::Instant;

/// What a host needs of the world.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  virtual void later(engine::Duration delay, std::function<void()> action) = 0;
  [[nodiscard]] virtual Instant now() const = 0;
  virtual engine::Random& random() = 0;
  virtual void deliver(engine::NodeId from, engine::NodeId to, const engine::Message& message) = 0;
  virtual void disconnect(engine::NodeId from, engine::NodeId to, const std::string& reason) = 0;
  /// The process ended in a system call; the host has no node any more.
  virtual void ended(class Host& host) = 0;
  /// A start that failed by an error of the disk: the process says so and ends.
  virtual void start_failed(Host& host, const Error& error) = 0;
  virtual void trace(const std::string& line) = 0;
  /// A line for people that does not count in the trace's hash.
  virtual void note(const std::string& line) = 0;
  [[nodiscard]] virtual bool tracing() const = 0;
  /// The path whose record is shown with each step of a trace; empty for none.
  [[nodiscard]] virtual const std::string& watched() const = 0;
  /// The start was told of a step before it; `news`: the index does not hold it.
  virtual void relaid(Host& host, const engine::Relaid& step, bool news) = 0;
  /// The start found displaced files that are not on record.
  virtual void recovered(Host& host) = 0;
  virtual void stepped(Host& host, const engine::Input& input,
                       const std::vector<engine::Output>& outputs) = 0;
  /// A change is about to be in the index for good.
  virtual void committed(Host& host, const engine::Change& change) = 0;
  virtual void violation(const std::string& invariant, const std::string& text) = 0;
};

/// Small, so that small files have many, and of many sections too.
inline constexpr storage::ChunkSizes chunk_sizes{32, 64, 256, 8};
/// What a file with these bytes is called.
inline engine::Hash content_of(std::string_view bytes) {
  return storage::name_of({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                          chunk_sizes);
}

class Host {
 public:
  struct Traits {
    engine::NodeId id = 0;
    std::string name;
    std::vector<engine::MemberName> members;
    std::int64_t clock_offset_s = 0;
    bool sqlite = false;
    unsigned max_delete = 0;  ///< percent
    bool forgets = false;     ///< Canary::forgotten_commit
    /// What its index has before its first start; only where that is a model.
    engine::Change past{};
  };
  Host(Surroundings& world, Traits traits, std::uint64_t seed);
  ~Host() { stop(); }

  void start();
  /// The process ends here and now. The disk stays, and of the index what was committed.
  void stop();
  void input(engine::Input input);
  /// From outside the process: it takes it in when it runs.
  void tell(engine::Input event);
  void pause_until(Instant at) { paused_until_ = std::max(paused_until_, at); }
  [[nodiscard]] Instant paused_until() const { return paused_until_; }
  /// As `p2psync pause` does: it looks and records, but lays nothing, also in another life.
  void hold_until(Instant at) { held_until_ = std::max(held_until_, at); }
  [[nodiscard]] Instant held_until() const { return held_until_; }

  [[nodiscard]] bool running() const { return node_ != nullptr; }
  [[nodiscard]] const engine::Node& node() const { return *node_; }
  [[nodiscard]] SimFs& disk() { return disk_; }
  [[nodiscard]] engine::NodeId id() const { return traits_.id; }
  [[nodiscard]] const std::string& name() const { return traits_.name; }
  [[nodiscard]] Phase phase() const { return phase_; }
  /// Nothing is being committed, applied, looked at or written.
  [[nodiscard]] bool at_rest() const;
  /// In a few words, for who wonders why it is not.
  [[nodiscard]] std::string state_text() const;
  [[nodiscard]] const engine::Apply* applying() const { return applying_; }

  /// The wall clock of the disk follows the world's time from here on.
  void tell_time();
  void step_clock(std::int64_t seconds);

  // --- The index, only while the process does not run
  [[nodiscard]] const IndexModel& index() const { return index_; }
  /// Another one after each start.
  [[nodiscard]] std::uint64_t life() const { return life_; }
  void lose_index();
  void damage_index(engine::Random& random);
  void take_index_of(const Host& other);
  struct Backup {
    IndexModel index;
    Disk disk;
  };
  [[nodiscard]] Backup back_up() const { return {index_, disk_.image()}; }
  /// What outlives the process: the disk with what is pending on it, and the index.
  struct Frozen {
    IndexModel index;
    std::vector<IndexModel> unconfirmed;
    bool in_doubt = false;
    Disk disk;
  };
  /// At any instant, also within a system call.
  [[nodiscard]] Frozen freeze() const;
  void thaw(const Frozen& frozen);
  /// The index of a backup; with `all` the folder too.
  void restore(const Backup& backup, bool all);

 private:
  struct Waiting {
    std::uint64_t persist = 0;  ///< the Persist that must be durable first
    engine::Output output;
  };
  [[nodiscard]] bool leaves_at_once(const engine::Output& output) const;
  [[nodiscard]] Result<void> recover(std::vector<engine::Surfaced>& surfaced);
  [[nodiscard]] Result<engine::Loaded> open_index();
  [[nodiscard]] std::optional<engine::Hash> recorded(const std::string& file) const;
  void take_in(const engine::Loaded& loaded);
  void remove_index_files();
  void copy_index_files(const Disk& from);
  void perform(std::vector<engine::Output> outputs);
  void perform(engine::Output output);
  void lay(engine::Apply work);
  void release();
  void commit_later();
  void commit();
  /// False: not done (the process may have ended); it is tried again.
  bool commit_to_store(const std::vector<engine::Change>& changes, bool scanned);
  void wake();
  /// Runs a job in its lane and gives its answer to the node, unless the process has ended by then.
  void job(int lane, Phase phase, std::function<engine::Input()> work);
  /// Runs what the process does, now or when it goes on; never in another life.
  void when_running(std::function<void()> action);
  /// False: the process ended within.
  bool in_phase(Phase phase, const std::function<void()>& work);
  void revisit();

  Surroundings& world_;
  Traits traits_;
  engine::Random random_;
  SimFs disk_;
  IndexModel index_;
  std::int64_t wall_start_;

  std::uint64_t life_ = 0;  ///< counts starts: answers for an earlier life are dropped
  std::unique_ptr<engine::Node> node_;
  std::unique_ptr<storage::Applier> applier_;
  std::unique_ptr<storage::Staging> staging_;
  std::unique_ptr<storage::IndexStore> store_;
  /// SQLite: the index as it is if one of the commits that nobody confirmed holds.
  std::vector<IndexModel> unconfirmed_;
  const std::vector<engine::Change>* in_commit_ = nullptr;  ///< what SQLite is committing just now
  bool index_in_doubt_ = false;                             ///< somebody has been at its files
  /// Bits of it were flipped once: a read may come upon one in a page that earlier starts passed
  /// by, or that a backup brought back.
  bool index_rotten_ = false;
  Phase phase_ = Phase::idle;
  Instant paused_until_{};
  Instant held_until_{};
  const engine::Apply* applying_ = nullptr;
  std::map<int, Instant> lane_free_;
  std::map<int, Instant> lane_answered_;
  std::uint64_t jobs_ = 0;
  std::deque<engine::Change> uncommitted_;
  bool committing_ = false;
  std::uint64_t persisted_ = 0, durable_ = 0;
  std::uint64_t commits_ = 0;  ///< counted for Canary::forgotten_commit only
  std::deque<Waiting> waiting_;
  std::string described_;
  Instant wake_scheduled_ = Instant::max();
};

}  // namespace p2psync::sim
