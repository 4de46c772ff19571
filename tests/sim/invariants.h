#pragma once
// Invariants that hold at every step, checked from outside on what the nodes commit and show.
//
// The oracle (oracle.h) judges what users see at rest; these look at versions, dots and records
// while they come into being. Numbers are those of the project's list of invariants.
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "engine/node.h"
#include "engine/record.h"
#include "tests/sim/index_model.h"

namespace p2psync::sim {

class Invariants {
 public:
  using Report = std::function<void(const std::string& invariant, const std::string& text)>;
  explicit Invariants(Report report) : report_(std::move(report)) {}
  /// For a copy that goes on elsewhere.
  void report_to(Report report) { report_ = std::move(report); }

  /// A user of this host did something at this name, or below it or above it.
  void user_acted(engine::NodeId host, std::uint64_t times = 1) { acts_[host] += times; }
  /// A folder is read anew, or a power cut changed it: what is found may be news.
  void may_mint(engine::NodeId host, std::uint64_t times) { acts_[host] += times; }
  /// What was committed may be gone: an older index came back.
  void index_changed(engine::NodeId host) { rolled_back_.insert(host); }

  /// #7 dots are unique, #8 none is minted without a user, #9 contexts grow, #10 what is shown is
  /// known. Called before the change is in the index.
  void committing(engine::NodeId host, const IndexModel& index, const engine::Change& change);
  /// #1 nodes that know the same have the same.
  void stepped(engine::NodeId host, const engine::Node& node);
  /// #27 a node that says that it is in sync shows what its entries want.
  void says_in_sync(engine::NodeId host, const engine::Node& node);

 private:
  Report report_;
  std::map<engine::NodeId, std::uint64_t> acts_;
  std::map<engine::NodeId, std::uint64_t> minted_;
  std::map<engine::NodeId, engine::VersionVector> own_;
  std::set<engine::NodeId> rolled_back_;
  std::map<engine::Dot, std::uint64_t> recognitions_;
  std::map<std::vector<engine::VersionVector::Item>, engine::Fingerprint> roots_;  ///< by knowledge
  std::map<engine::NodeId, engine::VersionVector> last_knowledge_;
};

}  // namespace p2psync::sim
