#pragma once
// One socket that reaches all neighbours on one interface: everything that is particular about it.
//
// By multicast for IPv4 and IPv6; by IPv4's broadcast as well, for networks that carry only what is
// addressed to their own range. Docker's internal ones are such, and drop multicast.
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/steady_timer.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/error.h"
#include "net/interfaces.h"
#include "net/token_bucket.h"

namespace p2psync::net {

enum class Way : std::uint8_t { ipv4, ipv6, broadcast };

/// Those that an interface has.
[[nodiscard]] std::vector<Way> ways_on(const Interface& interface);

class MulticastSocket {
 public:
  /// Bound to the group (or the broadcast address), so that nothing else comes in. Several sockets,
  /// also of several programs, can have the same; each gets every packet, and the host's own too.
  [[nodiscard]] static Result<std::shared_ptr<MulticastSocket>> open(asio::io_context& io,
                                                                     Interface interface, Way way,
                                                                     std::uint16_t port);
  MulticastSocket(asio::io_context& io, Interface interface, Way way, std::uint16_t port);

  /// To the group, at once or not at all.
  [[nodiscard]] Result<void> send(std::span<const std::uint8_t> datagram);
  void close();

  [[nodiscard]] asio::ip::udp::socket& socket() { return socket_; }
  [[nodiscard]] const Interface& interface() const { return interface_; }
  [[nodiscard]] Way way() const { return way_; }
  /// "eth0 (IPv4)".
  [[nodiscard]] std::string text() const;
  /// The port of the first place that a neighbour on this interface reaches through its address.
  [[nodiscard]] std::optional<std::uint16_t> port_among(
      const std::vector<asio::ip::tcp::endpoint>& places) const;

  TokenBucket judged;        ///< packets
  asio::steady_timer pause;  ///< until more may be judged

 private:
  [[nodiscard]] int prepare();
  [[nodiscard]] int join();
  [[nodiscard]] int join_ipv4();

  Interface interface_;
  Way way_;
  asio::ip::udp::endpoint group_;
  asio::ip::udp::socket socket_;
};

}  // namespace p2psync::net
