#include "engine/ignore.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "engine_dice.h"

using namespace p2psync::engine;

namespace {

/// `path/` is a directory.
std::size_t line_about(const Ignore& ignore, std::string_view path) {
  const bool is_directory = path.ends_with('/');
  path.remove_suffix(is_directory ? 1 : 0);
  const auto rule = ignore.rule_for(path, is_directory);
  CHECK(ignore.ignores(path, is_directory) == (rule && !rule->negated));
  return rule ? rule->line : 0;
}

struct Case {
  std::string_view rules;
  std::string_view path;
  std::size_t line;  ///< of the rule that decides; 0: none
};

template <typename Cases>
void check(const Cases& cases) {
  for (const Case& test : cases) {
    CAPTURE(test.rules);
    CAPTURE(test.path);
    Ignore ignore;
    ignore.set("", test.rules);
    CHECK(line_about(ignore, test.path) == test.line);
  }
}

}  // namespace

TEST_CASE("ignore: what is a rule, and what is only a line") {
  using namespace std::string_view_literals;
  const Case cases[] = {
      {"", "a", 0},
      {"\n\n", "a", 0},
      {"a", "a", 1},
      {"a\n", "a", 1},
      {"# a\n\na\n", "a", 3},
      {"#a", "#a", 0},
      {"\\#a", "#a", 1},
      {" #a", " #a", 1},
      {"!a", "!a", 0},
      {"\\!a", "!a", 1},
      {"a  ", "a", 1},
      {"a  ", "a  ", 0},
      {"a\\ ", "a ", 1},
      {"a\\  ", "a ", 1},
      {"a \\ ", "a  ", 1},
      {"a\t", "a", 0},
      {"a\t", "a\t", 1},
      {" a", "a", 0},
      {" a", " a", 1},
      {"   ", " ", 0},
      {"a\\", "a", 0},
      {"a\\", "a\\", 0},
      {"a\\\\", "a\\", 1},
      {"a \\", "a", 0},
      {"a\r\nb\r\n", "a", 1},
      {"a\r\nb\r\n", "b", 2},
      {"a \r\n", "a", 1},
      {"a\r\r\n", "a\r", 1},
      {"a\rb", "a\rb", 1},
      {"a\r", "a", 1},
      {"\r\n", "\r", 0},
      {"\xef\xbb\xbf"
       "a\n",
       "a", 1},
      {"\xef\xbb\xbf# a\nb", "b", 2},
      {"x\n\xef\xbb\xbf"
       "a\n",
       "a", 0},
      {"a\0b"sv, "a", 1},
      {"/", "a", 0},
      {"!", "a", 0},
      {"//", "a", 0},
      {"a//", "a/", 0},
      {"[a", "[a", 0},
      {"[a\na", "a", 2},
  };
  check(cases);
}

TEST_CASE("ignore: a slash at the end, at the beginning and between") {
  const Case cases[] = {
      {"a", "x/y/a", 1},
      {"a/", "a", 0},
      {"a/", "a/", 1},
      {"a/", "x/a/", 1},
      {"a/", "x/a/b", 1},  // as the directory is
      {"/a", "a", 1},
      {"/a", "x/a", 0},
      {"/a/", "a", 0},
      {"/a/", "a/", 1},
      {"x/a", "x/a", 1},
      {"x/a", "y/x/a", 0},
      {"x/a/", "x/a", 0},
      {"x/a/", "x/a/", 1},
      {"/x/a", "x/a", 1},
      {"//a", "a", 0},
      {"x//a", "x/a", 0},
      {"x\\/a", "x/a", 1},
      {"A", "a", 0},
      {"\xc3\xa9", "\xc3\xa9", 1},
      {"\xff*", "\xff\xfe", 1},
      {"?", "\xc3\xa9", 0},
      {"??", "\xc3\xa9", 1},
  };
  check(cases);
}

TEST_CASE("ignore: wildcards") {
  const Case cases[] = {
      {"*", "a", 1},          {"*.o", "x/a.o", 1},     {"*.o", ".o", 1},
      {"*.o", "a.ox", 0},     {"*.o/", "a.o", 0},      {"/*.o", "a.o", 1},
      {"/*.o", "x/a.o", 0},   {"a*", "ab", 1},         {"a*c", "abbc", 1},
      {"*\\*", "a*", 1},      {"*\\*", "ab", 0},       {"a?", "a", 0},
      {"a?", "ab", 1},        {"x/*", "x/a", 1},       {"x/*", "x/y/a", 1},  // as x/y is
      {"x/*/a", "x/y/a", 1},  {"x/*/a", "x/y/z/a", 0}, {"*/a", "a", 0},
      {"*/a", "x/a", 1},      {"[a-c]", "b", 1},       {"[!a-c]", "b", 0},
      {"x[/]a", "x/a", 0},    {"x?a", "x/a", 0},       {"**/a", "a", 1},
      {"**/a", "x/y/a", 1},   {"**/x/a", "y/x/a", 1},  {"x/**", "x/", 0},
      {"x/**", "x/a", 1},     {"x/**/a", "x/a", 1},    {"x/**/a", "x/y/z/a", 1},
      {"x/**/a", "y/x/a", 0}, {"x**a", "xya", 1},      {"**", "a", 1},
      {"/**", "x/a", 1},
  };
  check(cases);
}

TEST_CASE("ignore: the last rule decides, but nothing comes out of an ignored directory") {
  const Case cases[] = {
      {"a\n!a", "a", 2},
      {"!a\na", "a", 2},
      {"a\nb\na", "a", 3},
      {"*.o\n!keep.o", "keep.o", 2},
      {"*.o\n!keep.o", "b.o", 1},
      {"!a", "a", 1},
      {"!a", "b", 0},
      {"x/\n!x/a", "x/a", 1},
      {"x/\n!a", "x/y/a", 1},
      {"x\ny", "x/y/a", 1},  // of the higher directory
      {"y\nx", "x/y/a", 2},
      {"!x\na", "x/b", 0},  // that x is not ignored says nothing of b
      {"/*\n!/x\n/x/*\n!/x/a", "x/a", 4},
      {"/*\n!/x\n/x/*\n!/x/a", "x/b", 3},
      {"/*\n!/x\n/x/*\n!/x/a", "y/b", 1},
      {"*\n!*/\n!*.c", "x/y/a.c", 3},
      {"*\n!*/\n!*.c", "x/y/a.o", 1},
      {"*\n!*/\n!*.c", "x/y/", 2},
  };
  check(cases);
}

TEST_CASE("ignore: deeper files win, and count from where they are") {
  struct Nested {
    std::string_view path;
    std::string_view directory;
    std::size_t line;
  };
  Ignore ignore;
  CHECK(ignore.set("", "*.o\n/x/z/q\nw/\n"));
  CHECK(ignore.set("x/y", "!a.o\n/b\nz/c\n*.tmp"));
  CHECK(ignore.set("x", "*.tmp\n!/y/d.tmp\n/y/b\n!y"));
  CHECK(ignore.set("w", "!*"));
  CHECK(ignore.set("x/y/u/v", "!deep.tmp"));
  CHECK(ignore.set("x-", "*"));
  const Nested cases[] = {
      {"a.o", "", 1},
      {"x/a.o", "", 1},
      {"x/y/a.o", "x/y", 1},
      {"x/y/u/v/a.o", "x/y", 1},
      {"x/y/b", "x/y", 2},
      {"x/y/u/b", "", 0},
      {"x/y/z/c", "x/y", 3},
      {"x/z/c", "", 0},
      {"x/z/q", "", 2},
      {"x/d.tmp", "x", 1},
      {"x/y/d.tmp", "x/y", 4},
      {"x/y/u/v/deep.tmp", "x/y/u/v", 1},
      {"x/y/u/deep.tmp", "x/y", 4},
      {"x/y", "x", 4},
      {"w/a", "", 3},  // what stands in w's file is not considered
      {"x-/a", "x-", 1},
      {"x-/y/a", "x-", 1},
      {"x+/a", "", 0},
  };
  for (const Nested& test : cases) {
    CAPTURE(test.path);
    const auto rule = ignore.rule_for(test.path, false);
    CHECK((rule ? rule->line : 0) == test.line);
    CHECK((rule ? rule->directory : "") == test.directory);
  }
}

TEST_CASE("ignore: the files of rules are ignored only with a directory above them") {
  Ignore ignore;
  ignore.set("", "*\n!x/\n.p2pignore\n/.p2pignore");
  CHECK_FALSE(ignore.rule_for(".p2pignore", false));
  CHECK_FALSE(ignore.ignores("x/.p2pignore", false));
  CHECK(ignore.ignores("x/a.p2pignore", false));
  CHECK(ignore.rule_for("y/.p2pignore", false)->line == 1);
  CHECK_FALSE(ignore.ignores("", true));  // nor is the root
}

TEST_CASE("ignore: a rule is told as it was written") {
  Ignore ignore;
  ignore.set("d", "# x\r\n\r\n!a\\ b/  \r\n*.o");
  const auto negated = ignore.rule_for("d/a b", true);
  REQUIRE(negated);
  CHECK(negated->directory == "d");
  CHECK(negated->line == 3);
  CHECK(negated->text == "!a\\ b/  ");
  CHECK(negated->negated);
  CHECK_FALSE(ignore.rule_for("d/a b", false));
  const auto plain = ignore.rule_for("d/x.o", false);
  REQUIRE(plain);
  CHECK(plain->text == "*.o");
  CHECK_FALSE(plain->negated);
  ignore.set("d", "\xef\xbb\xbf*.o");
  CHECK(ignore.rule_for("d/x.o", false)->text == "*.o");
}

TEST_CASE("ignore: set says whether the rules differ") {
  Ignore ignore;
  CHECK(ignore.empty());
  CHECK_FALSE(ignore.set("", ""));
  CHECK_FALSE(ignore.set("", "# nothing\n\n[\n/\n"));
  CHECK(ignore.empty());
  CHECK(ignore.set("", "a"));
  CHECK_FALSE(ignore.empty());
  CHECK_FALSE(ignore.set("", "a"));
  CHECK_FALSE(ignore.set("", "\n# the same\r\na\r\n"));
  CHECK(ignore.rule_for("a", false)->line == 3);
  CHECK(ignore.set("", "a\nb"));
  CHECK(ignore.set("", "b\na"));
  CHECK(ignore.set("", "!b\na"));
  CHECK(ignore.set("x", "a"));
  CHECK(ignore.set("", "# nothing"));
  CHECK_FALSE(ignore.empty());
  CHECK(ignore.ignores("x/a", false));
  CHECK(ignore.set("x", ""));
  CHECK_FALSE(ignore.set("x", ""));
  CHECK(ignore.empty());
  CHECK_FALSE(ignore.ignores("x/a", false));
}

TEST_CASE("ignore: in whatever order directories get and lose their rules, the same rules decide") {
  const std::uint64_t seed = test_seed(3);
  CAPTURE(seed);
  Random random(seed);
  const std::vector<Path> directories{"",   "a",    "a/a", "a/a/a", "a/b",
                                      "a-", "a-/a", "b",   "b/a/a", "b/a/a/b"};
  std::vector<std::string> texts(directories.size());
  Ignore changed;
  for (int round = 0; round < 2'000; ++round) {
    const std::size_t chosen = random.below(directories.size());
    texts[chosen] = random.chance(40) ? "" : random.chance(50) ? "f\n!g" : "!f\ng";
    changed.set(directories[chosen], texts[chosen]);
    Ignore fresh;
    for (std::size_t i = 0; i < directories.size(); ++i) {
      fresh.set(directories[i], texts[i]);
    }
    REQUIRE(changed.empty() == fresh.empty());
    for (const Path& directory : directories) {
      for (const char* name : {"f", "g", "a", "c/f"}) {
        const Path path = child_of(directory, name);
        // The deepest directory that has rules, found by looking at each.
        std::string_view at = parent_of(path);
        const auto has_none = [&](std::string_view where) {
          const auto found = std::ranges::find(directories, where);
          return found == directories.end() ||
                 texts[static_cast<std::size_t>(found - directories.begin())].empty();
        };
        while (!at.empty() && has_none(at)) {
          at = parent_of(at);
        }
        const auto rule = changed.rule_for(path, false);
        const bool about = name_of(path) != "a" && !has_none(at);
        REQUIRE(rule.has_value() == about);
        REQUIRE((!rule || rule->directory == at));
        REQUIRE(changed.ignores(path, false) == fresh.ignores(path, false));
      }
    }
  }
}

TEST_CASE("ignore: what was asked before makes no difference") {
  const std::uint64_t seed = test_seed(4);
  CAPTURE(seed);
  Random random(seed);
  const std::pair<Path, std::string_view> rules[] = {
      {"", "x\n!a/x\n/b/a"}, {"a", "!x\nb/b/"}, {"a/a", "*\n!b"}, {"b/a", "!*"}, {"a/b", "a\n"}};
  Ignore asked;
  for (const auto& [directory, text] : rules) {
    asked.set(directory, text);
  }
  int ignored = 0;
  for (int round = 0; round < 20'000; ++round) {
    Path path;
    for (std::uint64_t depth = 1 + random.below(5); depth > 0; --depth) {
      path = child_of(path, random.chance(40) ? "a" : random.chance(80) ? "b" : "x");
    }
    const bool is_directory = random.chance(50);
    Ignore fresh;
    for (const auto& [directory, text] : rules) {
      fresh.set(directory, text);
    }
    const auto rule = asked.rule_for(path, is_directory);
    const auto same = fresh.rule_for(path, is_directory);
    CAPTURE(path);
    REQUIRE(rule.has_value() == same.has_value());
    REQUIRE((!rule || (rule->directory == same->directory && rule->line == same->line)));
    ignored += rule && !rule->negated ? 1 : 0;
  }
  CHECK(ignored > 5'000);
  CHECK(ignored < 15'000);
}

TEST_CASE("ignore: many rules on a long path end") {
  Ignore ignore;
  std::string text;
  for (int i = 0; i < 100; ++i) {
    text += "a*a*a*a*a*a*a*a*b\n**/**/*a*/**/*a*/c\n/**/a*/**/[!a]\n";
  }
  ignore.set("", text);
  Path path;
  for (int i = 0; i < 15; ++i) {
    path += std::string(name_bytes_max, 'a') + '/';
  }
  path += std::string(name_bytes_max, 'a');
  CHECK(path.size() == path_bytes_max);
  CHECK_FALSE(ignore.ignores(path, false));
}
