#pragma once
// Two texts side by side, line by line. Pure.
//
// What they have in common at both ends is set aside first; between, the shortest script of
// deletions and insertions is looked for. Texts that differ by more than edits_max lines get one
// that is right but not the shortest: all that is between stands against each other.
// Source: Myers, An O(ND) Difference Algorithm and Its Variations, 1986. Time O((N+M) * edits_max),
// memory O(edits_max^2).
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace p2psync::app {

inline constexpr std::size_t edits_max = 1000;

/// A line of either text, by number from 0; both, and not `same`: the one was replaced by the
/// other.
struct DiffRow {
  std::optional<std::size_t> left;
  std::optional<std::size_t> right;
  bool same = false;
  bool operator==(const DiffRow&) const = default;
};

/// Without their line feeds. A text that does not end with one has a last line all the same.
[[nodiscard]] std::vector<std::string_view> lines_of(std::string_view text);
/// In order; every line of both is in exactly one row.
[[nodiscard]] std::vector<DiffRow> line_diff(const std::vector<std::string_view>& left,
                                             const std::vector<std::string_view>& right);

}  // namespace p2psync::app
