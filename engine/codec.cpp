#include "engine/codec.h"

#include <algorithm>

#include "engine/codec_archive.h"
#include "engine/codec_held.h"
#include "engine/codec_paths.h"

// Each value is taken apart with a structured binding: a field that is added to it and not here
// does not compile.
namespace p2psync::engine::codec {

// --- What is refused

void require_none(std::optional<std::string_view> problem) {
  if (problem) {
    throw Malformed{*problem};
  }
}

void require_path(std::string_view path) {
  require_none(path_problem(path));
}

void require_label(std::string_view label) {
  require(!label.empty() && label.size() <= label_bytes_max, "a node name that is none");
  require(std::ranges::all_of(
              label,
              [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }),
          "a node name that is none");
}

// --- Events

template <class Archive>
void serialize(Archive& archive, Actor& actor) {
  auto& [node, incarnation] = actor;
  archive(fixed(node), fixed(incarnation));
}

template <class Archive>
void serialize(Archive& archive, Dot& dot) {
  auto& [actor, sequence] = dot;
  archive(actor, sequence);
  if constexpr (loading<Archive>) {
    require(sequence > 0, "an event numbered 0");
    require(sequence <= sequence_max, "more events than can be");
  }
}

template <class Archive>
void serialize(Archive& archive, VersionVector::Item& item) {
  archive(item.first, item.second);
}

void save(OutputArchive& archive, const VersionVector& vector) {
  archive(vector.items());
}

void load(BoundedInputArchive& archive, VersionVector& vector) {
  std::vector<VersionVector::Item> items;
  archive(items);
  require(vector.assign(std::move(items)), "a version vector out of order, or beyond reason");
}

// --- Entries

template <class Archive>
void serialize(Archive& archive, Hash& hash) {
  archive.bytes(hash.bytes);
}

template <class Archive>
void serialize(Archive& archive, Fingerprint& fingerprint) {
  auto& [low, high] = fingerprint;
  archive(fixed(low), fixed(high));
}

/// Some 64-bit hashes, at most superseded_max.
struct Recognitions {
  std::vector<std::uint64_t>& hashes;
};

void save(OutputArchive& archive, const Recognitions& list) {
  archive(list.hashes.size());
  for (std::uint64_t& hash : list.hashes) {
    archive(fixed(hash));
  }
}

void load(BoundedInputArchive& archive, Recognitions& list) {
  std::uint64_t count = 0;
  archive(count);
  require(count <= superseded_max, "too many superseded versions");
  list.hashes.resize(count);
  for (std::uint64_t& hash : list.hashes) {
    archive(fixed(hash));
  }
}

constexpr std::uint8_t kind_bits = 3;
constexpr std::uint8_t copy_bit = 4;
constexpr std::uint8_t metadata_only_bit = 8;
constexpr std::uint8_t imported_bit = 16;

std::uint8_t flags_of(const Version& version) {
  return static_cast<std::uint8_t>(
      static_cast<unsigned>(version.kind) | (version.copy ? copy_bit : 0U) |
      (version.metadata_only ? metadata_only_bit : 0U) | (version.imported ? imported_bit : 0U));
}

Kind kind_of(std::uint8_t byte) {
  require(byte <= static_cast<std::uint8_t>(Kind::symlink), "an unknown kind");
  return static_cast<Kind>(byte);
}

template <class Archive>
void serialize(Archive& archive, Version& version) {
  auto& [kind, mode, mtime, size, content, target, rank, label, tag, copy, metadata_only, base,
         imported, superseded] = version;
  std::uint8_t flags = flags_of(version);
  // The rank mostly is the mtime: their difference, modulo 2^64, mostly takes one byte.
  std::uint64_t raised = static_cast<std::uint64_t>(rank) - static_cast<std::uint64_t>(mtime);
  raised = (raised << 1) ^ (0 - (raised >> 63));

  archive(flags, mode, fixed(mtime), size, content, target, raised, label, fixed(tag), base,
          Recognitions{superseded});
  if constexpr (loading<Archive>) {
    require((flags & ~(kind_bits | copy_bit | metadata_only_bit | imported_bit)) == 0,
            "unknown flags of a version");
    kind = kind_of(flags & kind_bits);
    copy = (flags & copy_bit) != 0;
    metadata_only = (flags & metadata_only_bit) != 0;
    imported = (flags & imported_bit) != 0;
    raised = (raised >> 1) ^ (0 - (raised & 1));
    rank = static_cast<std::int64_t>(static_cast<std::uint64_t>(mtime) + raised);
    require(mode <= 0777, "mode bits beyond 0777");
    require(size <= size_bytes_max, "a file larger than can be");
    require(target.size() <= target_bytes_max && !target.contains('\0'), "a bad link target");
    require(label.size() <= label_bytes_max, "a node name that is none");
  }
}

template <class Archive>
void serialize(Archive& archive, Sibling& sibling) {
  auto& [dot, version] = sibling;
  archive(dot, version);
}

template <class Archive>
void serialize(Archive& archive, Deletion& deletion) {
  auto& [dot, superseded] = deletion;
  archive(dot, Recognitions{superseded});
}

template <class Archive>
void serialize(Archive& archive, Entry& entry) {
  auto& [context, versions, deletions] = entry;
  archive(context, versions, deletions);
  if constexpr (loading<Archive>) {
    require_none(entry_problem(entry));
  }
}

// --- Messages

template <class Archive>
void serialize(Archive& archive, MemberName& member) {
  auto& [id, name] = member;
  archive(fixed(id), name);
  if constexpr (loading<Archive>) {
    require_label(name);
  }
}

template <class Archive>
void serialize(Archive& archive, Hello& hello) {
  auto& [protocol, cluster, version, members, answer] = hello;
  archive(protocol, cluster, version, members, answer);
  if constexpr (loading<Archive>) {
    const auto descent =
        std::ranges::adjacent_find(members, std::ranges::greater_equal{}, &MemberName::id);
    require(descent == members.end(), "members out of order");
  }
}

template <class Archive>
void serialize(Archive& archive, HeldRow& row) {
  auto& [member, epoch, held] = row;
  archive(fixed(member), epoch, held);
}

template <class Archive>
void serialize(Archive& archive, Tick& tick) {
  auto& [root, live, matrix, settled, answer, echo] = tick;
  archive(root, live, matrix, settled, answer, fixed(echo));
}

template <class Archive>
void serialize(Archive& archive, Ending& ending) {
  auto& [incarnation, last] = ending;
  archive(fixed(incarnation), last);
  if constexpr (loading<Archive>) {
    require(incarnation != 0 && last != 0, "an ending of nothing");
  }
}

template <class Archive>
void serialize(Archive& archive, ToldEndings& told) {
  auto& [node, length, from, endings, mark] = told;
  archive(fixed(node), length, from, endings, fixed(mark));
  if constexpr (loading<Archive>) {
    require(from <= length && endings.size() <= length - from, "a list beyond its length");
  }
}

template <class Archive>
void serialize(Archive& archive, Vectors& vectors) {
  auto& [knowledge, rows, root, answer, endings] = vectors;
  archive(knowledge);
  HeldRun run(knowledge);
  each_of(archive, rows, 10, [&](HeldRow& row) {
    auto& [member, epoch, held] = row;
    archive(fixed(member), epoch);
    run(archive, held);
  });
  if constexpr (loading<Archive>) {
    const auto descent =
        std::ranges::adjacent_find(rows, std::ranges::greater_equal{}, &HeldRow::member);
    require(descent == rows.end(), "rows out of order");
  }
  archive(root, answer, endings);
  if constexpr (loading<Archive>) {
    const auto descent =
        std::ranges::adjacent_find(endings, std::ranges::greater_equal{}, &ToldEndings::node);
    require(descent == endings.end(), "lists of endings out of order");
  }
}

template <class Archive>
void serialize(Archive& archive, SequenceRange& range) {
  auto& [actor, from, to] = range;
  archive(actor, from, to);
  if constexpr (loading<Archive>) {
    require(from <= to, "a range that ends before it begins");
    require(to <= sequence_max, "more events than can be");
  }
}

template <class Archive>
void serialize(Archive& archive, PathEntry& item) {
  auto& [path, entry] = item;
  archive(path, entry);
  if constexpr (loading<Archive>) {
    require_path(path);
  }
}

template <class Archive>
void serialize(Archive& archive, Entries& message) {
  auto& [stream, index, knowledge, ranges, entries] = message;
  archive(stream, index, knowledge, ranges, entries);
}

template <class Archive>
void serialize(Archive& archive, Taken& taken) {
  auto& [stream, count] = taken;
  archive(stream, count);
}

template <class Archive>
void each_fixed(Archive& archive, std::vector<std::uint64_t>& numbers) {
  each_of(archive, numbers, 8, [&](std::uint64_t& number) { archive(fixed(number)); });
}

template <class Archive>
void serialize(Archive& archive, Ranges& ranges) {
  auto& [salt, knowledge, splits, listed, answers] = ranges;
  archive(fixed(salt), knowledge);
  PathRun path;
  Ascent cut;
  each_of(archive, splits, 14, [&](RangeSplit& split) {
    auto& [lower, parts] = split;
    path(archive, lower);
    Path from = lower;
    each_of(archive, parts, 11, [&](RangePart& part) {
      auto& [upper, count, digest] = part;
      path(archive, upper);
      archive(count, fixed(digest));
      cut.next(archive, from, upper);
      from = upper;
    });
    if constexpr (loading<Archive>) {
      require(!parts.empty(), "a range without parts");
    }
  });
  Ascent list;
  each_of(archive, listed, 5, [&](RangeList& range) {
    auto& [lower, upper, items] = range;
    path(archive, lower);
    path(archive, upper);
    list.next(archive, lower, upper);
    each_fixed(archive, items);
  });
  Ascent answer;
  each_of(archive, answers, 6, [&](RangeAnswer& range) {
    auto& [lower, upper, lacking, differing] = range;
    path(archive, lower);
    path(archive, upper);
    answer.next(archive, lower, upper);
    each_fixed(archive, lacking);
    each_fixed(archive, differing);
  });
}

template <class Archive>
void serialize(Archive& archive, Held& held) {
  auto& [row] = held;
  archive(row);
}

template <class Archive>
void serialize(Archive& archive, Get& get) {
  auto& [request, content, offset, length, list] = get;
  archive(request, content, offset, length);
  bool of_list = list.has_value();
  archive(of_list);
  if (of_list) {
    auto& [name, against] = loading<Archive> ? list.emplace() : *list;
    archive(name, against);
  }
  if constexpr (loading<Archive>) {
    require(length <= block_bytes, "a block too large");
  }
}

template <class Archive>
void serialize(Archive& archive, Block& block) {
  auto& [request, bytes] = block;
  archive(request, bytes);
  if constexpr (loading<Archive>) {
    require(bytes == nullptr || bytes->size() <= block_bytes, "a block too large");
  }
}

template <class Archive>
void serialize(Archive& archive, ChunkRange& range) {
  auto& [begin, end] = range;
  archive(begin, end);
}

template <class Archive>
void serialize(Archive& archive, Have& have) {
  auto& [content, from, chunks, anew] = have;
  archive(content, from, chunks, anew);
  if constexpr (loading<Archive>) {
    std::uint32_t after = 0;
    for (const ChunkRange& range : chunks) {
      require(after <= range.begin && range.begin < range.end, "chunks out of order");
      after = range.end;
    }
  }
}

// --- Records

template <class Archive>
void serialize(Archive& archive, Signature& signature) {
  auto& [kind, mode, inode, size, mtime, ctime] = signature;
  auto kind_byte = static_cast<std::uint8_t>(kind);
  archive(kind_byte, mode, inode, size, fixed(mtime), fixed(ctime));
  if constexpr (loading<Archive>) {
    kind = kind_of(kind_byte);
    require(mode <= 0777, "mode bits beyond 0777");
  }
}

template <class Archive>
void serialize(Archive& archive, Shown& shown) {
  auto& [name, dots, version, signature] = shown;
  archive(name, dots, version, signature);
  if constexpr (loading<Archive>) {
    require_path(name);
  }
}

template <class Archive>
void serialize(Archive& archive, Doubt& doubt) {
  auto& [name, laid] = doubt;
  bool any = laid.has_value();
  archive(name, any);
  if (any) {
    if constexpr (loading<Archive>) {
      laid.emplace();
    }
    archive(*laid);
  }
  if constexpr (loading<Archive>) {
    require_path(name);
  }
}

template <class Archive>
void serialize(Archive& archive, Record& record) {
  auto& [entry, shown, doubts] = record;
  archive(entry, shown, doubts);
}

void save(OutputArchive& archive, const PlainRecord& plain) {
  const auto& [version, inode, ctime] = plain;
  archive.bytes(plain_begin);
  archive(version, inode, fixed(ctime));
}

void load(BoundedInputArchive& archive, PlainRecord& plain) {
  auto& [version, inode, ctime] = plain;
  require(is_plain(archive.next(2)), "not a plain record");
  archive(version, inode, fixed(ctime));
  require(version.dot.actor.incarnation != 0, "an event of no incarnation");
  require_none(version_problem(version.version));
}

template <class Archive>
void serialize(Archive& archive, KeptVersion& kept) {
  auto& [file, path, version] = kept;
  archive(file, path, version);
  if constexpr (loading<Archive>) {
    require_path(file);
    require(!file.contains('/'), "a name with a slash");
    require_path(path);
  }
}

}  // namespace p2psync::engine::codec

namespace p2psync::engine {

/// About so many are written: most messages and records take no more.
constexpr std::size_t usual_bytes = 256;

template <Encodable T>
std::vector<std::uint8_t> encode(const T& value, std::size_t room) {
  codec::OutputArchive archive(room, usual_bytes);
  archive(value);
  return archive.take();
}

std::vector<std::uint8_t> encode_before_bytes(const Block& block, std::size_t room) {
  codec::OutputArchive archive(room, usual_bytes);
  archive(block.request, true, block.bytes->size());
  return archive.take();
}

template <Encodable T>
Result<T> decode(std::span<const std::uint8_t> bytes, const std::shared_ptr<const void>& owner) {
  try {
    T value;
    codec::BoundedInputArchive archive(bytes, owner);
    archive(value);
    codec::require(archive.left() == 0, "bytes too many");
    return value;
  } catch (const codec::Malformed& malformed) {
    return std::unexpected(Error{ErrorCode::corrupt, "decode", std::string(malformed.reason)});
  }
}

#define P2PSYNC_ENCODABLE(T)                                           \
  template std::vector<std::uint8_t> encode<T>(const T&, std::size_t); \
  template Result<T> decode<T>(std::span<const std::uint8_t>, const std::shared_ptr<const void>&);

P2PSYNC_ENCODABLE(Message)
P2PSYNC_ENCODABLE(Hello)
P2PSYNC_ENCODABLE(Tick)
P2PSYNC_ENCODABLE(Vectors)
P2PSYNC_ENCODABLE(Entries)
P2PSYNC_ENCODABLE(Taken)
P2PSYNC_ENCODABLE(Ranges)
P2PSYNC_ENCODABLE(Held)
P2PSYNC_ENCODABLE(Get)
P2PSYNC_ENCODABLE(Block)
P2PSYNC_ENCODABLE(Have)
P2PSYNC_ENCODABLE(PathEntry)
P2PSYNC_ENCODABLE(VersionVector)
P2PSYNC_ENCODABLE(Ending)
P2PSYNC_ENCODABLE(Dot)
P2PSYNC_ENCODABLE(Version)
P2PSYNC_ENCODABLE(Entry)
P2PSYNC_ENCODABLE(Record)
P2PSYNC_ENCODABLE(PlainRecord)
P2PSYNC_ENCODABLE(HeldRow)
P2PSYNC_ENCODABLE(KeptVersion)

}  // namespace p2psync::engine
