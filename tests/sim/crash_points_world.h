#pragma once
// The small world of the crash points: a subject, its peers, and a network without faults.
//
// One scene at a time (crash_points_scenes.h). All of it can be frozen at any instant, also within
// a system call of the subject, and goes on from there in another CrashWorld: with every process
// started anew, on the same disks or on what a power cut left of the subject's. Hosts, storage,
// engine and oracle are those of the seeds (host.h, oracle.h, invariants.h).
//
// Single-threaded, no random source but from the number of the life: equal states go on equally.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/host.h"
#include "tests/sim/invariants.h"
#include "tests/sim/oracle.h"

namespace p2psync::sim {

struct CrashScene;

inline constexpr engine::NodeId subject_id = 1;

/// What every visible name of the subject has shown, in order; nothing: it was not there.
class NameHistory {
 public:
  void add(const Tree& tree);
  /// After a power cut: what came after what is seen now has not happened.
  void cut_back(const Tree& tree);
  /// The names of which the index says more than the disk (#12), if it does.
  [[nodiscard]] std::vector<std::string> ahead(const IndexModel& index, const Tree& tree) const;

 private:
  using States = std::vector<std::optional<TreeNode>>;
  std::map<std::string, States> names_;
};

/// All that survives when every process ends.
struct CrashState {
  std::map<engine::NodeId, Host::Frozen> hosts;
  Oracle oracle;
  Invariants invariants{{}};
  NameHistory history;
  std::uint64_t life = 0;          ///< counts starts of the whole world
  std::uint64_t acts = 0;          ///< of the user in the midst of the subject's calls
  std::set<std::string> unsynced;  ///< where users acted and nobody has synced it
  bool doubtful = false;           ///< a power cut may have taken some of that
  bool never_synced = false;       ///< a sync failed since they did
  std::uint64_t writes = 0;
  /// What the subject showed before the power cut that it goes on from.
  std::optional<Tree> before_cut;
};

/// An instant of the subject at which it may end.
struct CrashPoint {
  enum class Where : std::uint8_t { before, after, step };
  std::uint64_t call = 0;  ///< of this life, from 1; 0: before the first
  Where where = Where::before;
  std::uint64_t step = 0;  ///< which step after that call
  std::string operation;
  std::string path;
};

class CrashWorld final : public Surroundings {
 public:
  struct Violation {
    std::string invariant;
    std::string text;
  };
  /// Empty folders.
  explicit CrashWorld(const CrashScene& scene, bool tracing = false);
  CrashWorld(const CrashScene& scene, const CrashState& state, bool tracing = false);
  ~CrashWorld() override;

  /// Called at every instant of the subject at which it may end.
  std::function<void(const CrashPoint&)> probe;
  /// An errno for the subject's call, or 0.
  std::function<int(std::uint64_t call, std::string_view operation)> fault;

  void start();
  void trace_no_more() { tracing_ = false; }
  /// The scene's user acts in the midst of the subject's calls.
  void expect_user() { user_expected_ = true; }
  /// True: everybody has everything, twice in a row.
  bool come_to_rest(engine::Duration limit);
  void run_for(engine::Duration time);
  void cut_off_subject(bool off);
  void sync_disks();
  [[nodiscard]] CrashState freeze() const;
  /// Changes whenever anything that freeze() would give does, and sometimes else.
  [[nodiscard]] std::vector<std::uint64_t> mark() const;

  /// What must hold at rest.
  void judge();
  /// Nothing that nobody wants any more is left in `.p2psync/tmp`. A call that failed may leave it
  /// there until the next start.
  void judge_leftovers();
  void violation(const std::string& invariant, const std::string& text) override;
  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }
  [[nodiscard]] Host& host(engine::NodeId id) { return *hosts_.at(id); }
  [[nodiscard]] Host& subject() { return host(subject_id); }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }
  [[nodiscard]] std::uint64_t acts() const { return acts_; }
  /// Only the oracle can tell what is to be there.
  [[nodiscard]] bool doubtful() const { return doubtful_; }
  /// How long it took to come to rest.
  [[nodiscard]] engine::Duration took() const { return rest_at_ - begin_; }
  /// Where the subject is now, for a violation of the whole.
  void tell_states();

  // --- Users (crash_points_users.cpp): each act is told to the oracle and, if the node runs, to
  // its watcher.
  struct At {
    engine::NodeId host;
    std::string name;
  };
  /// `age`: the mtime, in seconds after an old time; negative: a later one with each act.
  void write(const At& at, const std::string& bytes, int age = -1, bool in_place = false);
  void remove(const At& at);
  void rename(const At& at, const std::string& to);
  void chmod(const At& at, std::uint16_t mode);
  void touch(const At& at);
  void mkdir(const At& at, std::uint16_t mode = 0755);
  void link(const At& at, const std::string& target);
  /// What users have done so far at the name is durable.
  void fsync(const At& at);

  // --- Surroundings
  void later(engine::Duration delay, std::function<void()> action) override;
  [[nodiscard]] Instant now() const override { return now_; }
  engine::Random& random() override { return random_; }
  void deliver(engine::NodeId from, engine::NodeId to, const engine::Message& message) override;
  void disconnect(engine::NodeId from, engine::NodeId to, const std::string& reason) override;
  void ended(Host& host) override;
  void start_failed(Host& host, const Error& error) override;
  void trace(const std::string&) override {}
  void note(const std::string& line) override;
  [[nodiscard]] bool tracing() const override { return tracing_; }
  [[nodiscard]] const std::string& watched() const override { return watched_; }
  void relaid(Host& host, const engine::Relaid& step, bool news) override;
  void recovered(Host&) override {}
  void stepped(Host& host, const engine::Input& input,
               const std::vector<engine::Output>& outputs) override;
  void committed(Host& host, const engine::Change& change) override;

 private:
  struct Event {
    Instant at;
    std::uint64_t order = 0;
    std::function<void()> action;
    bool operator<(const Event& other) const {
      return std::pair(other.at, other.order) < std::pair(at, order);  // the earliest on top
    }
  };
  void build();
  bool step();
  void start(Host& host);
  void connect_all();
  void before_call(std::string_view operation, std::string_view path);
  int fault_of_call(std::string_view operation);
  void user_may_act(std::string_view operation, std::string_view path);
  void look_at_disk();
  void at(CrashPoint::Where where);
  void after_cut(const Tree& before, const Tree& after);
  [[nodiscard]] bool all_at_rest() const;
  void judge_records();
  void acted(const At& at, std::uint64_t times);

  const CrashScene& scene_;
  bool tracing_;
  std::string watched_;
  engine::Random random_;
  Instant begin_{};
  Instant now_{};
  Instant rest_at_{};
  std::uint64_t order_ = 0;
  std::vector<Event> queue_;  ///< a heap
  std::map<engine::NodeId, std::unique_ptr<Host>> hosts_;
  std::map<std::pair<engine::NodeId, engine::NodeId>, std::uint64_t> links_;  ///< up, and since
  std::uint64_t epoch_ = 0;
  bool subject_cut_off_ = false;
  Oracle oracle_;
  Invariants invariants_;
  NameHistory history_;
  std::uint64_t life_ = 0, acts_ = 0, writes_ = 0;
  std::set<std::string> unsynced_;
  bool doubtful_ = false;
  bool never_synced_ = false;
  bool user_expected_ = false;
  std::uint64_t calls_ = 0, steps_ = 0, matches_ = 0, commits_ = 0, full_left_ = 0;
  std::uint64_t seen_changes_ = ~std::uint64_t{0};
  std::string last_operation_, last_path_;
  std::vector<Violation> violations_;
};

}  // namespace p2psync::sim
