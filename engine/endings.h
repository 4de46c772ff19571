#pragma once
// Endings: incarnations that are over, so that a vector need not name them for ever.
//
// A node takes a new incarnation at every start, and each leaves an item in every vector. When one
// is over and every member holds all of its events, its node puts it on a list, with the number of
// its last event. The list of a node only grows, at its end, and only that node adds to it; all
// members learn it. "The first k of your list, in full" is then one item instead of k: that of the
// actor ended(node), with k as its sequence. No event has that actor.
//
// A vector may be written with fewer such items and more plain ones and mean the same. fold() gives
// the one form that is as short as this list allows; in_terms_of() the form that somebody with a
// shorter list understands. What stands above the last event of an ended incarnation (a node that
// was restored from a backup may have ended it too early) keeps its plain item: nothing is ever
// taken for seen that was not.
//
// Nothing is removed from a list: whoever comes back after years is told from where it left off.
// 24 bytes for each restart; at() and covers() of a dot are O(log actors).
#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/version_vector.h"

namespace p2psync::engine {

/// One incarnation of a node, and its last event.
struct Ending {
  std::uint64_t incarnation = 0;
  std::uint64_t last = 0;
  bool operator==(const Ending&) const = default;
};

/// The actor whose sequence counts ended incarnations of a node.
[[nodiscard]] constexpr Actor ended(NodeId node) {
  return {node, 0};
}

class Endings {
 public:
  /// Puts an incarnation at the end of a node's list. False: it is on it, or it is none.
  bool add(NodeId node, const Ending& ending);
  [[nodiscard]] std::span<const Ending> of(NodeId node) const;
  [[nodiscard]] bool listed(const Actor& actor) const { return places_.contains(actor); }
  /// Stands for the first `count` of a node's list: equal lists have equal marks. XXH3-64.
  [[nodiscard]] std::uint64_t mark(NodeId node, std::uint64_t count) const;
  /// What the mark becomes with one more.
  [[nodiscard]] static std::uint64_t mark_after(std::uint64_t mark, const Ending& ending);
  /// For each node with a list, by id: its length, as a vector.
  [[nodiscard]] const VersionVector& lengths() const { return lengths_; }

  /// What the vector has seen of an actor, by either way of writing.
  [[nodiscard]] std::uint64_t at(const VersionVector& vector, const Actor& actor) const;
  /// The dot is of an incarnation that the vector has as ended.
  [[nodiscard]] bool has_ended(const VersionVector& vector, const Dot& dot) const;
  [[nodiscard]] bool covers(const VersionVector& vector, const VersionVector& other) const;
  /// It counts no more ended incarnations than these lists have.
  [[nodiscard]] bool explains(const VersionVector& vector) const;
  /// The shortest form.
  void fold(VersionVector& vector) const;
  /// The same, with no more ended incarnations of any node than `base` counts. What `base` has
  /// beyond the lists is not looked at.
  [[nodiscard]] VersionVector in_terms_of(VersionVector vector, const VersionVector& base) const;
  /// Greatest lower bound, folded.
  [[nodiscard]] VersionVector meet(const VersionVector& one, const VersionVector& other) const;
  /// Sees no more of an actor than up to this.
  void lower(VersionVector& vector, const Actor& actor, std::uint64_t sequence) const;

 private:
  struct Place {
    std::uint64_t number = 0;  ///< in its node's list, from 1
    std::uint64_t last = 0;
  };
  struct HashOfActor {
    std::size_t operator()(const Actor& actor) const {
      return static_cast<std::size_t>(actor.incarnation ^ (actor.node << 1));
    }
  };
  struct List {
    std::vector<Ending> endings;
    std::vector<std::uint64_t> marks;
  };

  std::map<NodeId, List> lists_;
  std::unordered_map<Actor, Place, HashOfActor> places_;
  VersionVector lengths_;
};

/// A vector, read with what has ended.
class Known {
 public:
  /// With nothing.
  Known(const VersionVector& vector) : vector_(vector) {}
  Known(const VersionVector& vector, const Endings& endings)
      : vector_(vector), endings_(&endings) {}

  [[nodiscard]] std::uint64_t at(const Actor& actor) const {
    return endings_ == nullptr ? vector_.at(actor) : endings_->at(vector_, actor);
  }
  [[nodiscard]] bool covers(const Dot& dot) const {
    return vector_.covers(dot) || (endings_ != nullptr && endings_->has_ended(vector_, dot));
  }
  [[nodiscard]] bool covers(const VersionVector& other) const {
    return endings_ == nullptr ? vector_.covers(other) : endings_->covers(vector_, other);
  }

 private:
  const VersionVector& vector_;
  const Endings* endings_ = nullptr;
};

}  // namespace p2psync::engine
