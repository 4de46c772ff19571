#pragma once
// TLS over one TCP socket, with several records in each read and write of the socket.
//
// asio::ssl::stream moves a record, 16 KiB, at a time: a system call, two turns of the loop and two
// copies each. Here records are written into, and read from, a lane of `lane_bytes` a direction
// (tls_lanes.h), and the socket reads and writes that memory. Measured with 2 GiB between two nodes
// of one machine.
//
// One coroutine may read while another one writes; both on the thread of the socket. The owner
// keeps the stream until both have ended; closing the socket ends them.
#include <openssl/ssl.h>

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "net/tls_lanes.h"

namespace p2psync::net {

class TlsStream {
 public:
  /// The context lives on as long as the stream does. Throws std::bad_alloc.
  TlsStream(asio::ip::tcp::socket socket, SSL_CTX* context);

  enum class Role : std::uint8_t { client, server };
  /// Errors of TLS are in asio::error::get_ssl_category(), here and below. The other end has been
  /// told, unless it takes nothing.
  [[nodiscard]] asio::awaitable<asio::error_code> shake_hands(Role role);
  /// At least a byte, and what else has come. asio::error::eof once the other end has closed it.
  [[nodiscard]] asio::awaitable<std::pair<asio::error_code, std::size_t>> read_some(
      std::span<std::uint8_t> space);
  /// All of both. Once read_some has found the stream broken, the same error.
  [[nodiscard]] asio::awaitable<asio::error_code> write(std::span<const std::uint8_t> bytes,
                                                        std::span<const std::uint8_t> more = {});

  [[nodiscard]] asio::ip::tcp::socket& socket() { return socket_; }
  [[nodiscard]] const SSL* session() const { return session_.get(); }
  /// By way of the socket, with all that TLS adds.
  [[nodiscard]] std::uint64_t received_bytes() const { return received_bytes_; }
  [[nodiscard]] std::uint64_t sent_bytes() const { return sent_bytes_; }

  static constexpr std::size_t lane_bytes = 66 * 1024;  ///< of each direction

 private:
  /// Waits for more of what the other end sends.
  asio::awaitable<asio::error_code> receive(std::size_t bytes_max);
  /// Sends what TLS has written.
  asio::awaitable<asio::error_code> flush();

  asio::ip::tcp::socket socket_;
  std::unique_ptr<TlsLanes> lanes_;  ///< before the session, whose BIO points there
  std::unique_ptr<SSL, decltype(&SSL_free)> session_;
  std::uint64_t received_bytes_ = 0;
  std::uint64_t sent_bytes_ = 0;
  bool flushing_ = false;
  std::optional<asio::error_code> broken_;  ///< found behind bytes that were good
};

}  // namespace p2psync::net
