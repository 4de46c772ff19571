#pragma once
// Packed items: what the index holds of a path, in as few bytes as can be read back quickly.
//
// A tree of a million files is a million records, of which hardly any is being looked at. As
// structs one takes a kilobyte; packed, most take the length of the path and about 80 bytes: actors
// and labels are numbers into a table, and whatever follows from something else is one bit (the
// version that is shown is the one of the entry, rank is mtime, the tag is that of the dot).
//
// Format, only ever read by the process that wrote it: fingerprint (16 bytes), path and its size,
// number of live siblings, size of the record, record. Numbers are LEB128, differences zigzag,
// times, hashes and tags as they are; flags say what is left out. See packed.cpp.
//
// unpack(pack(item)) is equal to the item. Both are linear. Errors: none, a broken one aborts.
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/record.h"

namespace p2psync::engine {

/// What a set of entries comes to.
struct Summary {
  std::uint64_t live = 0;   ///< siblings, not paths; those that say the same once
  Fingerprint fingerprint;  ///< the sum of theirs
  Summary& operator+=(const Summary& other);
  Summary& operator-=(const Summary& other);
  bool operator==(const Summary&) const = default;
};

struct Item {
  Path path;
  Record record;
  Fingerprint fingerprint;  ///< of record.entry at this path; zero for a tombstone
};

/// Actors and labels, which come again and again. A number, once given, stays.
class Names {
 public:
  [[nodiscard]] std::uint64_t number(const Actor& actor);
  [[nodiscard]] std::uint64_t number(const std::string& label);
  [[nodiscard]] const Actor& actor(std::uint64_t number) const { return actors_.at(number); }
  [[nodiscard]] const std::string& label(std::uint64_t number) const { return labels_.at(number); }

 private:
  std::map<Actor, std::uint64_t> actor_numbers_;
  std::vector<Actor> actors_;
  std::map<std::string, std::uint64_t> label_numbers_;
  std::vector<std::string> labels_;
};

/// Replaces what is in `packed`.
void pack(const Item& item, Names& names, std::vector<std::uint8_t>& packed);
/// As of an item with that record.
void pack(std::string_view path, const PlainRecord& plain, Names& names,
          std::vector<std::uint8_t>& packed);
[[nodiscard]] Item unpack(const std::uint8_t* packed, const Names& names);

/// What most items are: all that lives of the path is one version, and that is what the disk shows,
/// under the path itself.
struct Plain {
  Dot dot;
  bool only_seen = false;  ///< nothing else was ever seen of the path
  Kind kind = Kind::file;
  std::uint16_t mode = 0;
  std::uint64_t size = 0;
  Hash content;
  bool copy = false;
  bool imported = false;
  Signature signature;
};

// Without unpacking:
/// Nothing if there is more to it than that: notes of deletions, copies, doubts.
[[nodiscard]] std::optional<Plain> plain_of(const std::uint8_t* packed, const Names& names);
[[nodiscard]] std::size_t size_of(const std::uint8_t* packed);
[[nodiscard]] std::string_view path_of(const std::uint8_t* packed);
[[nodiscard]] Summary summary_of(const std::uint8_t* packed);
[[nodiscard]] Summary summary_of(const Item& item);

}  // namespace p2psync::engine
