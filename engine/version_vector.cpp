#include "engine/version_vector.h"

#include <algorithm>

namespace p2psync::engine {
namespace {

template <class Iterator>
Iterator find(Iterator begin, Iterator end, const Actor& actor) {
  return std::lower_bound(begin, end, actor, [](const VersionVector::Item& item, const Actor& key) {
    return item.first < key;
  });
}

}  // namespace

void VersionVector::join(const VersionVector& other) {
  auto place = items_.begin();
  for (const Item& item : other.items_) {
    place = find(place, items_.end(), item.first);
    if (place == items_.end() || place->first != item.first) {
      place = items_.insert(place, item);
    } else {
      place->second = std::max(place->second, item.second);
    }
  }
}

void VersionVector::meet(const VersionVector& other) {
  for (auto& [actor, sequence] : items_) {
    sequence = std::min(sequence, other.at(actor));
  }
  std::erase_if(items_, [](const Item& item) { return item.second == 0; });
}

void VersionVector::add(const Dot& dot) {
  if (dot.sequence > at(dot.actor)) {
    set(dot.actor, dot.sequence);
  }
}

void VersionVector::set(const Actor& actor, std::uint64_t sequence) {
  auto place = find(items_.begin(), items_.end(), actor);
  const bool present = place != items_.end() && place->first == actor;
  if (sequence == 0) {
    if (present) {
      items_.erase(place);
    }
  } else if (present) {
    place->second = sequence;
  } else {
    items_.insert(place, {actor, sequence});
  }
}

std::uint64_t VersionVector::at(const Actor& actor) const {
  auto place = find(items_.begin(), items_.end(), actor);
  return place != items_.end() && place->first == actor ? place->second : 0;
}

bool VersionVector::covers(const VersionVector& other) const {
  auto mine = items_.begin();
  return std::ranges::all_of(other.items_, [&](const Item& item) {
    mine = find(mine, items_.end(), item.first);
    return mine != items_.end() && mine->first == item.first && mine->second >= item.second;
  });
}

bool VersionVector::assign(std::vector<Item> items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].second == 0 || items[i].second > sequence_max ||
        (i > 0 && !(items[i - 1].first < items[i].first))) {
      return false;
    }
  }
  items_ = std::move(items);
  return true;
}

}  // namespace p2psync::engine
