#pragma once
// Values to bytes and back, for the wire and for the index store.
//
// decode() trusts nothing: it never throws, aborts or reads outside the bytes, allocates no more
// than in proportion to them, demands that all of them are used, and refuses values that this
// program would not have encoded (bad paths, unknown kinds, entries with an entry_problem).
// encode() of what decode() returned gives the same bytes. Both are linear.
//
// Format: the fields in the order of their declaration, without names, types or padding.
//   counts, sizes, sequences        LEB128, shortest form
//   ids, incarnations, tags, times  8 bytes, little endian (they are rarely small)
//   Hash, Fingerprint               32 bytes; low, then high, 8 bytes each
//   bool, Kind                      one byte, no value beyond those that have a meaning
//   string, vector                  count, then the elements
//   Bytes                           bool: not null; then as a vector
//   Vectors                         rows with a number for what is held: 0 what the sender knows,
//                                   then each vector that comes up, written out the first time
//   Ranges                          digests and items in 8 bytes; each path, in the order in which
//                                   they come, as the number of bytes that it has in common with
//                                   the one before and a string of the others
//   Message                         one byte: the place in the variant; then the alternative
//   Version                         one byte Kind + 4 copy + 8 metadata_only + 16 imported, mode,
//                                   mtime, size, content, target, rank - mtime (zigzag LEB128),
//                                   label, tag, base (LEB128), superseded
//   PlainRecord                     80 00, which begins no Record; the version's Dot and Version,
//                                   inode, ctime
// Example: a Dot of node 1, incarnation 2, sequence 300 is
//   01 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00  ac 02
// Changing any of it is a new protocol_version and a new schema of the index store.
#include <array>
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/error.h"
#include "engine/message.h"
#include "engine/record.h"

namespace p2psync::engine {

template <class T, class... Those>
concept one_of = (std::same_as<T, Those> || ...);

/// What can be encoded on its own. Everything inside these can be inside only.
template <class T>
concept Encodable = one_of<T, Message, Hello, Tick, Vectors, Entries, Taken, Ranges, Held, Get,
                           Block, Have, PathEntry, VersionVector, Dot, Version, Entry, Record,
                           PlainRecord, HeldRow, Ending, KeptVersion>;

/// After `room` bytes, which are zero, for what shall stand before it.
template <Encodable T>
[[nodiscard]] std::vector<std::uint8_t> encode(const T& value, std::size_t room = 0);

/// Of a block that has bytes, what encode() writes before them: they stand at the end.
[[nodiscard]] std::vector<std::uint8_t> encode_before_bytes(const Block& block,
                                                            std::size_t room = 0);

/// As the first number of a Record that would not be in its shortest form.
inline constexpr std::array<std::uint8_t, 2> plain_begin{0x80, 0};
/// Of the two ways in which a record stands in the index, this is a PlainRecord.
[[nodiscard]] inline bool is_plain(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 2 && bytes[0] == plain_begin[0] && bytes[1] == plain_begin[1];
}

/// The value, or ErrorCode::corrupt with the reason as object. With an owner of the bytes, what is
/// Bytes in the value is a part of them; without, a copy.
template <Encodable T>
[[nodiscard]] Result<T> decode(std::span<const std::uint8_t> bytes,
                               const std::shared_ptr<const void>& owner = nullptr);

}  // namespace p2psync::engine
