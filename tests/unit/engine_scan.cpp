// What looks and listings are made of, and when.
#include "engine/scan.h"

#include <doctest/doctest.h>

#include "engine_pair.h"

using namespace p2psync::engine;

namespace {

NodeOptions alone() {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}};
  return options;
}

Seen a_directory() {
  Seen seen;
  seen.signature = {Kind::directory, 0755, 7, 0, 0, 5};
  return seen;
}

Seen a_file() {
  Seen seen;
  seen.signature = {Kind::file, 0644, 8, 5, 10, 11};
  return seen;
}

}  // namespace

TEST_CASE("scan: what changed within the clock's grain is read again, whatever stat says") {
  Pair pair;
  pair.start(1, true);
  pair.start(2, true);
  pair.connect();
  REQUIRE(pair.run_until([&] { return pair.in_sync(); }));
  Seen& file = pair.host(1).disk["f"];
  pair.make(1, "f", Kind::file, "one", 10);
  file.fresh = true;
  pair.touch(1, "f");
  pair.drain();
  // Nothing tells of the second save but the bytes.
  const Signature signature = file.signature;
  pair.make(1, "f", Kind::file, "two", 10);
  file.signature = signature;
  CHECK(pair.run_until([&] { return pair.tree(2) == pair.tree(1); }));
}

TEST_CASE("scan: what changed too recently to be read is waited for once") {
  Replica replica(alone(), {});
  Scan scan(replica);
  Instant now{};
  const auto look = [&](const Sight& sight) {
    std::vector<Output> out;
    scan.next(now, [](const Path&) { return false; }, out);
    REQUIRE(out.size() == 1);
    const LookAt at = std::get<Look>(out[0]).names.at(0);
    CHECK_FALSE(at.regular);  // nobody has listed it
    scan.on(now, LookDone{{{"f", sight}}});
    scan.next(now, [](const Path&) { return false; }, out);
    return at.patient;
  };
  scan.on(now, Touched{{"f"}});
  CHECK(look(Unstable{}));
  CHECK(!scan.idle());
  now = *scan.wake_at();
  SUBCASE("it is at rest") {
    CHECK(!look(a_file()));
  }
  SUBCASE("it goes on and on") {
    CHECK(!look(Unstable{}));
  }
  CHECK(scan.idle());
}

TEST_CASE("scan: what is to be proven is looked at when the clock has gone on") {
  Replica replica(alone(), {});
  Scan scan(replica);
  const Instant now{};
  scan.look_later(now, "f");
  CHECK(scan.idle());
  const auto names_at = [&](Instant when) {
    std::vector<Output> out;
    scan.next(when, [](const Path&) { return false; }, out);
    return out.size();
  };
  CHECK(names_at(now) == 0);
  REQUIRE(scan.wake_at());
  CHECK(*scan.wake_at() > now);
  CHECK(names_at(*scan.wake_at()) == 1);
}

TEST_CASE("scan: what is written to without end is looked at, less often the larger it is") {
  constexpr std::uint64_t MiB = 1U << 20;
  CHECK(writing_pause(0) == std::chrono::milliseconds(200));
  CHECK(writing_pause(160 * MiB) > std::chrono::seconds(10));
  CHECK(writing_pause(UINT64_MAX) == std::chrono::seconds(30));
  for (const std::uint64_t size : {std::uint64_t{0}, 16 * MiB}) {
    Replica replica(alone(), {});
    Scan scan(replica);
    Seen seen;
    seen.signature.size = size;
    Sight sight;
    SUBCASE("quiet for a moment now and then") {
      sight = seen;
    }
    SUBCASE("never") {
      replica.observe("log", seen);
      sight = Unstable{};
    }
    SUBCASE("so short that no look proves anything") {
      seen.fresh = true;
      sight = seen;
    }
    int looks = 0;
    Instant now{};
    const auto step = [&] {
      std::vector<Output> out;
      scan.next(now, [](const Path&) { return false; }, out);
      if (!out.empty()) {
        ++looks;
        scan.on(now, Touched{{}, {"log"}});  // while it is read
        ++seen.signature.ctime;
        scan.on(now, LookDone{{{"log", sight}}});
      }
    };
    scan.on(now, Touched{{}, {"log"}});
    step();
    CHECK(looks == 1);  // at once
    for (const Instant end = now + std::chrono::seconds(60); now < end;) {
      now += std::chrono::milliseconds(5);
      scan.on(now, Touched{{}, {"log"}});
      step();
    }
    const auto most = std::chrono::seconds(60) / writing_pause(size);
    CHECK(looks > most / 2);
    CHECK(looks < most + 10);
    // Its end is seen at once, and should there be none, with the next look.
    const int before = looks;
    scan.on(now, Touched{{}, {"log"}});
    CHECK(scan.wake_at() <= now + writing_pause(size));
    scan.on(now, Touched{{"log"}});
    step();
    CHECK(looks == before + 1);
  }
}

TEST_CASE("scan: a name counts as gone when nothing else is left to look at") {
  Replica replica(alone(), {});
  Seen seen;
  seen.signature.ctime = seen.signature.inode = 1;
  replica.observe("old", seen);
  Scan scan(replica);
  const Instant now{};
  const auto next = [&] {
    std::vector<Output> out;
    scan.next(now, [](const Path&) { return false; }, out);
    return out;
  };
  // Of a rename the watcher has told one half; the other comes with a listing.
  scan.touch("old");
  scan.list("", false);
  REQUIRE(next().size() == 2);
  scan.on(now, LookDone{{{"old", Absent()}}});
  CHECK(next().empty());
  CHECK(replica.index().find("old")->entry.live());
  scan.on(now, Listed{"", std::vector<Listing>{{"new", false, seen.signature}}});
  REQUIRE(next().size() == 1);
  CHECK(replica.index().find("old")->entry.live());
  scan.on(now, LookDone{{{"new", seen}, {"old", Absent()}}});
  CHECK(next().empty());
  CHECK_FALSE(replica.index().find("old")->entry.live());
  CHECK(replica.index().find("new")->entry.live());
}

TEST_CASE("scan: what was missed and is listed again, just as it was, is not gone") {
  // A directory is away for a moment: as it is looked at, what is in it is not there.
  enum class Comes { before, after };
  for (const Comes listing : {Comes::before, Comes::after}) {
    CAPTURE(static_cast<int>(listing));
    Replica replica(alone(), {});
    replica.observe("d", a_directory());
    replica.observe("d/f", a_file());
    Scan scan(replica);
    const Instant now{};
    const auto next = [&] {
      std::vector<Output> out;
      scan.next(now, [](const Path&) { return false; }, out);
      return out;
    };
    const Listed listed{"d", std::vector<Listing>{{"f", false, a_file().signature}}};
    scan.touch("d/f");
    scan.list("d", false);
    REQUIRE(next().size() == 2);
    if (listing == Comes::before) {
      scan.on(now, listed);
      scan.on(now, LookDone{{{"d/f", Absent()}}});
    } else {
      scan.on(now, LookDone{{{"d/f", Absent()}}});
      scan.on(now, listed);
    }
    const auto again = next();
    CHECK(replica.index().find("d/f")->entry.live());
    REQUIRE(again.size() == 1);
    CHECK(std::get<Look>(again[0]).names.at(0).name == "d/f");
    scan.on(now, LookDone{{{"d/f", a_file()}}});
    CHECK(next().empty());
    CHECK(replica.index().find("d/f")->entry.live());
  }
}

TEST_CASE("scan: nothing is below what is no directory, whether or not one was remembered") {
  // A crash came before anybody had looked at the directory; what is below it had been looked at.
  Replica replica(alone(), {});
  replica.observe("d/f", a_file());
  REQUIRE(replica.shown("d") == nullptr);
  for (const Sight& sight : {Sight(a_file()), Sight(Absent{}), Sight(Special{})}) {
    Scan scan(replica);
    std::vector<Output> out;
    const auto next = [&] { scan.next(Instant(), [](const Path&) { return false; }, out); };
    scan.touch("d");
    next();
    scan.on(Instant(), LookDone{{{"d", sight}}});
    next();
    REQUIRE(out.size() == 2);
    CHECK(std::get<Look>(out[1]).names.at(0).name == "d/f");
    replica.observe_absent("d");
  }
}

TEST_CASE("scan: what is below a directory that nobody had seen is gone with it") {
  // A crash came after what is below it was seen, and its user moved it away.
  for (const bool is_known : {false, true}) {
    Replica replica(alone(), {});
    replica.observe("d/f", a_file());
    if (is_known) {
      replica.observe("d", a_directory());
      replica.observe_absent("d");
    }
    REQUIRE(replica.shown("d") == nullptr);
    Scan scan(replica);
    std::vector<Output> out;
    const auto list = [&] {
      scan.on(Instant(), Listed{"", std::vector<Listing>{}, {}});
      scan.next(Instant(), [](const Path&) { return false; }, out);
    };
    list();
    REQUIRE(out.size() == 1);
    CHECK(std::get<Look>(out[0]).names.at(0).name == "d/f");
    scan.on(Instant(), LookDone{{{"d/f", Absent{}}}});
    replica.observe_absent("d/f");
    list();
    CHECK(out.size() == 1);  // only tombstones are left
  }
}

TEST_CASE("scan: of a listing only what differs from what is remembered is looked at") {
  Replica replica(alone(), {});
  Seen file = a_file();
  const Seen directory = a_directory();
  for (const char* name : {"d/a", "d/c", "d/gone", "d/pipe", "d/sub/deep", "d/twice", "e/f"}) {
    replica.observe(name, file);
  }
  replica.observe("d/sub", directory);
  replica.observe_absent("d/twice");  // its record is more than a version at its path
  replica.observe("d/twice", file);
  replica.observe_absent("d/twice");
  replica.observe("d/late", file);
  replica.observe_absent("d/late");
  replica.observe("d/late", file);
  enum class Of { all, all_unpacked, any_order, less };
  for (const Of of : {Of::all, Of::all_unpacked, Of::any_order, Of::less}) {
    CAPTURE(static_cast<int>(of));
    replica.pack(of == Of::all_unpacked ? 100 : 0);
    Scan scan(replica);
    Signature other = file.signature;
    ++other.ctime;
    Listed listed{"d", std::vector<Listing>{{"a", false, file.signature},
                                            {"b", false, file.signature},
                                            {"c", false, other},
                                            {"late", false, file.signature},
                                            {"pipe", true, file.signature},
                                            {"sub", false, directory.signature}}};
    if (of == Of::any_order) {
      std::ranges::reverse(*listed.items);
    } else if (of == Of::less) {
      std::erase_if(*listed.items, [](const Listing& item) { return item.name == "late"; });
    }
    scan.on({}, listed);
    std::vector<Output> out;
    scan.next({}, [](const Path&) { return false; }, out);
    REQUIRE(out.size() == 1);
    std::vector<Path> names;
    for (const LookAt& at : std::get<Look>(out[0]).names) {
      names.push_back(at.name);
      CHECK(at.regular == (at.name == "d/b" || at.name == "d/c"));  // files that are listed
    }
    CHECK(names == (of != Of::less
                        ? std::vector<Path>{"d/b", "d/c", "d/gone", "d/pipe"}
                        : std::vector<Path>{"d/b", "d/c", "d/gone", "d/late", "d/pipe"}));
    CHECK(scan.skipped() == 1);
  }
}

TEST_CASE("scan: where a directory arrives all below is listed, known or not") {
  // Two directories change places and change back: what is below them has lost its watches, and
  // is otherwise what is remembered.
  Replica replica(alone(), {});
  Seen below = a_directory();
  below.signature.inode = 8;
  replica.observe("d", a_directory());
  replica.observe("d/below", below);
  Scan scan(replica);
  const auto next = [&] {
    std::vector<Output> out;
    scan.next({}, [](const Path&) { return false; }, out);
    return out;
  };
  const auto is_list_of = [](const Output& output, const Path& directory) {
    const auto* list = std::get_if<List>(&output);
    return list != nullptr && list->directory == directory;
  };
  bool arrives = false;
  SUBCASE("moved there") {
    arrives = true;
    scan.on({}, Touched{{"d"}, {}, {"d"}});
  }
  SUBCASE("touched") {
    scan.on({}, Touched{{"d"}});
  }
  REQUIRE(next().size() == 1);
  scan.on({}, LookDone{{{"d", a_directory()}}});
  const auto first = next();
  REQUIRE(first.size() == 1);
  REQUIRE(is_list_of(first[0], "d"));
  const Listed listed{"d", std::vector<Listing>{{"below", false, below.signature}}};
  scan.on({}, listed);
  const auto second = next();
  CHECK(second.size() == (arrives ? 1 : 0));
  if (arrives) {
    CHECK(is_list_of(second.at(0), "d/below"));
    scan.on({}, Listed{"d/below", std::vector<Listing>{}});
    CHECK(next().empty());
  }
  scan.on({}, Touched{{"d"}});  // once is enough
  REQUIRE(next().size() == 1);
  scan.on({}, LookDone{{{"d", a_directory()}}});
  REQUIRE(next().size() == 1);
  scan.on({}, listed);
  CHECK(next().empty());
}

TEST_CASE("scan: what is in a renamed directory is known by its old name") {
  Replica replica(alone(), {});
  const Seen directory = a_directory();
  Seen file = a_file();
  file.content = {1};
  Seen fresh = file;
  fresh.signature.ctime = 0;  // its signature proves nothing
  replica.observe("old", directory);
  replica.observe("old/f", file);
  replica.observe("old/g", fresh);
  Scan scan(replica);
  const auto next = [&] {
    std::vector<Output> out;
    scan.next({}, [](const Path&) { return false; }, out);
    return out;
  };
  const auto known = [&](const Output& output, std::size_t i) {
    return std::get<Look>(output).names.at(i).known;
  };
  SUBCASE("as the watcher tells") {
    scan.touch("new");
    REQUIRE(next().size() == 1);
    scan.on({}, LookDone{{{"new", directory}}});
    REQUIRE(next().size() == 1);
  }
  SUBCASE("as a scan finds it") {
    scan.list("", true);
    REQUIRE(next().size() == 1);
    scan.on({}, Listed{"", std::vector<Listing>{{"new", false, directory.signature}}});
    REQUIRE(next().size() == 2);
  }
  scan.on({}, Listed{"new", std::vector<Listing>{{"f", false, file.signature},
                                                 {"g", false, file.signature},
                                                 {"h", false, file.signature}}});
  const auto out = next();
  REQUIRE(out.size() == 1);
  CHECK(known(out[0], 0) == file);
  CHECK(!known(out[0], 1));
  CHECK(!known(out[0], 2));
}

TEST_CASE("scan: large files of a renamed directory are looked at all at once: none is read") {
  Replica replica(alone(), {});
  const Seen directory = a_directory();
  replica.observe("old", directory);
  std::vector<Listing> items;
  for (std::uint8_t i = 0; i < 4; ++i) {
    Seen file;
    file.signature = {Kind::file, 0644, 10U + i, look_bytes_max, 10, 11};
    file.content.bytes[0] = i;
    const std::string name{static_cast<char>('a' + i)};
    replica.observe("old/" + name, file);
    items.push_back({name, false, file.signature});
  }
  Scan scan(replica);
  const auto next = [&] {
    std::vector<Output> out;
    scan.next({}, [](const Path&) { return false; }, out);
    return out;
  };
  scan.touch("new");
  REQUIRE(next().size() == 1);
  scan.on({}, LookDone{{{"new", directory}}});
  REQUIRE(next().size() == 1);
  scan.on({}, Listed{"new", items});
  const auto out = next();
  REQUIRE(out.size() == 1);
  CHECK(std::get<Look>(out[0]).names.size() == items.size());
}

TEST_CASE("scan: a name is not looked at while it is laid") {
  Replica replica(alone(), {});
  Scan scan(replica);
  scan.touch("f");
  std::vector<Output> out;
  scan.next({}, [](const Path& name) { return name == "f"; }, out);
  CHECK(out.empty());
  CHECK(scan.holds("f"));  // and is not laid again before the look
  scan.apply_ended();
  scan.next({}, [](const Path&) { return false; }, out);
  CHECK(out.size() == 1);
}

TEST_CASE("scan: while directories are listed a look gathers; the first goes at once") {
  Replica replica(alone(), {});
  Scan scan(replica);
  const Instant now{std::chrono::hours(1)};
  const auto looked_at = [&](Instant when) {
    std::vector<Output> out;
    scan.next(when, [](const Path&) { return false; }, out);
    std::size_t names = 0;
    for (const Output& output : out) {
      if (const auto* look = std::get_if<Look>(&output)) {
        names += look->names.size();
      }
    }
    return names;
  };
  scan.list("d", true);
  scan.touch("a");
  CHECK(looked_at(now) == 1);
  scan.on(now, LookDone{{{"a", Absent()}}});
  scan.touch("b");
  CHECK(looked_at(now) == 0);
  CHECK(scan.wake_at() == now + look_gather_wait);
  SUBCASE("for a while") {
    CHECK(looked_at(now + look_gather_wait) == 1);
  }
  SUBCASE("until there is enough") {
    for (std::size_t i = 1; i < look_names_max; ++i) {
      scan.touch("c" + std::to_string(i), 0);
    }
    CHECK(looked_at(now) == look_names_max);
  }
  SUBCASE("until all are listed") {
    scan.on(now, Listed{"d", std::vector<Listing>()});
    CHECK(looked_at(now) == 1);
  }
}
