// A user's own event drops the imports that it makes old news, as every merge of it does.
#include <doctest/doctest.h>

#include "engine/replica.h"

using namespace p2psync;
using namespace p2psync::engine;

TEST_CASE("replica: an edit or a deletion drops the imports that it makes old news") {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}, {2, "beta"}};
  options.incarnation = 100;
  Replica replica(options, {});
  Seen seen;
  seen.signature = {Kind::file, 0644, 1, 1, 50, 50};
  seen.content.bytes[0] = 1;
  replica.observe("f", seen);
  // The peer lost its index and reads the same file in; the name does not show that dot yet.
  Version import = replica.index().find("f")->entry.versions.at(0).version;
  import.imported = true;
  const Dot theirs{{2, 200}, 1};
  replica.merge({"f", {{theirs}, {{theirs, import}}, {}}}, {theirs});
  bool edit = true;
  SUBCASE("edit") {}
  SUBCASE("delete") {
    edit = false;
  }
  if (edit) {
    seen.signature.mtime = 60;
    seen.content.bytes[0] = 2;
    replica.observe("f", seen);
  } else {
    replica.observe_absent("f");
  }
  const Entry& entry = replica.index().find("f")->entry;
  CHECK(entry.versions.size() == (edit ? 1 : 0));
  CHECK(merge(entry, replica.knowledge(), entry, replica.knowledge()) == entry);
}

TEST_CASE("replica: what was deleted elsewhere before a new index came upon it stays deleted") {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}, {2, "beta"}};
  options.incarnation = 100;
  options.fresh_index = true;
  Replica replica(options, {});
  Seen seen;
  seen.signature = {Kind::file, 0644, 1, 1, 50, 50};
  seen.content.bytes[0] = 1;
  Version old;
  old.content = seen.content;
  old.mtime = seen.signature.mtime;
  // A peer tells of the deletion while the first scan is still under way.
  const Dot deletion{{2, 200}, 2};
  replica.merge({"f", {{deletion}, {}, {{deletion, {recognition(old)}}}}}, {deletion});
  replica.observe("f", seen);
  CHECK(!replica.index().find("f")->entry.live());
  CHECK(replica.index().find("f")->entry.deletions.size() == 1);
}
