#include "net/tls_stream.h"

#include <openssl/err.h>

#include <algorithm>
#include <asio/buffer.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/ssl/error.hpp>
#include <asio/use_awaitable.hpp>
#include <new>

#include "engine/error.h"

namespace p2psync::net {
namespace {

constexpr auto token = asio::experimental::as_tuple(asio::use_awaitable);

/// What there has to be room for in the lane before TLS writes: a record, and what it says of its
/// own accord (an alert, the answer to who asks for new keys). A record that did not fit would wait
/// in OpenSSL, which then cannot say anything else and fails where it should.
constexpr std::size_t room_min = SSL3_RT_MAX_PLAIN_LENGTH + 22 + 1024;
static_assert(TlsStream::lane_bytes >= 64 + 22 + 3 * (SSL3_RT_MAX_PLAIN_LENGTH + 22) + room_min,
              "a frame's head and four records in a write");

/// Of a call that failed for good.
asio::error_code failure(int kind) {
  if (kind == SSL_ERROR_ZERO_RETURN) {
    return asio::error::eof;
  }
  const unsigned long number = ERR_get_error();
  if (number == 0) {
    return asio::error::connection_aborted;
  }
  return {static_cast<int>(number), asio::error::get_ssl_category()};
}

}  // namespace

TlsStream::TlsStream(asio::ip::tcp::socket socket, SSL_CTX* context)
    : socket_(std::move(socket)),
      lanes_(std::make_unique<TlsLanes>(lane_bytes)),
      session_(SSL_new(context), &SSL_free) {
  if (session_ == nullptr) {
    ERR_clear_error();
    throw std::bad_alloc();
  }
  BIO* bio = make_bio(*lanes_);
  SSL_set_bio(session_.get(), bio, bio);
  // A call writes one record of many; and reads on behind what TLS keeps to itself, so that it
  // leaves nothing in the lane when it wants more.
  SSL_set_mode(session_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_AUTO_RETRY);
}

asio::awaitable<asio::error_code> TlsStream::shake_hands(Role role) {
  if (role == Role::client) {
    SSL_set_connect_state(session_.get());
  } else {
    SSL_set_accept_state(session_.get());
  }
  while (true) {
    ERR_clear_error();
    const int done = SSL_do_handshake(session_.get());
    const int kind = SSL_get_error(session_.get(), done);
    const bool goes_on = kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE;
    const asio::error_code failed = done == 1 || goes_on ? asio::error_code() : failure(kind);
    const asio::error_code unsent = co_await flush();
    if (failed || unsent || done == 1) {
      co_return failed ? failed : unsent;
    }
    if (kind == SSL_ERROR_WANT_READ) {
      if (const asio::error_code error = co_await receive(lane_bytes)) {
        co_return error;
      }
    }
  }
}

asio::awaitable<std::pair<asio::error_code, std::size_t>> TlsStream::read_some(
    std::span<std::uint8_t> space) {
  invariant(!space.empty(), "there is room to read into");
  while (!broken_) {
    std::size_t read = 0;
    int kind = SSL_ERROR_NONE;
    while (read < space.size() && kind == SSL_ERROR_NONE) {
      ERR_clear_error();
      std::size_t more = 0;
      const int done = SSL_read_ex(session_.get(), space.data() + read, space.size() - read, &more);
      kind = SSL_get_error(session_.get(), done);
      read += more;
    }
    if (kind != SSL_ERROR_NONE && kind != SSL_ERROR_WANT_READ) {
      broken_ = failure(kind);
      (void)co_await flush();  // why, in an alert; where a write is under way, that one sends it
    }
    if (read > 0) {
      co_return std::pair(asio::error_code(), read);
    }
    if (!broken_) {
      if (const asio::error_code error = co_await receive(space.size())) {
        broken_ = error;
      }
    }
  }
  co_return std::pair(*broken_, std::size_t{0});
}

asio::awaitable<asio::error_code> TlsStream::write(std::span<const std::uint8_t> bytes,
                                                   std::span<const std::uint8_t> more) {
  while (!bytes.empty() || !more.empty()) {
    if (bytes.empty()) {
      bytes = std::exchange(more, {});
    }
    if (lanes_->out.room() < room_min) {
      if (flushing_) {  // by read_some, which has found it broken
        co_return broken_.value_or(asio::error::connection_aborted);
      }
      if (const asio::error_code error = co_await flush()) {
        co_return error;
      }
    }
    ERR_clear_error();
    std::size_t taken = 0;
    const int done = SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &taken);
    if (done != 1) {
      const asio::error_code failed = failure(SSL_get_error(session_.get(), done));
      co_return broken_.value_or(failed);
    }
    bytes = bytes.subspan(taken);
  }
  co_return co_await flush();
}

asio::awaitable<asio::error_code> TlsStream::receive(std::size_t bytes_max) {
  invariant(lanes_->in.held().empty(), "TLS has taken what is there");
  const std::span<std::uint8_t> space = lanes_->in.space(lanes_->in_other);
  const auto [error, bytes] = co_await socket_.async_read_some(
      asio::buffer(space.data(), std::min(space.size(), bytes_max)), token);
  lanes_->in.filled(bytes);
  received_bytes_ += bytes;
  co_return error;
}

asio::awaitable<asio::error_code> TlsStream::flush() {
  if (flushing_) {
    co_return asio::error_code();
  }
  flushing_ = true;
  asio::error_code failed;
  Lane& out = lanes_->out;
  while (!failed && !out.held().empty()) {
    const std::span<const std::uint8_t> ready = out.held();
    const auto [error, sent] =
        co_await socket_.async_write_some(asio::buffer(ready.data(), ready.size()), token);
    out.taken(sent);
    sent_bytes_ += sent;
    failed = error;
  }
  flushing_ = false;
  co_return failed;
}

}  // namespace p2psync::net
