#include <doctest/doctest.h>

#include "engine/codec.h"
#include "engine/replica.h"

using namespace p2psync::engine;

TEST_CASE("replica: an edit of a copy that a crash left unrecorded is a version like any other") {
  // The copy was laid, the entry that called for it was not committed: nobody knows whose it was.
  Relaid step;
  step.batch = 1;
  step.path = "f";
  step.name = "f.conflict-beta";
  step.wanted = Wanted{.kind = Kind::file, .mode = 0644, .mtime = 5, .size = 1};
  Loaded loaded;
  loaded.relaid = {step};
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}, {2, "beta"}};
  options.incarnation = 100;
  Replica replica(options, std::move(loaded));

  Seen seen;
  seen.signature = {Kind::file, 0644, 7, 1, 9, 9};
  seen.content.bytes[0] = 1;
  replica.observe("f.conflict-beta", seen);

  const Record* record = replica.index().find("f");
  REQUIRE(record != nullptr);
  REQUIRE(record->entry.versions.size() == 1);
  const auto& [dot, version] = record->entry.versions[0];
  CHECK(version.label == "alpha");
  CHECK(version.tag == tag_of(dot));
  CHECK(version.copy);
  CHECK(!entry_problem(record->entry));
  // Once its label was empty: the index did not decode at the next start, and was given up.
  CHECK(decode<Record>(encode(*record)).has_value());
}
