#pragma once
// What a node remembers of one path: the entry all members share, and what its own disk shows of
// it.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/disk.h"
#include "engine/entry.h"
#include "engine/message.h"

namespace p2psync::engine {

/// A name on this node's disk and the siblings that it shows (equal siblings share a name). A
/// version on its way from one name to another is shown by both: acting on either acts on it, and
/// the other then goes.
struct Shown {
  Path name;              ///< the path itself or one of its conflict names
  std::vector<Dot> dots;  ///< ascending; none for a directory that only its contents call for
  Version version;        ///< what was laid or seen there (with the dots' label, tag, rank)
  Signature signature;
  /// Of a file.
  [[nodiscard]] std::optional<Hash> content() const {
    return version.kind == Kind::file ? std::optional(version.content) : std::nullopt;
  }
  bool operator==(const Shown&) const = default;
};

/// A step of this node was carried out at a name, but whether it is there to stay is not known: an
/// error came after it. Users act on what it laid; a power cut may still undo it. The next look
/// settles it, also after a restart.
struct Doubt {
  Path name;
  std::optional<Shown> laid;  ///< nothing: what stood there was taken away
  bool operator==(const Doubt&) const = default;
};

struct Record {
  Entry entry;
  std::vector<Shown> shown;   ///< ascending by name
  std::vector<Doubt> doubts;  ///< at most one a name
  [[nodiscard]] bool empty() const {
    return shown.empty() && doubts.empty() && entry.versions.empty() && entry.deletions.empty() &&
           entry.context.empty();
  }
};

/// The one version that there is stands at the path: a plan would find nothing to do.
[[nodiscard]] bool is_laid(const Path& path, const Record& record);

/// What most records are: nothing was ever seen of the path but one version, and the disk shows
/// that, under the path itself and with its very kind, mode, size and time.
struct PlainRecord {
  Sibling version;
  std::uint64_t inode = 0;  ///< of the signature, as the next
  std::int64_t ctime = 0;
};
/// Nothing if there is more to it.
[[nodiscard]] std::optional<PlainRecord> plain_record(std::string_view path, const Record& record);
[[nodiscard]] Record record_of(std::string_view path, const PlainRecord& plain);

/// A replaced or deleted file in `.p2psync/versions`; or a note that a version left this disk of
/// which nothing is in there (departure_name). With `version.copy` it was a conflict copy.
struct KeptVersion {
  std::string file;  ///< its name there
  Path path;         ///< whose version it was
  Version version;
  bool operator==(const KeptVersion&) const = default;
};

/// Names in `.p2psync/versions` are the instants at which something left the tree, ns since 1970 in
/// 19 digits (storage/versions.h). Notes have a '-' behind them, as no file has.
[[nodiscard]] std::string departure_name(std::int64_t at);
[[nodiscard]] bool is_departure(std::string_view name);
/// When what has this name left the tree; 0 (long ago) for names that are neither.
[[nodiscard]] std::int64_t left_at(std::string_view name);

/// An incarnation that is over, and its place in its node's list, from 1.
struct ListedEnding {
  NodeId node = 0;
  std::uint64_t number = 0;
  Ending ending;
  bool operator==(const ListedEnding&) const = default;
};

/// What survives a restart. One Change is one transaction of the index; absent fields stay as they
/// are.
struct Change {
  struct PathRecord {
    Path path;
    std::optional<Record> record;  ///< nothing: erase
  };
  std::vector<PathRecord> records;
  std::optional<VersionVector> knowledge;
  std::vector<HeldRow> rows;
  std::vector<ListedEnding> endings;  ///< new ones, of each node in order
  std::vector<KeptVersion> kept;
  std::vector<std::string> forgotten;    ///< kept files that are gone
  std::optional<std::uint64_t> applied;  ///< the batch whose results these records hold
  std::optional<bool> braked;            ///< whether the brake is on (brake.h)
  [[nodiscard]] bool empty() const {
    return records.empty() && !knowledge && rows.empty() && endings.empty() && kept.empty() &&
           forgotten.empty() && !applied && !braked;
  }
};

}  // namespace p2psync::engine
