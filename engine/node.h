#pragma once
// A node: the whole of p2psync's behaviour as one state machine.
//
// No clock, socket, file, thread or random source in here: equal inputs in equal order give equal
// outputs. The driver (apps/p2psync, or the simulator) feeds inputs and performs outputs in order;
// a Send after a Persist leaves once that is durable, unless it tells nothing (told.h). Storage
// requests (Look, List, Apply, blocks) may run at the same time and are answered by inputs; each is
// answered exactly once.
//
// Not thread safe: one thread steps it.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/index.h"
#include "engine/input.h"
#include "engine/output.h"
#include "engine/status.h"

namespace p2psync::engine {

inline constexpr std::size_t push_peers_max = 8;

/// See brake.h.
struct BrakeOptions {
  unsigned percent = 0;  ///< of the files gone at once, more are held; 0: no brake
  /// Fewer are never suspicious: of a handful of files everybody deletes half now and then.
  std::size_t files_min = 10;
};

/// Contents that a node fetches at a time: of one chunk, and of more.
struct FetchesMax {
  std::size_t small = 512;
  std::size_t large = 4;
};

struct NodeOptions {
  std::string cluster;
  std::string version;
  NodeId self = 0;
  std::vector<MemberName> members;  ///< all, self included
  Duration gossip_interval = std::chrono::seconds(1);
  std::size_t push_peers = push_peers_max;  ///< told of a change at once; 0: by ticks alone
  std::uint32_t chunk_max = block_bytes;    ///< larger contents have a manifest
  FetchesMax fetches_max;
  std::uint64_t seed = 0;         ///< for the choice of peers and for jitter
  std::uint64_t incarnation = 1;  ///< 64 random bits, not all 0, new at every start
  std::uint64_t index_epoch = 0;  ///< when the index was made, ms since 1970
  bool fresh_index = false;       ///< the index was made at this start: files found are imports
  bool keep_versions = true;      ///< [versions] keep is not "0"
  BrakeOptions brake;
  /// Records that may lie unpacked between two steps: what is in use comes again soon.
  std::size_t unpacked_max = 8192;
};

/// What the index store holds, for a start.
struct Loaded {
  Index index;
  VersionVector knowledge;
  std::vector<HeldRow> rows;
  Endings endings;
  std::vector<KeptVersion> kept;
  bool braked = false;         ///< the brake was on (brake.h)
  std::uint64_t applied = 0;   ///< the last batch whose results are in the records
  std::vector<Relaid> relaid;  ///< from storage: steps of later batches that were carried out
  std::vector<Hash> staged;    ///< from storage: contents in `.p2psync/tmp`, whole or not
};

class Node {
 public:
  Node(NodeOptions options, Loaded loaded, Instant now);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// The first outputs after a start: the scan begins.
  [[nodiscard]] std::vector<Output> start(Instant now);
  [[nodiscard]] std::vector<Output> step(Instant now, Input input);
  /// When to step with Wake, at the latest.
  [[nodiscard]] Instant wake_at() const;

  [[nodiscard]] Status status() const;
  /// Of contents, what was fetched and written since the start. Cheap, unlike status().
  [[nodiscard]] std::uint64_t arrived_bytes() const;
  /// True while a scan or looks that were asked for are not finished.
  [[nodiscard]] bool looking() const;
  /// Every member is connected and holds the same tree, and so does this node.
  [[nodiscard]] bool all_in_sync() const;
  /// A user wants an older version of the path back, and its bytes may still come (BringBack).
  [[nodiscard]] bool awaits(const Path& path) const;
  /// The record of one path, for `log` and tests; null when nothing is known.
  [[nodiscard]] const Record* record(std::string_view path) const;
  /// Everything that this node knows, to read: for tests and for what explains it to people.
  [[nodiscard]] const class Replica& replica() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace p2psync::engine
