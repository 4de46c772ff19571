#pragma once
// Who is who: Ed25519 keys, the ids they give, and TLS contexts that admit members only.
//
// A node is its private key. The certificate that TLS asks for is made in memory at every start and
// signed by the key itself: nothing in it counts but the public key, which is compared with the
// members' (reliability.md 4.3). Names and dates are ignored, so no clock can lock a member out.
//
// Only TLS 1.3, both sides with a certificate, Ed25519 signatures, X25519, ALPN "p2psync/1"; no
// tickets, no resumption, no early data. There is no plaintext mode.
//
// Values; no locks. A context may make sessions in one thread only. No Asio in here.
#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/error.h"
#include "engine/version_vector.h"

namespace p2psync::net {

/// SHA-256 of a public key's SubjectPublicKeyInfo (DER).
struct KeyId {
  std::array<std::uint8_t, 32> bytes{};

  /// 64 lower-case hex digits, as in the configuration.
  [[nodiscard]] std::string hex() const;
  /// The member that the key is: the first 8 bytes, big endian.
  [[nodiscard]] engine::NodeId node() const;
  /// Exactly 64 lower-case hex digits.
  [[nodiscard]] static Result<KeyId> parse(std::string_view hex);
  auto operator<=>(const KeyId&) const = default;
};

class PrivateKey {
 public:
  [[nodiscard]] static Result<PrivateKey> generate();
  /// PEM, PKCS#8, not encrypted. `corrupt`: not such a key; `invalid`: a key of another kind.
  [[nodiscard]] static Result<PrivateKey> read(const std::string& file);
  /// Mode 0600, durable; `changed` (EEXIST) when there is a file already, which stays as it is.
  [[nodiscard]] Result<void> write_new(const std::string& file) const;

  [[nodiscard]] KeyId id() const;
  [[nodiscard]] EVP_PKEY* handle() const { return key_.get(); }

 private:
  explicit PrivateKey(EVP_PKEY* key) : key_(key, &EVP_PKEY_free) {}
  std::shared_ptr<EVP_PKEY> key_;
};

inline constexpr std::string_view alpn = "p2psync/1";

/// Keys that may take part in a handshake, ours not among them. Outlives every context made with
/// it.
using AllowedKeys = std::vector<KeyId>;

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

/// For both roles. The handshake fails with anybody whose key is not in `allowed`.
[[nodiscard]] Result<Context> make_context(const PrivateKey& key, const AllowedKeys& allowed);

/// After a handshake: whose key the other end has proved to hold. An error if it did not choose our
/// protocol (a client may leave ALPN out, and no callback sees that).
[[nodiscard]] Result<KeyId> peer_key(const SSL* session);

/// The id of a key that this session refused, if it did: worth a line in the log.
[[nodiscard]] const KeyId* refused_key(const SSL* session);

}  // namespace p2psync::net
