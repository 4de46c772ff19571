#include "net/transport.h"

#include <doctest/doctest.h>

#include <numeric>
#include <sstream>

#include "net/dialer.h"
#include "tests/unit/net_cluster.h"

namespace p2psync::net {
namespace {

using engine::NodeId;
using engine::Priority;
using What = Event::What;

engine::Block block_of(std::size_t bytes, std::uint64_t request = 0) {
  return {request, engine::Bytes::of(std::vector<std::uint8_t>(bytes, std::uint8_t{7}))};
}

/// Both throw a Tick to and fro until it has been received `rounds` times in all.
void talk(TestCluster& cluster, TestNode& a, TestNode& b, std::uint64_t rounds) {
  std::uint64_t heard = 0;
  const auto answer = [&heard](TestNode& node) {
    return [&heard, &node](NodeId peer, const engine::Message& message) {
      if (const auto* tick = std::get_if<engine::Tick>(&message)) {
        ++heard;
        node.transport->send(peer, engine::Tick{.echo = tick->echo + 1}, Priority::control);
      }
    };
  };
  a.on_received = answer(a);
  b.on_received = answer(b);
  REQUIRE(a.transport->send(b.id(), engine::Tick{}, Priority::control));
  REQUIRE(run_until(cluster.io, [&] { return heard >= rounds; }));
  a.on_received = nullptr;
  b.on_received = nullptr;
}

TEST_CASE("transport: both dial at once, and one connection is left that nothing disturbs") {
  for (int round = 0; round < 25; ++round) {
    TestCluster cluster(2);
    cluster.start();
    REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
    talk(cluster, cluster[0], cluster[1], 50);
    for (const auto& node : cluster.nodes) {
      CAPTURE(node->last_reason());
      CHECK(node->count(What::up) == 1);
      CHECK(node->count(What::down) == 0);
    }
  }
}

TEST_CASE("transport: five members dial each other at once") {
  TestCluster cluster(5);
  cluster.start();
  REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t j = i + 1; j < 5; ++j) {
      talk(cluster, cluster[i], cluster[j], 10);
    }
  }
  for (const auto& node : cluster.nodes) {
    CAPTURE(node->last_reason());
    CHECK(node->count(What::up) == 4);
    CHECK(node->count(What::down) == 0);
  }
}

TEST_CASE("transport: of many members a node dials a few, and others for those out of reach") {
  TestCluster cluster(9);
  for (const auto& node : cluster.nodes) {
    node->options.neighbours = 2;
  }
  cluster.start();
  const auto linked = [&](const TestNode& one, const TestNode& other) {
    return one.count(What::up, other.id()) > one.count(What::down, other.id());
  };
  // Two of those that are there, by everybody's own choice.
  const auto all_have_two = [&](const TestNode* gone) {
    return std::ranges::all_of(cluster.nodes, [&](const auto& node) {
      return node.get() == gone || std::ranges::count_if(cluster.nodes, [&](const auto& other) {
                                     return other != node && linked(*node, *other);
                                   }) >= 2;
    });
  };
  REQUIRE(run_until(cluster.io, [&] { return all_have_two(nullptr); }));
  std::size_t ups = 0;
  for (const auto& node : cluster.nodes) {
    ups += node->count(What::up);
  }
  CHECK(ups <= std::size_t{2 * 9 * 2});  // each link is two ups; a mesh would have 72

  TestNode& gone = cluster[0];
  gone.transport = nullptr;
  CHECK(run_until(cluster.io, [&] {
    return all_have_two(&gone) && std::ranges::none_of(cluster.nodes, [&](const auto& node) {
             return node.get() != &gone && linked(*node, gone);
           });
  }));
}

TEST_CASE("transport: one direction is enough, whichever the dialler's id") {
  for (const std::size_t dialler : {0U, 1U}) {
    TestCluster cluster(2);
    TestNode& answers = cluster[1 - dialler];
    TestNode& dials = cluster[dialler];
    REQUIRE(answers.start(cluster.io, {dials.member(""), answers.member("")}).has_value());
    REQUIRE(
        dials.start(cluster.io, {dials.member(""), answers.member(answers.address)}).has_value());
    REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
    talk(cluster, answers, dials, 10);
    CHECK(answers.count(What::up) == 1);
    CHECK(dials.count(What::up) == 1);
  }
}

TEST_CASE("transport: host names are looked up, and every address is tried") {
  TestCluster cluster(2);
  REQUIRE(cluster[0].start(cluster.io, {cluster[1].member("")}).has_value());
  // localhost may be ::1 first, where nobody listens.
  const std::string port = std::to_string(cluster[0].endpoint().port());
  REQUIRE(cluster[1].start(cluster.io, {cluster[0].member("localhost:" + port)}).has_value());
  CHECK(run_until(cluster.io, [&] { return cluster.connected(); }));
}

TEST_CASE("transport: messages of every size arrive in order and whole") {
  TestCluster cluster(2);
  cluster.start();
  REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
  std::vector<std::size_t> sizes{0, 1, 100, 16'000, 16'384, 16'385, 65'536, engine::block_bytes};
  std::uint64_t request = 0;
  for (const std::size_t size : sizes) {
    std::vector<std::uint8_t> bytes(size);
    std::iota(bytes.begin(), bytes.end(), static_cast<std::uint8_t>(size));
    REQUIRE(cluster[0].transport->send(
        cluster[1].id(), engine::Block{request++, engine::Bytes::of(std::move(bytes))},
        Priority::data));
  }
  REQUIRE(
      run_until(cluster.io, [&] { return cluster[1].count(What::received) == 1 + sizes.size(); }));
  std::size_t next = 0;
  for (const Event& event : cluster[1].events) {
    if (event.what == What::received && std::holds_alternative<engine::Block>(*event.message)) {
      const auto& block = std::get<engine::Block>(*event.message);
      CHECK(block.request == next);
      std::vector<std::uint8_t> expected(sizes[next]);
      std::iota(expected.begin(), expected.end(), static_cast<std::uint8_t>(sizes[next]));
      CHECK(std::ranges::equal(*block.bytes, expected));
      ++next;
    }
  }
  CHECK(next == sizes.size());
}

TEST_CASE("transport: a member that is restarted is connected again, and each up has its down") {
  TestCluster cluster(2);
  cluster.start();
  for (std::size_t round = 0; round < 6; ++round) {
    TestNode& stays = cluster[round % 2];
    TestNode& again = cluster[1 - round % 2];
    REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
    talk(cluster, stays, again, 4);
    const std::string address = again.address;
    again.transport->stop();
    again.transport = nullptr;
    REQUIRE(run_until(cluster.io, [&] { return !stays.transport->connected(again.id()); }));
    again.events.clear();
    REQUIRE(again.start(cluster.io, {stays.member("")}, address).has_value());
    if (round < 3) {
      again.transport->hint(stays.id(), stays.endpoint());
    } else {
      stays.transport->hint(again.id(), again.endpoint());
    }
    REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
    talk(cluster, stays, again, 4);
    CHECK(stays.count(What::up) == stays.count(What::down) + 1);
  }
}

TEST_CASE("transport: a member that came back replaces its connection that only looks alive") {
  for (const std::size_t frozen : {0U, 1U}) {
    for (const bool dialled_by_frozen : {true, false}) {
      TestCluster cluster(2);
      TestNode& stays = cluster[1 - frozen];
      asio::io_context elsewhere;  // not run any more: the old process hangs, its sockets stay open
      TestNode old("old", cluster[frozen].key());
      REQUIRE(stays.start(cluster.io, {old.member("")}).has_value());
      REQUIRE(old.start(elsewhere, {stays.member("")}).has_value());
      if (dialled_by_frozen) {
        old.transport->hint(stays.id(), stays.endpoint());
      } else {
        stays.transport->hint(old.id(), old.endpoint());
      }
      REQUIRE(run_until(cluster.io, [&] {
        elsewhere.restart();
        elsewhere.poll();
        return stays.count(What::received) == 1 && old.count(What::received) == 1;
      }));

      TestNode& comes = cluster[frozen];
      REQUIRE(comes.start(cluster.io, {stays.member(stays.address)}).has_value());
      REQUIRE(run_until(cluster.io, [&] {
        return comes.transport->connected(stays.id()) && stays.count(What::up) == 2;
      }));
      talk(cluster, stays, comes, 10);
      CHECK(stays.count(What::up) == 2);
      CHECK(stays.count(What::down) == 1);
      CHECK(stays.last_reason() == "replaced by a newer connection");
      CHECK(comes.count(What::up) == 1);
      CHECK(comes.count(What::down) == 0);
    }
  }
}

TEST_CASE("transport: control overtakes data that is waiting") {
  TestCluster cluster(2);
  cluster.start();
  REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
  constexpr std::uint64_t blocks = 24;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    REQUIRE(cluster[0].transport->send(cluster[1].id(), block_of(engine::block_bytes, i),
                                       Priority::data));
  }
  REQUIRE(cluster[0].transport->send(cluster[1].id(), engine::Tick{.echo = 5}, Priority::control));
  std::uint64_t before_tick = 0;
  std::uint64_t received = 0;
  cluster[1].on_received = [&](NodeId, const engine::Message& message) {
    if (std::holds_alternative<engine::Tick>(message)) {
      before_tick = received;
    } else if (const auto* block = std::get_if<engine::Block>(&message)) {
      CHECK(block->request == received);
      ++received;
    }
  };
  REQUIRE(run_until(cluster.io, [&] { return received == blocks; }));
  CHECK(before_tick <= 1);  // at most the block that was being written
}

TEST_CASE("transport: what was disconnected is connected again") {
  TestCluster cluster(2);
  cluster.start();
  REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
  cluster[0].transport->disconnect(cluster[1].id(), "a broken promise");
  CHECK_FALSE(cluster[0].transport->connected(cluster[1].id()));
  CHECK_FALSE(cluster[0].transport->send(cluster[1].id(), engine::Tick{}, Priority::control));
  CHECK(cluster[0].count(What::down) == 0);  // not from within the call
  REQUIRE(run_until(cluster.io, [&] { return cluster[0].count(What::up) == 2; }));
  CHECK(cluster[0].last_reason() == "a broken promise");
  REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
  CHECK(cluster[1].last_reason() == "closed by the other end");
}

TEST_CASE("transport: a message over the limit costs the connection, not the process") {
  TestCluster cluster(2);
  cluster.start();
  REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
  CHECK_FALSE(cluster[0].transport->send(cluster[1].id(), block_of(engine::block_bytes + 100),
                                         Priority::data));
  CHECK(cluster[0].logged("too large"));
  CHECK(run_until(cluster.io, [&] { return cluster[0].count(What::up) == 2; }));
}

TEST_CASE("transport: after stop no callback comes and the loop runs out of work") {
  TestCluster cluster(3);
  cluster.start();
  REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
  cluster[0].transport->send(cluster[1].id(), block_of(engine::block_bytes), Priority::data);
  for (const auto& node : cluster.nodes) {
    node->transport->stop();
    node->events.clear();
    node->log.clear();
  }
  CHECK_FALSE(cluster.connected());
  cluster.io.restart();
  cluster.io.run_for(patience);
  CHECK(cluster.io.stopped());  // nothing left to wait for
  for (const auto& node : cluster.nodes) {
    CHECK(node->events.empty());
    CHECK(node->log.empty());
  }
}

TEST_CASE("transport: stop is allowed in every callback") {
  TestCluster cluster(2);
  cluster[0].on_up = [&](NodeId) { cluster[0].transport->stop(); };
  cluster[1].on_received = [&](NodeId, const engine::Message&) { cluster[1].transport->stop(); };
  cluster.start();
  CHECK(run_until(cluster.io, [&] { return cluster[0].count(What::up) == 1; }));
  cluster[1].transport->stop();
  cluster.io.restart();
  cluster.io.run_for(patience);
  CHECK(cluster.io.stopped());
  CHECK(cluster[0].count(What::up) == 1);
}

TEST_CASE("transport: an io_context may go while everything is under way") {
  auto cluster = std::make_unique<TestCluster>(3);
  cluster->start();
  REQUIRE(run_until(cluster->io, [&] { return (*cluster)[0].count(What::up) > 0; }));
  cluster = nullptr;  // ASan and LSan judge
}

TEST_CASE("transport: a port in use is an error that names the address") {
  TestCluster cluster(2);
  REQUIRE(cluster[0].start(cluster.io, {}).has_value());
  const auto refused = cluster[1].start(cluster.io, {}, cluster[0].address);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().error_number == EADDRINUSE);
  CHECK(refused.error().message() ==
        "listen on " + cluster[0].address + ": Address already in use");
}

TEST_CASE("transport: what is no address is refused at the start") {
  TestCluster cluster(2);
  CHECK_FALSE(cluster[0].start(cluster.io, {cluster[1].member("nohost")}).has_value());
  CHECK_FALSE(cluster[0].start(cluster.io, {}, "127.0.0.1").has_value());
  CHECK_FALSE(cluster[0].start(cluster.io, {}, "192.0.2.1:0").has_value());  // not this machine's
  CHECK_FALSE(
      cluster[0].start(cluster.io, {cluster[1].member(""), cluster[1].member("")}).has_value());
}

TEST_CASE("transport: every interface means IPv4 too") {
  TestCluster cluster(2);
  REQUIRE(cluster[0].start(cluster.io, {cluster[1].member("")}, ":0").has_value());
  const std::string port = std::to_string(cluster[0].endpoint().port());
  REQUIRE(cluster[1].start(cluster.io, {cluster[0].member("127.0.0.1:" + port)}).has_value());
  CHECK(run_until(cluster.io, [&] { return cluster.connected(); }));
}

TEST_CASE("transport: who cannot be reached is tried again, and said once") {
  TestCluster cluster(2);
  // A port that nobody listens on any more.
  REQUIRE(cluster[0].start(cluster.io, {}).has_value());
  const std::string address = cluster[0].address;
  cluster[0].transport = nullptr;
  run_until(cluster.io, [&] { return cluster.io.poll_one() == 0; });

  REQUIRE(cluster[1].start(cluster.io, {cluster[0].member(address)}).has_value());
  REQUIRE(run_until(cluster.io, [&] { return cluster[1].log.size() >= 3; }));
  CHECK(cluster[1].log.front() ==
        "cannot reach " + cluster[0].name() + ": Connection refused (" + address + ")");
  REQUIRE(cluster[0].start(cluster.io, {cluster[1].member("")}, address).has_value());
  CHECK(run_until(cluster.io, [&] { return cluster.connected(); }));
}

TEST_CASE("transport: who was away for a while is dialled every second, for long less often") {
  const TransportTiming timing;
  using std::chrono::minutes;
  using std::chrono::seconds;
  CHECK(retry_longest(seconds(0), timing) == seconds(1));
  CHECK(retry_longest(seconds(60), timing) == seconds(1));
  CHECK(retry_longest(minutes(5), timing) == seconds(5));
  CHECK(retry_longest(minutes(10), timing) == seconds(10));
  CHECK(retry_longest(std::chrono::hours(1000), timing) == seconds(10));
  CHECK(retry_longest(minutes(10), quick_timing()) == quick_timing().retry_max);
}

TEST_CASE("transport: a name that is not found is said, and does not hold up the others") {
  TestCluster cluster(3);
  REQUIRE(cluster[0].start(cluster.io, {cluster[2].member("")}).has_value());
  REQUIRE(cluster[2]
              .start(cluster.io, {cluster[0].member(cluster[0].address),
                                  cluster[1].member("no-such-host.invalid:7744")})
              .has_value());
  CHECK(run_until(cluster.io, [&] { return cluster[2].transport->connected(cluster[0].id()); }));
  CHECK(run_until(cluster.io, [&] { return cluster[2].logged("no-such-host.invalid"); }));
}

TEST_CASE("transport: stop does not wait for a name server") {
  TestCluster cluster(2);
  REQUIRE(
      cluster[0].start(cluster.io, {cluster[1].member("no-such-host.invalid:7744")}).has_value());
  cluster.io.poll();  // the look-up has begun
  cluster[0].transport->stop();
  cluster[0].log.clear();
  cluster.io.restart();
  cluster.io.run_for(patience);
  CHECK(cluster.io.stopped());
  CHECK(cluster[0].log.empty());
}

TEST_CASE("transport: idle connections are heard of, and stay") {
  TestCluster cluster(2);
  for (const auto& node : cluster.nodes) {
    node->options.timing.beat_after = std::chrono::milliseconds(10);
    node->options.timing.silence_max = std::chrono::seconds(30);
  }
  cluster.start();
  REQUIRE(run_until(cluster.io, [&] {
    return cluster[0].count(What::received) == 1 && cluster[1].count(What::received) == 1;
  }));
  const auto sent = cluster[0].transport->sent_bytes();
  CHECK(run_until(cluster.io, [&] { return cluster[0].transport->sent_bytes() > sent + 500; }));
  CHECK(cluster[0].count(What::down) == 0);
  CHECK(cluster[1].count(What::down) == 0);
  CHECK(cluster[0].count(What::received) == 1);  // beats are the transport's own
}

TEST_CASE("transport: a peer that hangs is given up") {
  TestCluster cluster(1);
  TestNode& lives = cluster[0];
  lives.options.timing.beat_after = std::chrono::milliseconds(20);
  lives.options.timing.silence_max = std::chrono::milliseconds(100);
  asio::io_context elsewhere;
  TestNode hangs("hangs");
  REQUIRE(lives.start(cluster.io, {hangs.member("")}).has_value());
  REQUIRE(hangs.start(elsewhere, {lives.member(lives.address)}).has_value());
  REQUIRE(run_until(cluster.io, [&] {
    elsewhere.restart();
    elsewhere.poll();
    return lives.count(What::received) == 1;
  }));
  CHECK(run_until(cluster.io, [&] { return lives.count(What::down) == 1; }));
  CHECK(lives.last_reason().starts_with("nothing was heard of it for"));
}

TEST_CASE("transport: who reads slowly, by its own limit, is not taken for dead") {
  TestCluster cluster(2);
  for (const auto& node : cluster.nodes) {
    node->options.timing.beat_after = std::chrono::milliseconds(50);
    node->options.timing.silence_max = std::chrono::milliseconds(400);
  }
  cluster[1].options.download_limit = 64 * 1024;
  cluster.start();
  REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
  REQUIRE(cluster[0].transport->send(cluster[1].id(), block_of(100'000), Priority::data));
  CHECK(run_until(cluster.io, [&] { return cluster[1].count(What::received) == 2; }));
  CHECK(cluster[0].count(What::down) == 0);
  CHECK(cluster[1].count(What::down) == 0);
}

TEST_CASE("transport: traffic is counted as it crosses the socket") {
  TestCluster cluster(2);
  cluster.start();
  REQUIRE(run_until(cluster.io, [&] {
    return cluster[0].count(What::received) == 1 && cluster[1].count(What::received) == 1;
  }));
  const auto sent = cluster[0].transport->sent_bytes();
  const auto received = cluster[1].transport->received_bytes();
  REQUIRE(
      cluster[0].transport->send(cluster[1].id(), block_of(engine::block_bytes), Priority::data));
  REQUIRE(run_until(cluster.io, [&] { return cluster[1].count(What::received) == 2; }));
  // Records of 16 KiB have 22 bytes each around them.
  const auto crossed = cluster[0].transport->sent_bytes() - sent;
  CHECK(crossed > engine::block_bytes);
  CHECK(crossed < engine::block_bytes + 1000);
  CHECK(cluster[1].transport->received_bytes() - received == crossed);
}

TEST_CASE("transport: limits hold data back, in either direction, and control passes") {
  for (const bool upload : {true, false}) {
    TestCluster cluster(2);
    constexpr std::uint64_t limit = 1024 * 1024;
    if (upload) {
      cluster[0].options.upload_limit = limit;
    } else {
      cluster[1].options.download_limit = limit;
    }
    cluster.start();
    REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
    const auto begun = std::chrono::steady_clock::now();
    for (int i = 0; i < 3; ++i) {
      REQUIRE(cluster[0].transport->send(cluster[1].id(), block_of(engine::block_bytes),
                                         Priority::data));
    }
    std::uint64_t blocks = 0;
    bool tick = false;
    cluster[1].on_received = [&](NodeId, const engine::Message& message) {
      blocks += std::holds_alternative<engine::Block>(message) ? 1 : 0;
      if (std::holds_alternative<engine::Tick>(message)) {
        tick = true;
        CHECK(blocks < 3);
      }
    };
    REQUIRE(cluster[0].transport->send(cluster[1].id(), engine::Tick{}, Priority::control));
    REQUIRE(run_until(cluster.io, [&] { return blocks == 3; }));
    CHECK(tick);
    // 768 KiB, of which a quarter of a second's worth was saved up and the last block is a debt.
    CHECK(std::chrono::steady_clock::now() - begun > std::chrono::milliseconds(200));
  }
}

}  // namespace
}  // namespace p2psync::net
