// The order of steps where copies of one path change places.
#include "engine/reconcile.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace p2psync::engine;

namespace {

Sibling sibling(std::uint8_t text, NodeId node, std::uint64_t tag) {
  Version version;
  version.mode = 0644;
  version.mtime = version.rank = text;
  version.size = 1;
  version.content.bytes[0] = text;
  version.label = node == 1 ? "alpha" : "beta";
  version.tag = tag;
  return {{{node, node * 100}, text}, version};
}

Shown shown(const Path& name, const Sibling& sibling) {
  const Version& version = sibling.version;
  return {name,
          {sibling.dot},
          version,
          {Kind::file, version.mode, version.content.bytes[0], 1, version.mtime, 1}};
}

}  // namespace

TEST_CASE("reconcile: a copy is linked to its new name before another one takes the old") {
  // Two versions of one author, the younger with the smaller tag: when both lose, it gets the bare
  // conflict name, and the older one moves on. The older one's bytes are nowhere else.
  const Sibling older = sibling(1, 1, 0x2000'0000'0000'0000);
  const Sibling younger = sibling(2, 1, 0x1000'0000'0000'0000);
  const Sibling winner = sibling(3, 2, 0x3000'0000'0000'0000);
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}, {2, "beta"}};
  options.incarnation = 7;
  Replica replica(options, {});
  const Entry entry{{older.dot, younger.dot, winner.dot}, {older, younger, winner}, {}};
  replica.merge({"f", entry}, entry.context);
  replica.show("f", shown("f", younger));
  replica.show("f", shown("f.conflict-alpha", older));
  replica.add_staged(winner.version.content);

  const Plan made = plan(replica, "f", {});
  const auto takes = std::ranges::find_if(made.steps, [](const Step& step) {
    const auto* put = std::get_if<Put>(&step);
    return put != nullptr && put->name == "f.conflict-alpha";
  });
  const auto links = std::ranges::find_if(made.steps, [](const Step& step) {
    const auto* link = std::get_if<Link>(&step);
    return link != nullptr && link->from == "f.conflict-alpha";
  });
  REQUIRE(takes != made.steps.end());
  REQUIRE(links != made.steps.end());
  CHECK(links < takes);
  const auto effect = made.effects.begin() + (links - made.steps.begin());
  REQUIRE(effect->after.has_value());
  CHECK(effect->name == std::get<Link>(*links).name);
  CHECK(effect->after->dots == std::vector<Dot>{older.dot});
}
