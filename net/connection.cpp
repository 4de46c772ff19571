#include "net/connection.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <asio/experimental/as_tuple.hpp>
#include <asio/ssl/error.hpp>
#include <asio/use_awaitable.hpp>

#include "net/address.h"

namespace p2psync::net {
namespace {

using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr auto token = asio::experimental::as_tuple(asio::use_awaitable);

constexpr int keepalive_idle_s = 10;
constexpr int keepalive_interval_s = 5;
constexpr int keepalive_count = 4;
/// Sent and not acknowledged for so long: the way is cut, or the other end takes nothing. TCP asks
/// again after 0.2 s, 0.6 s, 1.4 s, 3 s, 6.2 s and so on, so what outlives a cut of 30 s goes on
/// some 20 s after it. A new connection is there within retry_soon.
constexpr int user_timeout_ms = 5'000;
/// What the kernel holds unsent has overtaken every control message that comes after it.
constexpr int unsent_bytes_max = 256 * 1024;
/// A write or read under a limit overdraws it by no more than this part of a second.
constexpr std::uint64_t portions_per_second = 8;
constexpr std::size_t limited_bytes_min = 1024;
constexpr std::uint64_t limited_kernel_bytes_min = 16 * 1024;
constexpr std::uint64_t limited_kernel_bytes_max = 4 * 1024 * 1024;

void set_option(int socket, int level, int name, int value) {
  // Each only makes a failure show earlier or a wait shorter: without it, things still work.
  (void)::setsockopt(socket, level, name, &value, sizeof(value));
}

}  // namespace

Traffic::Traffic(std::uint64_t upload_limit, std::uint64_t download_limit)
    : upload(upload_limit), download(download_limit) {
  if (upload_limit != 0) {
    write_bytes_max = std::max<std::size_t>(upload_limit / portions_per_second, limited_bytes_min);
  }
  if (download_limit != 0) {
    read_bytes_max = std::clamp<std::size_t>(download_limit / portions_per_second,
                                             limited_bytes_min, FrameReader::read_bytes);
    kernel_bytes_max = static_cast<int>(std::clamp<std::uint64_t>(
        download_limit, limited_kernel_bytes_min, limited_kernel_bytes_max));
  }
}

Connection::Connection(tcp::socket socket, SSL_CTX* context, std::shared_ptr<Traffic> traffic,
                       Origin origin)
    : stream_(std::move(socket), context),
      traffic_(std::move(traffic)),
      origin_(origin),
      writable_(stream_.socket().get_executor()),
      read_pause_(stream_.socket().get_executor()),
      heard_(Clock::now()),
      said_(heard_) {
  asio::error_code ignored;  // a peer that has left already shows in the first read
  remote_ = stream_.socket().remote_endpoint(ignored);
  set_socket_options();
}

void Connection::set_socket_options() {
  const int socket = stream_.socket().native_handle();
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_s);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_s);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, keepalive_count);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout_ms);
  set_option(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent_bytes_max);
  if (const auto bytes = traffic_->kernel_bytes_max) {
    set_option(socket, SOL_SOCKET, SO_RCVBUF, *bytes);
  }
}

std::string Connection::remote_text() const {
  return Address{remote_.address().to_string(), remote_.port()}.text();
}

asio::awaitable<std::optional<KeyId>> Connection::shake_hands() {
  const auto role = origin_ == Origin::dialled ? TlsStream::Role::client : TlsStream::Role::server;
  const asio::error_code error = co_await stream_.shake_hands(role);
  meter();
  if (error) {
    fail(error);
    co_return std::nullopt;
  }
  auto key = peer_key(stream_.session());
  if (!key) {
    close(key.error().message());
    co_return std::nullopt;
  }
  co_return *key;
}

asio::awaitable<bool> Connection::fill() {
  while (!closed_) {
    const Instant ready = traffic_->download.ready_at(Clock::now());
    if (ready <= Clock::now()) {
      break;
    }
    reading_paused_ = true;
    read_pause_.expires_at(ready);
    co_await read_pause_.async_wait(token);
    reading_paused_ = false;
    heard_ = Clock::now();  // we did not listen
  }
  if (closed_) {
    co_return false;
  }
  const std::span<std::uint8_t> space = frames_.space();
  const auto [error, bytes] =
      co_await stream_.read_some(space.first(std::min(space.size(), traffic_->read_bytes_max)));
  meter();
  if (error) {
    fail(error);
  }
  if (closed_) {
    co_return false;
  }
  frames_.filled(bytes);
  heard_ = Clock::now();
  co_return true;
}

std::optional<Frame> Connection::next() {
  if (closed_) {
    return std::nullopt;
  }
  auto frame = frames_.next();
  if (!frame) {
    cut_off(frame.error().message());
    return std::nullopt;
  }
  return *frame;
}

asio::awaitable<std::optional<Frame>> Connection::next_awaited() {
  while (true) {
    if (auto frame = next()) {
      co_return frame;
    }
    if (!co_await fill()) {
      co_return std::nullopt;
    }
  }
}

void Connection::push(OutFrame frame, engine::Priority priority) {
  if (!closed_) {
    queue_.push(std::move(frame), priority);
    writable_.cancel();
  }
}

asio::awaitable<void> Connection::write_loop(std::shared_ptr<Connection> self) {
  try {
    while (!self->closed_) {
      co_await write_some(self);
    }
  } catch (const std::exception& exception) {
    self->close(exception.what());
  }
}

asio::awaitable<void> Connection::write_some(std::shared_ptr<Connection> self) {
  const Instant now = Clock::now();
  const Instant data_at = self->traffic_->upload.ready_at(now);
  const bool data = self->queue_.data_is_next();
  const OutFrame batch = self->queue_.take(data_at <= now);
  if (batch.size() == 0) {
    self->writable_.expires_at(data ? data_at : Instant::max());
    co_await self->writable_.async_wait(token);
    co_return;
  }
  const auto tail = batch.tail ? *batch.tail : std::span<const std::uint8_t>();
  if (data && self->traffic_->upload.limited()) {
    co_await write_slowly(self, batch.head);
    co_await write_slowly(self, tail);
  } else {
    co_await self->write(batch.head, tail);
  }
  if (self->progress_ && !self->closed_) {
    self->progress_();
  }
}

asio::awaitable<void> Connection::write_slowly(std::shared_ptr<Connection> self,
                                               std::span<const std::uint8_t> bytes) {
  while (!bytes.empty() && !self->closed_) {
    // The first portion goes at once, that of the tail when its head is paid for. Control waits for
    // the rest of the frame, as it would on a link that is no faster than the limit.
    const Instant ready = self->traffic_->upload.ready_at(Clock::now());
    if (ready > Clock::now()) {
      self->writable_.expires_at(ready);
      co_await self->writable_.async_wait(token);
      continue;
    }
    const auto portion = bytes.first(std::min(bytes.size(), self->traffic_->write_bytes_max));
    self->traffic_->upload.spend(portion.size());
    bytes = bytes.subspan(portion.size());
    co_await self->write(portion);
  }
}

asio::awaitable<void> Connection::write(std::span<const std::uint8_t> bytes,
                                        std::span<const std::uint8_t> more) {
  const asio::error_code error = co_await stream_.write(bytes, more);
  meter();
  said_ = Clock::now();
  if (error) {
    fail(error);
  }
}

void Connection::cut_off(std::string reason) {
  was_cut_off_ = was_cut_off_ || !closed_;
  close(std::move(reason));
}

void Connection::close(std::string reason) {
  if (closed_) {
    return;
  }
  closed_ = true;
  reason_ = std::move(reason);
  asio::error_code ignored;
  stream_.socket().close(ignored);
  writable_.cancel();
  read_pause_.cancel();
}

Instant Connection::tend(Instant now, const TransportTiming& timing) {
  const auto [beat_after, silence_max] = std::pair(timing.beat_after, timing.silence_max);
  if (!reading_paused_ && now - heard_ >= silence_max) {
    close("nothing was heard of it for " +
          std::to_string(std::chrono::duration_cast<std::chrono::seconds>(now - heard_).count()) +
          " s");
    return Instant::max();
  }
  if (takes_too_little(now, timing.progress_max)) {
    cut_off("it takes less than " + std::to_string(progress_bytes_min / 1024) + " KiB in " +
            std::to_string(
                std::chrono::duration_cast<std::chrono::seconds>(timing.progress_max).count()) +
            " s of what is sent to it");
    return Instant::max();
  }
  // A little early: an idle node then wakes once for the beats of all its connections.
  if (now - said_ >= beat_after - beat_after / 8 && queue_.bytes() == 0) {
    push({make_frame(FrameKind::beat, {})}, engine::Priority::control);
    said_ = now;
  }
  // Not at once where the other end reads nothing, or we do not.
  const std::chrono::nanoseconds pause_min =
      std::min<std::chrono::nanoseconds>(std::chrono::seconds(1), beat_after / 4);
  return std::max(now + pause_min, std::min(said_ + beat_after, heard_ + silence_max));
}

bool Connection::takes_too_little(Instant now, std::chrono::nanoseconds progress_max) {
  meter();
  int held = 0;  // by the kernel: not sent, or not acknowledged
  if (::ioctl(stream_.socket().native_handle(), SIOCOUTQ, &held) != 0 || held <= 0) {
    due_.reset();
    return false;
  }
  const auto waiting = static_cast<std::uint64_t>(held);
  const std::uint64_t taken = metered_out_ - std::min(waiting, metered_out_);
  if (due_ && now < due_->at) {
    return false;
  }
  const bool too_little = due_ && taken < due_->taken_bytes;
  due_ = Due{now + progress_max, taken + std::min(waiting, progress_bytes_min)};
  return too_little;
}

void Connection::meter() {
  const std::uint64_t in = stream_.received_bytes();
  const std::uint64_t out = stream_.sent_bytes();
  const std::uint64_t fresh = in - metered_in_;
  traffic_->received_bytes += fresh;
  traffic_->sent_bytes += out - metered_out_;
  traffic_->download.spend(fresh);
  metered_in_ = in;
  metered_out_ = out;
}

void Connection::fail(const asio::error_code& error) {
  if (error == asio::error::eof || error == asio::error::connection_reset ||
      error == asio::error::broken_pipe) {
    ended_by_peer_ = !closed_;
    close("closed by the other end");
  } else {
    close(describe(error));
  }
}

std::string Connection::describe(const asio::error_code& error) {
  if (error.category() != asio::error::get_ssl_category()) {
    return error.message();
  }
  switch (ERR_GET_REASON(static_cast<unsigned long>(error.value()))) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      if (const KeyId* key = refused_key(stream_.session())) {
        return "the key with id " + key->hex() + " is not another member's";
      }
      break;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "it has no certificate";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST: return "it does not speak TLS";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return "it does not speak TLS 1.3";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
      return "it does not accept this node's key: is the id in its member list?";
    default: break;
  }
  return error.message();
}

}  // namespace p2psync::net
