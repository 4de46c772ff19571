// How much is asked of a peer at once.
#include "engine/window.h"

#include <doctest/doctest.h>

using namespace p2psync::engine;

namespace {

constexpr std::uint64_t kib = 1024;
constexpr Duration late = std::chrono::seconds(1);

/// How many answers it takes, each after so long.
int answers_until_open(Window& window, std::uint64_t bytes, Duration after) {
  int answers = 0;
  for (; !window.open(); ++answers) {
    window.answered(bytes, after);
  }
  return answers;
}

}  // namespace

TEST_CASE("window: once it is full, a quarter has to come before more is asked") {
  Window window;
  SUBCASE("of bytes") {
    for (int i = 0; i < 16; ++i) {
      REQUIRE(window.open());
      window.asked(64 * kib);
    }
    CHECK(window.outstanding() == Window::bytes_begin);
    CHECK(!window.open());
    window.taken_back(64 * kib);
    CHECK(!window.open());
    window.taken_back(64 * kib);
    window.taken_back(64 * kib);
    CHECK(!window.open());
    window.taken_back(64 * kib);
    CHECK(window.open());
    window.asked(64 * kib);
    CHECK(window.open());  // until it is full again
  }
  SUBCASE("of requests") {
    for (std::size_t i = 0; i < Window::requests_max; ++i) {
      REQUIRE(window.open());
      window.asked(0);
    }
    CHECK(!window.open());
    CHECK(answers_until_open(window, 0, late) == Window::requests_max / 4);
  }
}

TEST_CASE("window: what is late makes it smaller, and it opens all the same") {
  Window window;
  window.asked(kib);
  window.answered(kib, Duration::zero());  // the shortest ever
  for (int round = 0; round < 20; ++round) {
    while (window.open()) {
      window.asked(256 * kib);
    }
    CHECK(answers_until_open(window, 256 * kib, late) > 0);
  }
  CHECK(window.outstanding() < Window::bytes_min);
}
