#pragma once
// The world: several hosts, the network between them, users, faults, one clock, all from one seed.
//
// run() has two phases. Safety: users act and faults strike at the rates that the seed drew (swarm:
// each kind is off in some seeds). Liveness: everything is healed, users rest, and all nodes must
// come to say that they are in sync within a bounded simulated time. Then the oracle judges every
// disk.
//
// Single-threaded; equal seeds give equal traces (trace_hash).
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "tests/sim/host.h"
#include "tests/sim/oracle.h"

namespace p2psync::sim {

/// What strikes in a run, drawn from its seed. Rates in percent unless named otherwise.
struct Faults {
  std::uint64_t loss = 0;         ///< of messages
  std::uint64_t duplication = 0;  ///< of messages
  bool reordering = false;        ///< messages of one connection overtake each other
  std::uint64_t delay_ms_max = 5;
  std::uint64_t partitions = 0;  ///< cuts of a pair's link in the run
  std::uint64_t crashes = 0;     ///< at any moment, also within a storage call
  std::uint64_t index_losses = 0;
  std::uint64_t lost_events = 0;            ///< of the watcher's
  std::uint64_t user_in_call_permille = 0;  ///< a user acts right before a system call
  std::uint64_t clock_skew_s = 0;
  bool no_exchange = false;  ///< on one host's disk
};

struct Report {
  std::uint64_t seed = 0;
  std::vector<std::string> violations;
  std::uint64_t trace_hash = 0;
  std::uint64_t events = 0;  ///< steps, calls, messages and user actions
  std::size_t nodes = 0;
  Faults faults;
  std::map<std::string, std::uint64_t> counters;
};

class World final : public Surroundings {
 public:
  /// `trace`: each line is also printed, with the record of the path `watched` where it changes.
  World(std::uint64_t seed, bool index_losses, bool trace, std::string watched = {});
  ~World() override;

  [[nodiscard]] Report run();

  // --- Surroundings
  void later(engine::Duration delay, std::function<void()> action) override;
  [[nodiscard]] Instant now() const override { return now_; }
  engine::Random& random() override { return random_; }
  void deliver(engine::NodeId from, engine::NodeId to, std::vector<std::uint8_t> frame) override;
  void disconnect(engine::NodeId from, engine::NodeId to, const std::string& reason) override;
  void crashed(engine::NodeId host) override;
  void trace(const std::string& line) override;
  void note(const std::string& line) override;
  [[nodiscard]] const std::string& watched() const override { return watched_; }
  void after_apply(engine::NodeId host) override;

 private:
  struct Link {
    bool up = false;
    bool cut = false;
    std::uint64_t epoch = 0;
    std::map<engine::NodeId, Instant> last;  ///< arrival of the last message to this end
  };
  struct Event {
    Instant at;
    std::uint64_t order;
    std::shared_ptr<std::function<void()>> action;
    bool operator>(const Event& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };

  void draw_faults();
  void build();
  void plan_users();
  void plan_faults();
  void heal();
  bool step();
  [[nodiscard]] bool all_in_sync() const;
  void judge();
  void connect(Link& link, engine::NodeId a, engine::NodeId b);
  void drop(Link& link, engine::NodeId a, engine::NodeId b);
  void crash(Host& host);
  void restart_later(Host& host);
  Link& link(engine::NodeId a, engine::NodeId b) { return links_[std::minmax(a, b)]; }
  void violation(std::string text);
  void rescans(Host& host);

  // users.cpp
  void user_acts(Host& host);
  void user_writes(Host& host, const std::string& name);
  void user_removes(Host& host, const std::string& name);
  void user_removes_tree(Host& host, const std::string& name);
  void user_renames(Host& host, const std::string& from, const std::string& to);
  void user_changes_metadata(Host& host, const std::string& name);
  void user_links(Host& host, const std::string& name);
  [[nodiscard]] std::string some_path();
  [[nodiscard]] std::string some_existing(const Tree& tree);
  void touched(Host& host, const std::string& name);
  void set_mtime(Host& host, const std::string& name);

  std::uint64_t seed_;
  bool print_;
  std::string watched_;
  engine::Random random_;
  Faults faults_;
  Instant now_{};
  std::uint64_t order_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> queue_;
  std::map<engine::NodeId, std::unique_ptr<Host>> hosts_;
  std::map<std::pair<engine::NodeId, engine::NodeId>, Link> links_;
  std::map<engine::NodeId, std::int64_t> walls_;  ///< what each host's clock says at time 0
  Oracle oracle_;
  std::uint64_t writes_ = 0;
  bool users_active_ = true;
  bool in_user_ = false;
  bool in_call_ = false;  ///< the user acts between two system calls of the program
  std::uint64_t acts_in_calls_left_ =
      100;  ///< each causes further calls: without a bound they feed themselves
  std::uint64_t crash_at_call_ = 0;  ///< of all hosts' calls together; 0: none planned
  std::uint64_t calls_ = 0;
  Report report_;
  std::string hash_input_;
};

/// Runs a seed twice and compares the traces.
[[nodiscard]] Report run_seed(std::uint64_t seed, bool index_losses, bool trace,
                              const std::string& watched = {});

}  // namespace p2psync::sim
