#pragma once
// For hash tables whose keys members choose: contents that they speak of, paths. Who does not know
// the secret cannot find a hundred thousand keys that fall together, and make each look-up a walk
// through all of them.
#include <string_view>

#include "engine/entry.h"

namespace p2psync::engine {

struct SecretHash {
  std::uint64_t secret = 0;
  std::size_t operator()(const Hash& hash) const;
  std::size_t operator()(std::string_view path) const;
};

}  // namespace p2psync::engine
