#include "net/announce_pace.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace p2psync::net {
namespace {

using namespace std::chrono_literals;
using Kind = AnnouncePace::Kind;

const Instant begin{1000s};

struct Said {
  std::chrono::nanoseconds after;
  Kind kind;
};

/// What is sent until then by whoever always wakes up in time.
std::vector<Said> play(AnnouncePace& pace, Instant from, Instant until) {
  std::vector<Said> said;
  for (Instant now = std::max(from, pace.due()); now < until; now = pace.due()) {
    const auto kind = pace.take(now);
    REQUIRE(kind.has_value());
    said.push_back({now - from, *kind});
    REQUIRE(said.size() < 10'000);
  }
  return said;
}

TEST_CASE("pace: a start asks at once and five times in 8 s, then says where it is, slowly") {
  for (std::uint64_t seed = 1; seed < 50; ++seed) {
    AnnouncePace pace(seed);
    pace.hurry(begin);
    pace.missing(begin, true);
    const auto said = play(pace, begin, begin + 10min);
    REQUIRE(said.size() > AnnouncePace::quick_steps);
    CHECK(said[0].after == 0s);
    CHECK(said[3].after <= 1750ms);
    CHECK(said[5].after <= 7750ms);
    for (std::size_t i = 0; i < said.size(); ++i) {
      CHECK((said[i].kind == Kind::asks) == (i < AnnouncePace::quick_steps));
    }
    // 22.5 to 30 s each.
    CHECK(said.size() >= 6 + 19);
    CHECK(said.size() <= 6 + 27);
  }
}

TEST_CASE("pace: while nobody is missing nothing is said, and nothing is to come") {
  AnnouncePace pace(1);
  CHECK(pace.due() == Instant::max());
  CHECK(!pace.take(begin));
  pace.hurry(begin);
  pace.missing(begin, true);
  CHECK(pace.take(begin) == Kind::asks);
  pace.missing(begin + 10ms, false);
  CHECK(pace.due() == Instant::max());
  pace.missing(begin + 1h, false);
  CHECK(pace.due() == Instant::max());
}

TEST_CASE("pace: who has lost a member says once more where it is, soon, and asks nobody") {
  AnnouncePace pace(1);
  pace.hurry(begin);
  pace.missing(begin, false);
  pace.missing(begin + 1h, true);
  CHECK(pace.due() <= begin + 1h + 1s);
  const auto said = play(pace, begin + 1h, begin + 1h + 20s);
  REQUIRE(said.size() == 1);
  CHECK(said[0].kind == Kind::says);
}

TEST_CASE("pace: whoever asks is answered within 100 ms, missing or not") {
  AnnouncePace pace(1);
  pace.asked(begin);
  CHECK(pace.due() <= begin + 100ms);
  pace.asked(begin + 1ms);  // one answer is for all who ask meanwhile
  const auto said = play(pace, begin, begin + 1h);
  REQUIRE(said.size() == 1);
  CHECK(said[0].kind == Kind::says);
}

TEST_CASE("pace: no number of questions and losses makes a node say more than one a second") {
  AnnouncePace pace(3);
  std::size_t said = 0;
  Instant now = begin;
  pace.hurry(now);
  for (int i = 0; i < 100'000; ++i, now += 1ms) {
    pace.asked(now);
    pace.missing(now, i % 2 == 0);
    if (i % 10 == 0) {
      pace.hurry(now);
    }
    said += pace.take(now).has_value() ? 1 : 0;
  }
  CHECK(said <= 100 + AnnouncePace::saved_up);
  CHECK(said >= 95);
}

}  // namespace
}  // namespace p2psync::net
