#include "engine/endings.h"

#include <xxhash.h>

#include <algorithm>
#include <array>

namespace p2psync::engine {

bool Endings::add(NodeId node, const Ending& ending) {
  const Place place{of(node).size() + 1, ending.last};
  if (ending.incarnation == 0 || ending.last == 0 ||
      !places_.emplace(Actor{node, ending.incarnation}, place).second) {
    return false;
  }
  List& list = lists_[node];
  list.marks.push_back(mark_after(list.marks.empty() ? 0 : list.marks.back(), ending));
  list.endings.push_back(ending);
  lengths_.set(ended(node), place.number);
  return true;
}

std::span<const Ending> Endings::of(NodeId node) const {
  const auto list = lists_.find(node);
  return list == lists_.end() ? std::span<const Ending>() : list->second.endings;
}

std::uint64_t Endings::mark(NodeId node, std::uint64_t count) const {
  return count == 0 ? 0 : lists_.at(node).marks.at(count - 1);
}

std::uint64_t Endings::mark_after(std::uint64_t mark, const Ending& ending) {
  std::array<unsigned char, 16> bytes;  // little endian everywhere
  std::size_t at = 0;
  for (const std::uint64_t word : {ending.incarnation, ending.last}) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
      bytes[at++] = static_cast<unsigned char>(word >> shift);
    }
  }
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), mark);
}

std::uint64_t Endings::at(const VersionVector& vector, const Actor& actor) const {
  const std::uint64_t plain = vector.at(actor);
  const auto place = places_.find(actor);
  return place != places_.end() && place->second.number <= vector.at(ended(actor.node))
             ? std::max(plain, place->second.last)
             : plain;
}

bool Endings::has_ended(const VersionVector& vector, const Dot& dot) const {
  const auto place = places_.find(dot.actor);
  return place != places_.end() && dot.sequence <= place->second.last &&
         place->second.number <= vector.at(ended(dot.actor.node));
}

bool Endings::covers(const VersionVector& vector, const VersionVector& other) const {
  return std::ranges::all_of(other.items(), [&](const VersionVector::Item& item) {
    const auto& [actor, sequence] = item;
    if (vector.at(actor) >= sequence) {
      return true;
    }
    if (actor.incarnation != 0) {
      return has_ended(vector, {actor, sequence});
    }
    const std::span<const Ending> list = of(actor.node);
    return sequence <= list.size() &&
           std::ranges::all_of(list.first(sequence).subspan(vector.at(actor)),
                               [&](const Ending& ending) {
                                 return vector.at({actor.node, ending.incarnation}) >= ending.last;
                               });
  });
}

bool Endings::explains(const VersionVector& vector) const {
  return std::ranges::all_of(vector.items(), [this](const VersionVector::Item& item) {
    return item.first.incarnation != 0 || item.second <= of(item.first.node).size();
  });
}

void Endings::fold(VersionVector& vector) const {
  bool any = false;
  for (const auto& [node, list] : lists_) {
    const std::uint64_t before = vector.at(ended(node));
    std::uint64_t count = before;
    while (count < list.endings.size() &&
           vector.at({node, list.endings[count].incarnation}) >= list.endings[count].last) {
      ++count;
    }
    if (count > before) {
      vector.set(ended(node), count);
    }
    any = any || count > 0;
  }
  if (any) {
    vector.drop_if([&](const Actor& actor, std::uint64_t sequence) {
      return has_ended(vector, {actor, sequence});
    });
  }
}

VersionVector Endings::in_terms_of(VersionVector vector, const VersionVector& base) const {
  VersionVector plain;
  for (const auto& [node, list] : lists_) {
    const std::uint64_t from = base.at(ended(node));
    const std::uint64_t to = std::min<std::uint64_t>(vector.at(ended(node)), list.endings.size());
    if (from >= to) {
      continue;
    }
    std::vector<VersionVector::Item> items;
    for (const auto& [incarnation, last] : std::span(list.endings).first(to).subspan(from)) {
      items.emplace_back(Actor{node, incarnation}, last);
    }
    std::ranges::sort(items);
    for (const auto& [actor, last] : items) {
      plain.add({actor, last});
    }
    vector.set(ended(node), from);
  }
  if (plain.empty()) {
    return vector;
  }
  plain.join(vector);
  return plain;
}

VersionVector Endings::meet(const VersionVector& one, const VersionVector& other) const {
  VersionVector lowest = in_terms_of(one, other);
  lowest.meet(in_terms_of(other, one));
  fold(lowest);
  return lowest;
}

void Endings::lower(VersionVector& vector, const Actor& actor, std::uint64_t sequence) const {
  if (at(vector, actor) <= sequence) {
    return;
  }
  if (const auto place = places_.find(actor);
      place != places_.end() && place->second.number <= vector.at(ended(actor.node))) {
    VersionVector base = vector;
    base.set(ended(actor.node), place->second.number - 1);
    vector = in_terms_of(std::move(vector), base);
  }
  vector.set(actor, sequence);
}

}  // namespace p2psync::engine
