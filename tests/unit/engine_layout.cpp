#include "engine/layout.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace p2psync::engine;

namespace {

constexpr Actor a{1, 1};
constexpr Actor b{2, 1};
constexpr Actor c{3, 1};

constexpr std::uint64_t tag_a = 0xaaaa'aaaa'aaaa'aaaa;
constexpr std::uint64_t tag_b = 0xbbbb'bbbb'bbbb'bbbb;
constexpr std::uint64_t tag_c = 0xcccc'cccc'cccc'cccc;

/// Built up by name: `file(tag_a, "x").rank(5)`.
struct Made {
  Version version;
  Made rank(std::int64_t rank) && {
    version.rank = rank;
    version.mtime = rank;
    return *this;
  }
  Made mode(std::uint16_t mode) && {
    version.mode = mode;
    return *this;
  }
  Made label(std::string label) && {
    version.label = std::move(label);
    return *this;
  }
  Made copy() && {
    version.copy = true;
    return *this;
  }
  operator Version() const { return version; }
};

Made file(std::uint64_t tag, std::uint8_t text) {
  Version version;
  version.mode = 0644;
  version.size = 1;
  version.content.bytes[0] = text;
  version.tag = tag;
  version.label = tag == tag_a ? "alpha" : tag == tag_b ? "beta" : "gamma";
  return {version};
}

Made directory(std::uint64_t tag) {
  Made made = file(tag, 0);
  made.version.kind = Kind::directory;
  made.version.mode = 0700;
  made.version.size = 0;
  return made;
}

Entry entry_of(std::vector<Sibling> versions) {
  Entry entry{{}, std::move(versions), {}};
  for (const Sibling& sibling : entry.versions) {
    entry.context.add(sibling.dot);
  }
  return entry;
}

bool nothing_taken(std::string_view) {
  return false;
}

/// "name: content digits" of each place: what a person would see.
struct Name {
  Path name;
  Kind kind;
  std::uint8_t text;
  std::vector<Dot> dots;
  bool operator==(const Name&) const = default;
};

std::vector<Name> names(const std::vector<Place>& places) {
  std::vector<Name> list;
  for (const Place& place : places) {
    list.push_back({place.name, place.version.kind, place.version.content.bytes[0], place.dots});
  }
  return list;
}

Path name_of_copy(const std::string& path, const std::function<bool(std::string_view)>& taken) {
  const Entry entry = entry_of({{{a, 1}, file(tag_a, 1)}, {{b, 1}, file(tag_b, 2).rank(9)}});
  const std::vector<Place> places = layout(path, entry, false, taken);
  REQUIRE(places.size() == 2);
  CHECK(places[1].name == path);
  return places[0].name;
}

}  // namespace

TEST_CASE("layout: who has the name, and what the others are called") {
  struct Case {
    const char* name;
    std::vector<Sibling> siblings;
    bool live_below;
    std::vector<Name> expected;
  };
  const Dot da{a, 1};
  const Dot db{b, 1};
  const Dot dc{c, 1};
  const Case cases[] = {
      {"nothing", {}, false, {}},
      {"one", {{da, file(tag_a, 1)}}, false, {{"d/f", Kind::file, 1, {da}}}},
      {"the higher rank wins",
       {{da, file(tag_a, 1).rank(2)}, {db, file(tag_b, 2).rank(1)}},
       false,
       {{"d/f.conflict-beta", Kind::file, 2, {db}}, {"d/f", Kind::file, 1, {da}}}},
      {"of equal ranks the higher hash wins",
       {{da, file(tag_a, 1)}, {db, file(tag_b, 2)}},
       false,
       {{"d/f.conflict-alpha", Kind::file, 1, {da}}, {"d/f", Kind::file, 2, {db}}}},
      {"equal contents share a name",
       {{da, file(tag_a, 1)}, {db, file(tag_b, 1)}},
       false,
       {{"d/f", Kind::file, 1, {da, db}}}},
      {"equal losers share a name, of the smallest tag",
       {{da, file(tag_a, 1)}, {db, file(tag_b, 2).rank(9)}, {dc, file(tag_c, 1)}},
       false,
       {{"d/f.conflict-alpha", Kind::file, 1, {da, dc}}, {"d/f", Kind::file, 2, {db}}}},
      {"a directory outranks a newer file",
       {{da, file(tag_a, 1).rank(9)}, {db, directory(tag_b)}},
       false,
       {{"d/f.conflict-alpha", Kind::file, 1, {da}}, {"d/f", Kind::directory, 0, {db}}}},
      {"a path with a live path below it is a directory",
       {{da, file(tag_a, 1)}},
       true,
       {{"d/f.conflict-alpha", Kind::file, 1, {da}}, {"d/f", Kind::directory, 0, {}}}},
      {"nothing but what lives below", {}, true, {{"d/f", Kind::directory, 0, {}}}},
      {"a directory of its own, with something below",
       {{da, directory(tag_a)}},
       true,
       {{"d/f", Kind::directory, 0, {da}}}},
      {"a copy keeps off a free name",
       {{da, file(tag_a, 1).copy()}},
       false,
       {{"d/f.conflict-alpha", Kind::file, 1, {da}}}},
      {"a copy of higher rank does not take the name",
       {{da, file(tag_a, 1).copy().rank(9)}, {db, file(tag_b, 2)}},
       false,
       {{"d/f.conflict-alpha", Kind::file, 1, {da}}, {"d/f", Kind::file, 2, {db}}}},
      {"a copy with the bytes of one that is none has the name",
       {{da, file(tag_a, 1).copy()}, {db, file(tag_b, 1)}},
       false,
       {{"d/f", Kind::file, 1, {da, db}}}},
      {"of one label the smallest tag is bare, the other carries digits",
       {{da, file(tag_a, 1).label("n")},
        {db, file(tag_b, 2).label("n")},
        {dc, file(tag_c, 3).rank(9)}},
       false,
       {{"d/f.conflict-n", Kind::file, 1, {da}},
        {"d/f.conflict-n-bbbbbbbb", Kind::file, 2, {db}},
        {"d/f", Kind::file, 3, {dc}}}},
      {"of one label and tag the lower standing is bare, whoever wrote it",
       {{da, file(tag_b, 2)}, {db, file(tag_b, 1)}, {dc, file(tag_c, 3).rank(9)}},
       false,
       {{"d/f.conflict-beta", Kind::file, 1, {db}},
        {"d/f.conflict-beta-bbbbbbbb", Kind::file, 2, {da}},
        {"d/f", Kind::file, 3, {dc}}}},
      {"every label has its bare form",
       {{da, file(tag_a, 1)}, {db, file(tag_b, 2)}, {dc, file(tag_c, 3).rank(9)}},
       false,
       {{"d/f.conflict-alpha", Kind::file, 1, {da}},
        {"d/f.conflict-beta", Kind::file, 2, {db}},
        {"d/f", Kind::file, 3, {dc}}}},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    const auto places = layout("d/f", entry_of(test.siblings), test.live_below, nothing_taken);
    CHECK(names(places) == test.expected);
  }
}

TEST_CASE("layout: siblings that share a name show mode and mtime of the highest rank") {
  const Entry entry = entry_of({{{a, 1}, file(tag_b, 1).rank(3).mode(0600)},
                                {{b, 1}, file(tag_a, 1).rank(7).mode(0640)},
                                {{c, 1}, file(tag_c, 1).rank(5).mode(0666)}});
  const auto places = layout("f", entry, false, nothing_taken);
  REQUIRE(places.size() == 1);
  CHECK(places[0].version.mode == 0640);
  CHECK(places[0].version.mtime == 7);
  CHECK(places[0].version.tag == tag_a);  // that of the smallest, as an edit inherits it
  CHECK(places[0].version.label == "alpha");
  CHECK_FALSE(places[0].version.copy);
}

TEST_CASE("layout: an implied directory has mode 0755, one with a version has its own") {
  CHECK(layout("f", {}, true, nothing_taken).at(0).version.mode == 0755);
  const Entry entry = entry_of({{{a, 1}, directory(tag_a)}});
  CHECK(layout("f", entry, true, nothing_taken).at(0).version.mode == 0700);
}

TEST_CASE("layout: a name is a function of the siblings, not of the order they came in") {
  std::vector<Version> versions{file(tag_a, 1).label("n"), file(tag_b, 2).label("n"),
                                file(tag_c, 3).label("n")};
  const auto placed = [&] {
    std::set<std::pair<Path, std::uint8_t>> set;
    const Entry entry =
        entry_of({{{a, 1}, versions[0]}, {{b, 1}, versions[1]}, {{c, 1}, versions[2]}});
    for (const Place& place : layout("f", entry, false, nothing_taken)) {
      set.emplace(place.name, place.version.content.bytes[0]);
    }
    return set;
  };
  const auto before = placed();
  std::ranges::rotate(versions, versions.begin() + 1);
  CHECK(placed() == before);
}

TEST_CASE("layout: a taken name gets digits, and more digits until it is free") {
  CHECK(name_of_copy("d/f", nothing_taken) == "d/f.conflict-alpha");
  std::set<Path, std::less<>> taken{"d/f.conflict-alpha"};
  const auto is_taken = [&](std::string_view name) { return taken.contains(name); };
  CHECK(name_of_copy("d/f", is_taken) == "d/f.conflict-alpha-aaaaaaaa");
  taken.insert("d/f.conflict-alpha-aaaaaaaa");
  CHECK(name_of_copy("d/f", is_taken) == "d/f.conflict-alpha-aaaaaaaaa");
}

TEST_CASE("layout: with every candidate up to 40 digits taken there still is a name") {
  const std::string bare = "d/f.conflict-alpha";
  const Path name = name_of_copy(
      "d/f", [&](std::string_view candidate) { return candidate.size() <= bare.size() + 1 + 40; });
  CHECK(name.starts_with(bare + "-aaaaaaaaaaaaaaaa"));
  CHECK(name.size() == bare.size() + 1 + 41);
}

TEST_CASE("layout: two losers never share a name, though their digits begin alike") {
  const std::uint64_t close = tag_a + 1;
  const Entry entry = entry_of({{{a, 1}, file(tag_a - 1, 1).label("n")},
                                {{a, 2}, file(tag_a, 2).label("n")},
                                {{a, 3}, file(close, 3).label("n")},
                                {{a, 4}, file(close, 4).label("n")},
                                {{b, 1}, file(tag_b, 5).rank(9)}});
  std::set<Path> seen;
  for (const Place& place : layout("f", entry, false, nothing_taken)) {
    CHECK(seen.insert(place.name).second);
  }
  CHECK(seen == std::set<Path>{"f", "f.conflict-n", "f.conflict-n-aaaaaaaa",
                               "f.conflict-n-aaaaaaaaa", "f.conflict-n-aaaaaaaaaa"});
}

TEST_CASE("layout: a name too long for its ending is shortened and carries digits") {
  const std::size_t ending = std::string(".conflict-alpha").size();
  const std::string fits(name_bytes_max - ending, 'n');
  CHECK(name_of_copy("d/" + fits, nothing_taken) == "d/" + fits + ".conflict-alpha");
  for (const std::size_t size : {name_bytes_max - ending + 1, name_bytes_max}) {
    const std::string name(size, 'n');
    const Path copy = name_of_copy("d/" + name, nothing_taken);
    CHECK(name_of(copy).size() == name_bytes_max);
    CHECK(copy.ends_with("n.conflict-alpha-aaaaaaaa"));
    CHECK(copy.starts_with("d/nnn"));
  }
}

TEST_CASE("layout: a metadata-only version hides behind an edit of exactly its base") {
  Version touched = file(tag_a, 1).rank(9);
  touched.metadata_only = true;
  touched.base = 77;
  struct Case {
    const char* name;
    std::vector<std::uint64_t> superseded;
    std::uint8_t text;
    bool metadata_only;
    bool hides;
  };
  const Case cases[] = {
      {"an edit of its base", {77}, 2, false, true},
      {"an edit that replaced its base long ago", {1, 2, 77}, 2, false, true},
      {"an edit of something else", {78}, 2, false, false},
      {"another change of metadata", {77}, 2, true, false},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    Version edit = file(tag_b, test.text).rank(1);
    edit.superseded = test.superseded;
    edit.metadata_only = test.metadata_only;
    const Entry entry = entry_of({{{a, 1}, touched}, {{b, 1}, edit}});
    const auto places = layout("f", entry, false, nothing_taken);
    if (test.hides) {
      // Its dot is shown with the edit, so that a user's event on the name removes both.
      CHECK(names(places) == std::vector<Name>{{"f", Kind::file, 2, {{a, 1}, {b, 1}}}});
      CHECK(places[0].version.mtime == 1);
    } else {
      CHECK(places.size() == 2);
    }
  }
  // A version that is not metadata-only never hides, whatever base it has.
  Version written = touched;
  written.metadata_only = false;
  Version edit = file(tag_b, 2);
  edit.superseded = {77};
  CHECK(layout("f", entry_of({{{a, 1}, written}, {{b, 1}, edit}}), false, nothing_taken).size() ==
        2);
}

TEST_CASE("layout: the names a conflict copy could belong to, longest first") {
  struct Case {
    std::string name;
    std::vector<Path> originals;
  };
  const Case cases[] = {
      {"a", {}},
      {"a.conflict-b", {"a"}},
      {"d/a.conflict-b-0123", {"d/a"}},
      {"a.conflict-b.conflict-c", {"a.conflict-b", "a"}},
      {".conflict-b", {}},
      {"d/.conflict-b", {}},
      {"x.conflict-y/a", {}},
      {"x.conflict-y/a.conflict-b", {"x.conflict-y/a"}},
      {"a.conflict", {}},
      {"", {}},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    CHECK(possible_originals(test.name) == test.originals);
  }
}

TEST_CASE("layout: versions look alike when bytes, mode and mtime are the same") {
  const Version one = file(tag_a, 1).rank(5);
  Version other = file(tag_b, 1).rank(5).label("else").copy();
  CHECK(looks_like(one, other));
  other.mtime = 6;
  CHECK_FALSE(looks_like(one, other));
  other = file(tag_a, 1).rank(5).mode(0600);
  CHECK_FALSE(looks_like(one, other));
  CHECK_FALSE(looks_like(one, file(tag_a, 2).rank(5)));
}
