#pragma once
// Intents: what a batch is about to take from its names, written down before it does.
//
// `.p2psync/tmp/intent-<n>` is durable before the first exchange of its batch, and goes when
// everything that the batch displaced is settled. After a crash it says of each slot whether it
// holds what was to be laid or what came out, and what that should have been. An intent that is
// torn was never durable, so nothing of its batch has happened.
//
// Format: lines of fields divided by single blanks. In texts, bytes outside '!'..'~' and '%' are
// %XX; the empty text is a lone %. Numbers are decimal, modes octal, hashes 64 hex digits.
//   p2psync intent 1
//   name slot slot-inode file kind mode inode size mtime ctime content
//   ...
//   end
// Example of an item:
//   a/my%20text .p2psync/tmp/slot-4 77 1767322984000000000 0 644 76 120 1767322 1767322 9f86d0...
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/fs.h"

namespace p2psync::storage {

struct IntentItem {
  engine::Path name;             ///< where something is displaced
  std::string slot;              ///< path of what is to be laid there; empty: a removal
  std::uint64_t slot_inode = 0;  ///< while the slot has this inode, nothing was exchanged
  std::string file;              ///< what comes out goes to this name in `.p2psync/versions`
  engine::Signature expected;    ///< of what comes out
  engine::Hash content;          ///< of what comes out; zeros: unknown
  bool operator==(const IntentItem&) const = default;
};

[[nodiscard]] std::string encode_intent(const std::vector<IntentItem>& items);
[[nodiscard]] Result<std::vector<IntentItem>> decode_intent(std::string_view text);

[[nodiscard]] std::string intent_path(std::uint64_t number);
/// The number in a file name `intent-<n>` or `slot-<n>...`; nothing for other names.
[[nodiscard]] std::optional<std::uint64_t> number_in(std::string_view prefix,
                                                     std::string_view file);

/// Creates the file. Durable only after sync_all, or after `sync` of it and of its directory.
[[nodiscard]] Result<void> write_intent(Fs& fs, std::uint64_t number,
                                        const std::vector<IntentItem>& items, bool sync);
[[nodiscard]] Result<std::vector<IntentItem>> read_intent(Fs& fs, std::uint64_t number);

}  // namespace p2psync::storage
