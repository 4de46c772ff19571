#pragma once
// The world: several hosts, the network between them, users, faults, one clock, all from one plan.
//
// run() has three phases. Safety: users act and faults strike. Core: the faults are over, but only
// a random healthy part of the hosts is there, and must come to rest in bounded time while the
// others stay dead. Whole: the others come back, and all must come to rest in bounded time; then
// the oracle judges every disk, and a quiet while must cost nothing.
//
// Single-threaded; equal plans give equal traces (trace_hash).
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "tests/sim/host.h"
#include "tests/sim/invariants.h"
#include "tests/sim/oracle.h"
#include "tests/sim/plan.h"
#include "tests/sim/sometimes.h"
#include "tests/sim/thrift.h"

namespace p2psync::sim {

struct Violation {
  std::string invariant;  ///< its number and name
  std::string text;
};

struct Report {
  std::uint64_t seed = 0;
  std::vector<Violation> violations;
  std::uint64_t trace_hash = 0;
  std::uint64_t events = 0;  ///< steps, calls, messages and user actions
  engine::Duration simulated{};
  engine::Duration to_rest{};  ///< from the end of faults until all held the same
  FaultCounts faults;
  Sometimes sometimes;
  std::map<std::string, std::uint64_t> user_acts;
};

/// Hears what happens while it happens. Nothing in a run depends on who listens.
class Listener {
 public:
  virtual ~Listener() = default;
  /// One of the plan's moves came about; a user's with what was drawn for it.
  virtual void moved(Instant /*at*/, const Move& /*move*/) {}
  /// A line of the trace that is not a step.
  virtual void noted(Instant /*at*/, const std::string& /*line*/) {}
  /// A user made these bytes, or a link to them.
  virtual void wrote(const std::string& /*bytes*/) {}
  virtual void arrived(Instant /*at*/, Instant /*sent*/, engine::NodeId /*from*/,
                       engine::NodeId /*to*/, const engine::Message& /*message*/) {}
  virtual void lost(Instant /*at*/, engine::NodeId /*from*/, engine::NodeId /*to*/,
                    const engine::Message& /*message*/) {}
  virtual void stepped(Instant /*at*/, const Host& /*host*/, const engine::Input& /*input*/,
                       const std::vector<engine::Output>& /*outputs*/) {}
};

/// What a run tells while it runs.
struct Telling {
  bool trace = false;
  std::string path;  ///< its record is shown wherever it changes
  Listener* listener = nullptr;
  std::uint64_t events_max = 3'000'000;
};

class World final : public Surroundings {
 public:
  explicit World(Plan plan, Telling telling = {});
  ~World() override;

  [[nodiscard]] Report run();

  // --- Surroundings
  void later(engine::Duration delay, std::function<void()> action) override;
  [[nodiscard]] Instant now() const override { return now_; }
  engine::Random& random() override { return random_; }
  void deliver(engine::NodeId from, engine::NodeId to, const engine::Message& message) override;
  void disconnect(engine::NodeId from, engine::NodeId to, const std::string& reason) override;
  void ended(Host& host) override;
  void start_failed(Host& host, const Error& error) override;
  void trace(const std::string& line) override;
  void note(const std::string& line) override;
  [[nodiscard]] bool tracing() const override { return telling_.trace; }
  [[nodiscard]] const std::string& watched() const override { return telling_.path; }
  void relaid(Host& host, const engine::Relaid& step, bool news) override;
  void recovered(Host&) override { report_.sometimes.hit(Point::recovered_files); }
  void stepped(Host& host, const engine::Input& input,
               const std::vector<engine::Output>& outputs) override;
  void committed(Host& host, const engine::Change& change) override;
  void violation(const std::string& invariant, const std::string& text) override;

 private:
  /// A connection of a pair, and what is wrong with it until when.
  struct Link {
    bool up = false;
    Instant cut_until{};
    std::uint64_t epoch = 0;
    std::uint64_t connected = 0;                   ///< how often
    std::map<engine::NodeId, Instant> last;        ///< arrival of the last message to this end
    std::map<engine::NodeId, Instant> mute_until;  ///< what this end sends vanishes
    std::map<engine::NodeId, Instant> late_until;  ///< this end has not noticed that it is gone
    std::vector<std::pair<engine::NodeId, std::vector<std::uint8_t>>> old;  ///< some frames
  };
  /// What the world knows of a host beside the host.
  struct Circumstances {
    std::multimap<std::uint64_t, Move> at_call;  ///< moves waiting for the host's n-th call
    std::vector<Move> at_start;                  ///< moves waiting for the host's next start
    std::uint64_t calls = 0;
    std::string last_name;  ///< the visible name that the last call was about, if any
    std::string last_call;
    InodeNumber last_inode = 0;  ///< what stood at last_name before that call
    bool dead = false;           ///< stays down until it is revived
    bool power_goes = false;     ///< the crash that is under way is a power cut
    engine::Random after_power{0};
    Instant full_until{}, read_only_until{}, overflow_until{};
    std::string denied;
    Instant denied_until{};
    int next_error = 0;  ///< errno of the very next call
    bool sync_fails = false;
    std::map<std::string, InodeNumber> never_synced;  ///< a sync of them failed
    std::optional<Host::Backup> backup;
    std::set<std::string> written_in_limbo;  ///< names of files that users wrote to when displaced
    std::map<std::string, bool, std::less<>> by_user;    ///< who put what last at a name
    std::map<InodeNumber, std::string> written_by_user;  ///< the name when it was last written
  };
  struct HeldFile {
    engine::NodeId host = 0;
    std::string name;
    UserFile file;
    int writes_left = 0;
    std::uint64_t seed = 0;
  };
  struct Event {
    Instant at;
    std::uint64_t order = 0;
    std::size_t action = 0;  ///< its place in actions_: what a heap moves about should be small
    bool operator<(const Event& other) const {
      return std::tie(other.at, other.order) < std::tie(at, order);  // the earliest on top
    }
  };

  // world.cpp
  void build();
  void plan_moves();
  void carry_out(const Move& move);
  void came_about(const Move& move) {
    if (telling_.listener != nullptr && move.id != Move::no_id) {
      telling_.listener->moved(now_, move);
    }
  }
  bool step();
  bool step_until(Instant limit);
  void heal();
  void run_core();
  void run_whole();
  void check_quiet();
  [[nodiscard]] bool at_rest(const std::vector<Host*>& hosts) const;
  bool come_to_rest(const std::vector<Host*>& hosts, engine::Duration limit);
  void judge();
  void compare_trees(const std::vector<Host*>& hosts);
  void tell_states(const std::vector<Host*>& hosts);
  [[nodiscard]] bool in_play(Fault fault) const {
    return plan_.setup.faults.test(static_cast<std::size_t>(fault));
  }
  [[nodiscard]] Host& host_at(std::size_t position) { return *hosts_.at(position + 1); }
  [[nodiscard]] std::vector<Host*> all_hosts();
  void count(Fault fault, Phase phase) { report_.faults.add(fault, phase); }

  // wire.cpp
  Link& link(engine::NodeId a, engine::NodeId b) { return links_[std::minmax(a, b)]; }
  void dial();
  void connect(Link& link, engine::NodeId a, engine::NodeId b);
  /// `late`: this end notices only then.
  void drop(engine::NodeId a, engine::NodeId b, engine::NodeId late = 0);
  void drop_all(const Host& host);
  void send_frame(engine::NodeId from, engine::NodeId to, std::vector<std::uint8_t> frame,
                  engine::Duration extra, bool any_epoch);
  void lost(engine::NodeId from, engine::NodeId to, const engine::Message& message) {
    if (telling_.listener != nullptr) {
      telling_.listener->lost(now_, from, to, message);
    }
  }
  void notice_late(Link& link, engine::NodeId end, engine::NodeId other);

  // strikes.cpp
  void strike(const Move& move);
  void strike_network(const Move& move, Host& host);
  void strike_machine(const Move& move, Host& host);
  void strike_disk(const Move& move, Host& host);
  void strike_index(const Move& move, Host& host);
  void strike_in_call(const Move& move, Host& host);
  void before_call(Host& host, std::string_view operation, std::string_view path);
  [[nodiscard]] int fault_of_call(Host& host, std::string_view operation, std::string_view path);
  void check_last_call(Host& host);
  void crash(Host& host);
  void cut_power(Host& host, engine::Random& random);
  /// `of_users`: what stood at a name that a user had made or written.
  void after_disk_changed(Host& host, const Tree& before,
                          const std::set<InodeNumber>& of_users = {});
  void torn_in_limbo(Host& host);
  void restart_later(Host& host, engine::Random& random);
  [[nodiscard]] Oracle::Contents contents_anywhere();
  [[nodiscard]] Oracle::ShownContents contents_shown();

  // verdicts.cpp
  void judge_deletions_soon(Host& host);
  void judge_deletions(Host& host);

  // users.cpp
  void user_acts(Host& host, const Move& move, const std::string& hint);
  [[nodiscard]] static Act draw_act(const Tree& tree, engine::Random& random,
                                    const std::string& hint);
  void perform(Host& host, engine::Random& random, const Act& act);
  void user_makes_directory(Host& host, engine::Random& random, const std::string& name);
  void user_writes(Host& host, engine::Random& random, const std::string& name);
  void user_removes(Host& host, engine::Random& random, const std::string& name);
  void user_removes_tree(Host& host, engine::Random& random, const std::string& name);
  void user_renames(Host& host, engine::Random& random, const std::string& from,
                    const std::string& to);
  void user_changes_metadata(Host& host, engine::Random& random, const std::string& name);
  void user_links(Host& host, engine::Random& random, const std::string& name);
  void user_changes_kind(Host& host, engine::Random& random, const std::string& name);
  void user_commands(Host& host, const Act& act);
  void user_resolves(Host& host, const std::string& keep);
  void user_restores(Host& host, const std::string& name);
  void user_opens(Host& host, engine::Random& random, const std::string& hint);
  void user_writes_held(HeldFile& held);
  void forget_held_files(const Host& host, bool all);
  [[nodiscard]] static std::vector<std::string> names_of(Host& host, InodeNumber inode);
  void touched(Host& host, engine::Random& random, const std::string& name);
  void canary_overwrites(Host& host, const std::string& name, const TreeNode& before);
  void set_mtime(Host& host, engine::Random& random, const std::string& name);
  [[nodiscard]] std::string new_bytes(const Host& host, engine::Random& random);

  Plan plan_;
  Telling telling_;
  engine::Random random_;
  engine::Random network_;
  Instant now_{};
  std::uint64_t order_ = 0;
  std::vector<Event> queue_;  ///< a heap
  std::vector<std::function<void()>> actions_;
  std::vector<std::size_t> free_actions_;
  std::map<engine::NodeId, std::unique_ptr<Host>> hosts_;
  std::map<engine::NodeId, Circumstances> circumstances_;
  std::map<std::pair<engine::NodeId, engine::NodeId>, Link> links_;
  std::list<HeldFile> held_files_;
  Oracle oracle_;
  Invariants invariants_;
  Thrift thrift_;
  std::uint64_t writes_ = 0;
  engine::Random verdicts_;
  std::map<engine::Hash, std::string> written_;  ///< by users; only with a brake
  bool striking_ = true;                         ///< the safety phase
  int ending_ = 0;                               ///< hosts whose end is under way
  bool in_user_ = false;
  bool in_call_ = false;  ///< the user acts between two system calls of the program
  std::string last_written_;
  std::uint64_t commits_ = 0, syncs_ = 0, blocks_ = 0;
  Report report_;
};

[[nodiscard]] inline Report run_plan(Plan plan, const Telling& telling = {}) {
  return World(std::move(plan), telling).run();
}
/// Draws the plan of a seed and runs it.
[[nodiscard]] Report run_seed(std::uint64_t seed, const PlanOptions& options = {},
                              const Telling& telling = {});

}  // namespace p2psync::sim
