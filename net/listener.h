#pragma once
// Accepts connections, and bounds those that have not said yet who they are.
#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <vector>

#include "engine/error.h"
#include "net/connection.h"

namespace p2psync::net {

class ListenerHost {
 public:
  virtual ~ListenerHost() = default;
  virtual void accepted(asio::ip::tcp::socket socket) = 0;
  /// Accepting fails (no descriptors left, say); it is tried again.
  virtual void accepting_failed(const std::string& text) = 0;
};

/// One listening socket.
class Listener {
 public:
  /// One for each address that the host has; ":port" is every interface, IPv4 and IPv6. The error
  /// names the address: EADDRINUSE when the port is taken.
  [[nodiscard]] static Result<std::vector<std::shared_ptr<Listener>>> open(asio::io_context& io,
                                                                           const std::string& text);
  explicit Listener(asio::ip::tcp::acceptor acceptor);

  static asio::awaitable<void> run(std::shared_ptr<ListenerHost> host,
                                   std::shared_ptr<Listener> self);
  void stop();
  [[nodiscard]] std::string address() const { return address_; }
  [[nodiscard]] const asio::ip::tcp::endpoint& local() const { return local_; }
  /// An IPv6 socket that takes connections to IPv4 addresses as well.
  [[nodiscard]] bool takes_ipv4_too() const { return takes_ipv4_too_; }

 private:
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  asio::ip::tcp::endpoint local_;
  std::string address_;
  bool takes_ipv4_too_ = false;
  bool stopped_ = false;
};

/// The connections that were accepted and are nobody's yet. Where there are too many, the oldest
/// goes: a member is through within milliseconds, who only holds sockets open is not.
class HalfOpen {
 public:
  void enter(const std::shared_ptr<Connection>& connection);
  void leave(const Connection* connection);
  [[nodiscard]] std::size_t size() const { return oldest_first_.size(); }

 private:
  std::vector<std::shared_ptr<Connection>> oldest_first_;
};

}  // namespace p2psync::net
