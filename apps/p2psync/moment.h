#pragma once
// Moments as people write them on the command line.
//
//   2026-01-02T03:04:05Z  2026-01-02T03:04:05.678+01:00   RFC 3339; seconds may be left out
//   "2026-01-02 03:04"                                    without an offset: in this machine's zone
//   2h  30m  1.5d                                         so long ago (quantity.h)
//
// ns since 1970. The error is what to tell a person, to be read after the option.
#include <cstdint>
#include <string_view>

#include "apps/p2psync/quantity.h"

namespace p2psync::app {

[[nodiscard]] std::int64_t this_moment();
/// `now`: later than that is refused.
[[nodiscard]] Parsed<std::int64_t> parse_moment(std::string_view text, std::int64_t now);

}  // namespace p2psync::app
