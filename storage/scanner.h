#pragma once
// Scanner: what stands at a name, read and hashed; and what a directory holds.
//
// A name is looked at in this order: stat (not if it was a file just now), open, stat of the
// descriptor, read, stat of the descriptor; a link is read between two stats of its name. Any
// difference: once more, then it is Unstable. So a hash belongs to one state of one inode, as far
// as time stamps can tell, and that stood there when it was opened: what has the name since is for
// the watcher to say. Where time stamps cannot tell (the file changed within their grain before the
// first stat) the answer is marked `fresh` and wants another look.
//
// Trouble with one name is that name's answer and never stops the others. The program's own
// directory is neither looked at nor listed. No state: any number of threads, each name by one at a
// time. Cost: 3 system calls for an unchanged name, else 5 to 8 and the reading.
#include <chrono>
#include <vector>

#include "storage/fs.h"

namespace p2psync::storage {

/// Two changes closer than this may carry equal time stamps: a tick of a slow kernel, and some.
inline constexpr std::chrono::nanoseconds timestamp_grain = std::chrono::milliseconds(20);
/// The same for file systems that store whole seconds only (FAT: two).
inline constexpr std::chrono::nanoseconds timestamp_grain_coarse = std::chrono::seconds(2);
/// More new names than this in one Look: one sync of the whole file system is cheaper.
inline constexpr std::size_t single_syncs_max = 8;

/// A file whose time is so near to `now` that a write just after it may show nowhere.
[[nodiscard]] bool may_hide_a_write(const engine::Signature& signature, std::int64_t now);

/// One name. With the signature of `known`, unless that was fresh, nothing is read. Not durable
/// yet: look_all makes it so.
[[nodiscard]] engine::Looked look(Fs& fs, const engine::LookAt& at);

/// Every name of the request, in its order. What was not known before is durable on return, bytes
/// and name: nothing may be announced, nor committed, that a power cut could still undo. If that
/// fails, those names have the error for an answer.
[[nodiscard]] std::vector<engine::Looked> look_all(Fs& fs, const engine::Look& request);

/// The items of a directory ("" is the root), in name order, and the rules that stand in it.
[[nodiscard]] engine::Listed list(Fs& fs, const engine::List& request);

/// What stands at a name, also below `.p2psync`. not_found: nothing; busy: it changes while it is
/// read; unsupported: a socket, FIFO or device.
[[nodiscard]] Result<engine::Seen> see(Fs& fs, std::string_view path);

}  // namespace p2psync::storage
