// What becomes of files that are ignored, and of those that are so no longer.
#include <doctest/doctest.h>

#include "engine/scan.h"
#include "engine_pair.h"

using namespace p2psync::engine;

namespace {

struct Ignoring : Pair {
  Ignoring() {
    start(1, true);
    start(2, true);
    connect();
    REQUIRE(come_to_rest());
  }
  bool come_to_rest() {
    return run_until([&] { return in_sync(); });
  }
  void write(NodeId id, const Path& name, const std::string& text) {
    make(id, name, Kind::file, text, ++time_);
    touch(id, name);
  }
  void remove(NodeId id, const Path& name) {
    host(id).disk.erase(name);
    touch(id, name);
  }
  /// What stands at the name there; empty if nothing does.
  std::string text(NodeId id, const Path& name) {
    const auto found = host(id).disk.find(name);
    if (found == host(id).disk.end()) {
      return "";
    }
    const Bytes& bytes = host(id).contents[found->second.content];
    return {bytes->begin(), bytes->end()};
  }
  std::int64_t time_ = 10;
};

}  // namespace

TEST_CASE("ignored: it is deleted nowhere, and edited while nobody looks it is no conflict") {
  Ignoring pair;
  pair.write(1, "x", "first");
  pair.write(1, "y", "first");
  REQUIRE(pair.come_to_rest());
  pair.write(1, ".p2pignore", "x\ny\n");
  REQUIRE(pair.come_to_rest());
  REQUIRE(pair.text(2, ".p2pignore") == "x\ny\n");
  pair.remove(1, "x");
  pair.write(2, "y", "second");
  REQUIRE(pair.come_to_rest());
  CHECK(pair.text(1, "x").empty());
  CHECK(pair.text(2, "x") == "first");
  CHECK(pair.text(1, "y") == "first");
  const Path gone = pair.text(1, ".p2pignore").empty() ? "" : ".p2pignore";
  REQUIRE(!gone.empty());
  SUBCASE("the rules go") {
    pair.remove(2, ".p2pignore");
  }
  SUBCASE("the rules change") {
    pair.write(2, ".p2pignore", "z\n");
  }
  REQUIRE(pair.come_to_rest());
  for (const NodeId id : {NodeId{1}, NodeId{2}}) {
    CHECK(pair.text(id, "x") == "first");
    CHECK(pair.text(id, "y") == "second");
  }
  CHECK(pair.host(1).node->status().conflicts == 0);
  CHECK(pair.root(1) == pair.root(2));
}

TEST_CASE("ignored: what others write there is not laid, and is once it is ignored no longer") {
  Ignoring pair;
  pair.disconnect();
  pair.write(1, ".p2pignore", "x\n");
  pair.write(2, "x", "of two");
  pair.drain();
  pair.connect();
  REQUIRE(pair.come_to_rest());
  CHECK(pair.text(1, "x").empty());
  CHECK(pair.text(2, "x") == "of two");
  CHECK(pair.host(1).node->status().pending_files == 0);
  pair.remove(1, ".p2pignore");
  REQUIRE(pair.come_to_rest());
  CHECK(pair.text(1, "x") == "of two");
}

TEST_CASE("ignored: a directory stays for as long as something ignored is in it") {
  Ignoring pair;
  pair.write(1, ".p2pignore", "*.o\n");
  pair.make(1, "d", Kind::directory, "", 0);
  pair.touch(1, "d");
  pair.write(1, "d/x", "text");
  REQUIRE(pair.come_to_rest());
  pair.write(1, "d/x.o", "code");
  REQUIRE(pair.come_to_rest());
  pair.remove(2, "d/x");
  pair.remove(2, "d");
  REQUIRE(pair.come_to_rest());
  CHECK(pair.text(1, "d/x").empty());
  CHECK(pair.text(1, "d/x.o") == "code");
  CHECK(pair.host(1).node->status().problems.empty());
  CHECK(!pair.host(2).disk.contains("d"));
  pair.remove(1, "d/x.o");
  REQUIRE(pair.run_until([&] { return !pair.host(1).disk.contains("d"); }));
  REQUIRE(pair.come_to_rest());
  CHECK(pair.root(1) == pair.root(2));
}

TEST_CASE("ignored: a conflict copy is with its original") {
  Ignoring pair;
  pair.disconnect();
  pair.write(1, "a.log", "of one");
  pair.write(2, "a.log", "of two");
  pair.drain();
  pair.connect();
  REQUIRE(pair.come_to_rest());
  const Path copy = "a.log.conflict-alpha";
  REQUIRE(pair.text(2, copy) == "of one");
  pair.write(1, ".p2pignore", "*.log\n");
  REQUIRE(pair.come_to_rest());
  pair.write(2, copy, "edited");
  REQUIRE(pair.come_to_rest());
  CHECK(pair.text(1, copy) == "of one");
  CHECK(pair.host(1).node->record(copy) == nullptr);
}

TEST_CASE("ignored: there is an end to rules") {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}};
  Replica replica(options, {});
  const std::string most(ignore_bytes_max, 'x');
  std::size_t directories = 0;
  for (; replica.has_room_for_rules(std::to_string(directories), most.size()); ++directories) {
    REQUIRE(directories < 100);
    CHECK(replica.set_rules(std::to_string(directories), most));
  }
  CHECK(directories == ignore_total_max / ignore_bytes_max);
  CHECK(!replica.has_room_for_rules("", 1));
  CHECK(replica.has_room_for_rules("0", most.size()));  // in place of its own
  CHECK(replica.set_rules("0", "x"));
  CHECK(replica.has_room_for_rules("", most.size() - 1));
  CHECK(!replica.has_room_for_rules("", most.size()));
}

TEST_CASE("ignored: rules are read before anything else is looked at") {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}};
  Replica replica(options, {});
  Scan scan(replica);
  const Instant now{};
  const auto next = [&] {
    std::vector<Output> out;
    scan.next(now, [](const Path&) { return false; }, out);
    return out;
  };
  const auto names = [](const Output& output) {
    std::vector<Path> list;
    for (const LookAt& at : std::get<Look>(output).names) {
      list.push_back(at.name);
    }
    return list;
  };
  Seen rules;
  rules.signature = {Kind::file, 0644, 9, 2, 10, 11};
  rules.content = {7};
  // '-' sorts before '.', and the rest behind it.
  scan.on(now, Touched{{"-x", ".p2pignore", "x", "y"}});
  auto out = next();
  REQUIRE(out.size() == 1);
  CHECK(names(out[0]) == std::vector<Path>{".p2pignore"});
  CHECK(scan.reading_rules());
  scan.on(now, LookDone{{{".p2pignore", rules}}});
  out = next();
  REQUIRE(out.size() == 1);
  CHECK(std::get<List>(out[0]).directory.empty());
  CHECK(scan.reading_rules());
  const std::vector<Listing> items{{".p2pignore", false, rules.signature}};
  SUBCASE("they are what was looked at") {
    scan.on(now, Listed{"", items, Rules{rules.content, "x\n-x\n"}});
    out = next();
    REQUIRE(out.size() == 1);  // all is listed anew, by the new rules
    CHECK(std::get<List>(out[0]).directory.empty());
    scan.on(now, Listed{"", items, Rules{rules.content, "x\n-x\n"}});
    out = next();
    REQUIRE(out.size() == 1);
    CHECK(names(out[0]) == std::vector<Path>{"y"});
  }
  SUBCASE("they are others already, and another look comes") {
    scan.on(now, Listed{"", items, Rules{{8}, "y\n"}});
    CHECK(replica.ignore().empty());
    out = next();
    REQUIRE(out.size() == 1);
    CHECK(names(out[0]) == std::vector<Path>{"-x", "x", "y"});
  }
  SUBCASE("they cannot be read, so nothing is told") {
    scan.on(now, Listed{"", items, Rules{}});
    REQUIRE(scan.problems().size() == 1);
    CHECK(scan.problems()[0].path == ".p2pignore");
    CHECK(replica.ignores("y", false));
    CHECK(next().size() == 1);
  }
  CHECK(!scan.reading_rules());
}
