#pragma once
// Slots: contents made ready in `.p2psync/tmp`, one exchange away from their name.
//
// `slot-<n>` is a copy, a symlink, a directory or a placeholder; `slot-<n>-<hash>` was staged under
// that hash and goes back there if it is not laid. Where it is to have a free name it keeps that of
// its hash: nothing else can come there on its way. A content that was found (Kept with move) is
// made ready where it is, below `.p2psync/versions`, since that very inode is somebody's only copy.
#include <expected>
#include <optional>
#include <string>

#include "storage/fs.h"

namespace p2psync::storage {

/// Moving a directory means writing to it: one whose mode forbids that to its owner has this one
/// until it has its name.
inline constexpr std::uint16_t unmovable_mode = 0700;

struct Slot {
  std::string path;
  engine::Signature signature;  ///< as made ready; what stands at the name after laying it
  std::string found;            ///< the name in `.p2psync/versions` if it is a found content
};

/// The value, or what the step answers instead.
template <class T>
using Stepped = std::expected<T, engine::StepResult>;

/// Makes ready what `put` wants. `replaced` is what stands at the name now: its owner and group are
/// kept. With `sync` the content is durable on return. On failure nothing is left of it.
[[nodiscard]] Stepped<Slot> make_slot(Fs& fs, const engine::Put& put, std::uint64_t number,
                                      const std::optional<Stat>& replaced, bool sync);

/// An empty file, in whose place a file of the tree comes on its way to another name.
[[nodiscard]] Result<Slot> make_placeholder(Fs& fs, std::uint64_t number);

/// Takes back a slot that was not laid.
void drop_slot(Fs& fs, const Slot& slot);
/// After a sync that failed the kernel takes the pages for clean: the next one would succeed, and
/// the bytes would not be on the disk. They have to be written anew.
void discard_slot(Fs& fs, const std::string& path);
/// The staged content that a slot of this file name was made of.
[[nodiscard]] std::optional<engine::Hash> staged_in(std::string_view file);

}  // namespace p2psync::storage
