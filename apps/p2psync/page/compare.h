#pragma once
// `GET /compare?copy=NAME`: both sides of a conflict side by side, and a button each to keep it.
//
// Texts are shown with what differs, pictures as pictures, all else with what is known of it. Pure,
// but for read_side(), which reads below the root of the folder only, and not on the engine's
// thread.
// Limits: 256 KiB of text a side and 2,000 lines shown; 8 MiB of a picture.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apps/p2psync/json.h"
#include "storage/fs.h"

namespace p2psync::app {

inline constexpr std::uint64_t text_bytes_max = std::uint64_t{256} << 10;
inline constexpr std::uint64_t picture_bytes_max = std::uint64_t{8} << 20;
inline constexpr std::size_t lines_shown_max = 2000;
/// So many lines stay around what differs.
inline constexpr std::size_t lines_around = 3;

/// What is to be seen of a file.
struct Side {
  std::string problem = {};              ///< why its bytes are not here
  std::optional<std::string> text = {};  ///< it is text, and no longer than text_bytes_max
  std::string_view picture = {};         ///< the type of a picture that browsers show, or ""
};
[[nodiscard]] Side read_side(storage::Fs& fs, const std::string& name);
/// The whole file, if it is such a picture.
struct Picture {
  std::string_view type;
  std::string bytes;
};
[[nodiscard]] std::optional<Picture> read_picture(storage::Fs& fs, const std::string& name);
/// image/png, image/jpeg, image/gif or image/webp, by its first bytes; or "". None of these can
/// hold a script.
[[nodiscard]] std::string_view picture_type(std::string_view beginning);

/// `conflict` as in the document of `conflicts`; sides of the name itself (nothing: it is free) and
/// of the copy.
[[nodiscard]] std::string compare_page(const std::string& node, const Json& conflict,
                                       const std::optional<Side>& name, const Side& copy);
/// That there is no such conflict (any more).
[[nodiscard]] std::string no_conflict_page(const std::string& node, std::string_view copy);

}  // namespace p2psync::app
