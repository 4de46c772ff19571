#pragma once
// Dots and version vectors: which events of which actor are known.
//
// An Actor is a node in one of its incarnations: a node takes a new random incarnation with its
// first event after every start, so an index that was lost or restored never numbers an event
// twice. Incarnation 0 is none: it stands for those that have ended (endings.h). A VersionVector
// maps Actor to the highest sequence seen; an absent actor counts 0. Invariant: sorted by actor and
// no stored 0, so equal vectors have equal bytes (fingerprints rely on it). Values: no locks.
// Compare and join cost O(actors). Source: Parker et al., Detection of Mutual Inconsistency in
// Distributed Systems, 1983; dots after Preguica et al., Dotted Version Vectors, 2010.
#include <compare>
#include <cstdint>
#include <utility>
#include <vector>

namespace p2psync::engine {

/// A member: the first 8 bytes (big endian) of the SHA-256 fingerprint of its public key.
using NodeId = std::uint64_t;

struct Actor {
  NodeId node = 0;
  std::uint64_t incarnation = 0;
  auto operator<=>(const Actor&) const = default;
};

/// More events no incarnation has: a million a second for eight years. So no sum overflows.
inline constexpr std::uint64_t sequence_max = std::uint64_t{1} << 48;

/// One user-visible event.
struct Dot {
  Actor actor;
  std::uint64_t sequence = 0;  ///< from 1, up to sequence_max
  auto operator<=>(const Dot&) const = default;
};

class VersionVector {
 public:
  using Item = std::pair<Actor, std::uint64_t>;

  VersionVector() = default;
  VersionVector(std::initializer_list<Dot> dots) {
    for (const Dot& dot : dots) {
      add(dot);
    }
  }

  /// Least upper bound, in place: commutative, associative, idempotent.
  void join(const VersionVector& other);
  /// Greatest lower bound, in place; an actor that either side lacks goes.
  void meet(const VersionVector& other);
  /// Sees everything of dot.actor up to dot.sequence.
  void add(const Dot& dot);
  /// Sets one actor's sequence, also downwards; 0 removes the actor.
  void set(const Actor& actor, std::uint64_t sequence);

  [[nodiscard]] std::uint64_t at(const Actor& actor) const;
  /// True if the event is among those seen.
  [[nodiscard]] bool covers(const Dot& dot) const { return dot.sequence <= at(dot.actor); }
  /// True if everything the other has seen is seen here.
  [[nodiscard]] bool covers(const VersionVector& other) const;

  [[nodiscard]] bool empty() const { return items_.empty(); }
  [[nodiscard]] const std::vector<Item>& items() const { return items_; }
  /// Removes the items of which `gone(actor, sequence)` is true, as they stand before the call.
  template <class Gone>
  void drop_if(const Gone& gone) {
    std::vector<Item> kept;
    for (const Item& item : items_) {
      if (!gone(item.first, item.second)) {
        kept.push_back(item);
      }
    }
    items_ = std::move(kept);
  }
  /// Takes decoded items; false if they are not strictly ascending or hold a 0.
  [[nodiscard]] bool assign(std::vector<Item> items);

  bool operator==(const VersionVector&) const = default;

 private:
  std::vector<Item> items_;
};

}  // namespace p2psync::engine
