#pragma once
// Paths relative to the synchronised directory: byte strings, components divided by '/'.
//
// Order: '/' sorts below every other byte, so that a directory and all below it are one range.
#include <optional>
#include <string>
#include <string_view>

namespace p2psync::engine {

/// Checked by `path_problem` wherever it comes from outside. "" is the root itself (only for
/// listings).
using Path = std::string;

inline constexpr std::size_t name_bytes_max = 255;
inline constexpr std::size_t path_bytes_max = 4095;
inline constexpr std::size_t path_depth_max = 1024;
/// The program's own directory at the root; never synchronised.
inline constexpr std::string_view own_directory = ".p2psync";

/// Why this may not be a synchronised path, or nothing when it may.
[[nodiscard]] std::optional<std::string_view> path_problem(std::string_view path);

/// The directory that holds it, "" at the top.
[[nodiscard]] std::string_view parent_of(std::string_view path);
[[nodiscard]] std::string_view name_of(std::string_view path);
/// `directory` and `name` joined; the root is "".
[[nodiscard]] Path child_of(std::string_view directory, std::string_view name);
/// True if `path` is strictly below `directory`; everything is below the root.
[[nodiscard]] bool is_below(std::string_view path, std::string_view directory);

struct PathLess {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

}  // namespace p2psync::engine
