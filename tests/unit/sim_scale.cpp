// News reach many nodes within what theory allows, and no message grows with their number but for
// the rows of what they hold.
#include "tests/sim/scale.h"

#include <doctest/doctest.h>

namespace p2psync::sim {
namespace {

TEST_CASE("scale: by ticks alone a change is on all nodes within log2 n + ln n + 4 rounds") {
  for (const std::size_t nodes : {std::size_t{2}, std::size_t{10}, std::size_t{50}}) {
    CAPTURE(nodes);
    const Spreading found = spread({.nodes = nodes, .changes = 5, .seed = nodes});
    CHECK(found.reached_all);
    CHECK(found.worst() <= rounds_allowed(nodes));
    CHECK(found.tick_bytes_max <= 256);
  }
}

TEST_CASE("scale: with pushes it takes no round, and with a fifth of all messages lost a few") {
  const Spreading pushed = spread({.nodes = 50, .push = true, .changes = 5});
  CHECK(pushed.reached_all);
  CHECK(pushed.worst() < 1);
  const Spreading lossy = spread({.nodes = 50, .push = true, .loss_percent = 20, .changes = 5});
  CHECK(lossy.reached_all);
  CHECK(lossy.worst() <= rounds_allowed(50, 20));
}

TEST_CASE("scale: what fifty members hold is told in messages that do not repeat it") {
  // 15 bytes a row and the vectors that differ; each row written out would be 6 kB.
  const Spreading found = spread({.nodes = 50, .changes = 10});
  CHECK(found.message_bytes_max < 3000);
  CHECK(found.bytes < 20'000);
}

}  // namespace
}  // namespace p2psync::sim
