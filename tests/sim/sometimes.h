#pragma once
// Sometimes: moments that a long run must have seen, or it has not tested what it says.
//
// Each point is a situation of the program that is rare and matters. They are read off what goes in
// and out of the nodes and off their records, so the program knows nothing of them. A run of the
// whole suite fails if one of them never came. Source of the idea: Antithesis' and FoundationDB's
// TEST() macros.
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/input.h"
#include "engine/output.h"
#include "engine/record.h"

namespace p2psync::sim {

enum class Point : std::uint8_t {
  three_way_conflict,
  conflict_of_conflict,
  conflict_by_type,
  user_wrote_in_between,
  obstructed,
  not_empty,
  source_gone,
  apply_error,
  no_space,
  surfaced,
  loser_moved,
  checked,
  relaid,
  recovered_files,
  unstable_look,
  look_error,
  deletion_beside_edit,
  both_delete,
  metadata_only,
  copy_edited,
  equal_bytes,
  repair_by_range,
  stream_of_entries,
  block_refused,
  stage_resumed,
  next_section,
  stage_mismatch,
  kept_source,
  local_source,
  found_source,
  tombstone_collected,
  index_read_anew,
  import_superseded,
  unfinished_served,
  collapsed,
  deletions_held,
  deletions_confirmed,
  deletions_undone,
  resolved,
  restored,
  count
};
inline constexpr std::size_t point_count = static_cast<std::size_t>(Point::count);

[[nodiscard]] std::string_view name_of(Point point);

class Sometimes {
 public:
  void hit(Point point, std::uint64_t by = 1) { counts_[static_cast<std::size_t>(point)] += by; }
  void observe(const engine::Input& input);
  void observe(const engine::Output& output);
  /// What becomes of one path's record.
  void observe(const engine::Path& path, const engine::Record* before, const engine::Record* after);
  [[nodiscard]] std::uint64_t of(Point point) const {
    return counts_[static_cast<std::size_t>(point)];
  }
  Sometimes& operator+=(const Sometimes& other);

 private:
  std::array<std::uint64_t, point_count> counts_{};
};

}  // namespace p2psync::sim
