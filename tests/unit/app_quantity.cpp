#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "apps/p2psync/quantity.h"

using namespace p2psync::app;
using namespace std::chrono_literals;

TEST_CASE("duration: a number and a unit") {
  const std::vector<std::pair<std::string_view, std::chrono::nanoseconds>> cases{
      {"250ms", 250ms},
      {"1s", 1s},
      {"90 s", 90s},
      {"5m", 5min},
      {"1h", 1h},
      {"30d", 720h},
      {"0", 0s},
      {"0s", 0s},
      {"1.5s", 1500ms},
      {"0.25d", 6h},
      {"007s", 7s},
      {"0.000000001s", 1ns},
      {"106751d", std::chrono::days(106751)}};
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    const auto parsed = parse_duration(text);
    REQUIRE(parsed.has_value());
    CHECK(*parsed == expected);
  }
}

TEST_CASE("duration: what is none says what one looks like") {
  for (const std::string_view text : {"", "s", "10", "-1s", "1w", "1 s s", "1.s", ".5s", "1e3s",
                                      "1S", "1.0000000001s", " 1s", "+1s", "0x1s"}) {
    CAPTURE(text);
    const auto parsed = parse_duration(text);
    REQUIRE(!parsed.has_value());
    CHECK(parsed.error() == "must be a duration such as \"10s\" (ms, s, m, h or d)");
  }
}

TEST_CASE("duration: what overflows is refused and not wrapped") {
  for (const std::string_view text :
       {"106752d", "9999999999999999999999999999999999999999999999999s", "9223372037s"}) {
    CAPTURE(text);
    const auto parsed = parse_duration(text);
    REQUIRE(!parsed.has_value());
    CHECK(parsed.error() == "is longer than 292 years");
  }
}

TEST_CASE("size: bytes, or a number and a binary unit") {
  const std::vector<std::pair<std::string_view, std::uint64_t>> cases{
      {"0", 0},
      {"123", 123},
      {"7B", 7},
      {"1KiB", 1024},
      {"1.5KiB", 1536},
      {"10GiB", std::uint64_t{10} << 30},
      {"8388607TiB", std::uint64_t{8388607} << 40},
      {"9223372036854775807", 9223372036854775807U}};
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    const auto parsed = parse_size(text);
    REQUIRE(parsed.has_value());
    CHECK(*parsed == expected);
  }
  for (const std::string_view text : {"", "KiB", "1kb", "1MB", "-1", "1 GiB x"}) {
    CAPTURE(text);
    REQUIRE(!parse_size(text).has_value());
  }
  CHECK(parse_size("8388608TiB").error() == "is more than 8388607 TiB");
  CHECK(parse_size("9223372036854775808").error() == "is more than 8388607 TiB");
}

TEST_CASE("share: 1% to 100%") {
  CHECK(parse_share("1%") == 1);
  CHECK(parse_share("100%") == 100);
  for (const std::string_view text : {"", "%", "0%", "101%", "50", "50 %", "-5%", "5%%", "+5%"}) {
    CAPTURE(text);
    CHECK(!parse_share(text).has_value());
  }
}

TEST_CASE("address: host and port") {
  CHECK(parse_address("node1:7744") == Address{"node1", 7744});
  CHECK(parse_address("127.0.0.1:1") == Address{"127.0.0.1", 1});
  CHECK(parse_address("a.b-c_d:65535") == Address{"a.b-c_d", 65535});
  CHECK(parse_address("[::1]:7744") == Address{"::1", 7744});
  CHECK(Address{"::1", 7744}.text() == "[::1]:7744");
  CHECK(Address{"node1", 7744}.text() == "node1:7744");
}

TEST_CASE("address: each fault has its message") {
  const std::vector<std::pair<std::string_view, std::string_view>> cases{
      {"node1", "has no port: must be HOST:PORT"},
      {"[::1]", "has no port: must be HOST:PORT"},
      {"node1:", "must have a port from 1 to 65535"},
      {"node1:0", "must have a port from 1 to 65535"},
      {"node1:65536", "must have a port from 1 to 65535"},
      {"node1:77x", "must have a port from 1 to 65535"},
      {"[::1]x:7744", "must have a port from 1 to 65535"},
      {":7744", "must be HOST:PORT, with a host name or an IP address"},
      {"", "must be HOST:PORT, with a host name or an IP address"},
      {"no de:1", "must be HOST:PORT, with a host name or an IP address"},
      {"::1:7744", "must be HOST:PORT; an IPv6 address is written [::1]:7744"},
      {"[node]:1", "must be HOST:PORT; an IPv6 address is written [::1]:7744"},
      {"[::1:1", "must be HOST:PORT; an IPv6 address is written [::1]:7744"}};
  for (const auto& [text, message] : cases) {
    CAPTURE(text);
    const auto parsed = parse_address(text);
    REQUIRE(!parsed.has_value());
    CHECK(parsed.error() == message);
  }
}

TEST_CASE("sizes and durations are written for people") {
  CHECK(size_text(0) == "0 B");
  CHECK(size_text(1023) == "1023 B");
  CHECK(size_text(1536) == "1.5 KiB");
  CHECK(size_text(std::uint64_t{3} << 40) == "3.0 TiB");
  CHECK(duration_text(400us) == "0.4 ms");
  CHECK(duration_text(230ms) == "230 ms");
  CHECK(duration_text(12s) == "12 s");
  CHECK(duration_text(3min + 5s) == "3 m 5 s");
  CHECK(duration_text(26h) == "1 d 2 h");
}
