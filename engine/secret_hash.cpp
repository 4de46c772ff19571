#include "engine/secret_hash.h"

#include <xxhash.h>

namespace p2psync::engine {

std::size_t SecretHash::operator()(const Hash& hash) const {
  return XXH3_64bits_withSeed(hash.bytes.data(), hash.bytes.size(), secret);
}

std::size_t SecretHash::operator()(std::string_view path) const {
  return XXH3_64bits_withSeed(path.data(), path.size(), secret);
}

}  // namespace p2psync::engine
