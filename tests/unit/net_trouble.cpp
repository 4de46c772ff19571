// What people are told of a member that is not well.
#include <doctest/doctest.h>

#include "net/trouble.h"

using namespace p2psync::net;
using namespace std::chrono_literals;

TEST_CASE("trouble: why there is no connection is told until there is one") {
  const Instant now{1h};
  Trouble trouble;
  CHECK(trouble.text(now).empty());
  trouble.down("connection refused (127.0.0.1:1)");
  CHECK(trouble.text(now) == "connection refused (127.0.0.1:1)");
  CHECK(trouble.text(now + 24h) == "connection refused (127.0.0.1:1)");
  trouble.connected();
  CHECK(trouble.text(now).empty());
}

TEST_CASE("trouble: that a member was cut off is told for ten minutes, connected or not") {
  const Instant now{1h};
  Trouble trouble;
  trouble.cut_off(now, "it did not begin with Hello");
  CHECK(trouble.text(now + 5s) == "cut off 5 s ago: it did not begin with Hello");
  trouble.connected();
  CHECK(trouble.text(now + 10min) == "cut off 600 s ago: it did not begin with Hello");
  trouble.down("closed by the other end");
  CHECK(trouble.text(now + 7s) ==
        "cut off 7 s ago: it did not begin with Hello; closed by the other end");
  CHECK(trouble.text(now + 10min + 1s) == "closed by the other end");
}
