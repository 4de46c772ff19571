#pragma once
// The last day as a time line, in SVG. Pure; from what Diary::day() gives.
#include <string>

#include "apps/p2psync/json.h"

namespace p2psync::app {

/// "" where there is nothing to show yet.
[[nodiscard]] std::string day_chart(const Json& day);

}  // namespace p2psync::app
