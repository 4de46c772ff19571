#include <doctest/doctest.h>

#include <algorithm>

#include "apps/p2psync/rate.h"

using namespace p2psync;
using namespace p2psync::app;
using namespace std::chrono_literals;

namespace {

const engine::Instant begin{1000s};

}  // namespace

TEST_CASE("rate: nothing has come, and nothing is said of what is left") {
  const Rate rate;
  CHECK(rate.bytes_per_s(begin) == 0);
  CHECK(!rate.seconds_left(begin, 1000));
}

TEST_CASE(
    "rate: a steady flow has its rate from the second second on, in small lumps and in large") {
  for (const auto every : {10ms, 250ms, 1000ms}) {
    CAPTURE(every.count());
    Rate rate;
    const auto lump = static_cast<std::uint64_t>(every.count()) * 1000;  // 1 MB a second
    std::uint64_t least = UINT64_MAX;
    std::uint64_t most = 0;
    for (auto at = begin; at < begin + 60s; at += every) {
      rate.add(at, lump);
      if (at >= begin + 10s) {
        least = std::min(least, rate.bytes_per_s(at));
        most = std::max(most, rate.bytes_per_s(at));
      }
      if (at >= begin + 2s) {
        CHECK(rate.bytes_per_s(at) >= 950'000);
        CHECK(rate.bytes_per_s(at) <= 1'500'000);  // with the lump that has just come
      }
    }
    CHECK(least >= 950'000);
    CHECK(most <= 1'050'000);
    CHECK(most - least <= 50'000);  // and people see a figure that stands
  }
}

TEST_CASE("rate: the first lump is not taken for what comes every instant") {
  Rate rate;
  rate.add(begin, 256 * 1024);
  CHECK(rate.bytes_per_s(begin) == 256 * 1024);
  CHECK(rate.bytes_per_s(begin + 1ms) == 256 * 1024);
}

TEST_CASE("rate: sinks while nothing comes, and begins anew after that") {
  Rate rate;
  for (int second = 0; second < 20; ++second) {
    rate.add(begin + std::chrono::seconds(second), 1000);
  }
  CHECK(rate.bytes_per_s(begin + 19s) == 1000);
  CHECK(rate.bytes_per_s(begin + 23s) == 500);
  CHECK(rate.bytes_per_s(begin + 27s) == 0);
  CHECK(!rate.seconds_left(begin + 27s, 1000));
  rate.add(begin + 100s, 4000);
  CHECK(rate.bytes_per_s(begin + 102s) == 2000);
}

TEST_CASE("rate: what is left takes its time, rounded up; nothing left takes none") {
  Rate rate;
  rate.add(begin, 1000);
  CHECK(rate.seconds_left(begin + 1s, 1) == 1);
  CHECK(rate.seconds_left(begin + 1s, 1000) == 1);
  CHECK(rate.seconds_left(begin + 1s, 1001) == 2);
  CHECK(!rate.seconds_left(begin + 1s, 0));
  CHECK(rate.seconds_left(begin + 1s, UINT64_MAX) == UINT64_MAX / 1000 + 1);
}
