#pragma once
// Past: what this node's folder showed at a time, and what would bring that back.
//
// Whatever leaves a name is noted with the instant at which it did: files that others replaced or
// deleted lie in `.p2psync/versions` under it, and of the rest (what this node's own user deleted
// or wrote over, directories, what moved) there is a note (Replica::departed). So a path showed at
// a time what left it first after that; if nothing did, it shows that still. All by the clock of
// this node.
//
// What came to be is not noted. That a version was not there yet follows from its own time, and
// nothing is deleted on that alone: see Since::Change::remove. Conflict copies have no past: they
// are left alone.
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/replica.h"

namespace p2psync::engine {

/// A path that is not what it was.
struct Since {
  enum class Change : std::uint8_t {
    bring,   ///< it was `was`, and is another or nothing now
    remove,  ///< it came since: written after the time, in place of nothing, and changed on this
             ///< disk after it
    unsure,  ///< it came, or was touched, since: whether it was there nobody can tell, so it stays
    blocked  ///< it was `was`, which is no directory, and is a directory now
  };
  Path path;
  Change change = Change::bring;
  std::optional<Version> was;
  std::optional<Version> now;
};

/// What left the path's name after the time, the earliest first.
struct Departure {
  std::int64_t left = 0;
  const Version* version = nullptr;
};
/// `now`: what the name shows. Nothing: it is what it was.
[[nodiscard]] std::optional<Since> since(const Path& path, std::span<const Departure> departures,
                                         const Shown* now, std::int64_t at);

struct SincePage {
  std::vector<Since> changes;  ///< in path order
  Path last;                   ///< up to here everything was looked at
  bool more = false;           ///< there is something behind that
};
inline constexpr std::size_t since_page_max = 4000;
/// Records looked at for one page: some 20 ms.
inline constexpr std::size_t since_records_max = 20'000;
/// Of a path and what is below it ("": everything), behind `after`. Cost: O(what left since, and
/// since_records_max).
[[nodiscard]] SincePage changed_since(const Replica& replica, const Path& path, std::int64_t at,
                                      std::string_view after);

/// Anything was ever known of the path or of what is below it.
[[nodiscard]] bool has_past(const Replica& replica, const Path& path);

/// Before that nothing is on record, ns since 1970.
[[nodiscard]] std::int64_t past_begins(const Replica& replica);

}  // namespace p2psync::engine
