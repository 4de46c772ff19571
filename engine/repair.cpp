// Range repair: the part of gossip that compares trees themselves. It is the proof that knowledge
// and pushes lose nothing, and the way back when an index was damaged. Logarithmic in the tree,
// linear in the difference.
//
// A range that differs is cut into parts of about equally many paths, until one side has so few
// that it lists them. Each message says all that its ranges need: nothing is remembered between
// two of them, so any may be lost.
#include <xxhash.h>

#include <algorithm>
#include <array>

#include "engine/gossip.h"

namespace p2psync::engine {
namespace {

constexpr std::uint64_t path_bits = 0xffffff0000000000;  ///< of an item

std::uint64_t digest_of(const Summary& summary, std::uint64_t salt) {
  std::array<unsigned char, 24> bytes;  // little endian everywhere
  std::size_t at = 0;
  for (const std::uint64_t word :
       {summary.live, summary.fingerprint.low, summary.fingerprint.high}) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
      bytes[at++] = static_cast<unsigned char>(word >> shift);
    }
  }
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), salt);
}

std::uint64_t item_of(const Path& path, const Entry& entry, std::uint64_t salt) {
  return (XXH3_64bits_withSeed(path.data(), path.size(), salt) & path_bits) |
         (digest_of({0, fingerprint(path, entry)}, salt) & ~path_bits);
}

/// Whether some item, of these in ascending order, is about the same path.
bool names_path_of(std::uint64_t item, const std::vector<std::uint64_t>& items) {
  const auto place = std::ranges::lower_bound(items, item & path_bits);
  return place != items.end() && (*place & path_bits) == (item & path_bits);
}

std::vector<std::uint64_t> ascending(std::vector<std::uint64_t> items) {
  std::ranges::sort(items);
  return items;
}

bool holds(const std::vector<std::uint64_t>& items, std::uint64_t item) {
  return std::ranges::binary_search(items, item);
}

/// What is said in return to one message.
class Repair {
 public:
  /// `lists`: what the other side has of lists of endings.
  Repair(Replica& replica, std::uint64_t salt, const VersionVector& lists)
      : replica_(replica),
        salt_(salt),
        knowledge_(replica.endings().in_terms_of(replica.knowledge(), lists)) {}

  void narrow(const Path& from, const Path& to, std::uint64_t their_count);
  void narrow(const RangeSplit& split);
  void compare(const RangeList& list, const VersionVector& theirs);
  void settle(const RangeAnswer& answer, const VersionVector& theirs);
  void send(NodeId peer, std::vector<Output>& out);

 private:
  void hear_silence(const Path& path, const VersionVector& theirs);
  void tell(const Path& path);
  /// The message in hand has room for some bytes more, or another is begun.
  Ranges& room(std::size_t bytes);

  Replica& replica_;
  const std::uint64_t salt_;
  const VersionVector knowledge_;  ///< as the other side understands it
  std::vector<Entries> entries_;
  std::size_t entries_bytes_ = 0;
  std::vector<Ranges> ranges_;
  std::size_t ranges_bytes_ = 0;
};

Ranges& Repair::room(std::size_t bytes) {
  if (ranges_.empty() || ranges_bytes_ + bytes > ranges_bytes_max) {
    ranges_.push_back({salt_, {}, {}, {}, {}});
    ranges_bytes_ = 0;
  }
  ranges_bytes_ += bytes;
  return ranges_.back();
}

/// The range differs: cuts it, or lists it where few paths are in it. Lists what lives. What does
/// not is left to silence, unless the entry is ahead of the knowledge that goes with the list: that
/// it was removed is then not part of what the list vouches for.
void Repair::narrow(const Path& from, const Path& to, std::uint64_t their_count) {
  const Index& index = replica_.index();
  const std::uint64_t count = index.summary(from, to).live;
  std::vector<Path> bounds;
  if (count > repair_leaf || their_count > repair_reach) {
    bounds = index.split(from, to, repair_split);
  }
  if (bounds.empty() && their_count <= std::max<std::uint64_t>(count, repair_reach)) {
    RangeList list{from, to, {}};
    index.for_each(from, to, [&](const Path& path, const Record& record) {
      if (record.entry.live() || !replica_.known().covers(record.entry.context)) {
        list.items.push_back(item_of(path, record.entry, salt_));
      }
      return true;
    });
    room(from.size() + to.size() + 8 * list.items.size()).listed.push_back(std::move(list));
    return;
  }
  // Without bounds the other side has nearly all of the difference, and cuts it.
  bounds.push_back(to);
  RangeSplit split{from, {}};
  std::size_t bytes = from.size();
  const Path* lower = &from;
  for (const Path& upper : bounds) {
    const Summary part = index.summary(*lower, upper);
    split.parts.push_back({upper, part.live, digest_of(part, salt_)});
    bytes += upper.size() + 16;
    lower = &upper;
  }
  room(bytes).split.push_back(std::move(split));
}

void Repair::narrow(const RangeSplit& split) {
  const Path* lower = &split.lower;
  for (const RangePart& part : split.parts) {
    if (digest_of(replica_.index().summary(*lower, part.upper), salt_) != part.digest) {
      narrow(*lower, part.upper, part.count);
    }
    lower = &part.upper;
  }
}

/// The other side names every live path of a range and not this one, so its silence speaks: what it
/// has seen and does not list was removed, by an event that it knows. If this node knows that event
/// too, then its own entry is wrong. If not, the event itself is still to come, and the entry with
/// it.
void Repair::hear_silence(const Path& path, const VersionVector& theirs) {
  if (replica_.known().covers(theirs)) {
    replica_.merge({path, {}}, theirs);
  }
  // Of what it has seen all of it would keep nothing.
  const Record* record = replica_.index().find(path);
  if (record != nullptr && !replica_.known(theirs).covers(record->entry.context)) {
    tell(path);
  }
}

void Repair::tell(const Path& path) {
  PathEntry entry{path, replica_.record(path).entry};
  const std::size_t bytes = bytes_about(entry);
  if (entries_.empty() || entries_bytes_ + bytes > entries_bytes_max) {
    entries_.emplace_back();
    entries_bytes_ = 0;
  }
  entries_bytes_ += bytes;
  entries_.back().entries.push_back(std::move(entry));
}

void Repair::compare(const RangeList& list, const VersionVector& theirs) {
  const std::vector<std::uint64_t> named = ascending(list.items);
  std::vector<std::uint64_t> here;
  std::vector<Path> absent;
  std::vector<Path> differing;
  RangeAnswer answer{list.lower, list.upper, {}, {}};
  replica_.index().for_each(list.lower, list.upper, [&](const Path& path, const Record& record) {
    const std::uint64_t item = item_of(path, record.entry, salt_);
    here.push_back(item);
    if (!names_path_of(item, named)) {
      if (record.entry.live()) {
        absent.push_back(path);
      }
    } else if (!holds(named, item)) {
      differing.push_back(path);
      answer.differing.push_back(item);
    }
    return true;
  });
  std::ranges::sort(here);
  std::ranges::copy_if(list.items, std::back_inserter(answer.lacking),
                       [&here](std::uint64_t item) { return !names_path_of(item, here); });
  for (const Path& path : absent) {
    hear_silence(path, theirs);
  }
  for (const Path& path : differing) {
    tell(path);
  }
  const std::size_t items = answer.lacking.size() + answer.differing.size();
  if (items > 0) {
    room(list.lower.size() + list.upper.size() + 8 * items).answers.push_back(std::move(answer));
  }
}

void Repair::settle(const RangeAnswer& answer, const VersionVector& theirs) {
  const std::vector<std::uint64_t> lacking = ascending(answer.lacking);
  const std::vector<std::uint64_t> differing = ascending(answer.differing);
  std::vector<Path> absent;
  std::vector<Path> other;
  replica_.index().for_each(
      answer.lower, answer.upper, [&](const Path& path, const Record& record) {
        const std::uint64_t item = item_of(path, record.entry, salt_);
        if (holds(lacking, item)) {
          absent.push_back(path);
        } else if (names_path_of(item, differing) && !holds(differing, item)) {
          other.push_back(path);  // also with what the other side has sent of it
        }
        return true;
      });
  for (const Path& path : absent) {
    hear_silence(path, theirs);
  }
  for (const Path& path : other) {
    tell(path);
  }
}

void Repair::send(NodeId peer, std::vector<Output>& out) {
  for (Entries& message : entries_) {
    message.knowledge = knowledge_;
    out.push_back(Send{peer, std::move(message), Priority::control});
  }
  for (Ranges& message : ranges_) {
    if (!message.listed.empty() || !message.answers.empty()) {
      message.knowledge = knowledge_;
    }
    out.push_back(Send{peer, std::move(message), Priority::control});
  }
}

}  // namespace

void Gossip::begin_repair(NodeId id, std::vector<Output>& out) {
  Repair repair(replica_, random_.next(), peers_.at(id).lists);
  repair.narrow("", "", 0);
  repair.send(id, out);
}

void Gossip::on_ranges(NodeId id, const Ranges& ranges, std::vector<Output>& out) {
  Repair repair(replica_, ranges.salt, peers_.at(id).lists);
  for (const RangeAnswer& answer : ranges.answers) {
    repair.settle(answer, ranges.knowledge);
  }
  for (const RangeList& list : ranges.listed) {
    repair.compare(list, ranges.knowledge);
  }
  for (const RangeSplit& split : ranges.split) {
    repair.narrow(split);
  }
  repair.send(id, out);
}

}  // namespace p2psync::engine
