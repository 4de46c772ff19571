#include "net/hints.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <vector>

namespace p2psync::net {
namespace {

using asio::ip::tcp;

tcp::endpoint place(unsigned host) {
  return {asio::ip::address_v4(0x0a4d0000U + host), 7744};
}

std::vector<unsigned> hosts(const Hints& hints) {
  std::vector<unsigned> hosts;
  for (const tcp::endpoint& one : hints.places()) {
    hosts.push_back(one.address().to_v4().to_uint() & 0xffffU);
  }
  return hosts;
}

using Hosts = std::vector<unsigned>;

TEST_CASE("hints: what is new comes first, and what is known stays where it is") {
  Hints hints;
  CHECK(hints.empty());
  hints.heard(place(1));
  hints.heard(place(2));
  CHECK(hosts(hints) == Hosts{2, 1});
  hints.heard(place(1));
  CHECK(hosts(hints) == Hosts{2, 1});
}

TEST_CASE("hints: what failed goes behind the others, also when it is heard again") {
  Hints hints;
  for (const unsigned host : {1U, 2U, 3U}) {
    hints.heard(place(host));
  }
  hints.failed(place(3));
  CHECK(hosts(hints) == Hosts{2, 1, 3});
  hints.heard(place(3));
  CHECK(hosts(hints) == Hosts{2, 1, 3});
  hints.failed(place(9));  // displaced meanwhile
  CHECK(hosts(hints) == Hosts{2, 1, 3});
}

TEST_CASE("hints: of too many the last goes, but never where the member was met") {
  Hints hints;
  hints.heard(place(1));
  hints.heard(place(2));
  hints.met(place(1));
  CHECK(hosts(hints) == Hosts{1, 2});
  for (unsigned stranger = 10; stranger < 100; ++stranger) {
    hints.heard(place(stranger));
    hints.failed(place(1));  // it is away, too
    CHECK(hints.places().size() <= Hints::most);
  }
  CHECK(hosts(hints) == Hosts{99, 98, 97, 1});
  hints.met(place(98));  // from now on it is there
  hints.heard(place(200));
  hints.heard(place(201));
  hints.heard(place(202));
  CHECK(hosts(hints) == Hosts{202, 201, 200, 98});
}

TEST_CASE("hints: each place once, as many as there is room for, whatever happens") {
  std::minstd_rand dice(7);  // NOLINT(cert-msc51-cpp): the same each time
  Hints hints;
  std::optional<tcp::endpoint> met;
  for (int step = 0; step < 20'000; ++step) {
    const tcp::endpoint where = place(static_cast<unsigned>(dice() % 8));
    switch (dice() % 5) {
      case 0:
        hints.met(where);
        met = where;
        break;
      case 1: hints.failed(where); break;
      default: hints.heard(where); break;
    }
    const auto places = hints.places();
    REQUIRE(places.size() <= Hints::most);
    for (const tcp::endpoint& one : places) {
      REQUIRE(std::ranges::count(places, one) == 1);
    }
    REQUIRE((!met || std::ranges::count(places, *met) == 1));
  }
}

}  // namespace
}  // namespace p2psync::net
