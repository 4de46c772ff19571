#include "engine/quota.h"

#include <algorithm>
#include <span>

namespace p2psync::engine {
namespace {

std::size_t news_of(const Replica& replica, const HeldRow& row) {
  const auto mine = replica.rows().find(row.member);
  if (mine == replica.rows().end()) {
    return 1 + row.held.items().size();
  }
  return static_cast<std::size_t>(std::ranges::count_if(
      row.held.items(),
      [&](const VersionVector::Item& item) { return mine->second.held.at(item.first) == 0; }));
}

bool too_many_rows(const Replica& replica, std::span<const HeldRow> rows) {
  std::size_t sum = 0;
  for (const HeldRow& row : rows) {
    sum += news_of(replica, row);
  }
  if (sum == 0) {
    return false;
  }
  for (const auto& [member, row] : replica.rows()) {
    sum += 1 + row.held.items().size();
  }
  return sum > row_items_max;
}

bool too_many_endings(const Replica& replica, std::span<const ToldEndings> told) {
  const auto& lists = replica.endings().lengths().items();
  std::size_t news = 0;
  std::size_t new_lists = 0;
  for (const ToldEndings& list : told) {
    const std::size_t has = replica.endings().of(list.node).size();
    const std::size_t gets = list.from + list.endings.size();
    news += gets > has && list.from <= has ? gets - has : 0;
    new_lists += has == 0 && !list.endings.empty() ? 1 : 0;
  }
  if (news == 0) {
    return false;
  }
  for (const auto& [actor, length] : lists) {
    news += length;
  }
  // That a node has a list is an item of what is known.
  return news > kept_endings_max || lists.size() + new_lists > known_actors_max / 2;
}

}  // namespace

bool Quota::refuses(const Replica& replica, const Message& message) {
  if (const auto* vectors = std::get_if<Vectors>(&message)) {
    return too_many_rows(replica, vectors->rows) || too_many_endings(replica, vectors->endings);
  }
  if (const auto* held = std::get_if<Held>(&message)) {
    return too_many_rows(replica, {&held->row, 1});
  }
  const auto* entries = std::get_if<Entries>(&message);
  return entries != nullptr && too_many_actors(replica, *entries);
}

bool Quota::too_many_actors(const Replica& replica, const Entries& entries) {
  const Known known = replica.known();
  const auto news = std::ranges::count_if(
      entries.ranges, [&](const SequenceRange& range) { return known.at(range.actor) == 0; });
  if (news > 0 &&
      replica.knowledge().items().size() + static_cast<std::size_t>(news) > known_actors_max) {
    return true;
  }
  Actor last;  // most name the same few
  for (const PathEntry& item : entries.entries) {
    for (const auto& [actor, sequence] : item.entry.context.items()) {
      if (actor != last && known.at(actor) == 0) {
        strange_.insert(actor);
      }
      last = actor;
    }
  }
  if (strange_.size() > strange_actors_max) {
    std::erase_if(strange_, [&](const Actor& actor) { return known.at(actor) != 0; });
  }
  return strange_.size() > strange_actors_max;
}

}  // namespace p2psync::engine
