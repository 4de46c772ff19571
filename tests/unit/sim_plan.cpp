// What is drawn from a seed, and plans as text: a find that is kept must stay what it was.
#include "tests/sim/plan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/plan_text.h"

namespace p2psync::sim {
namespace {

constexpr std::uint64_t seeds = 300;

/// The shortest plan there is, with these lines behind it.
std::string with(const std::string& lines) {
  return "p2psync-plan 1\nseed 1\nsafety 5\nrescan 60\n"
         "host n1 clock 0 grain 1 exchange\nhost n2 clock 0 grain 1 exchange\n" +
         lines;
}

TEST_CASE("plan: what a seed draws is read back as it was written") {
  std::size_t moves = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    const Plan drawn = draw_plan(seed);
    const std::string text = to_text(drawn);
    const auto read = plan_from_text(text);
    REQUIRE(read);
    CHECK(to_text(*read) == text);
    CHECK(read->setup.faults == drawn.setup.faults);
    CHECK(read->setup.safety == drawn.setup.safety);
    CHECK(read->setup.max_delete == drawn.setup.max_delete);
    CHECK(read->setup.grain_ns == drawn.setup.grain_ns);
    REQUIRE(read->moves.size() == drawn.moves.size());
    moves += drawn.moves.size();
    for (std::size_t i = 0; i < drawn.moves.size(); ++i) {
      CHECK(read->moves[i].at == drawn.moves[i].at);
      CHECK(read->moves[i].seed == drawn.moves[i].seed);
      CHECK(read->moves[i].act == drawn.moves[i].act);
    }
  }
  CHECK(moves > seeds);
}

TEST_CASE("plan: a fault that is switched off is in no plan, and everything else stays") {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    PlanOptions options;
    options.without.set(static_cast<std::size_t>(Fault::pause));
    const auto is_pause = [](const Move& move) {
      return move.what == Move::What::strike && move.fault == Fault::pause;
    };
    std::vector<Move> all = draw_plan(seed).moves;
    const std::vector<Move> rest = draw_plan(seed, options).moves;
    std::erase_if(all, is_pause);
    CHECK(std::ranges::none_of(rest, is_pause));
    CHECK(std::ranges::equal(rest, all, {}, &Move::seed, &Move::seed));
  }
}

TEST_CASE("plan: moves are sorted, comments are for people") {
  const auto plan = plan_from_text(
      with("# two\nmove 2.5 n2 user seed 8 rename a d/b  # later\n\nmove 1 n1 net.cut seed 7\n"));
  REQUIRE(plan);
  REQUIRE(plan->moves.size() == 2);
  CHECK(plan->moves[0].fault == Fault::net_cut);
  CHECK(plan->moves[1].at == std::chrono::milliseconds(2500));
  CHECK(plan->moves[1].host == 1);
  CHECK(plan->moves[1].act == Act{Act::What::rename, "a", "d/b"});
}

TEST_CASE("plan: what cannot be played is refused, and the line is named") {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"", "line 1"},
      {"p2psync-plan 2\n", "line 1"},
      {with("mode quick\n"), "line 7"},
      {with("index none\n"), "line 7"},
      {with("faults net.loss net.nothing\n"), "line 7"},
      {with("rate loss 101\n"), "line 7"},
      {with("rate los 1\n"), "line 7"},
      {with("canary yellow\n"), "line 7"},
      {with("seed 1 2\n"), "line 7"},
      {with("safety 3601\n"), "line 7"},
      {with("host n4 clock 0 grain 1 exchange\n"), "line 7"},
      {with("host n3 clock 0 grain 0 exchange\n"), "line 7"},
      {with("host n3 clock 0 grain 1 exchanges\n"), "line 7"},
      {with("\nmove 1 n1 net.cut\n"), "line 8"},
      {with("move -1 n1 net.cut seed 1\n"), "line 7"},
      {with("move 1 1 net.cut seed 1\n"), "line 7"},
      {with("move 1 n1 net.loss seed 1\n"), "line 7"},      // a rate
      {with("move 1 n1 crash seed 1 call 3\n"), "line 7"},  // at no call
      {with("move 1 n1 crash.in-call seed 1\n"), "line 7"},
      {with("move 1 n1 user seed 1 dance a\n"), "line 7"},
      {with("move 1 n1 user seed 1 rename a\n"), "line 7"},
      {with("move 1 n3 user seed 1\n"), "line 7"},  // no such host
      {"p2psync-plan 1\nseed 1\nsafety 5\nrescan 60\nhost n1 clock 0 grain 1 exchange\n", "line 5"},
      {"p2psync-plan 1\nhost n1 clock 0 grain 1 exchange\nhost n2 clock 0 grain 1 exchange\n",
       "line 3"},
  };
  for (const auto& [text, line] : wrong) {
    CAPTURE(text);
    const auto plan = plan_from_text(text);
    REQUIRE_FALSE(plan);
    CHECK(plan.error().object == line);
    CHECK_FALSE(plan.error().operation.empty());
  }
}

}  // namespace
}  // namespace p2psync::sim
