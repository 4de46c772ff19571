#include "engine/items.h"

#include <cstring>
#include <utility>

#include "engine/error.h"

namespace p2psync::engine {

Items::~Items() {
  for (Id id = 0; id < slots_.size(); ++id) {
    clear(id);
  }
}

Items::Items(const Items& other) : names_(other.names_), free_(other.free_) {
  slots_.reserve(other.slots_.size());
  for (const Slot slot : other.slots_) {
    if (slot == 0) {
      slots_.push_back(0);
    } else if (const Open* open = open_in(slot)) {
      open_.push_back(static_cast<Id>(slots_.size()));
      slots_.push_back(slot_of(std::make_unique<Open>(Open{open->item})));
    } else {
      const std::uint8_t* packed = packed_in(slot);
      std::uint8_t* const copy = pool_.take(size_of(packed));
      std::memcpy(copy, packed, size_of(packed));
      slots_.push_back(reinterpret_cast<Slot>(copy));
    }
  }
}

Items& Items::operator=(const Items& other) {
  return *this = Items(other);
}

void Items::swap(Items& other) noexcept {
  std::swap(slots_, other.slots_);
  std::swap(open_, other.open_);
  std::swap(pool_, other.pool_);
  std::swap(bytes_, other.bytes_);
  std::swap(names_, other.names_);
  std::swap(free_, other.free_);
}

Items::Id Items::free_id() {
  if (free_.empty()) {
    invariant(slots_.size() < UINT32_MAX, "items: too many");
    free_.push_back(static_cast<Id>(slots_.size()));
    slots_.push_back(0);
  }
  const Id id = free_.back();
  free_.pop_back();
  return id;
}

Items::Id Items::add(const Item& item) {
  const Id id = free_id();
  engine::pack(item, names_, bytes_);
  slots_[id] = reinterpret_cast<Slot>(stored());
  return id;
}

Items::Id Items::add(std::string_view path, const PlainRecord& plain) {
  const Id id = free_id();
  engine::pack(path, plain, names_, bytes_);
  slots_[id] = reinterpret_cast<Slot>(stored());
  return id;
}

std::uint8_t* Items::stored() {
  std::uint8_t* const packed = pool_.take(bytes_.size());
  std::memcpy(packed, bytes_.data(), bytes_.size());
  return packed;
}

void Items::drop(std::uint8_t* packed) {
  if (packed != nullptr) {
    pool_.give_back(packed, size_of(packed));
  }
}

Items::Id Items::add(std::string_view path) {
  const Id id = free_id();
  slots_[id] = slot_of(std::make_unique<Open>(Open{{Path(path), {}, {}}}));
  open_.push_back(id);
  return id;
}

void Items::clear(Id id) {
  const Slot slot = std::exchange(slots_[id], 0);
  if (const Open* open = open_in(slot)) {
    drop(open->packed);
    delete open;
  } else {
    drop(packed_in(slot));
  }
}

void Items::erase(Id id) {
  clear(id);
  free_.push_back(id);
}

Items::Open& Items::opened(Id id) const {
  Slot& slot = slots_[id];
  Open* open = open_in(slot);
  if (open == nullptr) {
    invariant(slot != 0, "items: erased");
    std::uint8_t* const packed = packed_in(slot);
    auto made = std::make_unique<Open>(Open{unpack(packed, names_), packed});
    open = made.get();
    slot = slot_of(std::move(made));
    open_.push_back(id);
  }
  open->asked = true;
  return *open;
}

Item& Items::edit(Id id) {
  Open& open = opened(id);
  drop(std::exchange(open.packed, nullptr));
  return open.item;
}

const Item& Items::read(Id id, Item& room) const {
  if (const Open* open = open_in(slots_[id])) {
    return open->item;
  }
  room = unpack(packed_in(slots_[id]), names_);
  return room;
}

void Items::pack(std::size_t open_max) {
  while (open_.size() > open_max) {
    const Id id = open_.front();
    open_.pop_front();
    Open* open = open_in(slots_[id]);
    if (open == nullptr) {
      continue;  // erased since, or here twice: its number was given out again
    }
    if (std::exchange(open->asked, false) && open_max > 0) {
      open_.push_back(id);
      continue;
    }
    std::uint8_t* packed = std::exchange(open->packed, nullptr);
    if (packed == nullptr) {
      engine::pack(open->item, names_, bytes_);
      packed = stored();
    }
    clear(id);
    slots_[id] = reinterpret_cast<Slot>(packed);
  }
  if (open_max == 0 && pool_.spare() > BlockPool::spare_usual + pool_.taken() / 8) {
    move_together();
  }
}

/// While a tree comes in each item is packed twice: as it is told, and as it is laid.
void Items::move_together() {
  BlockPool fresh;
  for (Slot& slot : slots_) {
    invariant(open_in(slot) == nullptr, "items: moved while in use");
    if (slot == 0 || size_of(packed_in(slot)) > BlockPool::pooled_max) {
      continue;  // the allocator's
    }
    const std::uint8_t* const packed = packed_in(slot);
    std::uint8_t* const moved = fresh.take(size_of(packed));
    std::memcpy(moved, packed, size_of(packed));
    slot = reinterpret_cast<Slot>(moved);
  }
  pool_ = std::move(fresh);
  slots_.shrink_to_fit();
  open_.shrink_to_fit();
}

std::string_view Items::path(Id id) const {
  const Open* open = open_in(slots_[id]);
  return open != nullptr ? std::string_view(open->item.path) : path_of(packed_in(slots_[id]));
}

Summary Items::summary(Id id) const {
  const Open* open = open_in(slots_[id]);
  return open != nullptr ? summary_of(open->item) : summary_of(packed_in(slots_[id]));
}

std::optional<Plain> Items::plain(Id id) const {
  const Slot slot = slots_[id];
  return open_in(slot) != nullptr ? std::nullopt : plain_of(packed_in(slot), names_);
}

}  // namespace p2psync::engine
