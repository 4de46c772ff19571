#include "engine/items.h"

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
      slots_.push_back(slot_of(std::make_unique<Open>(Open{open->item, nullptr})));
    } else {
      const Item item = unpack(packed_in(slot), names_);
      slots_.push_back(reinterpret_cast<Slot>(engine::pack(item, names_).release()));
    }
  }
}

Items& Items::operator=(const Items& other) {
  return *this = Items(other);
}

void Items::swap(Items& other) noexcept {
  std::swap(slots_, other.slots_);
  std::swap(open_, other.open_);
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
  slots_[id] = reinterpret_cast<Slot>(engine::pack(item, names_).release());
  return id;
}

Items::Id Items::add(std::string_view path) {
  const Id id = free_id();
  slots_[id] = slot_of(std::make_unique<Open>(Open{{Path(path), {}, {}}, nullptr}));
  open_.push_back(id);
  return id;
}

void Items::clear(Id id) {
  const Slot slot = std::exchange(slots_[id], 0);
  if (Open* open = open_in(slot)) {
    delete open;
  } else {
    delete[] packed_in(slot);
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
    Packed packed(reinterpret_cast<std::uint8_t*>(slot));
    Item item = unpack(packed.get(), names_);
    auto made = std::make_unique<Open>(Open{std::move(item), std::move(packed)});
    open = made.get();
    slot = slot_of(std::move(made));
    open_.push_back(id);
  }
  open->asked = true;
  return *open;
}

Item& Items::edit(Id id) {
  Open& open = opened(id);
  open.packed.reset();
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
    Packed packed = open->packed ? std::move(open->packed) : engine::pack(open->item, names_);
    clear(id);
    slots_[id] = reinterpret_cast<Slot>(packed.release());
  }
}

std::string_view Items::path(Id id) const {
  const Open* open = open_in(slots_[id]);
  return open != nullptr ? std::string_view(open->item.path) : path_of(packed_in(slots_[id]));
}

Summary Items::summary(Id id) const {
  const Open* open = open_in(slots_[id]);
  return open != nullptr ? summary_of(open->item) : summary_of(packed_in(slots_[id]));
}

}  // namespace p2psync::engine
