#pragma once
// The index: every path that is known, in path order, with sums over any range in O(log n).
//
// A B+tree in memory over the numbers of items, which lie packed but for those in use (items.h).
// Each child slot carries the Summary of what is below it: how many siblings are live and the sum
// of their fingerprints, so two nodes find where their trees differ without reading them.
// Tombstones are stored and walked but not summed. An empty record is never stored: putting one is
// erasing.
//
// Cost: find, put, erase, update, summary, next_after O(log n); one hash of the new entry a change
// (the old one's is kept). Pointers to an Item or Record stay good until that path is changed or
// erased, whatever happens to others, and until pack() is called; only `update` may write to a
// record. A range is [lower, upper) in PathLess order; "" as upper means the end. Not thread safe.
// Source: Meyer, Range-Based Set Reconciliation, 2023 (sums in a search tree).
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/items.h"
#include "engine/path.h"

namespace p2psync::engine {

class Index {
 public:
  /// A path's number, for as long as it has a record.
  using Id = Items::Id;

  /// Makes an index from what comes in ascending order, bottom up: a few times quicker than put.
  class Builder;

  Index();
  ~Index();
  /// O(n), like any value.
  Index(const Index& other);
  Index& operator=(const Index& other);
  Index(Index&&) noexcept;
  Index& operator=(Index&&) noexcept;

  [[nodiscard]] const Record* find(std::string_view path) const;
  void put(std::string_view path, Record record);
  void erase(std::string_view path);
  /// Edits one record in place; it is made if absent, and erased if it is empty afterwards. `edit`
  /// must not touch the index. Returns its number; that of an erased one is free again.
  Id update(std::string_view path, const std::function<void(Record&)>& edit);
  /// Leaves at most so many records unpacked.
  void pack(std::size_t open_max) { items_.pack(open_max); }

  [[nodiscard]] std::optional<Id> id(std::string_view path) const;
  [[nodiscard]] const Item& item(Id id) const { return items_.open(id); }
  /// As `item`, but what is packed stays so, and is unpacked into `room`.
  [[nodiscard]] const Item& read(Id id, Item& room) const { return items_.read(id, room); }
  /// Quick, since nothing is unpacked for it: see packed.h. Nothing also if the item is in use.
  [[nodiscard]] std::optional<Plain> plain(Id id) const { return items_.plain(id); }
  [[nodiscard]] std::string_view path(Id id) const { return items_.path(id); }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] Summary summary() const;
  [[nodiscard]] Summary summary(std::string_view lower, std::string_view upper) const;
  /// True if a live path is strictly below the directory ("": if there is any).
  [[nodiscard]] bool any_live_below(std::string_view directory) const;

  /// At most parts - 1 bounds, ascending and strictly between lower and upper, that cut the range
  /// into parts with about equally many live siblings. Bounds are as short as their neighbours
  /// allow: they order like paths but need not be valid ones.
  [[nodiscard]] std::vector<Path> split(std::string_view lower, std::string_view upper,
                                        std::size_t parts) const;

  /// The first item not below, or behind, a path; null at the end. Any change between two calls is
  /// fine.
  [[nodiscard]] const Item* at_or_after(std::string_view path) const;
  [[nodiscard]] const Item* next_after(std::string_view path) const;
  /// In order while `visit` returns true. The index must not change meanwhile, and what is visited
  /// may be gone with the call.
  void for_each(std::string_view lower, std::string_view upper,
                const std::function<bool(const Path&, const Record&)>& visit) const;

  /// All of them, by number, in order; for_each_child: what is in a directory, and nothing deeper
  /// ("" is the root), with its name there; and without a number what something deeper is below,
  /// whether it has an item or not. Items may be opened meanwhile.
  void for_each_id(const std::function<void(Id)>& visit) const;
  void for_each_child(std::string_view directory,
                      const std::function<void(std::optional<Id>, std::string_view)>& visit) const;

  /// Aborts unless every invariant of the tree holds. Hashes everything: for tests.
  void check() const;

 private:
  struct Node;
  struct Free {
    void operator()(Node* node) const;
  };
  using Owned = std::unique_ptr<Node, Free>;

  [[nodiscard]] Owned make_node() const;
  void build(const std::vector<Id>& ids);

  static constexpr Id none = UINT32_MAX;

  Items items_;
  /// The last two that were asked for by path, which mostly are the next two: a path, its parent.
  mutable std::array<Id, 2> asked_{none, none};
  std::unique_ptr<PoolResource> memory_;  ///< of all nodes: before them
  Owned root_;
  std::size_t size_ = 0;
  Summary sum_;  ///< of everything: asked for at every step
};

class Index::Builder {
 public:
  /// False, and nothing is added, unless the path is above the one before and the record not empty.
  [[nodiscard]] bool add(Path path, Record record);
  [[nodiscard]] bool add(std::string_view path, const PlainRecord& plain);
  [[nodiscard]] Index finish();

 private:
  [[nodiscard]] bool ascends(std::string_view path) const;

  Index made_;
  std::vector<Id> ids_;
};

}  // namespace p2psync::engine
