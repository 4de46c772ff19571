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
  for (; !window.open_for_many(); ++answers) {
    window.answered(bytes, after);
  }
  return answers;
}

}  // namespace

TEST_CASE(
    "window: once it is full, a quarter has to come before more of a large content is asked") {
  Window window;
  SUBCASE("of bytes") {
    for (int i = 0; i < 16; ++i) {
      REQUIRE(window.open_for_many());
      window.asked(64 * kib);
    }
    CHECK(window.outstanding() == Window::bytes_begin);
    CHECK(!window.open());
    for (int i = 0; i < 3; ++i) {
      CHECK(!window.open_for_many());
      window.taken_back(64 * kib);
      CHECK(window.open());  // for what is small
    }
    CHECK(!window.open_for_many());
    window.taken_back(64 * kib);
    CHECK(window.open_for_many());
    window.asked(64 * kib);
    CHECK(window.open_for_many());  // until it is full again
  }
  SUBCASE("of requests") {
    for (std::size_t i = 0; i < Window::requests_max; ++i) {
      REQUIRE(window.open_for_many());
      window.asked(0);
    }
    CHECK(!window.open());
    CHECK(answers_until_open(window, 0, late) == Window::requests_max / 4);
  }
  SUBCASE("what is small and asked meanwhile makes that no shorter") {
    for (int i = 0; i < 16; ++i) {
      window.asked(64 * kib);
    }
    window.taken_back(64 * kib);
    window.asked(kib);
    CHECK(window.open());
    CHECK(!window.open_for_many());
    window.taken_back(kib);
    CHECK(!window.open_for_many());
  }
}

TEST_CASE("window: what is late makes it smaller, and it opens all the same") {
  Window window;
  window.asked(kib);
  window.answered(kib, Duration::zero());  // the shortest ever
  for (int round = 0; round < 20; ++round) {
    while (window.open_for_many()) {
      window.asked(256 * kib);
    }
    CHECK(answers_until_open(window, 256 * kib, late) > 0);
  }
  CHECK(window.outstanding() < Window::bytes_min);
}
