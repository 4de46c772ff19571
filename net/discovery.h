#pragma once
// Finds members on the LAN: says where this node is, and hears where others are.
//
// Announcements (announcement.h) go by UDP to whoever listens on the same network, with a hop limit
// of 1: on each interface by multicast, for IPv4 and for IPv6, and by IPv4 broadcast. Sockets are
// bound to what is sent to, so nothing else comes in, and follow the interfaces as these come and
// go. One of these ways is enough.
//
// Whoever has packets on this network may say anything here, so it must not matter:
// - what is heard is a place where to dial a member, if it is one's own network (on_link); who
//   answers there has to prove to be the member, and the dialer keeps its own pace (dialer.h);
// - each socket judges packets_per_second_max, and leaves the rest to the kernel, which drops them;
//   one of them costs a comparison with a few bytes;
// - a question is answered by everybody's own measure (announce_pace.h), to all and not to whoever
//   asked, with 24 bytes;
// - nothing is remembered in here.
// A stranger who says that a member is elsewhere therefore costs a vain attempt; one who floods the
// network can keep members from hearing each other, as he could cut it.
//
// Threads: everything on the io_context's one thread. Callbacks come from io_context::run only, and
// may call this class. Errors: none of them ends anything; trouble() and the log say what is wrong.
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/output.h"
#include "net/tls.h"

namespace p2psync::net {

struct DiscoveryOptions {
  std::string cluster;
  KeyId self;
  std::vector<KeyId> members;  ///< whose announcements count; the node itself may be among them
  /// Where this node takes connections; an unspecified address is every one of its family.
  std::vector<asio::ip::tcp::endpoint> places;
  std::vector<std::string> interfaces;  ///< only these; none: all that there are
  std::uint16_t udp_port = 7744;        ///< the same on all nodes
};

struct DiscoveryEvents {
  /// A member said that it is there, or somebody said so.
  std::function<void(engine::NodeId, const asio::ip::tcp::endpoint&)> heard;
  /// Names of the members that are to be found and are not connected.
  std::function<std::vector<std::string>()> missing;
  std::function<void(engine::Note::Level, const std::string&)> log;
};

inline constexpr const char* multicast_group_ipv4 = "239.255.77.44";    ///< RFC 2365: local scope
inline constexpr const char* multicast_group_ipv6 = "ff12::7032:7073";  ///< link-local, transient
inline constexpr std::uint64_t packets_per_second_max = 2000;

class Discovery {
 public:
  /// Begins at once. Without any interface it waits for one.
  [[nodiscard]] static std::unique_ptr<Discovery> start(asio::io_context& io,
                                                        DiscoveryOptions options,
                                                        DiscoveryEvents events);
  ~Discovery();
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  /// What missing() says may have changed.
  void reconsider();
  /// No callback comes any more. Work of the io_context ends by itself.
  void stop();

  /// Why nobody can be found, or "".
  [[nodiscard]] std::string trouble() const;
  [[nodiscard]] std::uint64_t sent_bytes() const;
  [[nodiscard]] std::uint64_t received_bytes() const;

 private:
  class Core;
  explicit Discovery(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace p2psync::net
