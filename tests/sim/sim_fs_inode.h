#pragma once
// What a simulated disk consists of and what can happen to it: inodes, and changes as values.
//
// A change is carried out on the page cache at once and on the durable state later, in part, or
// never (sim_fs_journal.h), so it says all that it needs and looks nothing up by path.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/entry.h"

namespace p2psync::sim {

using InodeNumber = std::uint64_t;
/// Numbers are used again, ids never are.
using InodeId = std::uint64_t;

struct Inode {
  engine::Kind kind = engine::Kind::file;
  bool special = false;  ///< socket, FIFO or device
  std::uint16_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t mtime = 0;
  std::int64_t ctime = 0;
  std::string bytes;                         ///< of a file, or the target of a symlink
  std::map<std::string, InodeNumber> names;  ///< of a directory
  InodeNumber parent = 0;                    ///< of a directory
  std::uint64_t links = 0;                   ///< names that lead here
  std::uint32_t handles = 0;                 ///< open descriptors: they keep an unlinked inode
  std::uint32_t writers = 0;                 ///< those of them that can write
  InodeId id = 0;
};

using Inodes = std::map<InodeNumber, Inode>;

/// A name leads to another inode than before; 0 is none.
struct EntryChange {
  InodeNumber directory = 0;
  std::string name;
  InodeNumber before = 0;
  InodeNumber after = 0;
};

/// What create, mkdir, link, rename, unlink and rmdir do: all entries change at once.
struct NameChange {
  enum class Directories : std::uint8_t { untouched, one_more, moved_or_removed };
  std::int64_t time = 0;
  std::vector<EntryChange> entries;
  std::optional<Inode> made;  ///< comes to be as the first entry's `after`
  Directories directories = Directories::untouched;
};

struct Write {
  std::uint64_t offset = 0;
  std::string bytes;
};
struct Resize {
  std::uint64_t size = 0;
};
struct SetMode {
  std::uint16_t mode = 0;
};
struct SetMtime {
  std::int64_t ns = 0;
};
struct SetOwner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

/// What happens to one inode, wherever it is named.
struct DataChange {
  std::int64_t time = 0;
  InodeNumber number = 0;
  InodeId id = 0;
  std::variant<Write, Resize, SetMode, SetMtime, SetOwner> what;
};

/// Every `before` must be what is there. An inode that neither a name nor a handle leads to is
/// gone.
void carry_out(Inodes& inodes, const NameChange& change);

/// Nothing where that inode is not (any more).
void carry_out(Inodes& inodes, const DataChange& change);

void flip_bit(std::string& bytes, std::uint64_t offset);

/// Writes reach a disk in pieces of this size, cut at multiples of it.
constexpr std::uint64_t piece_bytes = 4096;
[[nodiscard]] std::size_t piece_count(const Write& write);
/// Size and times as after the whole write, but of the bytes only the pieces that `survives` names:
/// the others are what was there before, or zeros beyond the old end.
void carry_out_torn(Inodes& inodes, const DataChange& change,
                    const std::function<bool(std::size_t piece)>& survives);

}  // namespace p2psync::sim
