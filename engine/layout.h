#pragma once
// Layout: from the siblings of one path to names on disk. A pure function: equal entries give equal
// names.
//
// - Siblings of equal kind and bytes share one name, with mode and mtime of the highest rank.
// - A directory has the name before anything else, and a path with a live path below it is a
// directory
//   whatever its own siblings say (mode 0755 if none says).
// - Otherwise the name belongs to the highest (rank, content hash) among those that are not
// copies.
// - The rest are `NAME.conflict-<label>`; for each label the smallest tag has that bare
// form, the
//   others carry digits of their tag, as does a name that is taken or had to be shortened to 255
//   bytes.
// - A metadata-only version of bytes that another sibling has replaced hides behind that sibling.
//
// The names are those of the whole entry, whether or not the bytes are here yet: a name then never
// moves because contents arrive in another order. Which of them can be laid already is the
// planner's question.
#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "engine/record.h"

namespace p2psync::engine {

/// What shall stand at one name.
struct Place {
  Path name;
  std::vector<Dot> dots;  ///< ascending: the siblings shown there; none for an implied directory
  Version version;  ///< content, mode, mtime; label, tag and copy as an edit of it inherits them
  bool operator==(const Place&) const = default;
};

/// `live_below`: some path below this one is live. `taken(name)`: another path owns that name.
/// The place of the path itself, if it has one, comes last.
[[nodiscard]] std::vector<Place> layout(std::string_view path, const Entry& entry, bool live_below,
                                        const std::function<bool(std::string_view)>& taken);

/// The paths of which this could be a conflict copy by its name, longest first.
[[nodiscard]] std::vector<Path> possible_originals(std::string_view name);

/// The same mode, mtime and bytes.
[[nodiscard]] bool looks_like(const Version& a, const Version& b);

/// What file systems round times down to, in ns: 100 ns (NTFS), 1 us, 1 ms, 4 ms (old kernels'
/// ticks), 10 ms, 1 s (ext3, HFS+, NFSv2), 2 s (FAT).
inline constexpr std::array<std::int64_t, 7> timestamp_grains_ns{
    100, 1'000, 1'000'000, 4'000'000, 10'000'000, 1'000'000'000, 2'000'000'000};
/// A disk that was given `wanted` can show this: the same, but that its times may be coarser.
[[nodiscard]] bool stands_for(const Version& on_disk, const Version& wanted);

}  // namespace p2psync::engine
