#include "net/dialer.h"

#include <doctest/doctest.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include "tests/unit/net_cluster.h"

namespace p2psync::net {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using What = Event::What;
using Clock = std::chrono::steady_clock;

/// A port of this host where nobody listens, for as long as this lives.
class ClosedPort {
 public:
  explicit ClosedPort(asio::io_context& io)
      : socket_(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}
  [[nodiscard]] tcp::endpoint endpoint() { return socket_.local_endpoint(); }

 private:
  tcp::socket socket_;  // bound, and does not listen
};

/// The member never answers.
class Absent : public DialerHost {
 public:
  [[nodiscard]] bool wanted(engine::NodeId) const override { return true; }
  asio::awaitable<Meeting> meet(tcp::socket, engine::NodeId) override { co_return Meeting{}; }
  void dialling_failed(engine::NodeId, const std::string&) override { ++failures; }
  std::size_t failures = 0;
};

struct Dialling {
  explicit Dialling(const TransportTiming& timing)
      : dialer(std::make_shared<Dialer>(io.get_executor(), 1, std::nullopt, timing, 1)) {
    asio::co_spawn(io, Dialer::run(host, dialer), asio::detached);
  }
  ~Dialling() {
    dialer->stop();
    io.run();
  }
  Dialling(const Dialling&) = delete;
  Dialling& operator=(const Dialling&) = delete;

  asio::io_context io;
  std::shared_ptr<Absent> host = std::make_shared<Absent>();
  std::shared_ptr<Dialer> dialer;
};

TEST_CASE("dialer: a flood of hints does not make it dial more often than it would") {
  TransportTiming timing;
  timing.retry_min = timing.retry_soon = timing.retry_max = timing.hint_pause = 20ms;
  Dialling dialling(timing);
  ClosedPort nowhere(dialling.io);
  const Instant began = Clock::now();
  std::size_t hints = 0;
  REQUIRE(run_until(dialling.io, [&] {
    dialling.dialer->hint(nowhere.endpoint());
    ++hints;
    return dialling.host->failures >= 10;
  }));
  // Each pause is at least half of 20 ms.
  CHECK(Clock::now() - began >= 9 * 10ms);
  CHECK(hints > 10);
}

TEST_CASE("dialer: a hint ends a long pause") {
  TransportTiming timing;
  timing.retry_min = timing.retry_soon = timing.retry_max = 1h;
  timing.hint_pause = 1ms;
  Dialling dialling(timing);
  ClosedPort nowhere(dialling.io);
  for (std::size_t attempt = 1; attempt <= 3; ++attempt) {
    dialling.dialer->hint(nowhere.endpoint());
    CHECK(run_until(dialling.io, [&] { return dialling.host->failures == attempt; }));
  }
}

TEST_CASE("dialer: a hint that comes during an attempt is not lost with it") {
  TransportTiming timing;
  timing.retry_min = timing.retry_soon = timing.retry_max = 1h;
  timing.hint_pause = 1ms;
  Dialling dialling(timing);
  ClosedPort nowhere(dialling.io);
  dialling.dialer->hint(nowhere.endpoint());
  dialling.io.poll_one();  // the attempt begins
  dialling.dialer->hint(nowhere.endpoint());
  CHECK(run_until(dialling.io, [&] { return dialling.host->failures == 2; }));
}

/// Two members; only the second is told where the other is.
struct Pair {
  Pair() : cluster(2) {
    REQUIRE(stays().start(cluster.io, {dials().member("")}).has_value());
    dials().options.timing.hint_pause = 1ms;
    REQUIRE(dials().start(cluster.io, {stays().member("")}).has_value());
  }
  TestNode& stays() { return cluster[0]; }
  TestNode& dials() { return cluster[1]; }
  bool connects() {
    return run_until(cluster.io, [this] { return cluster.connected(); });
  }
  TestCluster cluster;
};

TEST_CASE("transport: a stranger's places do not keep a member from being found at the true one") {
  Pair pair;
  ClosedPort one(pair.cluster.io);
  ClosedPort two(pair.cluster.io);
  ClosedPort three(pair.cluster.io);
  TestNode stranger("stranger");
  REQUIRE(stranger.start(pair.cluster.io, {pair.dials().member("")}).has_value());
  pair.dials().transport->hint(pair.stays().id(), pair.stays().endpoint());
  for (const tcp::endpoint& where : {one.endpoint(), two.endpoint(), stranger.endpoint()}) {
    pair.dials().transport->hint(pair.stays().id(), where);
  }
  CHECK(pair.connects());
  CHECK(pair.dials().count(What::up, pair.stays().id()) == 1);
}

TEST_CASE("transport: where a member was met is dialled again, whatever was heard meanwhile") {
  Pair pair;
  pair.dials().transport->hint(pair.stays().id(), pair.stays().endpoint());
  REQUIRE(pair.connects());
  std::vector<std::unique_ptr<ClosedPort>> strangers;
  for (int i = 0; i < 20; ++i) {
    strangers.push_back(std::make_unique<ClosedPort>(pair.cluster.io));
    pair.dials().transport->hint(pair.stays().id(), strangers.back()->endpoint());
  }
  pair.stays().transport->disconnect(pair.dials().id(), "the test says so");
  REQUIRE(run_until(pair.cluster.io,
                    [&] { return pair.dials().count(What::up, pair.stays().id()) == 2; }));
}

TEST_CASE("transport: a member that was found has the place where it listens") {
  Pair pair;
  CHECK(pair.dials().transport->place_of(pair.stays().id()).empty());
  pair.dials().transport->hint(pair.stays().id(), pair.stays().endpoint());
  REQUIRE(pair.connects());
  CHECK(pair.dials().transport->place_of(pair.stays().id()) == pair.stays().address);
  // It came from a port of no meaning; where it listens may be heard later.
  const std::string came_from = pair.stays().transport->place_of(pair.dials().id());
  CHECK(came_from.starts_with("127.0.0.1:"));
  CHECK(came_from != pair.dials().address);
  pair.stays().transport->hint(pair.dials().id(), pair.dials().endpoint());
  CHECK(pair.stays().transport->place_of(pair.dials().id()) == pair.dials().address);
}

TEST_CASE("transport: who listens on every interface does so for both families") {
  asio::io_context io;
  TestNode node("node");
  REQUIRE(node.start(io, {}, ":0").has_value());
  const auto places = node.transport->places();
  CHECK(std::ranges::any_of(places, [](const tcp::endpoint& place) {
    return place.address() == asio::ip::address_v4::any() && place.port() != 0;
  }));
  TestNode local("local");
  REQUIRE(local.start(io, {}).has_value());
  REQUIRE(local.transport->places().size() == 1);
  CHECK(local.transport->places()[0] == local.endpoint());
}

}  // namespace
}  // namespace p2psync::net
