#pragma once
// What peers say to each other: values only; net/ turns them into frames and back.
//
// Every connection begins with Hello from both sides. Then:
//   tick          Tick -> Tick(answer): equal fingerprints, and that is all
//   difference    Vectors -> Entries...: what the other's knowledge lacks, without gaps
//   repair        Ranges -> Ranges -> ... -> Entries: equal knowledge, unequal roots
//   push          Entries, unasked, at once after a local change
//   content       Get -> Block; Have to those who fetch the same
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "engine/disk.h"
#include "engine/entry.h"

namespace p2psync::engine {

inline constexpr std::uint32_t protocol_version = 6;

struct MemberName {
  NodeId id = 0;
  std::string name;
  auto operator<=>(const MemberName&) const = default;
};

struct Hello {
  std::uint32_t protocol = protocol_version;
  std::string cluster;  ///< its name; another cluster is another cluster
  std::string version;  ///< of the program, for people
  std::vector<MemberName>
      members;          ///< ascending by id; lists may differ while one is being changed
  bool answer = false;  ///< repeated because the other side still greets
};

/// One row of the matrix of what members hold. `epoch` is when the member's index was made (ms
/// since 1970): a higher epoch replaces the row, an equal one joins it.
struct HeldRow {
  NodeId member = 0;
  std::uint64_t epoch = 0;
  VersionVector held;
  bool operator==(const HeldRow&) const = default;
};

/// The per-tick digest: at most 256 bytes on the wire, whatever the tree's size.
struct Tick {
  Fingerprint root;
  std::uint64_t live = 0;  ///< siblings summed in root
  Fingerprint matrix;      ///< of knowledge and all rows
  bool settled = false;    ///< the sender holds all that it knows
  bool answer = false;
  std::uint64_t echo = 0;  ///< chosen by the asker, sent back: measures the round trip
};

/// Of a node's list of ended incarnations (endings.h): how long the sender's is, and what stands
/// from `from` on, as much as a message holds. `mark` is that of all up to the last told here.
struct ToldEndings {
  NodeId node = 0;
  std::uint64_t length = 0;
  std::uint64_t from = 0;
  std::vector<Ending> endings;
  std::uint64_t mark = 0;
  bool operator==(const ToldEndings&) const = default;
};

struct Vectors {
  VersionVector knowledge;
  std::vector<HeldRow> rows;         ///< ascending by member; in an answer only what is news
  Fingerprint root;                  ///< equal knowledge and unequal roots call for repair
  bool answer = false;               ///< sent in reply: do not reply with Vectors again
  std::vector<ToldEndings> endings;  ///< ascending by node
};

/// The stream holds every entry with a dot of `actor` above `from` and up to `to`.
struct SequenceRange {
  Actor actor;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  bool operator==(const SequenceRange&) const = default;
};

struct PathEntry {
  Path path;
  Entry entry;
};

/// One message of a stream. The ranges stand in the last one and hold only if all before it (index
/// 0, 1, … of the same stream) were taken in: a lost or overtaken message then costs a repetition,
/// never an event. Stream 0 is none: single entries, which repair found.
struct Entries {
  std::uint64_t stream = 0;
  std::uint64_t index = 0;
  VersionVector knowledge;  ///< the sender's: it says what the absence of a sibling means
  std::vector<SequenceRange> ranges;
  std::vector<PathEntry> entries;
};

/// How many messages of a stream the receiver has taken in: opens the sender's window.
struct Taken {
  std::uint64_t stream = 0;
  std::uint64_t count = 0;
};

/// Range repair. A range is [lower, upper) in path order, "" as upper meaning the end. Whoever
/// begins chooses a salt for all digests and items of this repair: two things that happen to look
/// alike in so few bits are told apart by the next one, which the roots still call for.
struct RangePart {
  Path upper;  ///< it begins where the part before it ends
  std::uint64_t count = 0;
  std::uint64_t digest = 0;  ///< of its Summary
  bool operator==(const RangePart&) const = default;
};
/// At least one part; the whole is known to differ.
struct RangeSplit {
  Path lower;
  std::vector<RangePart> parts;
  bool operator==(const RangeSplit&) const = default;
};
/// Names every live path of the range by an item: 24 bits say which path it is, 40 what its entry
/// is like.
struct RangeList {
  Path lower;
  Path upper;
  std::vector<std::uint64_t> items;
  bool operator==(const RangeList&) const = default;
};
/// To a list: where the sender differs from it. `lacking` are items of the list, `differing` the
/// sender's own, whose entries came before.
struct RangeAnswer {
  Path lower;
  Path upper;
  std::vector<std::uint64_t> lacking;
  std::vector<std::uint64_t> differing;
  bool operator==(const RangeAnswer&) const = default;
};
struct Ranges {
  std::uint64_t salt = 0;
  VersionVector knowledge;  ///< the sender's, where a list or an answer speaks by its silence
  std::vector<RangeSplit> split;
  std::vector<RangeList> listed;
  std::vector<RangeAnswer> answers;
  bool operator==(const Ranges&) const = default;
};

/// The sender's own row, as soon as it grows.
struct Held {
  HeldRow row;
};

struct Get {
  std::uint64_t request = 0;
  Hash content;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;  ///< at most block_bytes
  /// Set: not the content's bytes are wanted but those of a list. A shorter answer than asked for
  /// is the end.
  std::optional<ListOf> list;
};
struct Block {
  std::uint64_t request = 0;
  Bytes bytes;  ///< null: the sender does not have it
};

/// The chunks from `begin` up to before `end`, counted from 0.
struct ChunkRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  bool operator==(const ChunkRange&) const = default;
};
/// What the sender has of the section of a content that it is fetching, for those who may be
/// fetching it too: in addition to what it said before of this section. All before it it has.
struct Have {
  Hash content;
  std::uint64_t from = 0;          ///< where the section begins
  std::vector<ChunkRange> chunks;  ///< ascending, none twice
  bool anew = false;               ///< forget what was said before, and tell what you have
};

using Message = std::variant<Hello, Tick, Vectors, Entries, Ranges, Held, Get, Block, Taken, Have>;

}  // namespace p2psync::engine
