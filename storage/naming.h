#pragma once
// Naming: a loser gets its name in the tree where the disk has no exchange (NFS).
//
// A rename would replace what a user has put there, so it is linked, and then what it waited under
// in `.p2psync` goes: that one gone says that it was named. Between these two calls a crash leaves
// both, and a user may then take the name away as if there never had been one. What tells is the
// ctime, which a link changes: before it `.p2psync/tmp/naming`, a symlink to "<ctime> <path>", says
// what it was. It is not synced. After a power cut a ctime that is later than that says the same:
// file systems with a journal keep a link and the ctime that it leaves together.
//
// What this cannot tell, and then the file is named once more: all of it happened within one tick
// of a coarse clock; or a power cut took the note and left the link, and a user took that. And what
// only changes the ctime before the next start, like a chown, looks like a name that a user took.
#include "storage/fs.h"

namespace p2psync::storage {

/// Names what waits at `at`. An error: it waits there still.
[[nodiscard]] Result<void> give_name(Fs& fs, const std::string& at, const engine::Path& name);

/// After a crash: what waited at `at` had got its name, whatever a user did to that since. It does
/// not wait any more then. `waiting`: the inode there before it came; 0: none.
[[nodiscard]] Result<bool> was_named(Fs& fs, const std::string& at, std::uint64_t waiting,
                                     const engine::Path& name, const engine::Wanted& wanted);

/// At the end of a recovery.
void forget_naming(Fs& fs);

}  // namespace p2psync::storage
