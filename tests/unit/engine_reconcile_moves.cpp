// The order of steps where copies of one path change places.
#include "engine/reconcile.h"

#include <doctest/doctest.h>

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

TEST_CASE("reconcile: a copy moves to its new name as another one takes the old") {
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
  REQUIRE(made.steps.size() == 2);
  const auto* takes = std::get_if<Put>(made.steps.data());
  REQUIRE(takes != nullptr);
  CHECK(takes->name == "f.conflict-alpha");
  CHECK(takes->wanted.content == younger.version.content);
  REQUIRE(takes->moved.has_value());
  CHECK(takes->moved->wanted.content == older.version.content);
  CHECK(replica.shown(takes->moved->name) == nullptr);
  const Plan::Effect& effect = made.effects.front();
  REQUIRE(effect.moved.has_value());
  CHECK(effect.moved->name == takes->moved->name);
  CHECK(effect.moved->dots == std::vector<Dot>{older.dot});
  // The younger one leaves its name only after it has the other.
  const auto* wins = std::get_if<Put>(&made.steps[1]);
  REQUIRE(wins != nullptr);
  CHECK(wins->name == "f");
  CHECK(!wins->moved.has_value());
}
