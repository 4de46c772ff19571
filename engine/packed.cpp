#include "engine/packed.h"

#include <cstring>

#include "engine/error.h"
#include "engine/packed_bytes.h"

namespace p2psync::engine {
namespace {

using packed_bytes::read_number;
using packed_bytes::Reader;
using packed_bytes::string_at;
using packed_bytes::Writer;

struct Head {
  Fingerprint fingerprint;
  std::string_view path;
  std::uint64_t live = 0;
  std::uint64_t record_bytes = 0;
  const std::uint8_t* record = nullptr;
};

Head head_of(const std::uint8_t* packed) {
  Head head;
  std::memcpy(&head.fingerprint, packed, sizeof head.fingerprint);
  packed += sizeof head.fingerprint;
  head.path = string_at(packed);
  head.live = read_number(packed);
  head.record_bytes = read_number(packed);
  head.record = packed;
  return head;
}

/// One bit for each thing that is so, in the order in which they are named.
template <class... Those>
std::uint8_t flags(Those... those) {
  std::uint8_t bits = 0;
  unsigned place = 0;
  ((bits = static_cast<std::uint8_t>(bits | (those ? 1U << place : 0U)), ++place), ...);
  static_assert(sizeof...(those) <= 8);
  return bits;
}

bool flag(std::uint8_t bits, unsigned place) {
  return (bits >> place & 1) != 0;
}

const Dot no_dot;

// --- A version. What usually follows from its dot, its kind or its mtime is left out.

void write(Writer& to, const Version& version, const Dot& dot) {
  const bool by_dot = version.tag == tag_of(dot);
  const bool ranked = version.rank == version.mtime;
  const bool based = version.base != 0 || !version.superseded.empty() || !version.target.empty();
  to.byte(static_cast<std::uint8_t>(static_cast<unsigned>(version.kind) |
                                    flags(false, false, version.copy, version.metadata_only,
                                          version.imported, by_dot, ranked, based)));
  to.number(version.mode);
  to.fixed(version.mtime);
  to.number(version.size);
  to.byte(flags(version.content == Hash{}));
  if (version.content != Hash{}) {
    to.raw(version.content.bytes.data(), version.content.bytes.size());
  }
  to.label(version.label);
  if (!by_dot) {
    to.fixed(version.tag);
  }
  if (!ranked) {
    to.difference(version.rank, version.mtime);
  }
  if (based) {
    to.fixed(version.base);
    to.words(version.superseded);
    to.string(version.target);
  }
}

Version read_version(Reader& from, const Dot& dot) {
  Version version;
  const std::uint8_t bits = from.byte();
  version.kind = static_cast<Kind>(bits & 3);
  version.copy = flag(bits, 2);
  version.metadata_only = flag(bits, 3);
  version.imported = flag(bits, 4);
  version.mode = static_cast<std::uint16_t>(from.number());
  version.mtime = from.fixed<std::int64_t>();
  version.size = from.number();
  if (!flag(from.byte(), 0)) {
    from.raw(version.content.bytes.data(), version.content.bytes.size());
  }
  version.label = from.label();
  version.tag = flag(bits, 5) ? tag_of(dot) : from.fixed<std::uint64_t>();
  version.rank = flag(bits, 6) ? version.mtime : from.difference(version.mtime);
  if (flag(bits, 7)) {
    version.base = from.fixed<std::uint64_t>();
    version.superseded = from.words();
    version.target = from.string();
  }
  return version;
}

// --- An entry

bool only_seen_is(const Entry& entry) {
  return entry.versions.size() == 1 && entry.context.items().size() == 1 &&
         entry.context.items()[0] ==
             VersionVector::Item{entry.versions[0].dot.actor, entry.versions[0].dot.sequence};
}

void write(Writer& to, const Entry& entry, bool only_seen) {
  if (!only_seen) {
    to.number(entry.context.items().size());
    for (const auto& [actor, sequence] : entry.context.items()) {
      to.dot({actor, sequence});
    }
    to.number(entry.versions.size());
  }
  for (const Sibling& sibling : entry.versions) {
    to.dot(sibling.dot);
    write(to, sibling.version, sibling.dot);
  }
  if (!entry.deletions.empty()) {
    to.number(entry.deletions.size());
    for (const Deletion& deletion : entry.deletions) {
      to.dot(deletion.dot);
      to.words(deletion.superseded);
    }
  }
}

/// `bits`: of the record.
Entry read_entry(Reader& from, std::uint8_t bits) {
  Entry entry;
  const bool only = flag(bits, 0);
  std::vector<VersionVector::Item> seen(only ? 0 : from.number());
  for (auto& [actor, sequence] : seen) {
    const Dot dot = from.dot();
    actor = dot.actor;
    sequence = dot.sequence;
  }
  entry.versions.resize(only ? 1 : from.number());
  for (Sibling& sibling : entry.versions) {
    sibling.dot = from.dot();
    sibling.version = read_version(from, sibling.dot);
  }
  if (only) {
    entry.context.add(entry.versions[0].dot);
  } else {
    invariant(entry.context.assign(std::move(seen)), "packed: a context out of order");
  }
  entry.deletions.resize(flag(bits, 1) ? from.number() : 0);
  for (Deletion& deletion : entry.deletions) {
    deletion.dot = from.dot();
    deletion.superseded = from.words();
  }
  return entry;
}

// --- What the disk shows. Mostly it is the only sibling, at the path itself.

void write(Writer& to, const Shown& shown, std::string_view path, const Entry& entry) {
  const bool here = shown.name == path;
  const bool of_one = shown.dots.size() == 1 && entry.versions.size() == 1 &&
                      entry.versions[0].dot == shown.dots[0];
  const bool as_one = of_one && entry.versions[0].version == shown.version;
  const Signature& signature = shown.signature;
  const Version& version = shown.version;
  const bool like = signature.kind == version.kind && signature.mode == version.mode &&
                    signature.size == version.size && signature.mtime == version.mtime;
  const bool unproven = signature.unproven();
  to.byte(flags(here, of_one, as_one, like, unproven));
  if (!here) {
    to.string(shown.name);
  }
  if (!of_one) {
    to.number(shown.dots.size());
    for (const Dot& dot : shown.dots) {
      to.dot(dot);
    }
  }
  if (!as_one) {
    write(to, version, shown.dots.empty() ? no_dot : shown.dots[0]);
  }
  if (!like) {
    to.byte(static_cast<std::uint8_t>(signature.kind));
    to.number(signature.mode);
    to.number(signature.size);
    to.fixed(signature.mtime);
  }
  to.number(signature.inode);
  if (!unproven) {
    to.difference(signature.ctime, signature.mtime);
  }
}

/// `like`: what it mostly says.
void read_signature(Reader& from, std::uint8_t bits, const Signature& like, Signature& signature) {
  signature = like;
  if (!flag(bits, 3)) {
    signature.kind = static_cast<Kind>(from.byte());
    signature.mode = static_cast<std::uint16_t>(from.number());
    signature.size = from.number();
    signature.mtime = from.fixed<std::int64_t>();
  }
  signature.inode = from.number();
  signature.ctime = flag(bits, 4) ? 0 : from.difference(signature.mtime);
}

Shown read_shown(Reader& from, std::string_view path, const Entry& entry) {
  Shown shown;
  const std::uint8_t bits = from.byte();
  const bool of_one = flag(bits, 1);
  const bool as_one = flag(bits, 2);
  shown.name = flag(bits, 0) ? std::string(path) : from.string();
  if (of_one) {
    shown.dots = {entry.versions[0].dot};
  } else {
    shown.dots.resize(from.number());
    for (Dot& dot : shown.dots) {
      dot = from.dot();
    }
  }
  if (as_one) {
    shown.version = entry.versions[0].version;
  } else {
    shown.version = read_version(from, shown.dots.empty() ? no_dot : shown.dots[0]);
  }
  const Version& version = shown.version;
  read_signature(from, bits, {version.kind, version.mode, 0, version.size, version.mtime, 0},
                 shown.signature);
  return shown;
}

void write(Writer& to, const Doubt& doubt, std::string_view path, const Entry& entry) {
  to.string(doubt.name);
  to.byte(flags(doubt.laid.has_value()));
  if (doubt.laid) {
    write(to, *doubt.laid, path, entry);
  }
}

Doubt read_doubt(Reader& from, std::string_view path, const Entry& entry) {
  Doubt doubt{from.string(), std::nullopt};
  if (flag(from.byte(), 0)) {
    doubt.laid = read_shown(from, path, entry);
  }
  return doubt;
}

// --- What is plain

/// As read_version, but for what takes memory of its own.
void read_plain_version(Reader& from, Plain& plain, std::int64_t& mtime) {
  const std::uint8_t bits = from.byte();
  plain.kind = static_cast<Kind>(bits & 3);
  plain.copy = flag(bits, 2);
  plain.imported = flag(bits, 4);
  plain.mode = static_cast<std::uint16_t>(from.number());
  mtime = from.fixed<std::int64_t>();
  plain.size = from.number();
  if (!flag(from.byte(), 0)) {
    from.raw(plain.content.bytes.data(), plain.content.bytes.size());
  }
  from.number();  // the label
  if (!flag(bits, 5)) {
    from.fixed<std::uint64_t>();
  }
  if (!flag(bits, 6)) {
    from.number();
  }
  if (flag(bits, 7)) {
    from.fixed<std::uint64_t>();
    from.skip(from.number() * sizeof(std::uint64_t));
    from.skip(from.number());
  }
}

/// Lays before a record all that stands there.
void finish(std::vector<std::uint8_t>& packed, std::string_view path, const Summary& summary,
            Names& names) {
  std::vector<std::uint8_t> head;
  head.reserve(sizeof summary.fingerprint + path.size() + 3 * sizeof(std::uint64_t));
  Writer to(head, names);
  to.fixed(summary.fingerprint.low);
  to.fixed(summary.fingerprint.high);
  to.string(path);
  to.number(summary.live);
  to.number(packed.size());
  packed.insert(packed.begin(), head.begin(), head.end());
}

}  // namespace

Summary& Summary::operator+=(const Summary& other) {
  live += other.live;
  fingerprint += other.fingerprint;
  return *this;
}

Summary& Summary::operator-=(const Summary& other) {
  live -= other.live;
  fingerprint -= other.fingerprint;
  return *this;
}

std::uint64_t Names::number(const Actor& actor) {
  const auto [place, made] = actor_numbers_.try_emplace(actor, actors_.size());
  if (made) {
    actors_.push_back(actor);
  }
  return place->second;
}

std::uint64_t Names::number(const std::string& label) {
  const auto [place, made] = label_numbers_.try_emplace(label, labels_.size());
  if (made) {
    labels_.push_back(label);
  }
  return place->second;
}

void pack(const Item& item, Names& names, std::vector<std::uint8_t>& packed) {
  const Record& record = item.record;
  const bool only_seen = only_seen_is(record.entry);
  const bool one_shown = record.shown.size() == 1;
  packed.clear();
  Writer to(packed, names);
  to.byte(flags(only_seen, !record.entry.deletions.empty(), one_shown, !record.doubts.empty()));
  write(to, record.entry, only_seen);
  if (!one_shown) {
    to.number(record.shown.size());
  }
  for (const Shown& shown : record.shown) {
    write(to, shown, item.path, record.entry);
  }
  if (!record.doubts.empty()) {
    to.number(record.doubts.size());
    for (const Doubt& doubt : record.doubts) {
      write(to, doubt, item.path, record.entry);
    }
  }
  finish(packed, item.path, summary_of(item), names);
}

void pack(std::string_view path, const PlainRecord& plain, Names& names,
          std::vector<std::uint8_t>& packed) {
  const auto& [dot, version] = plain.version;
  packed.clear();
  Writer to(packed, names);
  to.byte(flags(true, false, true, false));
  to.dot(dot);
  write(to, version, dot);
  const bool unproven = plain.ctime == 0;
  to.byte(flags(true, true, true, true, unproven));
  to.number(plain.inode);
  if (!unproven) {
    to.difference(plain.ctime, version.mtime);
  }
  finish(packed, path, {1, fingerprint(path, plain.version)}, names);
}

Item unpack(const std::uint8_t* packed, const Names& names) {
  const Head head = head_of(packed);
  Item item;
  item.path = head.path;
  item.fingerprint = head.fingerprint;
  Reader from(head.record, names);
  const std::uint8_t bits = from.byte();
  Record& record = item.record;
  record.entry = read_entry(from, bits);
  record.shown.resize(flag(bits, 2) ? 1 : from.number());
  for (Shown& shown : record.shown) {
    shown = read_shown(from, item.path, record.entry);
  }
  record.doubts.resize(flag(bits, 3) ? from.number() : 0);
  for (Doubt& doubt : record.doubts) {
    doubt = read_doubt(from, item.path, record.entry);
  }
  return item;
}

std::optional<Plain> plain_of(const std::uint8_t* packed, const Names& names) {
  Plain plain;
  Reader from(head_of(packed).record, names);
  const std::uint8_t bits = from.byte();
  plain.only_seen = flag(bits, 0);
  const bool deletions = flag(bits, 1);
  const bool one_shown = flag(bits, 2);
  const bool doubts = flag(bits, 3);
  if (deletions || !one_shown || doubts) {
    return std::nullopt;
  }
  if (!plain.only_seen) {
    for (std::uint64_t seen = from.number(); seen > 0; --seen) {
      from.dot();
    }
    if (from.number() != 1) {
      return std::nullopt;
    }
  }
  plain.dot = from.dot();
  Signature& signature = plain.signature;
  read_plain_version(from, plain, signature.mtime);
  const std::uint8_t shown = from.byte();
  if (!flag(shown, 0) || !flag(shown, 1) || !flag(shown, 2)) {
    return std::nullopt;
  }
  read_signature(from, shown, {plain.kind, plain.mode, 0, plain.size, signature.mtime, 0},
                 signature);
  return plain;
}

std::size_t size_of(const std::uint8_t* packed) {
  const Head head = head_of(packed);
  return static_cast<std::size_t>(head.record - packed) + head.record_bytes;
}

std::string_view path_of(const std::uint8_t* packed) {
  packed += sizeof(Fingerprint);
  return string_at(packed);
}

Summary summary_of(const std::uint8_t* packed) {
  const Head head = head_of(packed);
  return {head.live, head.fingerprint};
}

Summary summary_of(const Item& item) {
  return {distinct(item.record.entry), item.fingerprint};
}

}  // namespace p2psync::engine
