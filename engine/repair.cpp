// Range repair: the part of gossip that compares trees themselves. It is the proof that knowledge
// and pushes lose nothing, and the way back when an index was damaged. Logarithmic in the tree,
// linear in the difference.
#include <xxhash.h>

#include <algorithm>
#include <map>

#include "engine/gossip.h"

namespace p2psync::engine {
namespace {

std::uint64_t path_hash(std::string_view path) {
  return XXH3_64bits(path.data(), path.size());
}

/// Lists what lives. What does not is left to silence, unless the entry is ahead of the knowledge
/// that goes with the list: that it was removed is then not part of what the list vouches for.
RangeList list_range(const Replica& replica, const Path& lower, const Path& upper) {
  RangeList list{lower, upper, {}};
  replica.index().for_each(lower, upper, [&](const Path& path, const Record& record) {
    if (record.entry.live() || !replica.knowledge().covers(record.entry.context)) {
      list.items.push_back({path_hash(path), fingerprint(path, record.entry)});
    }
    return true;
  });
  return list;
}

}  // namespace

void Gossip::compare_lists(const RangeList& list, const VersionVector& theirs, bool answer,
                           Entries& send, Ranges& reply) {
  std::map<std::uint64_t, Fingerprint> named;
  for (const ListedItem& item : list.items) {
    named[item.path_hash] = item.fingerprint;
  }
  std::vector<Path> absent;
  std::vector<Path> differing;
  replica_.index().for_each(list.lower, list.upper, [&](const Path& path, const Record& record) {
    const auto other = named.find(path_hash(path));
    if (other == named.end()) {
      if (record.entry.live()) {
        absent.push_back(path);
      }
    } else if (other->second != fingerprint(path, record.entry)) {
      differing.push_back(path);
    }
    return true;
  });
  // The sender lists every live path of the range, so its silence speaks: what it has seen and does
  // not list was removed, by an event that it knows. If this node knows that event too, then its
  // own entry is wrong. If not, the event itself is still to come, and the entry with it.
  if (replica_.knowledge().covers(theirs)) {
    for (const Path& path : absent) {
      replica_.merge({path, {}}, theirs);
    }
  }
  for (const auto* paths : {&absent, &differing}) {
    for (const Path& path : *paths) {
      if (const Record* record = replica_.index().find(path)) {
        send.entries.push_back({path, record->entry});
      }
    }
  }
  if (!answer) {
    reply.listed.push_back(list_range(replica_, list.lower, list.upper));
  }
}

void Gossip::on_ranges(NodeId id, const Ranges& ranges, std::vector<Output>& out) {
  const Index& index = replica_.index();
  Ranges listed{replica_.knowledge(), {}, {}, true};
  Ranges finer{replica_.knowledge(), {}, {}, false};
  Entries entries;
  for (const RangeList& list : ranges.listed) {
    compare_lists(list, ranges.knowledge, ranges.answer, entries, listed);
  }
  for (const RangeDigest& range : ranges.split) {
    const Summary mine = index.summary(range.lower, range.upper);
    if (mine.live == range.count && mine.fingerprint == range.fingerprint) {
      continue;
    }
    Path lower = range.lower;
    std::vector<Path> bounds = index.split(range.lower, range.upper, repair_split);
    if (std::max(mine.live, range.count) <= repair_leaf || (bounds.empty() && range.count <= 1)) {
      finer.listed.push_back(list_range(replica_, range.lower, range.upper));
      continue;
    }
    if (bounds.empty()) {
      // The other side has the larger half of the difference and can cut it.
      finer.split.push_back({range.lower, range.upper, mine.live, mine.fingerprint});
      continue;
    }
    bounds.push_back(range.upper);
    for (Path& upper : bounds) {
      const Summary part = index.summary(lower, upper);
      finer.split.push_back({lower, upper, part.live, part.fingerprint});
      lower = std::move(upper);
    }
  }
  entries.knowledge = replica_.knowledge();
  if (!entries.entries.empty()) {
    entries.stream = random_.next();
    out.push_back(Send{id, std::move(entries), Priority::control});
  }
  for (Ranges* message : {&listed, &finer}) {
    if (!message->listed.empty() || !message->split.empty()) {
      out.push_back(Send{id, std::move(*message), Priority::control});
    }
  }
}

}  // namespace p2psync::engine
