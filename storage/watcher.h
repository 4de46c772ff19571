#pragma once
// Watcher: the kernel's change events of the tree (inotify), as names to look at.
//
// inotify watches single directories, so each is added before it is read: what changes after the
// add is an event, what was there before is in the listing, and a new subtree has no gap as long as
// every touched name that is a directory is listed again (and added by that). Directories that are
// moved or vanish lose their watches with everything below; they are reported as touched, so that
// whatever was there under the old name is looked at and a directory of the same name is added
// again. Where one arrives, all that is below has to be listed, also if the same was there before:
// it may have changed while it had no watch, or another name.
//
// Watches are set through /proc/self/fd of a descriptor opened below the root: no link is followed.
// The program's own directory is not watched and its names are not reported, but for one thing: a
// move out of `.p2psync/tmp` is this program's laying of a file, and is no news where it arrives,
// unless the directory was moved between its being found and its being laid into. One thread lays
// one file after the other, and the kernel tells of all in their order: it is enough to know
// whether any directory moved since the last was laid.
// Changes through a memory mapping and from other hosts make no events: the periodic scan is for
// those.
//
// Limits: the kernel's fs.inotify.max_user_watches (one a directory) and max_queued_events. Past
// the first, `uncovered` says which directories need scanning; past the second events are lost and
// `overflow` calls for a scan of everything.
// Threads: add() and uncovered() from any, read() from one, at the same time. Memory: about 200
// bytes and twice the path for each directory.
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

#include "storage/posix_fs.h"

struct inotify_event;

namespace p2psync::storage {

class Watcher {
 public:
  /// What happened since the last read().
  struct Events {
    /// Names to look at (and, where directories, to list): each once, in path order. They may be
    /// gone, unchanged or special by now.
    std::vector<engine::Path> names;
    /// Files, not among `names`, that somebody writes to and has not closed.
    std::vector<engine::Path> writing;
    /// Directories, also among `names`, that came from elsewhere with all that is below them.
    std::vector<engine::Path> arrived;
    bool overflow = false;         ///< events were lost: scan everything
    bool limit_reached = false;    ///< the first time that a directory could not be watched
    bool folder_in_doubt = false;  ///< the root or `.p2psync` was moved, deleted or unmounted
    [[nodiscard]] bool empty() const {
      return names.empty() && writing.empty() && !overflow && !limit_reached && !folder_in_doubt;
    }
  };

  /// Watches nothing yet. Fails where inotify is missing or its instances are used up.
  [[nodiscard]] static Result<std::unique_ptr<Watcher>> open(PosixFs& fs);

  /// Readable when read() has something; for poll or Asio. Stays with the Watcher.
  [[nodiscard]] int descriptor() const { return inotify_.get(); }

  /// Watches a directory ("" is the root), also one that is watched already, under this name. Call
  /// it before the directory is read. Where it fails the directory is uncovered (or gone).
  void add(std::string_view directory);

  /// Everything that is there now, without waiting. Stops after read_bytes_max of events: the
  /// descriptor is readable again then.
  [[nodiscard]] Events read();

  /// Directories that were added and are not watched, in path order.
  [[nodiscard]] std::vector<engine::Path> uncovered() const;
  /// How many directories are watched.
  [[nodiscard]] std::size_t watched() const;

  static constexpr std::size_t read_bytes_max = 4 * 1024 * 1024;

 private:
  using Watches = std::map<engine::Path, int, engine::PathLess>;
  using Names = std::set<engine::Path, engine::PathLess>;

  Watcher(PosixFs& fs, Descriptor inotify) : fs_(fs), inotify_(std::move(inotify)) {}
  struct Seen {
    Names touched;
    Names written;  ///< to; perhaps touched as well
    Names arrived;
  };
  void handle(const inotify_event& event, std::string_view name, Seen& seen, Events& events);
  [[nodiscard]] int set_watch(const Descriptor& directory, std::uint32_t mask);
  void watch_staging();
  void forget_subtree(const engine::Path& directory, Names& touched);
  void forget_watch(int watch);
  void remember_uncovered(std::string_view directory, bool limit);

  PosixFs& fs_;
  Descriptor inotify_;
  mutable std::mutex mutex_;  ///< everything below
  Watches watches_;
  std::unordered_map<int, Watches::iterator> by_watch_;
  Names uncovered_;
  int staging_watch_ = -1;
  std::uint32_t own_move_ = 0;    ///< the cookie of the last move out of there
  bool directory_moved_ = false;  ///< since the last file that arrived by one
  bool limit_reached_ = false;
  bool limit_told_ = false;
};

}  // namespace p2psync::storage
