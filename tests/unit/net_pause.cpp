#include <doctest/doctest.h>

#include "net/transport.h"
#include "tests/unit/net_cluster.h"

namespace p2psync::net {
namespace {

using What = Event::What;

TEST_CASE("pause: who is paused has no connections, says so, and is back when that is over") {
  for (const std::size_t which : {0U, 1U}) {  // of a pair the first decides, the second asks
    TestCluster cluster(2);
    cluster.start();
    REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
    TestNode& paused = cluster[which];
    TestNode& other = cluster[1 - which];
    paused.transport->pause(true);
    CHECK_FALSE(paused.transport->connected(other.id()));
    CHECK_FALSE(paused.transport->wanted(other.id()));
    CHECK(paused.count(What::down) == 0);  // not from within the call
    REQUIRE(run_until(cluster.io, [&] {
      return other.transport->trouble_with(paused.id()).starts_with("it is paused");
    }));
    CHECK(paused.count(What::down) == 1);
    CHECK(paused.last_reason() == "this node is paused");
    CHECK_FALSE(paused.logged("refused"));
    const std::size_t ups = other.count(What::up);
    // It is asked again and again, and stays away.
    const auto tries = [&] { return paused.transport->received_bytes(); };
    const auto before = tries();
    REQUIRE(run_until(cluster.io, [&] { return tries() > before + 10'000; }));
    CHECK(other.count(What::up) == ups);
    paused.transport->pause(false);
    REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
    CHECK(other.transport->trouble_with(paused.id()).empty());
  }
}

TEST_CASE("pause: who is paused from its start on dials nobody") {
  TestCluster cluster(2);
  REQUIRE(cluster[0].start(cluster.io, {cluster[1].member("")}).has_value());
  REQUIRE(cluster[1].start(cluster.io, {cluster[0].member(cluster[0].address)}).has_value());
  cluster[1].transport->pause(true);
  run_until(cluster.io, [&] { return cluster.io.poll_one() == 0; });
  CHECK(cluster[0].transport->received_bytes() == 0);
  cluster[1].transport->pause(false);
  CHECK(run_until(cluster.io, [&] { return cluster.connected(); }));
}

}  // namespace
}  // namespace p2psync::net
