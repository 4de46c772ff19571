#include "net/tls.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace p2psync::net {
namespace {

constexpr int key_file_bytes_max = 16 * 1024;
constexpr long certificate_bytes_max = 8 * 1024;  ///< of a peer, before it is anybody

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

/// What OpenSSL put on its error stack, which is empty afterwards.
Error tls_error(ErrorCode code, std::string_view operation, std::string_view object) {
  std::string text(object);
  if (const unsigned long number = ERR_get_error(); number != 0) {
    if (const char* reason = ERR_reason_error_string(number); reason != nullptr) {
      text += text.empty() ? "" : ": ";
      text += reason;
    }
  }
  ERR_clear_error();
  return {code, std::string(operation), std::move(text)};
}

/// An encrypted key must not stop a daemon at a terminal's prompt.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return number_; }

 private:
  int number_;
};

/// Nothing if it cannot be encoded: it may be a stranger's, or memory is short.
std::optional<KeyId> key_id(const X509_PUBKEY* key) {
  unsigned char* der = nullptr;
  const int length = i2d_X509_PUBKEY(key, &der);
  if (length <= 0) {
    ERR_clear_error();
    return {};
  }
  KeyId id;
  const int hashed = EVP_Digest(der, static_cast<std::size_t>(length), id.bytes.data(), nullptr,
                                EVP_sha256(), nullptr);
  OPENSSL_free(der);
  if (hashed != 1) {  // no memory
    ERR_clear_error();
    return {};
  }
  return id;
}

/// Where a session remembers the key it refused.
int refused_index() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* value, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<KeyId*>(value);
      });
  return index;
}

/// Takes the place of the whole verification of a chain: the key counts and nothing else. That the
/// other end holds it, the handshake's CertificateVerify proves.
int verify_key(X509_STORE_CTX* store, void* argument) {
  const auto& allowed = *static_cast<const AllowedKeys*>(argument);
  X509* certificate = X509_STORE_CTX_get0_cert(store);
  if (certificate == nullptr) {
    return 0;
  }
  const std::optional<KeyId> id = key_id(X509_get_X509_PUBKEY(certificate));
  if (!id) {
    return 0;
  }
  bool known = false;
  for (const KeyId& key : allowed) {
    known |= CRYPTO_memcmp(key.bytes.data(), id->bytes.data(), id->bytes.size()) == 0;
  }
  if (known) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  auto* session =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto refused = std::make_unique<KeyId>(*id);
  if (session != nullptr && SSL_get_ex_data(session, refused_index()) == nullptr &&
      SSL_set_ex_data(session, refused_index(), refused.get()) == 1) {
    (void)refused.release();  // the session owns it now
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

int choose_alpn(SSL*, const unsigned char** chosen, unsigned char* chosen_length,
                const unsigned char* offered, unsigned int offered_length, void*) {
  std::string_view rest(reinterpret_cast<const char*>(offered), offered_length);
  while (!rest.empty()) {
    const std::size_t length = static_cast<unsigned char>(rest.front());
    const std::string_view name = rest.substr(1, length);
    if (name == alpn) {
      *chosen = reinterpret_cast<const unsigned char*>(name.data());
      *chosen_length = static_cast<unsigned char>(name.size());
      return SSL_TLSEXT_ERR_OK;
    }
    rest.remove_prefix(std::min(rest.size(), 1 + length));
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// The form does not matter, only that it is a certificate: dates far apart, no name.
Certificate self_signed(EVP_PKEY* key) {
  Certificate certificate(X509_new(), &X509_free);
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1) != 1 ||
      ASN1_TIME_set_string(X509_getm_notBefore(certificate.get()), "19700101000000Z") != 1 ||
      ASN1_TIME_set_string(X509_getm_notAfter(certificate.get()), "99991231235959Z") != 1 ||
      X509_set_pubkey(certificate.get(), key) != 1 ||
      X509_sign(certificate.get(), key, nullptr) == 0) {
    return {nullptr, &X509_free};
  }
  return certificate;
}

}  // namespace

std::string KeyId::hex() const {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

engine::NodeId KeyId::node() const {
  engine::NodeId node = 0;
  for (std::size_t i = 0; i < sizeof(node); ++i) {
    node = node << 8U | bytes[i];
  }
  return node;
}

Result<KeyId> KeyId::parse(std::string_view hex) {
  KeyId id;
  if (hex.size() != 2 * id.bytes.size()) {
    return std::unexpected(Error{ErrorCode::invalid, "read id", std::string(hex)});
  }
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const char digit = hex[i];
    const bool number = digit >= '0' && digit <= '9';
    if (!number && (digit < 'a' || digit > 'f')) {
      return std::unexpected(Error{ErrorCode::invalid, "read id", std::string(hex)});
    }
    const int value = number ? digit - '0' : digit - 'a' + 10;
    id.bytes[i / 2] = static_cast<std::uint8_t>(id.bytes[i / 2] << 4 | value);
  }
  return id;
}

Result<PrivateKey> PrivateKey::generate() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (key == nullptr) {
    return std::unexpected(tls_error(ErrorCode::io, "generate key", ""));
  }
  return PrivateKey(key);
}

Result<PrivateKey> PrivateKey::read(const std::string& file) {
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.get() < 0) {
    return std::unexpected(system_error("open key", file, errno));
  }
  std::array<char, key_file_bytes_max> text;
  int length = 0;
  while (length < key_file_bytes_max) {
    const ssize_t more = ::read(descriptor.get(), text.data() + length,
                                static_cast<std::size_t>(key_file_bytes_max - length));
    if (more < 0 && errno == EINTR) {
      continue;
    }
    if (more < 0) {
      return std::unexpected(system_error("read key", file, errno));
    }
    if (more == 0) {
      break;
    }
    length += static_cast<int>(more);
  }
  const Bio bio(BIO_new_mem_buf(text.data(), length), &BIO_free);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_passphrase, nullptr);
  OPENSSL_cleanse(text.data(), text.size());
  if (key == nullptr) {
    ERR_clear_error();
    return std::unexpected(
        Error{ErrorCode::corrupt, "read key", file + " (not an unencrypted private key in PEM)"});
  }
  PrivateKey read(key);
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
    return std::unexpected(Error{ErrorCode::invalid, "read key", file + " (not an Ed25519 key)"});
  }
  return read;
}

Result<void> PrivateKey::write_new(const std::string& file) const {
  const Bio bio(BIO_new(BIO_s_secmem()), &BIO_free);
  if (bio == nullptr || PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0,
                                                      nullptr, nullptr) != 1) {
    return std::unexpected(tls_error(ErrorCode::io, "encode key", file));
  }
  char* text = nullptr;
  const auto length = static_cast<std::size_t>(BIO_get_mem_data(bio.get(), &text));

  const Descriptor descriptor(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (descriptor.get() < 0) {
    return std::unexpected(system_error("create key", file, errno));
  }
  std::size_t written = 0;
  int failure = 0;
  while (written < length && failure == 0) {
    const ssize_t more = ::write(descriptor.get(), text + written, length - written);
    if (more >= 0) {
      written += static_cast<std::size_t>(more);
    } else if (errno != EINTR) {
      failure = errno;
    }
  }
  if (failure == 0 && ::fsync(descriptor.get()) != 0) {
    failure = errno;
  }
  if (failure != 0) {
    ::unlink(file.c_str());  // ours, and half a key is none
    return std::unexpected(system_error("write key", file, failure));
  }
  return {};
}

KeyId PrivateKey::id() const {
  X509_PUBKEY* key = nullptr;
  invariant(X509_PUBKEY_set(&key, key_.get()) == 1, "a private key has a public key");
  const std::optional<KeyId> id = key_id(key);
  X509_PUBKEY_free(key);
  invariant(id.has_value(), "our own public key can be encoded");
  return id.value_or(KeyId{});
}

Result<Context> make_context(const PrivateKey& key, const AllowedKeys& allowed) {
  Context context(SSL_CTX_new(TLS_method()), &SSL_CTX_free);
  const Certificate certificate = self_signed(key.handle());
  if (context == nullptr || certificate == nullptr) {
    return std::unexpected(tls_error(ErrorCode::io, "prepare TLS", ""));
  }
  SSL_CTX* tls = context.get();
  std::string offer(1, static_cast<char>(alpn.size()));
  offer += alpn;
  const bool ready =
      SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) == 1 &&
      SSL_CTX_set_max_proto_version(tls, TLS1_3_VERSION) == 1 &&
      SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
      SSL_CTX_set1_groups_list(tls, "X25519") == 1 &&
      SSL_CTX_set1_sigalgs_list(tls, "ed25519") == 1 &&
      SSL_CTX_use_certificate(tls, certificate.get()) == 1 &&
      SSL_CTX_use_PrivateKey(tls, key.handle()) == 1 &&
      // Unlike the rest, this one says 0 when all is well.
      SSL_CTX_set_alpn_protos(tls, reinterpret_cast<const unsigned char*>(offer.data()),
                              static_cast<unsigned int>(offer.size())) == 0 &&
      SSL_CTX_set_num_tickets(tls, 0) == 1;
  if (!ready) {
    return std::unexpected(tls_error(ErrorCode::io, "prepare TLS", ""));
  }
  SSL_CTX_set_options(tls, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data(tls, 0);
  SSL_CTX_set_max_cert_list(tls, certificate_bytes_max);
  SSL_CTX_set_alpn_select_cb(tls, &choose_alpn, nullptr);
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(tls, &verify_key, const_cast<AllowedKeys*>(&allowed));
  return context;
}

Result<KeyId> peer_key(const SSL* session) {
  const unsigned char* chosen = nullptr;
  unsigned int length = 0;
  SSL_get0_alpn_selected(session, &chosen, &length);
  if (std::string_view(reinterpret_cast<const char*>(chosen), length) != alpn) {
    return std::unexpected(Error{ErrorCode::invalid, "negotiate protocol", std::string(alpn)});
  }
  const X509* certificate = SSL_get0_peer_certificate(session);
  if (certificate == nullptr) {
    return std::unexpected(Error{ErrorCode::denied, "check certificate", ""});
  }
  const std::optional<KeyId> id = key_id(X509_get_X509_PUBKEY(certificate));
  if (!id) {
    return std::unexpected(Error{ErrorCode::corrupt, "read certificate", ""});
  }
  return *id;
}

const KeyId* refused_key(const SSL* session) {
  return static_cast<const KeyId*>(SSL_get_ex_data(session, refused_index()));
}

}  // namespace p2psync::net
