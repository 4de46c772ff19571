#pragma once
// `/metrics`: a status document in Prometheus' text format (version 0.0.4). Pure.
//
// Names begin with p2psync_ and end with their unit; what only grows ends with _total.
#include <string>

#include "apps/p2psync/json.h"

namespace p2psync::app {

[[nodiscard]] std::string metrics_text(const Json& status);

}  // namespace p2psync::app
