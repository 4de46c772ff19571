#include "apps/p2psync/key_id.h"

#include "net/tls.h"

namespace p2psync::app {

Result<std::string> read_key_id(const std::string& key_file) {
  const auto key = net::PrivateKey::read(key_file);
  if (!key) {
    return std::unexpected(key.error());
  }
  return key->id().hex();
}

}  // namespace p2psync::app
