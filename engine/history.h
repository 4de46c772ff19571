#pragma once
// History: what a node can tell people of one path's versions, and of the conflict copies; and what
// they mean when they name one of those.
//
// Reads a Replica and changes nothing. All that it tells of is what this node's disk shows, has
// kept, or waits for. Cost: history() looks at every kept file, conflict_copies() at those that it
// gives.
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/replica.h"

namespace p2psync::engine {

/// A name on this disk that shows a sibling which does not have its path's name.
struct ConflictCopy {
  Path path;
  Path copy;
  Version version;                ///< of the copy
  std::optional<Version> holder;  ///< what the path's own name shows; nothing: that is free
};
/// In byte order of the copies' names, from the first behind `after`, so many at the most.
[[nodiscard]] std::vector<ConflictCopy> conflict_copies(const Replica& replica,
                                                        std::string_view after, std::size_t max);

struct PastVersion {
  enum class State : std::uint8_t {
    current,  ///< has the path's name, or will
    copy,     ///< a conflict copy
    kept,     ///< was replaced or deleted; `here`: its bytes are in `.p2psync/versions`, or
              ///< elsewhere on this disk
    deleted,  ///< not a version, but that there is none: the latest event was a deletion
  };
  /// Of a version that lives, or of a deletion: its tag_of() in 16 hex digits. Of a kept one: its
  /// name, the instant at which it left the tree (KeptVersion::file).
  std::string id;
  State state = State::current;
  Path name;        ///< of current and copy: where it stands or will
  Version version;  ///< of a deletion: empty
  /// Who wrote it, where no label says so: of a deletion; 0: not known any more.
  NodeId deleted_by = 0;
  bool here = true;  ///< its bytes are on this disk
  /// Of what is current, a copy or a deletion: the events that say the same.
  std::vector<Dot> dots = {};
};
struct History {
  VersionVector context;
  std::vector<PastVersion> versions;  ///< newest first
};
/// Nothing: this node has never heard of the path, or has forgotten it.
[[nodiscard]] std::optional<History> history(const Replica& replica, const Path& path);

/// Everything that was ever done to the path and to what is below it, as far as this node knows.
[[nodiscard]] VersionVector events_at(const Replica& replica, const Path& path);

/// The name whose version `keep` means: the node that wrote it, or that name itself. The error is
/// for people.
[[nodiscard]] std::expected<Path, std::string> name_to_keep(const Replica& replica,
                                                            const Path& path,
                                                            std::string_view keep);
/// The version of that id, if it can be brought back to its path's name. The error is for people.
[[nodiscard]] std::expected<Version, std::string> version_to_restore(const Replica& replica,
                                                                     const Path& path,
                                                                     std::string_view id);

/// The disk shows of this path what its entry wants, and nothing else.
[[nodiscard]] bool laid_out(const Replica& replica, const Path& path);

}  // namespace p2psync::engine
