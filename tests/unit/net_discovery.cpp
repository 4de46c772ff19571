#include "net/discovery.h"

#include <doctest/doctest.h>

#include <asio/ip/udp.hpp>

#include "net/announce_pace.h"
#include "net/announcement.h"
#include "net/multicast.h"
#include "tests/unit/net_cluster.h"

namespace p2psync::net {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using asio::ip::udp;
using engine::NodeId;
using Clock = std::chrono::steady_clock;

KeyId key(std::uint8_t number) {
  KeyId id;
  id.bytes.fill(number);
  return id;
}

/// The loopback interface as a LAN of its own: every test has another port.
struct Lan {
  Lan() {
    udp::socket probe(io, udp::endpoint(udp::v4(), 0));
    port = probe.local_endpoint().port();
  }
  asio::io_context io;
  std::uint16_t port = 0;
};

const std::vector<std::string> loopback{"lo"};

/// A node of three, whose keys are 1, 2 and 3; it takes connections at port 1000 and its number.
struct Finder {
  Finder(Lan& lan, std::uint8_t number, const std::string& cluster = "demo",
         std::vector<std::string> missed = {"somebody"},
         const std::vector<std::string>& interfaces = loopback)
      : missing(std::move(missed)) {
    const auto port = static_cast<std::uint16_t>(1000 + number);
    DiscoveryOptions options{.cluster = cluster,
                             .self = key(number),
                             .members = {key(1), key(2), key(3)},
                             .places = {tcp::endpoint(tcp::v4(), port)},
                             .interfaces = interfaces,
                             .udp_port = lan.port};
    DiscoveryEvents events;
    events.heard = [this](NodeId node, const tcp::endpoint& where) {
      heard.emplace_back(node, where);
    };
    events.missing = [this] { return missing; };
    events.log = [this](engine::Note::Level, const std::string& text) { log.push_back(text); };
    discovery = Discovery::start(lan.io, std::move(options), std::move(events));
  }
  [[nodiscard]] bool heard_of(std::uint8_t number) const {
    const tcp::endpoint where(asio::ip::address_v4::loopback(), 1000U + number);
    return std::ranges::find(heard, std::pair(key(number).node(), where)) != heard.end();
  }

  std::vector<std::pair<NodeId, tcp::endpoint>> heard;
  std::vector<std::string> missing;
  std::vector<std::string> log;
  std::unique_ptr<Discovery> discovery;
};

/// Says whatever it likes, and hears what the others say.
struct Stranger {
  explicit Stranger(Lan& lan, Way way = Way::ipv4) {
    auto opened =
        MulticastSocket::open(lan.io, multicast_interfaces(loopback).at(0), way, lan.port);
    REQUIRE(opened.has_value());
    socket = *opened;
  }
  void say(std::span<const std::uint8_t> datagram) { REQUIRE(socket->send(datagram).has_value()); }
  void say(const Announcement& announcement) { say(encode_announcement(announcement)); }
  /// What came in since the last call, its own included.
  std::vector<Announcement> hear() {
    std::vector<Announcement> all;
    std::array<std::uint8_t, 100> bytes{};
    asio::error_code error;
    udp::endpoint from;
    for (;;) {
      const std::size_t count = socket->socket().receive_from(asio::buffer(bytes), from, 0, error);
      if (error) {
        return all;
      }
      if (const auto read = decode_announcement(std::span(bytes).first(count))) {
        all.push_back(*read);
      }
    }
  }
  /// How often a member has said where it is, in what came in since the last call.
  std::size_t hear(std::uint8_t number) {
    return static_cast<std::size_t>(
        std::ranges::count(hear(), member_tag("demo", key(number)), &Announcement::member));
  }
  std::shared_ptr<MulticastSocket> socket;
};

TEST_CASE("discovery: members find each other, also one that comes later") {
  Lan lan;
  Finder one(lan, 1);
  Finder two(lan, 2);
  REQUIRE(run_until(lan.io, [&] { return one.heard_of(2) && two.heard_of(1); }));
  one.missing.clear();
  two.missing.clear();  // they are silent from now on, and answer
  one.discovery->reconsider();
  two.discovery->reconsider();
  Finder three(lan, 3);
  CHECK(run_until(lan.io, [&] {
    return one.heard_of(3) && two.heard_of(3) && three.heard_of(1) && three.heard_of(2);
  }));
  CHECK(!one.heard_of(1));
  // One that is lost may be back in a moment: that nobody finds it is no news yet.
  one.missing = {"node3"};
  one.discovery->reconsider();
  lan.io.poll();
  CHECK(std::ranges::none_of(one.log, [](const auto& line) { return line.contains("not found"); }));
}

TEST_CASE("discovery: other clusters, strangers and garbage are not heard") {
  Lan lan;
  Finder node(lan, 1);
  Finder foreign(lan, 2, "another");
  Stranger stranger(lan);
  lan.io.poll();  // they listen
  Announcement good{.asks = false, .port = 1003, .member = member_tag("demo", key(3))};
  stranger.say({.asks = true, .port = 1, .member = member_tag("demo", key(4))});
  const auto bytes = encode_announcement(good);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    stranger.say(std::span(bytes).first(length));
  }
  for (std::size_t bit = 0; bit < 48; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    if (bit != 40) {  // the one that says that it asks
      stranger.say(flipped);
    }
  }
  stranger.say(std::vector<std::uint8_t>(2000, 0x70));
  CHECK(node.heard.empty());
  stranger.say(good);  // comes last, so all before it was judged
  REQUIRE(run_until(lan.io, [&] { return node.heard_of(3); }));
  CHECK(node.heard.size() == 1);
  CHECK(foreign.heard.empty());
}

TEST_CASE("discovery: while nobody is missing nothing is sent, until somebody asks") {
  Lan lan;
  Stranger stranger(lan);
  Finder node(lan, 1, "demo", {});
  lan.io.poll();
  CHECK(node.discovery->sent_bytes() == 0);
  stranger.say({.asks = false, .port = 7, .member = member_tag("demo", key(2))});
  REQUIRE(run_until(lan.io, [&] { return node.heard.size() == 1; }));
  lan.io.poll();
  CHECK(node.discovery->sent_bytes() == 0);
  stranger.say({.asks = true, .port = 7, .member = member_tag("demo", key(4))});  // no member
  stranger.say({.asks = true, .port = 7, .member = member_tag("demo", key(2))});
  std::vector<Announcement> said;
  REQUIRE(run_until(lan.io, [&] {
    std::ranges::copy_if(stranger.hear(), std::back_inserter(said),
                         [](const auto& one) { return one.member == member_tag("demo", key(1)); });
    return !said.empty();
  }));
  CHECK(said[0] == Announcement{.asks = false, .port = 1001, .member = member_tag("demo", key(1))});
  CHECK(node.discovery->sent_bytes() == 2 * announcement_bytes);  // by multicast and by broadcast
}

TEST_CASE("discovery: multicast and broadcast are enough, each alone, to hear and to be heard") {
  for (const Way way : ways_on(multicast_interfaces(loopback).at(0))) {
    Lan lan;
    Stranger stranger(lan, way);
    Finder node(lan, 1, "demo", {});
    lan.io.poll();
    stranger.say({.asks = true, .port = 1002, .member = member_tag("demo", key(2))});
    CHECK(run_until(lan.io, [&] { return stranger.hear(1) == 1; }));
    CHECK(node.heard_of(2));
    CHECK(node.heard.size() == 1);
  }
}

TEST_CASE("discovery: an interface is used in all ways that it has") {
  using Ways = std::vector<Way>;
  Interface lan{.name = "lan", .index = 2, .ipv4 = {}, .ipv6 = true};
  CHECK(ways_on(lan) == Ways{Way::ipv6});
  lan.ipv4.emplace_back(asio::ip::make_address_v4("10.77.0.1"), 24);
  CHECK(ways_on(lan) == Ways{Way::ipv4, Way::broadcast, Way::ipv6});
  lan.ipv4 = {{asio::ip::make_address_v4("10.77.0.1"), 31}};
  CHECK(ways_on(lan) == Ways{Way::ipv4, Way::ipv6});
}

TEST_CASE("discovery: a flood is judged in part, answered in part, and does not stop it") {
  Lan lan;
  Stranger stranger(lan);
  Finder node(lan, 1, "demo", {});
  const Announcement false_one{.asks = true, .port = 9, .member = member_tag("demo", key(2))};
  lan.io.poll();
  const Instant began = Clock::now();
  std::size_t said = 0;
  std::size_t answers = 0;
  while (said < 10'000 || Clock::now() - began < 700ms) {
    for (int i = 0; i < 100; ++i, ++said) {
      stranger.say(false_one);
    }
    answers += stranger.hear(1);
    lan.io.restart();
    lan.io.poll();
  }
  const std::chrono::duration<double> took = Clock::now() - began;
  const auto judged = static_cast<double>(node.heard.size());
  CHECK(judged <= packets_per_second_max * (took.count() + 0.25) + 1);
  CHECK(answers <= AnnouncePace::saved_up + static_cast<std::size_t>(took.count()));
  CHECK(judged > 0);
  stranger.say({.asks = false, .port = 1003, .member = member_tag("demo", key(3))});
  CHECK(run_until(lan.io, [&] {
    // The kernel may have dropped it: others say it again.
    stranger.hear();
    if (!node.heard_of(3)) {
      stranger.say({.asks = false, .port = 1003, .member = member_tag("demo", key(3))});
    }
    return node.heard_of(3);
  }));
}

TEST_CASE("discovery: a node that cannot be dialled there does not say that it can") {
  Lan lan;
  Stranger stranger(lan);
  const auto port_at = [&](const char* address) {
    return stranger.socket->port_among({tcp::endpoint(asio::ip::make_address(address), 5)});
  };
  CHECK(port_at("0.0.0.0") == 5);
  CHECK(port_at("127.0.0.1") == 5);
  CHECK(!port_at("127.0.0.2"));
  CHECK(!port_at("::"));
  CHECK(!port_at("::1"));
  CHECK(!stranger.socket->port_among({}));
}

TEST_CASE("discovery: without an interface it says why nobody is found, and who is missing") {
  Lan lan;
  Finder node(lan, 1, "demo", {"node2"}, {"no-such-lan"});
  lan.io.poll();
  const std::string trouble =
      "members without an address cannot be found: no network interface can multicast";
  CHECK(node.discovery->trouble() == trouble);
  CHECK(std::ranges::count(node.log, trouble) == 1);
  Finder other(lan, 2);
  lan.io.restart();
  lan.io.poll();
  CHECK(other.discovery->trouble().empty());
}

TEST_CASE("discovery: only neighbours on the interface's own networks are on link") {
  Interface lan{.name = "lan", .index = 2, .ipv4 = {}, .ipv6 = true};
  lan.ipv4.emplace_back(asio::ip::make_address_v4("10.77.0.1"), 24);
  lan.ipv4.emplace_back(asio::ip::make_address_v4("192.168.5.9"), 31);
  const auto from = [&](const char* address) {
    return on_link(lan, asio::ip::make_address(address));
  };
  CHECK(from("10.77.0.2"));
  CHECK(from("10.77.0.1"));
  CHECK(from("192.168.5.8"));
  CHECK(from("fe80::1"));
  for (const char* elsewhere : {"10.77.1.2", "10.77.0.255", "10.77.0.0", "192.168.5.10", "8.8.8.8",
                                "127.0.0.1", "0.0.0.0", "2001:db8::1", "::1", "ff02::1"}) {
    CHECK_MESSAGE(!from(elsewhere), std::string(elsewhere));
  }
}

}  // namespace
}  // namespace p2psync::net
