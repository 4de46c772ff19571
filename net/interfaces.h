#pragma once
// The network interfaces on which there may be neighbours, and news of them from the kernel.
#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/network_v4.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace p2psync::net {

struct Interface {
  std::string name;
  unsigned index = 0;
  std::vector<asio::ip::network_v4> ipv4;  ///< its addresses, each with its prefix
  bool ipv6 = false;                       ///< it has a link-local address
  bool operator==(const Interface&) const = default;
};

/// A busy host has one for each of its containers.
inline constexpr std::size_t interfaces_max = 16;

/// Those that are up and can multicast, in the order of their indexes; where there are too many,
/// those with IPv4 first. Where there is none, the loopback interface: nodes on a host without a
/// network can still find each other. `only`, unless empty: just these, loopback or not.
[[nodiscard]] std::vector<Interface> multicast_interfaces(const std::vector<std::string>& only);

/// A neighbour on this interface may have sent from there. Multicast says nothing of where a packet
/// comes from: without this anybody here could have a node dial any address of the internet.
[[nodiscard]] bool on_link(const Interface& interface, const asio::ip::address& source);

/// Calls back, on the io_context, when interfaces or their addresses may have changed.
class InterfaceNews {
 public:
  explicit InterfaceNews(asio::io_context& io) : socket_(io) {}
  /// False if the kernel tells nothing.
  [[nodiscard]] bool open();
  static asio::awaitable<void> run(std::shared_ptr<InterfaceNews> self,
                                   std::function<void()> changed);
  void stop();

 private:
  asio::posix::stream_descriptor socket_;
};

}  // namespace p2psync::net
