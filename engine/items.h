#pragma once
// The items of an index, each under a number. All but those in use lie there packed.
//
// `open` unpacks; an open item is a plain struct and stays where it is until pack() finds that too
// many are open, and then those that nobody has asked for lately go back. So a pointer to one is
// good for as long as its owner does not call pack(): a node does at the end of a step. Numbers of
// erased items are given out again. Cost: all O(1) but for what packing and unpacking takes (about
// a microsecond). Const members unpack as well; one thread.
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/block_pool.h"
#include "engine/packed.h"

namespace p2psync::engine {

class Items {
 public:
  using Id = std::uint32_t;

  Items() = default;
  ~Items();
  /// O(n), like any value.
  Items(const Items& other);
  Items& operator=(const Items& other);
  Items(Items&& other) noexcept { swap(other); }
  Items& operator=(Items&& other) noexcept {
    swap(other);
    return *this;
  }

  /// An empty one, open.
  [[nodiscard]] Id add(std::string_view path);
  /// As it is, packed.
  [[nodiscard]] Id add(const Item& item);
  [[nodiscard]] Id add(std::string_view path, const PlainRecord& plain);
  void erase(Id id);

  [[nodiscard]] const Item& open(Id id) const { return opened(id).item; }
  /// Open, to be written to.
  [[nodiscard]] Item& edit(Id id);
  /// As `open`, but a packed one is unpacked into `room` and stays packed.
  [[nodiscard]] const Item& read(Id id, Item& room) const;
  /// Leaves at most `open_max` open. Ends the life of what `open` gave. With 0 it also gives back
  /// the memory of items that have become larger or smaller, if that is much.
  void pack(std::size_t open_max);

  /// In the slabs of packed items, not in use.
  [[nodiscard]] std::size_t spare_bytes() const { return pool_.spare(); }

  // Without opening:
  [[nodiscard]] std::string_view path(Id id) const;
  [[nodiscard]] Summary summary(Id id) const;
  /// As plain_of; nothing of an open one.
  [[nodiscard]] std::optional<Plain> plain(Id id) const;

 private:
  struct Open {
    Item item;
    std::uint8_t* packed = nullptr;  ///< what it was opened from, until it is written to
    bool asked = true;               ///< since pack() last came by
  };
  /// A pointer to an Open if its lowest bit is set, else to what is packed; 0: erased.
  using Slot = std::uintptr_t;

  Open& opened(Id id) const;
  [[nodiscard]] static Open* open_in(Slot slot) {
    return (slot & 1) != 0 ? reinterpret_cast<Open*>(slot - 1) : nullptr;
  }
  [[nodiscard]] static Slot slot_of(std::unique_ptr<Open> open) {
    return reinterpret_cast<Slot>(open.release()) + 1;
  }
  [[nodiscard]] static std::uint8_t* packed_in(Slot slot) {
    return reinterpret_cast<std::uint8_t*>(slot);
  }
  /// What has just been packed, to stay.
  [[nodiscard]] std::uint8_t* stored();
  void drop(std::uint8_t* packed);
  [[nodiscard]] Id free_id();
  void move_together();
  void clear(Id id);
  void swap(Items& other) noexcept;

  mutable std::vector<Slot> slots_;
  mutable std::deque<Id> open_;  ///< ids that are open, the longest so first; some twice, or erased
  BlockPool pool_;
  std::vector<std::uint8_t> bytes_;  ///< room to pack in
  Names names_;
  std::vector<Id> free_;
};

}  // namespace p2psync::engine
