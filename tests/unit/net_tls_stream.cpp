#include "net/tls_stream.h"

#include <doctest/doctest.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ssl/error.hpp>
#include <asio/write.hpp>
#include <numeric>
#include <vector>

#include "net/tls.h"
#include "tests/unit/net_cluster.h"

namespace p2psync::net {
namespace {

using asio::ip::tcp;
using Bytes = std::vector<std::uint8_t>;

/// Reads until so many are there, or an error.
asio::awaitable<asio::error_code> read_all(TlsStream& stream, Bytes& into, std::size_t bytes,
                                           std::size_t at_once) {
  Bytes space(at_once);
  while (into.size() < bytes) {
    const auto [error, count] = co_await stream.read_some(space);
    if (error) {
      co_return error;
    }
    into.insert(into.end(), space.begin(), space.begin() + static_cast<std::ptrdiff_t>(count));
  }
  co_return asio::error_code();
}

/// Two ends on loopback that know each other; a test has them do something and runs `io`.
struct Ends {
  asio::io_context io;
  PrivateKey client_key = *PrivateKey::generate();
  PrivateKey server_key = *PrivateKey::generate();
  AllowedKeys clients{client_key.id()};
  AllowedKeys servers{server_key.id()};
  std::optional<TlsStream> client;
  std::optional<TlsStream> server;

  Ends() {
    tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    tcp::socket near(io);
    near.connect(acceptor.local_endpoint());
    tcp::socket far = acceptor.accept();
    client.emplace(std::move(near), make_context(client_key, servers)->get());
    server.emplace(std::move(far), make_context(server_key, clients)->get());
  }
  template <class Act>
  void begin(Act act) {
    asio::co_spawn(io, std::move(act), [](const std::exception_ptr& thrown) {
      if (thrown) {
        std::rethrow_exception(thrown);
      }
    });
  }
  void shake() {
    asio::error_code one = asio::error::would_block;
    asio::error_code other = one;
    begin([&]() -> asio::awaitable<void> {
      one = co_await client->shake_hands(TlsStream::Role::client);
    });
    begin([&]() -> asio::awaitable<void> {
      other = co_await server->shake_hands(TlsStream::Role::server);
    });
    run();
    REQUIRE_FALSE(one);
    REQUIRE_FALSE(other);
  }
  void run() {
    io.run();
    io.restart();
  }
  /// All of it, the first byte by itself.
  void write(TlsStream& from, const Bytes& bytes) {
    begin([this, &from, &bytes]() -> asio::awaitable<void> {
      CHECK_FALSE(co_await from.write(std::span(bytes).first(1)));
      CHECK_FALSE(co_await from.write({}, {}));
      CHECK_FALSE(co_await from.write(std::span(bytes).subspan(1, 2), std::span(bytes).subspan(3)));
      ++ended;
    });
  }
  void read(TlsStream& to, Bytes& into, std::size_t bytes, std::size_t at_once) {
    begin([this, &to, &into, bytes, at_once]() -> asio::awaitable<void> {
      CHECK_FALSE(co_await read_all(to, into, bytes, at_once));
      ++ended;
    });
  }
  int ended = 0;  ///< of those
};

Bytes many(std::size_t count) {
  Bytes bytes(count);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  for (std::size_t i = 0; i < count; i += 251) {
    bytes[i] = static_cast<std::uint8_t>(i / 251);
  }
  return bytes;
}

TEST_CASE("tls stream: what is written arrives, both ways at once and however it is cut") {
  for (const std::size_t at_once : {std::size_t{1000}, std::size_t{16384}, std::size_t{300'000}}) {
    Ends ends;
    ends.shake();
    // Many times what the lanes and the kernel hold, and no multiple of a record.
    const Bytes sent = many(12'345'678);
    Bytes up;
    Bytes down;
    ends.write(*ends.client, sent);
    ends.read(*ends.server, up, sent.size(), at_once);
    ends.write(*ends.server, sent);
    ends.read(*ends.client, down, sent.size(), at_once);
    ends.run();
    CHECK(ends.ended == 4);
    CHECK(up == sent);
    CHECK(down == sent);
    CHECK(ends.client->sent_bytes() == ends.server->received_bytes());
    CHECK(ends.server->sent_bytes() == ends.client->received_bytes());
    CHECK(ends.client->sent_bytes() > sent.size());
  }
}

TEST_CASE("tls stream: a small write is one record and waits for nothing") {
  Ends ends;
  ends.shake();
  const std::uint64_t before = ends.client->sent_bytes();
  Bytes got;
  ends.begin([&]() -> asio::awaitable<void> {
    CHECK_FALSE(co_await ends.client->write(many(100)));
    CHECK_FALSE(co_await read_all(*ends.server, got, 100, 4096));
  });
  ends.run();
  CHECK(got == many(100));
  CHECK(ends.client->sent_bytes() - before == 100 + 22);  // header, kind and tag
}

TEST_CASE("tls stream: what came before a spoilt record is given out, and the other end is told") {
  Ends ends;
  ends.shake();
  Bytes got;
  asio::error_code found;
  asio::error_code told;
  ends.begin([&]() -> asio::awaitable<void> {
    CHECK_FALSE(co_await ends.client->write(many(100)));
    Bytes spoilt(5 + 32, 0x55);
    spoilt[0] = 23;  // application data
    spoilt[1] = spoilt[2] = 3;
    spoilt[3] = 0;
    spoilt[4] = 32;
    asio::write(ends.client->socket(), asio::buffer(spoilt));
    found = co_await read_all(*ends.server, got, 1000, 4096);
    Bytes ignored;
    told = co_await read_all(*ends.client, ignored, 1, 4096);
    CHECK(co_await read_all(*ends.server, got, 1000, 4096) == found);  // and for good
  });
  ends.run();
  CHECK(got == many(100));
  CHECK(found.category() == asio::error::get_ssl_category());
  CHECK(told.category() == asio::error::get_ssl_category());
  CHECK(told.message().find("alert") != std::string::npos);
}

TEST_CASE("tls stream: new keys are asked for while a write waits") {
  Ends ends;
  ends.shake();
  const Bytes sent = many(20'000'000);
  Bytes up;
  Bytes down;
  ends.write(*ends.server, sent);
  ends.read(*ends.server, up, 3, 4096);
  while (ends.io.poll() > 0) {
  }
  CHECK(ends.ended == 0);  // the client has read nothing
  for (const std::uint8_t byte : Bytes{1, 2, 3}) {
    REQUIRE(SSL_key_update(const_cast<SSL*>(ends.client->session()), SSL_KEY_UPDATE_REQUESTED) ==
            1);
    ends.begin([&, byte]() -> asio::awaitable<void> {
      CHECK_FALSE(co_await ends.client->write(std::span(&byte, 1)));
    });
    CHECK(run_until(ends.io, [&] { return up.size() == byte; }));
  }
  CHECK(up == Bytes{1, 2, 3});
  ends.read(*ends.client, down, sent.size(), 65'536);
  ends.run();
  CHECK(ends.ended == 3);
  CHECK(down == sent);
}

TEST_CASE("tls stream: a write tells why reading has ended, not only that it has") {
  Ends ends;
  ends.shake();
  asio::error_code found;
  asio::error_code written;
  ends.begin([&]() -> asio::awaitable<void> {
    const Bytes spoilt{23, 3, 3, 0, 17, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    asio::write(ends.client->socket(), asio::buffer(spoilt));
    Bytes got;
    found = co_await read_all(*ends.server, got, 1000, 4096);
    written = co_await ends.server->write(many(10));
  });
  ends.run();
  CHECK(found.category() == asio::error::get_ssl_category());
  CHECK(written == found);
}

TEST_CASE("tls stream: who is refused is told why") {
  Ends ends;
  ends.clients.clear();
  asio::error_code refused;
  asio::error_code told;
  ends.begin([&]() -> asio::awaitable<void> {
    refused = co_await ends.server->shake_hands(TlsStream::Role::server);
  });
  ends.begin([&]() -> asio::awaitable<void> {
    // A client of TLS 1.3 is content before the server has seen its certificate.
    CHECK_FALSE(co_await ends.client->shake_hands(TlsStream::Role::client));
    Bytes ignored;
    told = co_await read_all(*ends.client, ignored, 1, 4096);
  });
  ends.run();
  CHECK(refused.category() == asio::error::get_ssl_category());
  CHECK(told.message().find("alert") != std::string::npos);
}

TEST_CASE("tls stream: closing the socket ends a write that nobody reads and a read") {
  Ends ends;
  ends.shake();
  int ended = 0;
  ends.begin([&]() -> asio::awaitable<void> {
    CHECK(co_await ends.client->write(many(64 * 1024 * 1024)));
    ++ended;
  });
  ends.begin([&]() -> asio::awaitable<void> {
    Bytes ignored;
    CHECK(co_await read_all(*ends.client, ignored, 1, 4096));
    ++ended;
  });
  // As far as it gets: then nothing is ready any more.
  while (ends.io.poll() > 0) {
  }
  CHECK(ended == 0);
  CHECK(ends.client->sent_bytes() > 0);
  asio::error_code ignored;
  ends.client->socket().close(ignored);
  ends.run();
  CHECK(ended == 2);
}

TEST_CASE("tls stream: an end that comes without a word is an end") {
  Ends ends;
  ends.shake();
  asio::error_code ignored;
  ends.client->socket().close(ignored);
  asio::error_code found;
  ends.begin([&]() -> asio::awaitable<void> {
    Bytes got;
    found = co_await read_all(*ends.server, got, 1, 4096);
  });
  ends.run();
  CHECK(found == asio::error::eof);
}

}  // namespace
}  // namespace p2psync::net
