#include "apps/p2psync/page/token.h"

#include <openssl/crypto.h>
#include <sys/random.h>

#include <array>

#include "engine/entry.h"
#include "engine/error.h"
#include "storage/hash.h"

namespace p2psync::app {

PageToken::PageToken() {
  engine::Hash random;  // for its size, and how it is written
  invariant(::getrandom(random.bytes.data(), random.bytes.size(), 0) ==
                static_cast<ssize_t>(random.bytes.size()),
            "the kernel has randomness");
  text_ = storage::to_hex(random);
}

bool PageToken::is_in(std::string_view authorization) const {
  constexpr std::string_view scheme = "Bearer ";
  if (!authorization.starts_with(scheme)) {
    return false;
  }
  const std::string_view given = authorization.substr(scheme.size());
  return given.size() == text_.size() &&
         ::CRYPTO_memcmp(given.data(), text_.data(), text_.size()) == 0;
}

}  // namespace p2psync::app
