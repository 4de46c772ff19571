#include "engine/glob.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace p2psync::engine;

namespace {

struct Pattern {
  std::vector<GlobElement> elements;
  std::vector<GlobClass> classes;
  bool good = false;
};

Pattern read(std::string_view text, GlobOf what = GlobOf::paths) {
  Pattern pattern;
  pattern.good = read_glob(text, what, pattern.elements, pattern.classes);
  return pattern;
}

bool matches(std::string_view text, std::string_view path, GlobOf what = GlobOf::paths) {
  const Pattern pattern = read(text, what);
  return pattern.good && glob_matches(pattern.elements, pattern.classes, path);
}

/// What the elements mean, said plainly: every run is tried with every length.
bool tries_all(std::span<const GlobElement> pattern, std::string_view text) {
  if (pattern.empty()) {
    return text.empty();
  }
  const auto rest = pattern.subspan(1);
  switch (pattern.front()) {
    case glob::everything: return true;
    case glob::run:
      return tries_all(rest, text) ||
             (!text.empty() && text.front() != '/' && tries_all(pattern, text.substr(1)));
    case glob::directories:
    case glob::up_to_slash:
      for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '/' && tries_all(rest, text.substr(at + 1))) {
          return true;
        }
      }
      return pattern.front() == glob::directories && tries_all(rest, text);
    default:
      return !text.empty() &&
             (pattern.front() == glob::any
                  ? text.front() != '/'
                  : pattern.front() == static_cast<unsigned char>(text.front())) &&
             tries_all(rest, text.substr(1));
  }
}

/// All that can be made of so many pieces at the most.
std::vector<std::string> all_of(const std::vector<std::string>& pieces, int count_max) {
  std::vector<std::string> all{""};
  for (std::size_t begin = 0; count_max > 0; --count_max) {
    const std::size_t end = all.size();
    for (; begin < end; ++begin) {
      for (const std::string& piece : pieces) {
        all.push_back(all[begin] + piece);
      }
    }
  }
  return all;
}

std::string repeat(std::string_view part, std::size_t times) {
  std::string whole;
  for (std::size_t i = 0; i < times; ++i) {
    whole += part;
  }
  return whole;
}

}  // namespace

TEST_CASE("glob: which bytes a bracket has") {
  struct Case {
    std::string_view pattern, bytes;  ///< of those that are asked
  };
  static constexpr std::string_view asked = "aemz AZ059-]^!\\[:/_~\t\n\r\v\f\x01\x7f\x80\xff";
  const Case cases[] = {
      {"[a]", "a"},
      {"[am]", "am"},
      {"[a-m]", "aem"},
      {"[m-a]", "m"},  // a range has its first byte, even if it is none
      {"[m-m]", "m"},
      {"a-"},
      {"[-a]", "a-"},
      {"[a-e-z]", "aez-"},  // a range ends, and the '-' behind it is a byte
      {"[]]", "]"},
      {"[]a]", "a]"},
      {"[!]]", "aemz AZ059-^!\\[:_~\t\n\r\v\f\x01\x7f\x80\xff"},
      {"[!a-z]", " AZ059-]^!\\[:_~\t\n\r\v\f\x01\x7f\x80\xff"},
      {"[^a-z]", " AZ059-]^!\\[:_~\t\n\r\v\f\x01\x7f\x80\xff"},
      {"[a^!]", "a^!"},
      {"[\\]]", "]"},
      {"[\\\\]", "\\"},
      {"[\\a-m]", "aem"},
      {"[a-\\m]", "aem"},
      {"[\\-a]", "a-"},
      {"[/a]", "a"},
      {"[+-:]", "059-:"},  // and '/'
      {"[[]", "["},
      {"[[a]", "a["},
      {"[[:]", "[:"},
      {"[[:a]", "a[:"},
      {"[[:alpha]", "a[:"},
      {"a[:"},
      {"[\x80-\xff]", "\x80\xff"},
      {"[[:alpha:]]", "aemzAZ"},
      {"[[:digit:]]", "059"},
      {"[[:alnum:]]", "aemzAZ059"},
      {"[[:upper:]]", "AZ"},
      {"[[:lower:]]", "aemz"},
      {"[[:xdigit:]]", "aeA059"},
      {"[[:blank:]]", " \t"},
      {"[[:space:]]", " \t\n\r"},
      {"[[:cntrl:]]", "\t\n\r\v\f\x01\x7f"},
      {"[[:punct:]]", "-]^!\\[:_~"},
      {"[[:graph:]]", "aemzAZ059-]^!\\[:_~"},
      {"[[:print:]]", "aemz AZ059-]^!\\[:_~"},
      {"[![:print:]]", "\t\n\r\v\f\x01\x7f\x80\xff"},
      {"[[:digit:]a-e]", "ae059"},
      {"[[:digit:]-a]", "a059-"},
      {"[a-[:digit:]]", ""},  // a range from a to '[', then a `]` to come
  };
  for (const Case& test : cases) {
    CAPTURE(test.pattern);
    std::string has;
    for (const char byte : asked) {
      if (matches(test.pattern, std::string(1, byte))) {
        has += byte;
      }
    }
    CHECK(has == test.bytes);
  }
}

TEST_CASE("glob: what can match nothing is no pattern, and leaves nothing behind") {
  for (const std::string_view text :
       {"[", "[a", "[]", "[!", "[!]", "[a-", "[\\]", "a[[:alpha:]", "[[:foo:]]", "[[::]]",
        "[[:ALPHA:]]", "\\", "a\\", "[a]\\", "[a-\\"}) {
    CAPTURE(text);
    const Pattern pattern = read(text);
    CHECK_FALSE(pattern.good);
    CHECK(pattern.elements.empty());
    CHECK(pattern.classes.empty());
  }
}

TEST_CASE("glob: two stars are more than one only in paths, as a component") {
  struct Case {
    std::string_view pattern, text;
    bool path, name;
  };
  const Case cases[] = {
      {"a*b", "ab", true, true},
      {"a*b", "axxb", true, true},
      {"a**b", "axxb", true, true},
      {"*", "", true, true},
      {"?", "", false, false},
      {"a*/b", "ax/b", true, true},
      {"a*b", "a/b", false, false},
      {"a?b", "a/b", false, false},
      {"**/b", "b", true, false},
      {"**/b", "a/b", true, true},
      {"**/b", "a/c/b", true, false},
      {"**/b", "ab", false, false},
      {"a/**", "a/b", true, true},
      {"a/**", "a/b/c", true, false},
      {"a/**", "a/", true, true},
      {"a/**", "a", false, false},
      {"a/**/b", "a/b", true, false},
      {"a/**/b", "a/c/b", true, true},
      {"a/**/b", "a/c/d/b", true, false},
      {"a/**/b", "ab", false, false},
      {"a/**b", "a/c/b", false, false},
      {"a/b**/c", "a/b/c", true, true},
      {"a/***/b", "a/c/d/b", true, false},
      {"**/**/b", "b", true, false},
      {"**\\/b", "a/b", true, true},
      {"**\\/b", "b", false, false},
      {"**\\/b", "a/c/b", true, false},
      {"**", "a/b", true, false},
      {"**/", "a/", true, true},
      {"a**/b", "ac/d/b", true, false},
      {"?**/b", "ac/d/b", false, false},
      {"\\a**/b", "ac/d/b", false, false},
  };
  for (const Case& test : cases) {
    CAPTURE(test.pattern);
    CAPTURE(test.text);
    CHECK(matches(test.pattern, test.text, GlobOf::paths) == test.path);
    CHECK(matches(test.pattern, test.text, GlobOf::names) == test.name);
  }
}

TEST_CASE("glob: what is taken back is enough, every short pattern on every short text") {
  const std::vector<std::string> texts = all_of({"a", "b", "/"}, 5);
  int matched = 0;
  for (const std::string& text : all_of({"a", "/", "*", "**", "\\/"}, 5)) {
    const Pattern pattern = read(text);
    REQUIRE(pattern.good);
    for (const std::string& path : texts) {
      const bool does = glob_matches(pattern.elements, pattern.classes, path);
      matched += does ? 1 : 0;
      if (does != tries_all(pattern.elements, path)) {
        CAPTURE(text);
        FAIL_CHECK(path);
      }
    }
  }
  CHECK(matched > 10'000);
}

// Each of these took a matcher that tries all longer than anybody waits.
TEST_CASE("glob: a hostile pattern ends") {
  const std::string name(255, 'a');
  const std::string path = repeat("a/", 2047) + "a";
  const std::string names = repeat(name + "/", 15) + name;
  for (const std::size_t many : {20U, 120U, 2000U}) {
    CAPTURE(many);
    CHECK_FALSE(matches(repeat("a*", many) + "b", name, GlobOf::names));
    CHECK_FALSE(matches(repeat("*a", many) + "*b", name));
    CHECK_FALSE(matches(repeat("*?", many) + "[!a]", name));
    CHECK_FALSE(matches(repeat("**/", many) + "b", path));
    CHECK_FALSE(matches(repeat("**/a/", many) + "b", path));
    CHECK_FALSE(matches(repeat("**/*/", many) + "b", path));
    CHECK_FALSE(matches(repeat("**/*a*/", many) + "b", path));
    CHECK_FALSE(matches("**/" + repeat("*a*/", many) + "b", path));
    CHECK_FALSE(matches("**/" + repeat("*a*", many) + "b", names));
    CHECK_FALSE(matches(repeat("**/" + repeat("*a*", 20) + "/", many) + "b", names));
  }
}
