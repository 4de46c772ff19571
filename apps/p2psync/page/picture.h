#pragma once
// The members and the connections of this node, as SVG. Pure; from a status document.
#include <string>

#include "apps/p2psync/json.h"

namespace p2psync::app {

/// This node in the middle, the others around it. Beyond so many, without their names.
inline constexpr std::size_t names_drawn_max = 24;

[[nodiscard]] std::string picture(const Json& status);

}  // namespace p2psync::app
