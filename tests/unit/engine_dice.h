#pragma once
// Random numbers for the engine's tests. P2PSYNC_SEED replays what a failed test printed.
#include <cstdint>
#include <cstdlib>

#include "engine/random.h"

namespace p2psync::engine {

inline std::uint64_t test_seed(std::uint64_t fallback) {
  const char* given = std::getenv("P2PSYNC_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : fallback;
}

}  // namespace p2psync::engine
