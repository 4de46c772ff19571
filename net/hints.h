#pragma once
// Where a member may be, as heard on the LAN: a few endpoints, in the order in which to try them.
//
// Anybody can say that a member is somewhere. So there is room for several, and the true one is not
// lost among false ones:
// - what is new comes first, since a member that came back elsewhere says so;
// - what was in the list already stays where it is, however often it is said again;
// - what failed goes behind the others, so that nobody is asked a second time before all were
// asked;
// - the last one at which the member was met stays in the list, whatever else is heard.
// A full list loses its last, the one that failed longest ago or was heard first.
//
// A value; no clock, no I/O.
#include <asio/ip/tcp.hpp>
#include <cstddef>
#include <span>
#include <vector>

namespace p2psync::net {

class Hints {
 public:
  /// A member with two networks and two families says four.
  static constexpr std::size_t most = 4;

  void heard(const asio::ip::tcp::endpoint& where);
  /// Nobody answered there, or not the member.
  void failed(const asio::ip::tcp::endpoint& where);
  /// The member itself answered there.
  void met(const asio::ip::tcp::endpoint& where);

  [[nodiscard]] bool empty() const { return places_.empty(); }
  /// The first to be tried first.
  [[nodiscard]] std::span<const asio::ip::tcp::endpoint> places() const { return places_; }

 private:
  void put_first(const asio::ip::tcp::endpoint& where);

  std::vector<asio::ip::tcp::endpoint> places_;
  asio::ip::tcp::endpoint met_;
};

}  // namespace p2psync::net
