#include "net/twins.h"

#include <doctest/doctest.h>

#include "tests/unit/net_cluster.h"

namespace p2psync::net {
namespace {

using namespace std::chrono_literals;
using What = Event::What;

TEST_CASE("twins: seen when connections replace each other sooner than one process could") {
  struct Case {
    int replacements;
    std::chrono::nanoseconds between;
    bool seen;
  };
  for (const auto& [replacements, between, seen] :
       {Case{1, 1s, false}, Case{3, 1s, false}, Case{4, 1s, true}, Case{100, 1s, true},
        Case{4, 19s, true}, Case{100, 30s, false}}) {
    CAPTURE(replacements);
    Twins twins;
    Instant now{1h};
    Instant last = now;
    for (int i = 0; i < replacements; ++i) {
      last = now;
      twins.replaced(now, "a:1", "b:2");
      now += between;
    }
    CHECK(twins.seen(last) == seen);
    CHECK(!twins.seen(last + Twins::window));  // goes by itself
  }
}

TEST_CASE("twins: two processes with one key are told of by whom they talk to") {
  for (const bool larger : {false, true}) {
    CAPTURE(larger);
    TestCluster cluster(2);
    TestNode& one = cluster[larger ? 0 : 1];
    TestNode& cloned = cluster[larger ? 1 : 0];
    TestNode twin(cloned.name(), cloned.key());
    cluster.start();
    REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
    CHECK(one.transport->problems().empty());
    REQUIRE(twin.start(cluster.io, {one.member(one.address), cloned.member("")}).has_value());
    REQUIRE(run_until(cluster.io, [&] { return !one.transport->problems().empty(); }));
    CHECK(one.transport->problems()[0].message.contains("key of " + cloned.name()));
    CHECK(one.logged("two processes seem to run"));
    twin.transport->stop();
    REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
  }
}

}  // namespace
}  // namespace p2psync::net
