#pragma once
// A simulated machine: a disk, and on it one node with its storage and its index, driven as the
// daemon does.
//
// The node, the scanner, the applier and the staging are the production code. Here are only the
// loop around them and what survives a crash: the disk, and the index as far as it was committed.
// Storage jobs run in lanes like the daemon's worker threads: in order within a lane, at their own
// pace between lanes.
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/node.h"
#include "engine/random.h"
#include "storage/applier.h"
#include "storage/staging.h"
#include "tests/sim/sim_fs.h"

namespace p2psync::sim {

using engine::Instant;

/// What the index store would hold. Commits are all or nothing.
class MemoryIndex {
 public:
  void commit(const engine::Change& change);
  [[nodiscard]] engine::Loaded load() const;
  [[nodiscard]] std::optional<engine::Hash> recorded(const std::string& file) const;

 private:
  std::map<engine::Path, engine::Record, engine::PathLess> records_;
  engine::VersionVector knowledge_;
  std::map<engine::NodeId, engine::HeldRow> rows_;
  std::map<std::string, engine::KeptVersion> kept_;
  std::uint64_t applied_ = 0;
};

/// What a host needs of the world.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  virtual void later(engine::Duration delay, std::function<void()> action) = 0;
  [[nodiscard]] virtual Instant now() const = 0;
  virtual engine::Random& random() = 0;
  virtual void deliver(engine::NodeId from, engine::NodeId to, std::vector<std::uint8_t> frame) = 0;
  virtual void disconnect(engine::NodeId from, engine::NodeId to, const std::string& reason) = 0;
  virtual void crashed(engine::NodeId host) = 0;
  virtual void trace(const std::string& line) = 0;
  /// A line for people that does not count in the trace's hash.
  virtual void note(const std::string& line) = 0;
  /// The path whose record is shown with each step of a trace; empty for none.
  [[nodiscard]] virtual const std::string& watched() const = 0;
  virtual void after_apply(engine::NodeId host) = 0;
};

class Host {
 public:
  Host(Surroundings& world, engine::NodeId id, std::string name,
       std::vector<engine::MemberName> members);

  void start();
  /// The process ends here and now. The disk stays, and of the index what was committed.
  void stop();
  void input(engine::Input input);

  [[nodiscard]] bool running() const { return node_ != nullptr; }
  [[nodiscard]] const engine::Node& node() const { return *node_; }
  [[nodiscard]] SimFs& disk() { return disk_; }
  [[nodiscard]] engine::NodeId id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// The index is lost; the next start reads the folder anew.
  void lose_index();

 private:
  struct Waiting {
    std::uint64_t persist = 0;  ///< the Persist that must be durable first
    engine::Output output;
  };
  void perform(std::vector<engine::Output> outputs);
  void perform(engine::Output output);
  void release();
  void commit_next();
  void wake();
  /// Runs a job in its lane and gives its answer to the node, unless the process has ended by then.
  void job(int lane, std::function<engine::Input()> work);
  void revisit();

  Surroundings& world_;
  engine::NodeId id_;
  std::string name_;
  std::vector<engine::MemberName> members_;
  SimFs disk_;
  MemoryIndex index_;
  std::uint64_t epoch_ = 1;
  bool fresh_ = true;

  std::uint64_t life_ = 0;  ///< counts starts: answers for an earlier life are dropped
  std::unique_ptr<engine::Node> node_;
  std::unique_ptr<storage::Applier> applier_;
  std::unique_ptr<storage::Staging> staging_;
  std::map<int, Instant> lane_free_;
  std::deque<engine::Change> uncommitted_;
  std::uint64_t persisted_ = 0, durable_ = 0;
  std::deque<Waiting> waiting_;
  std::string described_;
  Instant wake_scheduled_ = Instant::max();
};

}  // namespace p2psync::sim
