#include "apps/p2psync/page/advice.h"

#include <utility>

namespace p2psync::app {

std::string_view advice_for(std::string_view message) {
  // The first that the message holds: the special before the general.
  static constexpr std::pair<std::string_view, std::string_view> known[] = {
      {"disk is full", "Make room on this node's disk, or shorten [versions] keep. Nothing else."},
      {"No space left", "Make room on this node's disk, or shorten [versions] keep. Nothing else."},
      {"files are gone here",
       "Mount or put back what is missing. Only if all of it was meant to go, confirm."},
      {"cannot be watched", "As root: sysctl fs.inotify.max_user_watches=1048576"},
      {"two processes seem to run",
       "Give one of the two machines a key of its own: p2psync keygen, its id into the list."},
      {"accept this node's key",
       "Put the same cluster.toml on both machines, and restart the one that had the old one."},
      {"speaks protocol", "Install the same version of p2psync on both machines."},
      {"moved, deleted, unmounted or replaced",
       "Put the folder back where it was, then start this node again. No other member has lost "
       "a file."},
      {".p2psync", "Put the directory .p2psync back if you can, then start this node again."},
      {"Read-only file system", "Mount the disk writable; it may have had an error: see dmesg."},
      {"ermission denied", "Let the user that this node runs as read and write it (chown, chmod)."},
      {"Too many levels", "Something on the way to it is a symbolic link: make it a directory."},
      {"onnection refused", "Start p2psync on that machine; is its address the right one?"},
      {"timed out", "Is the machine on? Does a firewall keep its port shut?"},
      {"No route to host", "Is the machine on, and in the same network?"},
      {"unreachable", "Is the machine on, and in the same network?"},
      {"not known", "The name in its address means nothing here: correct it in cluster.toml."},
      {"nothing beside it is synchronised",
       "Make .p2pignore there readable, and smaller than 64 KiB."},
  };
  for (const auto& [words, advice] : known) {
    if (message.contains(words)) {
      return advice;
    }
  }
  return "";
}

}  // namespace p2psync::app
