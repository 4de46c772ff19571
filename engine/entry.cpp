#include "engine/entry.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string_view>
#include <tuple>

#include "engine/path.h"

namespace p2psync::engine {
namespace {

std::uint64_t little_endian(std::uint64_t value) {
  return std::endian::native == std::endian::little ? value : __builtin_bswap64(value);
}

/// Appends values in a fixed byte order, so that equal values hash equally on every machine.
class Canonical {
 public:
  /// Of about so many bytes.
  explicit Canonical(std::size_t size) { bytes_.reserve(size); }
  Canonical& number(std::uint64_t value) {
    const std::uint64_t eight = little_endian(value);
    bytes_.append(reinterpret_cast<const char*>(&eight), sizeof eight);
    return *this;
  }
  Canonical& text(std::string_view value) {
    number(value.size());
    bytes_ += value;
    return *this;
  }
  Canonical& dot(const Dot& dot) {
    return number(dot.actor.node).number(dot.actor.incarnation).number(dot.sequence);
  }
  Canonical& hash(const Hash& hash) {
    bytes_.append(reinterpret_cast<const char*>(hash.bytes.data()), hash.bytes.size());
    return *this;
  }
  [[nodiscard]] std::uint64_t short_hash() const {
    return XXH3_64bits(bytes_.data(), bytes_.size());
  }
  [[nodiscard]] Fingerprint long_hash() const {
    const XXH128_hash_t hash = XXH3_128bits(bytes_.data(), bytes_.size());
    return {hash.low64, hash.high64};
  }

 private:
  std::string bytes_;
};

/// What remains of both sides' dotted values: kept if both hold it, or if the other has not seen
/// it.
template <class Dotted, class Both>
std::vector<Dotted> keep_unseen(const std::vector<Dotted>& mine, const Known& mine_seen,
                                const VersionVector& mine_context,
                                const std::vector<Dotted>& theirs, const Known& theirs_seen,
                                const VersionVector& theirs_context, const Both& both) {
  std::vector<Dotted> kept;
  auto a = mine.begin();
  auto b = theirs.begin();
  while (a != mine.end() || b != theirs.end()) {
    if (b == theirs.end() || (a != mine.end() && a->dot < b->dot)) {
      if (!theirs_seen.covers(a->dot) && !theirs_context.covers(a->dot)) {
        kept.push_back(*a);
      }
      ++a;
    } else if (a == mine.end() || b->dot < a->dot) {
      if (!mine_seen.covers(b->dot) && !mine_context.covers(b->dot)) {
        kept.push_back(*b);
      }
      ++b;
    } else {
      kept.push_back(*a);
      both(kept.back(), *b);
      ++a;
      ++b;
    }
  }
  return kept;
}

bool holds(const std::vector<std::uint64_t>& list, std::uint64_t value) {
  return std::ranges::find(list, value) != list.end();
}

/// A version takes over the label and tag of one that says the same, or of itself as it is known
/// elsewhere.
void take_name(Version& version, const Version& other) {
  if (std::tie(other.tag, other.label) < std::tie(version.tag, version.label)) {
    version.tag = other.tag;
    version.label = other.label;
  }
}

/// Which of two that say the same is left. If nothing else tells, whose own tag is smaller: then it
/// stays just as its writer made it. By what never changes, so that the order plays no part.
bool outranks(const Sibling& a, const Sibling& b) {
  const std::uint64_t tag_a = tag_of(a.dot);
  const std::uint64_t tag_b = tag_of(b.dot);
  return std::tie(a.version.rank, a.version.mtime, a.version.mode, tag_b, a.dot) >
         std::tie(b.version.rank, b.version.mtime, b.version.mode, tag_a, b.dot);
}

/// Those that `may` be collapsed. Ascending by dot, as they came.
template <class May>
std::vector<Sibling> collapsed(const std::vector<Sibling>& versions, const May& may) {
  std::vector<Sibling> left;
  for (const Sibling& sibling : versions) {
    const auto same = std::ranges::find_if(left, [&](const Sibling& other) {
      return says_the_same(other.version, sibling.version) && may(other.dot) && may(sibling.dot);
    });
    if (same == left.end()) {
      left.push_back(sibling);
    } else if (outranks(sibling, *same)) {
      const Version lower = std::move(same->version);
      *same = sibling;
      take_name(same->version, lower);
    } else {
      take_name(same->version, sibling.version);
    }
  }
  std::ranges::sort(left, {}, &Sibling::dot);
  return left;
}

template <class Dotted>
bool ascending(const std::vector<Dotted>& items) {
  return std::ranges::adjacent_find(
             items, [](const Dotted& a, const Dotted& b) { return a.dot >= b.dot; }) == items.end();
}

}  // namespace

Fingerprint& Fingerprint::operator+=(const Fingerprint& other) {
  low += other.low;
  high += other.high + (low < other.low ? 1 : 0);
  return *this;
}

Fingerprint& Fingerprint::operator-=(const Fingerprint& other) {
  const bool borrow = low < other.low;
  low -= other.low;
  high -= other.high + (borrow ? 1 : 0);
  return *this;
}

const Version* Entry::find(const Dot& dot) const {
  const auto place = std::ranges::lower_bound(versions, dot, {}, &Sibling::dot);
  return place != versions.end() && place->dot == dot ? &place->version : nullptr;
}

/// An import that some other version or deletion has superseded is that old version and not news.
/// Dropping is sound in any order: its dot stays in the context, so no merge brings it back.
void drop_stale_imports(Entry& entry) {
  const auto stale = [&entry](const Sibling& sibling) {
    if (!sibling.version.imported) {
      return false;
    }
    const std::uint64_t name = recognition(sibling.version);
    return std::ranges::any_of(
               entry.deletions,
               [&](const Deletion& deletion) { return holds(deletion.superseded, name); }) ||
           std::ranges::any_of(entry.versions, [&](const Sibling& other) {
             return other.dot != sibling.dot && holds(other.version.superseded, name);
           });
  };
  std::vector<Dot> gone;
  for (const Sibling& sibling : entry.versions) {
    if (stale(sibling)) {
      gone.push_back(sibling.dot);
    }
  }
  std::erase_if(entry.versions, [&gone](const Sibling& sibling) {
    return std::ranges::find(gone, sibling.dot) != gone.end();
  });
}

Entry merge(const Entry& mine, const Known& mine_seen, const Entry& theirs,
            const Known& theirs_seen) {
  Entry merged;
  merged.context = mine.context;
  merged.context.join(theirs.context);
  merged.versions =
      keep_unseen(mine.versions, mine_seen, mine.context, theirs.versions, theirs_seen,
                  theirs.context, [](Sibling& kept, const Sibling& other) {
                    kept.version.copy = kept.version.copy || other.version.copy;
                    take_name(kept.version, other.version);
                  });
  merged.deletions = keep_unseen(mine.deletions, mine_seen, mine.context, theirs.deletions,
                                 theirs_seen, theirs.context, [](Deletion&, const Deletion&) {});
  drop_stale_imports(merged);
  return merged;
}

bool has_superseded(const Entry& entry, std::uint64_t recognition) {
  return std::ranges::any_of(entry.deletions,
                             [recognition](const Deletion& deletion) {
                               return holds(deletion.superseded, recognition);
                             }) ||
         std::ranges::any_of(entry.versions, [recognition](const Sibling& sibling) {
           return holds(sibling.version.superseded, recognition);
         });
}

bool says_the_same(const Version& a, const Version& b) {
  return same_content(a, b) && a.copy == b.copy && a.metadata_only == b.metadata_only &&
         a.base == b.base && a.imported == b.imported && a.superseded == b.superseded;
}

std::size_t distinct(const Entry& entry) {
  std::size_t count = 0;
  for (auto sibling = entry.versions.begin(); sibling != entry.versions.end(); ++sibling) {
    const bool first = std::none_of(entry.versions.begin(), sibling, [&](const Sibling& before) {
      return says_the_same(before.version, sibling->version);
    });
    count += first ? 1 : 0;
  }
  return count;
}

bool collapse(Entry& entry, const Known& held) {
  std::vector<Sibling> left =
      collapsed(entry.versions, [&held](const Dot& dot) { return held.covers(dot); });
  if (left.size() == entry.versions.size()) {
    return false;
  }
  entry.versions = std::move(left);
  return true;
}

std::uint64_t recognition(const Version& version) {
  return Canonical(80 + version.target.size())
      .number(static_cast<std::uint64_t>(version.kind))
      .hash(version.content)
      .text(version.target)
      .number(static_cast<std::uint64_t>(version.mtime))
      .short_hash();
}

std::uint64_t tag_of(const Dot& dot) {
  std::array<std::uint64_t, 3> numbers{dot.actor.node, dot.actor.incarnation, dot.sequence};
  std::ranges::transform(numbers, numbers.begin(), little_endian);
  return XXH3_64bits(numbers.data(), sizeof numbers);
}

Fingerprint fingerprint(std::string_view path, const Sibling& sibling) {
  const auto& [dot, version] = sibling;
  Canonical bytes(200 + path.size() + version.target.size() + version.label.size());
  bytes.text(path).dot(dot).number(static_cast<std::uint64_t>(version.kind)).number(version.mode);
  bytes.number(static_cast<std::uint64_t>(version.mtime))
      .number(version.size)
      .hash(version.content);
  bytes.text(version.target).number(static_cast<std::uint64_t>(version.rank)).text(version.label);
  bytes.number(version.tag)
      .number(version.base)
      .number((version.copy ? 1U : 0U) | (version.metadata_only ? 2U : 0U) |
              (version.imported ? 4U : 0U));
  return bytes.long_hash();
}

Fingerprint fingerprint(std::string_view path, const Entry& entry) {
  if (entry.versions.size() == 1) {
    return fingerprint(path, entry.versions[0]);
  }
  Fingerprint sum;
  for (const Sibling& sibling : collapsed(entry.versions, [](const Dot&) { return true; })) {
    sum += fingerprint(path, sibling);
  }
  return sum;
}

bool same_content(const Version& a, const Version& b) {
  return a.kind == b.kind && a.content == b.content && a.target == b.target;
}

std::optional<std::string_view> version_problem(const Version& version) {
  const bool label_good = !version.label.empty() && version.label.size() <= label_bytes_max &&
                          std::ranges::all_of(version.label, [](char c) {
                            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                          });
  if (!label_good) {
    return "a node name that is none";
  }
  if (version.kind > Kind::symlink) {
    return "an unknown kind";
  }
  if (version.mode > 0777) {
    return "mode bits beyond 0777";
  }
  if (version.superseded.size() > superseded_max) {
    return "too many superseded versions";
  }
  const bool link = version.kind == Kind::symlink;
  if (link != !version.target.empty() || version.target.size() > target_bytes_max ||
      version.target.find('\0') != std::string::npos) {
    return "a bad link target";
  }
  if (version.kind != Kind::file && version.size != 0) {
    return "a size where there are no bytes";
  }
  return std::nullopt;
}

std::optional<std::string_view> entry_problem(const Entry& entry) {
  if (!ascending(entry.versions) || !ascending(entry.deletions)) {
    return "siblings out of order";
  }
  if (std::ranges::any_of(entry.context.items(),
                          [](const auto& item) { return item.first.incarnation == 0; })) {
    return "an event of no incarnation";
  }
  for (const Sibling& sibling : entry.versions) {
    if (!entry.context.covers(sibling.dot) || sibling.dot.sequence == 0) {
      return "a sibling outside its context";
    }
    if (const auto problem = version_problem(sibling.version)) {
      return problem;
    }
  }
  for (const Deletion& deletion : entry.deletions) {
    if (!entry.context.covers(deletion.dot) || deletion.dot.sequence == 0 ||
        deletion.superseded.size() > superseded_max) {
      return "a bad deletion";
    }
  }
  return std::nullopt;
}

}  // namespace p2psync::engine
