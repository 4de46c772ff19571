#include "net/interfaces.h"

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asio/experimental/as_tuple.hpp>
#include <asio/use_awaitable.hpp>
#include <bit>
#include <map>

namespace p2psync::net {
namespace {

constexpr auto token = asio::experimental::as_tuple(asio::use_awaitable);

asio::ip::address_v4 address_of(const sockaddr* address) {
  return asio::ip::address_v4(
      ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr));
}

void add_address(Interface& interface, const ifaddrs& entry) {
  if (entry.ifa_addr == nullptr) {
    return;
  }
  if (entry.ifa_addr->sa_family == AF_INET && entry.ifa_netmask != nullptr) {
    const auto mask = address_of(entry.ifa_netmask).to_uint();
    interface.ipv4.emplace_back(address_of(entry.ifa_addr),
                                static_cast<unsigned short>(std::popcount(mask)));
  } else if (entry.ifa_addr->sa_family == AF_INET6) {
    const auto* ipv6 = reinterpret_cast<const sockaddr_in6*>(entry.ifa_addr);
    interface.ipv6 |= IN6_IS_ADDR_LINKLOCAL(&ipv6->sin6_addr);
  }
}

}  // namespace

std::vector<Interface> multicast_interfaces(const std::vector<std::string>& only) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) {
    return {};
  }
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(list, &::freeifaddrs);
  std::map<unsigned, Interface> found;
  std::map<unsigned, Interface> loopback;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    const bool named = std::ranges::find(only, entry->ifa_name) != only.end();
    const bool loops = (entry->ifa_flags & IFF_LOOPBACK) != 0;
    const bool multicasts = (entry->ifa_flags & IFF_MULTICAST) != 0 || loops;
    const unsigned index = ::if_nametoindex(entry->ifa_name);
    if ((entry->ifa_flags & IFF_UP) == 0 || !multicasts || index == 0 ||
        (!only.empty() && !named)) {
      continue;
    }
    Interface& interface = (loops && !named ? loopback : found)[index];
    interface.name = entry->ifa_name;
    interface.index = index;
    add_address(interface, *entry);
  }
  const auto useless = [](const auto& one) { return one.second.ipv4.empty() && !one.second.ipv6; };
  std::erase_if(found, useless);
  std::vector<Interface> interfaces;
  for (auto& [index, interface] : found.empty() ? loopback : found) {
    interfaces.push_back(std::move(interface));
  }
  std::ranges::sort(interfaces, {},
                    [](const Interface& one) { return std::pair(one.ipv4.empty(), one.index); });
  interfaces.resize(std::min(interfaces.size(), interfaces_max));
  std::ranges::sort(interfaces, {}, &Interface::index);
  return interfaces;
}

bool on_link(const Interface& interface, const asio::ip::address& source) {
  if (source.is_v6()) {
    return source.to_v6().is_link_local();
  }
  const std::uint32_t from = source.to_v4().to_uint();
  return std::ranges::any_of(interface.ipv4, [from](const asio::ip::network_v4& mine) {
    const std::uint32_t mask = mine.netmask().to_uint();
    const std::uint32_t host = from & ~mask;
    // The last two addresses of a network are hosts only where it has no others.
    const bool is_host = mine.prefix_length() >= 31 || (host != 0 && host != ~mask);
    return is_host && (from & mask) == (mine.address().to_uint() & mask);
  });
}

bool InterfaceNews::open() {
  const int number = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (number < 0) {
    return false;
  }
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (::bind(number, reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0) {
    ::close(number);
    return false;
  }
  asio::error_code error;
  socket_.assign(number, error);
  return !error;
}

asio::awaitable<void> InterfaceNews::run(std::shared_ptr<InterfaceNews> self,
                                         std::function<void()> changed) {
  while (self->socket_.is_open()) {
    const auto [error] =
        co_await self->socket_.async_wait(asio::posix::stream_descriptor::wait_read, token);
    if (error) {
      co_return;
    }
    // What it says does not matter, nor whether some was lost: the interfaces are read anew.
    std::array<char, 8192> ignored{};
    while (self->socket_.is_open() &&
           ::recv(self->socket_.native_handle(), ignored.data(), ignored.size(), 0) > 0) {
    }
    if (self->socket_.is_open()) {
      changed();
    }
  }
}

void InterfaceNews::stop() {
  asio::error_code ignored;
  socket_.close(ignored);
}

}  // namespace p2psync::net
