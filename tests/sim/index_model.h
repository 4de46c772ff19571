#pragma once
// What the index store would hold: commits are durable and all or nothing.
//
// Stands for storage::IndexStore in the seeds that do not run SQLite on the simulated disk: some
// forty times faster, and a plain value, so that a backup of it is a copy.
#include <map>
#include <optional>
#include <string>

#include "engine/node.h"
#include "engine/path.h"

namespace p2psync::sim {

class IndexModel {
 public:
  using Records = std::map<engine::Path, engine::Record, engine::PathLess>;

  void commit(const engine::Change& change);
  [[nodiscard]] engine::Loaded load() const;
  [[nodiscard]] const Records& records() const { return records_; }
  [[nodiscard]] const engine::VersionVector& knowledge() const { return knowledge_; }
  [[nodiscard]] const engine::Endings& endings() const { return endings_; }
  [[nodiscard]] const std::map<std::string, engine::KeptVersion>& kept() const { return kept_; }

  std::uint64_t epoch = 0;  ///< 0: there is no index
  bool scanned = false;

 private:
  Records records_;
  engine::VersionVector knowledge_;
  engine::Endings endings_;
  std::map<engine::NodeId, engine::HeldRow> rows_;
  std::map<std::string, engine::KeptVersion> kept_;
  std::uint64_t applied_ = 0;
  bool braked_ = false;
};

}  // namespace p2psync::sim
