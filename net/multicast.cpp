#include "net/multicast.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <asio/buffer.hpp>
#include <asio/ip/multicast.hpp>
#include <asio/ip/unicast.hpp>
#include <asio/ip/v6_only.hpp>

#include "net/discovery.h"

namespace p2psync::net {
namespace {

using asio::ip::udp;

udp::endpoint group_of(Way way, const Interface& interface, std::uint16_t port) {
  switch (way) {
    case Way::ipv4: return {asio::ip::make_address_v4(multicast_group_ipv4), port};
    case Way::broadcast: return {interface.ipv4.front().broadcast(), port};
    case Way::ipv6: break;
  }
  auto address = asio::ip::make_address_v6(multicast_group_ipv6);
  address.scope_id(interface.index);
  return {address, port};
}

}  // namespace

std::vector<Way> ways_on(const Interface& interface) {
  std::vector<Way> ways;
  if (!interface.ipv4.empty()) {
    ways.push_back(Way::ipv4);
    if (interface.ipv4.front().prefix_length() < 31) {  // the others have no such address
      ways.push_back(Way::broadcast);
    }
  }
  if (interface.ipv6) {
    ways.push_back(Way::ipv6);
  }
  return ways;
}

MulticastSocket::MulticastSocket(asio::io_context& io, Interface interface, Way way,
                                 std::uint16_t port)
    : judged(packets_per_second_max),
      pause(io),
      interface_(std::move(interface)),
      way_(way),
      group_(group_of(way, interface_, port)),
      socket_(io) {}

Result<std::shared_ptr<MulticastSocket>> MulticastSocket::open(asio::io_context& io,
                                                               Interface interface, Way way,
                                                               std::uint16_t port) {
  auto made = std::make_shared<MulticastSocket>(io, std::move(interface), way, port);
  if (const int number = made->prepare(); number != 0) {
    return std::unexpected(system_error("listen for members on", made->text(), number));
  }
  return made;
}

int MulticastSocket::prepare() {
  asio::error_code error;
  const auto attempt = [&error](auto&& step) {
    if (!error) {
      step();
    }
  };
  attempt([&] { socket_.open(group_.protocol(), error); });
  attempt([&] { socket_.set_option(udp::socket::reuse_address(true), error); });
  if (way_ == Way::ipv6) {
    attempt([&] { socket_.set_option(asio::ip::v6_only(true), error); });
  }
  attempt([&] { socket_.bind(group_, error); });
  attempt([&] { socket_.non_blocking(true, error); });
  return error ? error.value() : join();
}

int MulticastSocket::join() {
  namespace multicast = asio::ip::multicast;
  asio::error_code error;
  const auto attempt = [&error](auto&& step) {
    if (!error) {
      step();
    }
  };
  if (way_ == Way::broadcast) {
    attempt([&] { socket_.set_option(asio::socket_base::broadcast(true), error); });
    attempt([&] { socket_.set_option(asio::ip::unicast::hops(1), error); });
    return error.value();
  }
  attempt([&] { socket_.set_option(multicast::hops(1), error); });
  attempt([&] { socket_.set_option(multicast::enable_loopback(true), error); });
  if (error || way_ == Way::ipv4) {
    return error ? error.value() : join_ipv4();
  }
  attempt([&] { socket_.set_option(multicast::outbound_interface(interface_.index), error); });
  attempt([&] {
    socket_.set_option(multicast::join_group(group_.address().to_v6(), interface_.index), error);
  });
  return error.value();
}

/// By the interface's index, which Asio has no option for: an address may be on two interfaces.
int MulticastSocket::join_ipv4() {
  ip_mreqn request{};
  request.imr_multiaddr.s_addr = htonl(group_.address().to_v4().to_uint());
  request.imr_ifindex = static_cast<int>(interface_.index);
  // Left to itself the kernel announces the loopback interface with the address of another.
  request.imr_address.s_addr = htonl(interface_.ipv4.front().address().to_uint());
  const int only_joined = 0;
  const int number = socket_.native_handle();
  const auto set = [number](int option, const auto& value) {
    return ::setsockopt(number, IPPROTO_IP, option, &value, sizeof value) == 0;
  };
  // Without the last, the socket would hear what comes in on the other interfaces as well.
  return set(IP_MULTICAST_IF, request) && set(IP_ADD_MEMBERSHIP, request) &&
                 set(IP_MULTICAST_ALL, only_joined)
             ? 0
             : errno;
}

Result<void> MulticastSocket::send(std::span<const std::uint8_t> datagram) {
  asio::error_code error;
  socket_.send_to(asio::buffer(datagram.data(), datagram.size()), group_, 0, error);
  if (error) {
    return std::unexpected(system_error("announce this node on", text(), error.value()));
  }
  return {};
}

void MulticastSocket::close() {
  asio::error_code ignored;
  socket_.close(ignored);
  pause.cancel();
}

std::string MulticastSocket::text() const {
  switch (way_) {
    case Way::ipv4: return interface_.name + " (IPv4)";
    case Way::broadcast: return interface_.name + " (broadcast)";
    case Way::ipv6: break;
  }
  return interface_.name + " (IPv6)";
}

std::optional<std::uint16_t> MulticastSocket::port_among(
    const std::vector<asio::ip::tcp::endpoint>& places) const {
  const auto reached = std::ranges::find_if(places, [this](const asio::ip::tcp::endpoint& place) {
    const asio::ip::address address = place.address();
    if (address.is_v6() != (way_ == Way::ipv6)) {
      return false;
    }
    return address.is_unspecified() ||
           std::ranges::any_of(interface_.ipv4, [&](const asio::ip::network_v4& mine) {
             return address.is_v4() && mine.address() == address.to_v4();
           });
  });
  return reached == places.end() ? std::nullopt : std::optional(reached->port());
}

}  // namespace p2psync::net
