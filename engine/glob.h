#pragma once
// Globs: patterns with `*`, `?`, `[...]` and `**`, read once and matched often.
//
// What a pattern means is what git's documentation (gitignore) and behaviour say: bytes, not
// characters; `*`, `?` and `[...]` never match a '/'; `\` takes the next byte as it is. `**` is
// more than `*` only in a pattern of paths, and only as a whole component.
//
// Matching takes no memory and, whatever the pattern, at most (elements) x (bytes) steps.
#include <bitset>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace p2psync::engine {

/// Below 256: that byte. From `glob::first_class` on: one byte of that class.
using GlobElement = std::uint32_t;
using GlobClass = std::bitset<256>;

namespace glob {
inline constexpr GlobElement any = 256;           ///< `?`: one byte, but no '/'
inline constexpr GlobElement run = 257;           ///< `*`: bytes, but no '/'
inline constexpr GlobElement directories = 258;   ///< `**/`: nothing, or all up to some '/'
inline constexpr GlobElement up_to_slash = 259;   ///< `**\/`: all up to some '/'
inline constexpr GlobElement everything = 260;    ///< `**` at the end
inline constexpr GlobElement first_class = 1024;  ///< the first of `classes`
}  // namespace glob

enum class GlobOf : std::uint8_t { names, paths };

/// Appends what it reads. False, and nothing is appended, if the pattern can match nothing: a `[`
/// that is not closed, a class that is not known, a `\` at the end.
[[nodiscard]] bool read_glob(std::string_view pattern, GlobOf what,
                             std::vector<GlobElement>& elements, std::vector<GlobClass>& classes);

/// The whole text.
[[nodiscard]] bool glob_matches(std::span<const GlobElement> pattern,
                                std::span<const GlobClass> classes, std::string_view text);

}  // namespace p2psync::engine
