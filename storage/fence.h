#pragma once
// The fence: a second one, should the first (posix_fs.h) ever have a hole. The kernel itself denies
// this process everything outside the folder that a node has no business with (Landlock).
//
//   below the folder       read, write, make and remove files, directories, links and sockets
//   where libraries look   read: /etc, /usr, /lib*, /proc, /sys, /dev and the resolvers' files
//   anywhere else          nothing is opened, made or removed; nothing at all is executed
//
// What is open already stays open. Names outside may still be looked at (stat), which is how it is
// noticed that the folder was exchanged. It binds the calling thread and those that it starts, for
// good: to be put up before there are others.
//
// Where the kernel has none (before 5.19, whose Landlock knows no rename between directories) or a
// container filters it: unsupported, and nothing has changed.
// Source: Landlock, Documentation/userspace-api/landlock.rst of the kernel.
#include "engine/error.h"
#include "storage/descriptor.h"

namespace p2psync::storage {

/// `folder`: a directory's descriptor, O_PATH suffices. Gives the version of Landlock.
[[nodiscard]] Result<int> put_up_fence(const Descriptor& folder);

}  // namespace p2psync::storage
