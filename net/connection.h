#pragma once
// One TLS connection: handshake, frames in, frames out. Who the other end is and what the frames
// mean is transport.h's business.
//
// One coroutine reads (shake_hands, fill, next), another runs write_loop; close() may be called
// from anywhere on the io thread and ends both. Errors close the connection: reason() says why, the
// first reason counts.
#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "net/frame.h"
#include "net/send_queue.h"
#include "net/tls.h"
#include "net/tls_stream.h"
#include "net/token_bucket.h"
#include "net/transport.h"

namespace p2psync::net {

/// Shared by all connections of a transport. In any 10 s what moves is within 5 % of a limit: a
/// bucket saves up 2.5 %, and one write or read overdraws it by no more than 1.25 %.
struct Traffic {
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
  TokenBucket upload;
  TokenBucket download;
  // Under a limit little is written or read at a time, and little waits in the kernel.
  std::size_t write_bytes_max = SIZE_MAX;
  std::size_t read_bytes_max = FrameReader::read_bytes;
  std::optional<int> kernel_bytes_max;

  Traffic(std::uint64_t upload_limit, std::uint64_t download_limit);
};

enum class Origin : std::uint8_t { dialled, accepted };

class Connection {
 public:
  Connection(asio::ip::tcp::socket socket, SSL_CTX* context, std::shared_ptr<Traffic> traffic,
             Origin origin);

  /// The TLS handshake: whose key the other end holds.
  [[nodiscard]] asio::awaitable<std::optional<KeyId>> shake_hands();
  /// Waits for more bytes; false once it is closed.
  [[nodiscard]] asio::awaitable<bool> fill();
  /// The next whole frame, if it has come. Good until fill().
  [[nodiscard]] std::optional<Frame> next();
  /// fill() until there is a frame; nothing once it is closed.
  [[nodiscard]] asio::awaitable<std::optional<Frame>> next_awaited();
  /// It has said Hello: larger frames may come.
  void greet() {
    greeted_ = true;
    frames_.greeted();
  }
  [[nodiscard]] bool greeted() const { return greeted_; }

  void push(OutFrame frame, engine::Priority priority);
  static asio::awaitable<void> write_loop(std::shared_ptr<Connection> self);
  /// Called when bytes have left the queue. At most until close().
  void on_progress(std::function<void()> callback) { progress_ = std::move(callback); }

  void close(std::string reason);
  /// For what the other end has said.
  void cut_off(std::string reason);
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }
  [[nodiscard]] bool was_cut_off() const { return was_cut_off_; }
  /// The other end closed it, without an alert.
  [[nodiscard]] bool ended_by_peer() const { return ended_by_peer_; }

  /// Says something if nothing was said for a time, and gives up a peer that was silent for
  /// another, or takes next to nothing of what is sent. When to be called again.
  Instant tend(Instant now, const TransportTiming& timing);

  [[nodiscard]] Origin origin() const { return origin_; }
  [[nodiscard]] const asio::ip::tcp::endpoint& remote() const { return remote_; }
  [[nodiscard]] std::string remote_text() const;
  [[nodiscard]] const SendQueue& queue() const { return queue_; }

 private:
  static asio::awaitable<void> write_some(std::shared_ptr<Connection> self);
  /// Of data, as the upload limit lets it go.
  static asio::awaitable<void> write_slowly(std::shared_ptr<Connection> self,
                                            std::span<const std::uint8_t> bytes);
  asio::awaitable<void> write(std::span<const std::uint8_t> bytes,
                              std::span<const std::uint8_t> more = {});
  void set_socket_options();
  /// True: of what waited for it a while ago, the other end has taken too little since.
  [[nodiscard]] bool takes_too_little(Instant now, std::chrono::nanoseconds progress_max);
  /// Counts what has passed since the last time, both ways.
  void meter();
  void fail(const asio::error_code& error);
  [[nodiscard]] std::string describe(const asio::error_code& error);

  TlsStream stream_;
  std::shared_ptr<Traffic> traffic_;
  Origin origin_;
  asio::ip::tcp::endpoint remote_;
  FrameReader frames_;
  SendQueue queue_;
  asio::steady_timer writable_;    ///< cancelled when there is something to write
  asio::steady_timer read_pause_;  ///< the download limit's
  bool reading_paused_ = false;
  std::function<void()> progress_;
  std::uint64_t metered_in_ = 0;
  std::uint64_t metered_out_ = 0;
  Instant heard_;  ///< when the last bytes came
  Instant said_;   ///< when the last bytes went
  /// The other end is given so long to take so much of what the kernel has of ours.
  struct Due {
    Instant at;
    std::uint64_t taken_bytes = 0;  ///< since the connection began
  };
  std::optional<Due> due_;
  bool greeted_ = false;
  bool closed_ = false;
  bool was_cut_off_ = false;
  bool ended_by_peer_ = false;
  std::string reason_;
};

}  // namespace p2psync::net
