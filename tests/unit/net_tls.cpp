#include "net/tls.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>

namespace p2psync::net {
namespace {

/// A directory of its own for one test, gone with it.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "p2psync-tls-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string contents(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

using Session = std::unique_ptr<SSL, decltype(&SSL_free)>;

/// Two sessions joined in memory.
struct Pair {
  Pair(SSL_CTX* client_context, SSL_CTX* server_context)
      : client(SSL_new(client_context), &SSL_free), server(SSL_new(server_context), &SSL_free) {
    BIO* left = nullptr;
    BIO* right = nullptr;
    REQUIRE(BIO_new_bio_pair(&left, 0, &right, 0) == 1);
    SSL_set_bio(client.get(), left, left);
    SSL_set_bio(server.get(), right, right);
    SSL_set_connect_state(client.get());
    SSL_set_accept_state(server.get());
  }
  /// True if both ends are content, which a TLS 1.3 client only is once the server has answered.
  bool shake() {
    for (int round = 0; round < 10; ++round) {
      SSL_do_handshake(client.get());
      SSL_do_handshake(server.get());
    }
    char byte = 'x';
    const bool down =
        SSL_write(server.get(), &byte, 1) == 1 && SSL_read(client.get(), &byte, 1) == 1;
    const bool up = SSL_write(client.get(), &byte, 1) == 1 && SSL_read(server.get(), &byte, 1) == 1;
    return down && up;
  }
  Session client;
  Session server;
};

struct Side {
  explicit Side(PrivateKey k) : key(std::move(k)) {}
  PrivateKey key;
  AllowedKeys allowed;
  Context context{nullptr, &SSL_CTX_free};
  void allow(const PrivateKey& other) { allowed.push_back(other.id()); }
  void prepare() {
    auto made = make_context(key, allowed);
    REQUIRE(made.has_value());
    context = std::move(*made);
  }
};

Side side() {
  return Side(*PrivateKey::generate());
}

/// A client and a server that know each other, to be spoilt.
struct Friends {
  Side client = side();
  Side server = side();
  Friends() {
    client.allow(server.key);
    server.allow(client.key);
    client.prepare();
    server.prepare();
  }
};

TEST_CASE("tls: a key is written once, private to its owner, and read back") {
  const Scratch scratch;
  const std::string file = scratch.file("key");
  const auto key = PrivateKey::generate();
  REQUIRE(key.has_value());
  const mode_t mask = ::umask(0);
  REQUIRE(key->write_new(file).has_value());
  ::umask(mask);
  struct stat status{};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  const std::string text = contents(file);
  CHECK(text.starts_with("-----BEGIN PRIVATE KEY-----\n"));

  const auto again = PrivateKey::read(file);
  REQUIRE(again.has_value());
  CHECK(again->id() == key->id());

  const auto refused = PrivateKey::generate()->write_new(file);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().error_number == EEXIST);
  CHECK(contents(file) == text);
  REQUIRE(::symlink("target", scratch.file("link").c_str()) == 0);
  CHECK_FALSE(key->write_new(scratch.file("link")).has_value());
  CHECK_FALSE(std::filesystem::exists(scratch.file("target")));
}

TEST_CASE("tls: what is no Ed25519 key is refused, and says so") {
  const Scratch scratch;
  CHECK(PrivateKey::read(scratch.file("absent")).error().code == ErrorCode::not_found);

  std::ofstream(scratch.file("noise")) << "not a key";
  CHECK(PrivateKey::read(scratch.file("noise")).error().code == ErrorCode::corrupt);
  std::ofstream(scratch.file("empty"));
  CHECK(PrivateKey::read(scratch.file("empty")).error().code == ErrorCode::corrupt);
  CHECK(PrivateKey::read(scratch.file(".")).error().error_number == EISDIR);

  const auto write = [](const std::string& name, EVP_PKEY* key, const EVP_CIPHER* cipher) {
    const std::unique_ptr<FILE, decltype(&std::fclose)> stream(std::fopen(name.c_str(), "w"),
                                                               &std::fclose);
    char secret[] = "secret";
    REQUIRE(PEM_write_PKCS8PrivateKey(stream.get(), key, cipher, secret, 6, nullptr, nullptr) == 1);
  };
  EVP_PKEY* curve = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  write(scratch.file("curve"), curve, nullptr);
  EVP_PKEY_free(curve);
  CHECK(PrivateKey::read(scratch.file("curve")).error().code == ErrorCode::invalid);

  const auto key = PrivateKey::generate();
  write(scratch.file("encrypted"), key->handle(), EVP_aes_128_cbc());
  CHECK(PrivateKey::read(scratch.file("encrypted")).error().code == ErrorCode::corrupt);
}

TEST_CASE("tls: an id is the SHA-256 of the public key's DER, and the node its first 8 bytes") {
  // RFC 8410, section 10.3; the id is what `openssl pkey -pubout -outform DER | sha256sum` says.
  const Scratch scratch;
  std::ofstream(scratch.file("key"))
      << "-----BEGIN PRIVATE KEY-----\n"
         "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
         "-----END PRIVATE KEY-----\n";
  const auto key = PrivateKey::read(scratch.file("key"));
  REQUIRE(key.has_value());
  const std::string hex = key->id().hex();
  CHECK(hex == "a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f");
  CHECK(key->id().node() == std::stoull(hex.substr(0, 16), nullptr, 16));
  CHECK(KeyId::parse(hex) == key->id());
}

TEST_CASE("tls: only 64 lower-case hex digits are an id") {
  const std::string good(64, 'a');
  CHECK(KeyId::parse(good).has_value());
  for (const std::string& bad :
       {std::string(), std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'A'),
        std::string(64, 'g'), good.substr(0, 63) + "\n"}) {
    CHECK_FALSE(KeyId::parse(bad).has_value());
  }
}

TEST_CASE("tls: members get through and know each other") {
  Friends friends;
  Pair pair(friends.client.context.get(), friends.server.context.get());
  REQUIRE(pair.shake());
  CHECK(peer_key(pair.client.get()) == friends.server.key.id());
  CHECK(peer_key(pair.server.get()) == friends.client.key.id());
  CHECK(std::string_view(SSL_get_version(pair.client.get())) == "TLSv1.3");
  CHECK(SSL_session_reused(pair.client.get()) == 0);
  CHECK(SSL_SESSION_has_ticket(SSL_get0_session(pair.client.get())) == 0);
}

TEST_CASE("tls: strangers get nowhere, whichever side they are") {
  Friends friends;
  Side stranger = side();
  stranger.allow(friends.server.key);
  stranger.allow(friends.client.key);
  stranger.prepare();

  Pair calls(stranger.context.get(), friends.server.context.get());
  CHECK_FALSE(calls.shake());
  CHECK_FALSE(SSL_is_init_finished(calls.server.get()));
  REQUIRE(refused_key(calls.server.get()) != nullptr);
  CHECK(*refused_key(calls.server.get()) == stranger.key.id());

  Pair answers(friends.client.context.get(), stranger.context.get());
  CHECK_FALSE(answers.shake());
  CHECK_FALSE(SSL_is_init_finished(answers.client.get()));
  REQUIRE(refused_key(answers.client.get()) != nullptr);
  CHECK(*refused_key(answers.client.get()) == stranger.key.id());
}

/// A client that is a member in everything but what `spoil` changes.
bool gets_through(const std::function<void(SSL_CTX*)>& spoil) {
  Friends friends;
  spoil(friends.client.context.get());
  Pair pair(friends.client.context.get(), friends.server.context.get());
  return pair.shake() && peer_key(pair.server.get()).has_value();
}

TEST_CASE("tls: no certificate, older versions and other protocols get nowhere") {
  CHECK(gets_through([](SSL_CTX*) {}));
  CHECK_FALSE(gets_through([](SSL_CTX* context) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set1_sigalgs_list(context, "ed25519:ECDSA+SHA256:RSA+SHA256");
  }));
  CHECK_FALSE(gets_through([](SSL_CTX* context) {
    const unsigned char other[] = "\x02h2";
    SSL_CTX_set_alpn_protos(context, other, 3);
  }));
  CHECK_FALSE(gets_through([](SSL_CTX* context) { SSL_CTX_set_alpn_protos(context, nullptr, 0); }));

  Friends friends;
  const Context bare(SSL_CTX_new(TLS_method()), &SSL_CTX_free);
  const unsigned char offer[] = "\x09p2psync/1";
  SSL_CTX_set_alpn_protos(bare.get(), offer, 10);
  Pair pair(bare.get(), friends.server.context.get());
  CHECK_FALSE(pair.shake());
  CHECK_FALSE(SSL_is_init_finished(pair.server.get()));
}

TEST_CASE("tls: every bit flipped in a client's first flight ends the handshake, not the process") {
  Friends friends;
  Session client(SSL_new(friends.client.context.get()), &SSL_free);
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(client.get(), in, out);
  SSL_set_connect_state(client.get());
  SSL_do_handshake(client.get());
  char* data = nullptr;
  const auto length = static_cast<std::size_t>(BIO_get_mem_data(out, &data));
  const std::string hello(data, length);
  REQUIRE(hello.size() > 100);
  for (std::size_t bit = 0; bit < hello.size() * 8; ++bit) {
    std::string flipped = hello;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    Session server(SSL_new(friends.server.context.get()), &SSL_free);
    SSL_set_bio(server.get(), BIO_new_mem_buf(flipped.data(), static_cast<int>(flipped.size())),
                BIO_new(BIO_s_mem()));
    SSL_set_accept_state(server.get());
    SSL_do_handshake(server.get());
    CHECK_FALSE(SSL_is_init_finished(server.get()));
  }
}

}  // namespace
}  // namespace p2psync::net
