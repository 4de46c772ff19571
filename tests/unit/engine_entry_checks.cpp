// What the node refuses of an entry that comes from outside, and how versions are recognised.
#include <doctest/doctest.h>

#include <functional>

#include "engine/entry.h"

using namespace p2psync::engine;

namespace {

constexpr Actor a{1, 1};
constexpr Actor b{2, 1};

/// One file, one symlink, one note: good as it is.
Entry good_entry() {
  Version file;
  file.mode = 0644;
  file.size = 5;
  file.label = "alpha-1";
  Version link;
  link.kind = Kind::symlink;
  link.mode = 0777;
  link.target = "../there";
  link.label = "b";
  return {{{a, 2}, {b, 3}}, {{{a, 1}, file}, {{b, 3}, link}}, {{{a, 2}, {1, 2, 3}}}};
}

}  // namespace

TEST_CASE("entry: what comes from outside is checked") {
  CHECK(!entry_problem(good_entry()));
  CHECK(!entry_problem({}));
  struct Case {
    const char* name;
    std::function<void(Entry&)> change;
    bool good;
  };
  const auto with_file = [](auto change) {
    return [change](Entry& entry) { change(entry.versions[0].version); };
  };
  const auto with_link = [](auto change) {
    return [change](Entry& entry) { change(entry.versions[1].version); };
  };
  const Case cases[] = {
      {"siblings swapped", [](Entry& e) { std::swap(e.versions[0], e.versions[1]); }, false},
      {"a sibling twice", [](Entry& e) { e.versions[1].dot = e.versions[0].dot; }, false},
      {"a sibling outside its context", [](Entry& e) { e.context.set(b, 2); }, false},
      {"a sibling with sequence 0", [](Entry& e) { e.versions[0].dot.sequence = 0; }, false},
      {"more context than siblings", [](Entry& e) { e.context.add({a, 99}); }, true},
      {"a note outside the context", [](Entry& e) { e.deletions[0].dot.sequence = 3; }, false},
      {"a note with sequence 0", [](Entry& e) { e.deletions[0].dot.sequence = 0; }, false},
      {"a note twice", [](Entry& e) { e.deletions.push_back(e.deletions[0]); }, false},
      {"a note of 8", [](Entry& e) { e.deletions[0].superseded.resize(8); }, true},
      {"a note of 9", [](Entry& e) { e.deletions[0].superseded.resize(9); }, false},
      {"8 superseded", with_file([](Version& v) { v.superseded.resize(8); }), true},
      {"9 superseded", with_file([](Version& v) { v.superseded.resize(9); }), false},
      {"all permission bits", with_file([](Version& v) { v.mode = 0777; }), true},
      {"a set-ID bit", with_file([](Version& v) { v.mode = 01755; }), false},
      {"an unknown kind", with_file([](Version& v) { v.kind = static_cast<Kind>(3); }), false},
      {"a file with a target", with_file([](Version& v) { v.target = "x"; }), false},
      {"a directory with a size", with_file([](Version& v) { v.kind = Kind::directory; }), false},
      {"a symlink with a size", with_link([](Version& v) { v.size = 1; }), false},
      {"a symlink without a target", with_link([](Version& v) { v.target.clear(); }), false},
      {"the longest target", with_link([](Version& v) { v.target.assign(4095, 't'); }), true},
      {"a target too long", with_link([](Version& v) { v.target.assign(4096, 't'); }), false},
      {"a NUL in a target", with_link([](Version& v) { v.target.push_back('\0'); }), false},
      {"the longest label", with_file([](Version& v) { v.label.assign(32, 'z'); }), true},
      {"a label too long", with_file([](Version& v) { v.label.assign(33, 'z'); }), false},
      {"no label", with_file([](Version& v) { v.label.clear(); }), false},
      {"a label with a slash", with_file([](Version& v) { v.label = "a/b"; }), false},
      {"a label with dots", with_file([](Version& v) { v.label = ".."; }), false},
      {"a label in capitals", with_file([](Version& v) { v.label = "Alpha"; }), false},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    Entry entry = good_entry();
    test.change(entry);
    CHECK(!entry_problem(entry).has_value() == test.good);
  }
}

TEST_CASE("recognition: content and mtime tell a version, not its mode, author or place") {
  Version version;
  version.mtime = 5;
  version.label = "alpha";
  const std::uint64_t name = recognition(version);
  Version other = version;
  other.mode = 0600;
  other.rank = 9;
  other.label = "beta";
  other.tag = 7;
  other.copy = true;
  other.imported = true;
  other.superseded = {1};
  CHECK(recognition(other) == name);
  const auto changed = [&](auto&& change) {
    Version each = version;
    change(each);
    return recognition(each) != name;
  };
  CHECK(changed([](Version& v) { v.mtime = 6; }));
  CHECK(changed([](Version& v) { v.content.bytes[31] = 1; }));
  CHECK(changed([](Version& v) { v.kind = Kind::directory; }));
  CHECK(changed([](Version& v) { v.target = "x"; }));
}

TEST_CASE("tag: every part of a dot counts") {
  const std::uint64_t tag = tag_of({{1, 2}, 3});
  CHECK(tag == tag_of({{1, 2}, 3}));
  CHECK(tag != tag_of({{2, 2}, 3}));
  CHECK(tag != tag_of({{1, 1}, 3}));
  CHECK(tag != tag_of({{1, 2}, 4}));
  CHECK(tag_of({{1, 2}, 3}) != tag_of({{3, 2}, 1}));
}

TEST_CASE("versions have the same content when kind, bytes and target are the same") {
  Version one;
  one.mtime = 1;
  Version other;
  other.mtime = 2;
  other.mode = 0600;
  CHECK(same_content(one, other));
  other.content.bytes[0] = 1;
  CHECK_FALSE(same_content(one, other));
  other = one;
  other.kind = Kind::directory;
  CHECK_FALSE(same_content(one, other));
  other = one;
  other.target = "t";
  CHECK_FALSE(same_content(one, other));
}
