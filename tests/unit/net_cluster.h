#pragma once
// Several transports in one io_context on loopback, for the tests of net/.
#include <doctest/doctest.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/transport.h"

namespace p2psync::net {

/// A bound for a test that hangs; no test waits for it.
inline constexpr std::chrono::seconds patience{60};

/// Runs handlers until `done` holds.
inline bool run_until(asio::io_context& io, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  io.restart();
  while (!done()) {
    if (io.run_one_until(deadline) == 0) {
      return done();
    }
  }
  return true;
}

inline TransportTiming quick_timing() {
  TransportTiming timing;
  timing.connect_max = patience;  // a loaded machine is not what is tested
  timing.handshake_max = patience;
  timing.retry_min = std::chrono::milliseconds(5);
  timing.retry_max = std::chrono::milliseconds(100);
  timing.hint_pause = std::chrono::milliseconds(5);
  return timing;
}

struct Event {
  enum class What { up, down, received, drained } what;
  engine::NodeId peer = 0;
  std::string reason;
  std::optional<engine::Message> message = std::nullopt;
};

/// A member: says Hello when a connection is up, and writes down what happens.
class TestNode {
 public:
  explicit TestNode(std::string name) : name_(std::move(name)), key_(*PrivateKey::generate()) {}
  TestNode(std::string name, PrivateKey key) : name_(std::move(name)), key_(std::move(key)) {}

  [[nodiscard]] Result<void> start(asio::io_context& io, std::vector<Member> members,
                                   const std::string& listen = "127.0.0.1:0") {
    options.members = std::move(members);
    options.listen = {listen};
    TransportEvents out;
    out.up = [this](engine::NodeId peer) {
      events.push_back({Event::What::up, peer, ""});
      if (says_hello) {
        transport->send(peer, engine::Hello{}, engine::Priority::control);
      }
      if (on_up) {
        on_up(peer);
      }
    };
    out.down = [this](engine::NodeId peer, const std::string& reason) {
      events.push_back({Event::What::down, peer, reason});
    };
    out.received = [this](engine::NodeId peer, engine::Message message) {
      if (on_received) {
        on_received(peer, message);
      }
      events.push_back({Event::What::received, peer, "", std::move(message)});
    };
    out.drained = [this](engine::NodeId peer) {
      events.push_back({Event::What::drained, peer, ""});
    };
    out.log = [this](engine::Note::Level, const std::string& text) { log.push_back(text); };
    auto started = Transport::start(io, key_, options, std::move(out));
    if (!started) {
      return std::unexpected(started.error());
    }
    transport = std::move(*started);
    address = transport->listening().front();
    return {};
  }

  [[nodiscard]] engine::NodeId id() const { return key_.id().node(); }
  [[nodiscard]] const PrivateKey& key() const { return key_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Member member(const std::string& where) const { return {key_.id(), name_, where}; }
  [[nodiscard]] asio::ip::tcp::endpoint endpoint() const {
    return {asio::ip::make_address_v4("127.0.0.1"), parse_address(address)->port};
  }

  [[nodiscard]] std::size_t count(Event::What what, engine::NodeId peer) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        events, [&](const Event& event) { return event.what == what && event.peer == peer; }));
  }
  [[nodiscard]] std::size_t count(Event::What what) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(events, [&](const Event& event) { return event.what == what; }));
  }
  [[nodiscard]] bool logged(std::string_view part) const {
    return std::ranges::any_of(log, [&](const auto& line) { return line.contains(part); });
  }
  [[nodiscard]] std::string last_reason() const {
    const auto last = std::ranges::find_if(events.rbegin(), events.rend(), [](const Event& event) {
      return event.what == Event::What::down;
    });
    return last == events.rend() ? "" : last->reason;
  }

  TransportOptions options{.members = {}, .listen = {}, .timing = quick_timing()};
  std::unique_ptr<Transport> transport;
  std::string address;
  std::vector<Event> events;
  std::vector<std::string> log;
  bool says_hello = true;
  std::function<void(engine::NodeId)> on_up;
  std::function<void(engine::NodeId, const engine::Message&)> on_received;

 private:
  std::string name_;
  PrivateKey key_;
};

/// Members that all know each other's address: ports are found by listening on any first.
class TestCluster {
 public:
  explicit TestCluster(std::size_t size) {
    std::vector<Member> members;
    for (std::size_t i = 0; i < size; ++i) {
      nodes.push_back(std::make_unique<TestNode>("node" + std::to_string(i + 1)));
    }
    // The smaller id first, so that a test can say which of a pair decides.
    std::ranges::sort(nodes, {}, [](const auto& node) { return node->id(); });
  }
  /// Everybody listens; addresses are told by hints, all at once.
  void start() {
    std::vector<Member> members;
    for (const auto& node : nodes) {
      members.push_back(node->member(""));
    }
    for (const auto& node : nodes) {
      REQUIRE(node->start(io, members).has_value());
    }
    for (const auto& node : nodes) {
      for (const auto& other : nodes) {
        node->transport->hint(other->id(), other->endpoint());
      }
    }
  }
  [[nodiscard]] bool connected() const {
    return std::ranges::all_of(nodes, [&](const auto& node) {
      return std::ranges::all_of(nodes, [&](const auto& other) {
        return node == other || node->transport->connected(other->id());
      });
    });
  }
  TestNode& operator[](std::size_t index) { return *nodes[index]; }

  asio::io_context io;
  std::vector<std::unique_ptr<TestNode>> nodes;
};

}  // namespace p2psync::net
