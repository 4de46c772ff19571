#pragma once
// Everything that can happen to a node. See node.h.
#include <optional>
#include <variant>

#include "engine/disk.h"
#include "engine/message.h"
#include "engine/status.h"

namespace p2psync::engine {

/// The time that Node::wake_at() asked for has come.
struct Wake {};
/// A connection to this member is up (its key was checked) or gone. At most one at a time for each.
struct PeerUp {
  NodeId peer = 0;
};
struct PeerDown {
  NodeId peer = 0;
};
struct Received {
  NodeId peer = 0;
  Message message;
};
/// The watcher saw something at these names. Of the files in `writing` it is that somebody writes
/// to them and has not closed them yet; the directories in `arrived`, which are among the names,
/// were moved there: nobody has watched what is below them.
struct Touched {
  std::vector<Path> names;
  std::vector<Path> writing = {};
  std::vector<Path> arrived = {};
};
/// Read the whole tree: the watcher lost events, the interval is over, or a user asked.
struct Rescan {};
/// A user has judged the deletions that are held (brake.h): they are meant, or (`undo`) not.
struct ConfirmDeletes {
  bool undo = false;
};
/// By command (history.h says whether it can be done, and to what): a conflict ends with what the
/// name `keep` shows; an older version comes back.
struct Resolve {
  Path path;
  Path keep;
};
struct Restore {
  Path path;
  Version version;
};
/// By command: these paths are to be again what they were (past.h says what that is). Contents that
/// are not here are asked of the other members, and a path is written when its bytes have come; not
/// if nobody has them, or it is something else by then.
struct BringBack {
  struct Item {
    Path path;
    std::optional<Version> version;  ///< nothing: it was not there, and is deleted
  };
  std::vector<Item> items;
  Duration patience{};  ///< so long, and those that lack bytes are given up
};
/// Kept files (`.p2psync/versions`) whose time was over are gone, and so is that of what left the
/// tree before an instant without being kept.
struct Expired {
  std::vector<std::string> files;
  std::int64_t before = 0;  ///< ns since 1970
};
/// Answers to an Apply or a Look, in the order they were given (storage answers each exactly once).
/// `at`: by the clock on the wall, ns since 1970, as the names of kept files; 0: not known. It only
/// ever dates what left the tree, for people.
struct ApplyDone {
  std::vector<Applied> jobs;
  std::int64_t at = 0;
};
struct LookDone {
  std::vector<Looked> names;
  std::int64_t at = 0;
};

using Input = std::variant<Wake, PeerUp, PeerDown, Received, Touched, Rescan, Listed, LookDone,
                           ApplyDone, Surfaced, BlockRead, StageOpened, StageWritten,
                           ConfirmDeletes, Resolve, Restore, Expired, BringBack>;

}  // namespace p2psync::engine
