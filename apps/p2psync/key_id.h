#pragma once
// The id of a private key in a file, as the configuration writes ids.
#include <string>

#include "engine/error.h"

namespace p2psync::app {

/// 64 lower-case hex digits.
[[nodiscard]] Result<std::string> read_key_id(const std::string& key_file);

}  // namespace p2psync::app
