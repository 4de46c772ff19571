#pragma once
// Entries: all that is known of one path, as a value that merges.
//
// An Entry is a multi-value register with a dotted version vector. `context` is what has been seen
// of this path; `versions` are the siblings: what was written and not yet superseded. No version: a
// tombstone. Writing or deleting removes exactly the siblings that the user's disk showed, so
// concurrent writes stay side by side and a deletion never takes an edit that its author had not
// seen.
//
// merge() is commutative, associative and idempotent. A sibling that one side lacks goes if that
// side has seen its dot, where "seen" counts the side's whole knowledge and not only the entry's
// context: a tombstone that was collected, a stale push or a repair can therefore bring nothing
// back.
//
// Siblings that say the same (two nodes began with equal trees) are shown as one, and once every
// member shows them so, one of them can play the part of all: any event that ends one from then on
// ends the others too. collapse() leaves the one; it is invisible, since layout and fingerprint are
// the same before and after, so no two nodes need do it at once.
//
// Deletions leave a note of what they removed (`deletions`), so that a member which lost its index
// and reads old files in again is recognised; the notes go when every member holds the deletion.
// Source: Preguica et al., Dotted Version Vectors, 2010; Almeida et al., Delta State Replicated
// Data Types, 2018 (causal contexts and dot stores).
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "engine/endings.h"
#include "engine/version_vector.h"

namespace p2psync::engine {

/// SHA-256 of a content.
struct Hash {
  std::array<std::uint8_t, 32> bytes{};
  bool operator==(const Hash&) const = default;
  /// As bytes. The first few nearly always tell, and hashes are the keys of many maps.
  std::strong_ordering operator<=>(const Hash& other) const {
    return bytes[0] != other.bytes[0] ? bytes[0] <=> other.bytes[0] : bytes <=> other.bytes;
  }
};

/// For hash tables of contents that are here: any of their bytes are as good as random. Where
/// members only speak of them: SecretHash.
struct HashOfHash {
  std::size_t operator()(const Hash& hash) const {
    std::size_t value = 0;
    std::memcpy(&value, hash.bytes.data(), sizeof value);
    return value;
  }
};

/// A sum modulo 2^128 of XXH3-128 hashes: of a set, whatever its order.
struct Fingerprint {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  Fingerprint& operator+=(const Fingerprint& other);
  Fingerprint& operator-=(const Fingerprint& other);
  auto operator<=>(const Fingerprint&) const = default;
};

enum class Kind : std::uint8_t { file = 0, directory = 1, symlink = 2 };

/// How many superseded versions are recognised when they come back with a lost index.
inline constexpr std::size_t superseded_max = 8;
inline constexpr std::size_t target_bytes_max = 4095;
inline constexpr std::size_t label_bytes_max = 32;
inline constexpr std::uint64_t size_bytes_max = INT64_MAX;  ///< of a file; none is larger

/// One sibling: what somebody wrote. Immutable but for `copy`, which only ever becomes true, and
/// for label and tag, which go over to the smallest tag of those whose part it plays.
struct Version {
  Kind kind = Kind::file;
  std::uint16_t mode = 0;  ///< the nine permission bits; 0777 for symlinks
  std::int64_t mtime = 0;  ///< ns since 1970; 0 for directories
  std::uint64_t size = 0;  ///< bytes; 0 for directories and symlinks
  Hash content;        ///< its name (storage/content.h), or SHA-256 of a target; zeros: a directory
  std::string target;  ///< of a symlink
  std::int64_t rank = 0;  ///< who has the name: mtime, raised above what it replaced
  std::string label;      ///< the name of the node that wrote it: 1-32 of a-z 0-9 -
  std::uint64_t tag = 0;  ///< XXH3-64 of the first dot; an edit of a copy inherits label and tag
  bool copy = false;      ///< stays at its conflict name though the name may be free
  bool metadata_only = false;  ///< changed mode or mtime of bytes that it did not write
  /// With metadata_only: recognition() of the version that wrote the bytes; otherwise 0.
  std::uint64_t base = 0;
  bool imported = false;  ///< read in with a fresh index: gives way where it is old news
  std::vector<std::uint64_t>
      superseded;  ///< fingerprints of up to 8 versions it replaced, newest first
  bool operator==(const Version&) const = default;
};

struct Sibling {
  Dot dot;
  Version version;
  bool operator==(const Sibling&) const = default;
};

/// The note that a deletion leaves.
struct Deletion {
  Dot dot;
  std::vector<std::uint64_t> superseded;  ///< as in Version
  bool operator==(const Deletion&) const = default;
};

struct Entry {
  VersionVector context;
  std::vector<Sibling> versions;    ///< ascending by dot
  std::vector<Deletion> deletions;  ///< ascending by dot

  [[nodiscard]] const Version* find(const Dot& dot) const;
  [[nodiscard]] bool live() const { return !versions.empty(); }
  bool operator==(const Entry&) const = default;
};

/// What the two sides know becomes what one side knows. `mine_seen` and `theirs_seen` are the
/// sides' knowledge.
[[nodiscard]] Entry merge(const Entry& mine, const Known& mine_seen, const Entry& theirs,
                          const Known& theirs_seen);

/// Drops imports that another version or a deletion of the entry has superseded. Every merge does,
/// and so must every event of this node's own: equal knowledge is to mean equal entries.
void drop_stale_imports(Entry& entry);

/// Names a version by content and mtime, to recognise it after an index was lost. XXH3-64.
[[nodiscard]] std::uint64_t recognition(const Version& version);
/// A version or a deletion of the entry has replaced the version of this name.
[[nodiscard]] bool has_superseded(const Entry& entry, std::uint64_t recognition);

/// The two differ at most in who wrote it and when, and in the mode.
[[nodiscard]] bool says_the_same(const Version& a, const Version& b);
/// How many siblings there are when those that say the same count once.
[[nodiscard]] std::size_t distinct(const Entry& entry);
[[nodiscard]] inline bool any_alike_in(const Entry& entry) {
  return distinct(entry) < entry.versions.size();
}
/// Of siblings that say the same leaves one, with the rank, time and mode of the highest rank and
/// with the label and tag of the smallest tag. Only those that `held` covers are looked at: what
/// every member shows, at a moment from which all is known here that it knew. False: nothing to do.
[[nodiscard]] bool collapse(Entry& entry, const Known& held);

/// XXH3-64 of a dot: the tag of a version that is nobody's copy.
[[nodiscard]] std::uint64_t tag_of(const Dot& dot);

/// What the index sums for one path: path, dots and versions of the live siblings, those that say
/// the same as collapsed. Zero without any.
[[nodiscard]] Fingerprint fingerprint(std::string_view path, const Entry& entry);
/// The part of one of them.
[[nodiscard]] Fingerprint fingerprint(std::string_view path, const Sibling& sibling);

/// Same kind, bytes and target: the two are shown under one name.
[[nodiscard]] bool same_content(const Version& a, const Version& b);

/// What the node can find wrong with a version or an entry that came from outside, or nothing.
[[nodiscard]] std::optional<std::string_view> version_problem(const Version& version);
[[nodiscard]] std::optional<std::string_view> entry_problem(const Entry& entry);

}  // namespace p2psync::engine
