#pragma once
// One node of the interleavings: a production Replica on a disk that is a map, the true history of
// what its users did as far as it has heard of it, and what each step does to them.
//
// A value: a step copies it. The Reconciler, and a Gossip at both ends of an exchange, are made for
// the step that needs them. What storage does is ideal here: a look or a batch takes no time.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/gossip.h"
#include "engine/reconcile.h"
#include "engine/replica.h"

namespace p2psync::sim {

/// A mistake that is made on purpose: each must be found.
enum class Planted : std::uint8_t {
  nothing,
  greedy_delete,
  blind_merge,
  skipped_entry,
  hasty_collapse
};

/// One world, of which every history within the bound is played.
struct Scene {
  std::string name;
  std::size_t operations = 3;
  std::size_t nodes = 3;
  std::vector<std::string> paths;
  bool old_times = true;  ///< writes with an mtime before all others, too
  bool renames = true;    ///< of paths, and of copies onto their path
  bool modes = false;     ///< chmod
  bool kinds = false;     ///< mkdir, symlinks, and each in the place of each
  bool late = false;      ///< contents arrive in steps of their own
  bool collect = false;   ///< notes of deletions are collected
  bool equal = false;     ///< several write the same bytes, and siblings that say the same collapse
  std::size_t restarts = 0;  ///< in all
  Planted planted = Planted::nothing;
};

/// Numbers an event by its node and by that node's count of acts: the same in every interleaving.
using EventId = std::uint8_t;
using EventSet = std::uint64_t;
inline constexpr std::uint8_t directory_content = 255;
inline constexpr std::uint8_t common_content = 61;  ///< above all events
inline constexpr std::size_t acts_a_node_max = 10;

struct Item {
  engine::Kind kind = engine::Kind::file;
  std::uint16_t mode = 0;
  std::int64_t mtime = 0;
  std::uint8_t content = 0;  ///< the event that first made these bytes
  bool operator==(const Item&) const = default;
};

/// What a user did at one path, and what they saw there: true history, held in sets.
struct Event {
  EventId id = 0;
  std::uint8_t path = 0;
  Item item;                   ///< what was written
  bool writes = true;          ///< false: a deletion
  bool metadata_only = false;  ///< the bytes were there already
  bool aside = false;          ///< done to a conflict copy
  /// Of a copy that was renamed onto its own path: the same bytes stand there now, and the entry
  /// may go on listing the event beside the new one, under one name.
  bool twin = false;
  EventSet superseded = 0;  ///< what the name showed
  EventSet behind = 0;      ///< that, and what those had superseded, and so on
  EventSet cleared = 0;     ///< that, and what deletions known here had taken from the path
  EventSet beside = 0;      ///< of a deletion: what stood at conflict names then
  engine::Dot dot;          ///< of a write: the number the node gave it
};

/// One event, or one content, as a set.
[[nodiscard]] EventSet bit(std::uint8_t number);
[[nodiscard]] engine::Hash hash_of(std::uint8_t content);
/// What a look at it gives; the inode follows from the content, so that equal disks are equal.
[[nodiscard]] engine::Seen seen_of(const Item& item);

struct Act {
  enum class What : std::uint8_t {
    write,
    write_old,
    write_common,
    directory,
    link,
    remove,
    rename,
    mode
  };
  What what = What::write;
  std::string name;
  std::string to;  ///< of a rename
};

class ModelNode {
 public:
  ModelNode(const Scene& scene, std::uint8_t self);

  /// What the users of this node can do now.
  [[nodiscard]] std::vector<Act> acts(const Scene& scene) const;
  void act(const Scene& scene, const Act& act);

  /// Everything that `sender` knows and this node does not, through production Gossip.
  void hear(const Scene& scene, const ModelNode& sender);
  /// Contents that this node waits for; with Scene::late only.
  [[nodiscard]] std::vector<std::uint8_t> missing() const {
    return {missing_.begin(), missing_.end()};
  }
  [[nodiscard]] bool has(std::uint8_t content) const;
  void fetch(const Scene& scene, std::uint8_t content);
  /// A new process with the committed index; its first look is over.
  void restart(const Scene& scene);
  /// The same after the last batch that hear() laid, before its results were recorded.
  void hear_and_crash(const Scene& scene, const ModelNode& sender);
  /// Forgets what every member holds.
  void collect(const engine::VersionVector& stable);
  /// The other knows the same at this moment, and that is news to one who has siblings to collapse.
  [[nodiscard]] bool learns_from_tick(const Scene& scene, const ModelNode& sender) const;
  void tick(const ModelNode& sender) { equal_[sender.self_] = sender.replica_.knowledge(); }
  /// Siblings that say the same become one, where all are known to have shown them.
  void collapse(const Scene& scene);
  [[nodiscard]] bool can_collapse(const Scene& scene) const {
    return replica_.any_alike() && equal_.size() + 1 == scene.nodes;
  }

  [[nodiscard]] const engine::Replica& replica() const { return replica_; }
  [[nodiscard]] EventSet heard() const { return heard_; }
  [[nodiscard]] std::size_t acted() const { return acted_; }
  [[nodiscard]] std::size_t restarts() const { return incarnation_ - 1; }

  /// What is wrong with this node, as true history sees it; empty when nothing is.
  [[nodiscard]] std::string judge(const Scene& scene) const;
  /// A live content that stood on the disk before and does not now, or nothing.
  [[nodiscard]] std::string taken_from(const Scene& scene, const ModelNode& before) const;
  /// How many contents stood at one conflict name before and stand at another now.
  [[nodiscard]] std::size_t copies_renamed(const Scene& scene, const ModelNode& before) const;
  /// Everything that it has heard of stands on its disk.
  [[nodiscard]] bool settled() const { return pending_.empty(); }
  /// Equal digests, equal nodes.
  [[nodiscard]] engine::Fingerprint digest() const;
  /// What it has heard of. Equal histories must give equal roots and, once settled, equal trees.
  [[nodiscard]] engine::Fingerprint history_digest() const;
  [[nodiscard]] engine::Fingerprint tree_digest() const;
  /// The disk on one line.
  [[nodiscard]] std::string text() const;

 private:
  /// The index before the last batch, and the steps of that batch.
  struct Log {
    engine::Index index;
    std::vector<engine::Relaid> steps;
  };
  [[nodiscard]] engine::NodeOptions options(const Scene& scene, std::size_t node) const;
  [[nodiscard]] std::uint8_t path_of(const Scene& scene, const std::string& name) const;
  /// The events that a name with this content stands for.
  [[nodiscard]] EventSet showing(std::uint8_t path, std::uint8_t content) const;
  [[nodiscard]] EventSet contents_in(std::uint8_t path, EventSet events) const;
  [[nodiscard]] EventSet live() const;
  /// Who wrote the bytes whose mode or time this changes.
  [[nodiscard]] EventSet bases(const Event& event) const;
  /// Live changes of mode whose bytes a live edit, as far as `past` goes, has replaced: by `behind`
  /// of all who wrote them, by `cleared` of any.
  [[nodiscard]] EventSet hidden(EventSet Event::* past) const;
  [[nodiscard]] Event departure(const Scene& scene, const std::string& name) const;
  [[nodiscard]] const std::string* name_of(const Scene& scene, std::uint8_t path,
                                           std::uint8_t content) const;
  void record(Event event);
  void write(const Scene& scene, const std::string& name, const Item& item);
  void remove(const Scene& scene, const std::string& name);
  void rename(const Scene& scene, const std::string& from, const std::string& to);
  void merge(const Scene& scene, const ModelNode& sender);
  void settle(const Scene& scene, Log* log);
  engine::ApplyDone apply(const engine::Apply& batch, Log* log);
  void demand(bool holds, const engine::Path& path, const char* what);
  std::optional<engine::Signature> move(const engine::Path& path, const engine::Path& from,
                                        const std::optional<engine::Moved>& moved, Log* log);
  engine::StepResult carry_out(const engine::Path& path, const engine::Step& step,
                               const std::map<std::string, Item>& sources, Log* log);
  void reload(const Scene& scene, Log log);
  [[nodiscard]] std::string judge_disk(const Scene& scene, std::uint8_t path) const;
  [[nodiscard]] std::string judge_entry(const Scene& scene, std::uint8_t path) const;

  std::uint8_t self_;
  std::uint8_t acted_ = 0;
  std::uint8_t incarnation_ = 1;
  engine::Replica replica_;
  std::map<std::string, Item> disk_;
  std::vector<Event> history_;  ///< ascending by id
  EventSet heard_ = 0;
  std::vector<engine::Dirty> pending_;  ///< not laid out yet
  std::set<std::uint8_t> missing_;
  std::set<std::uint8_t> staged_;
  /// What each other node knew and showed when this one last heard all of that; with Scene::equal.
  std::map<std::uint8_t, engine::VersionVector> equal_;
  std::string broken_;  ///< a step that could not be
};

}  // namespace p2psync::sim
