#include "engine/path.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "engine_dice.h"

using namespace p2psync::engine;

namespace {

std::string repeat(std::string_view part, std::size_t times) {
  std::string whole;
  for (std::size_t i = 0; i < times; ++i) {
    whole += part;
  }
  return whole;
}

/// Any bytes, few of them different, so that strings are often prefixes of each other.
std::string random_string(Random& random) {
  static constexpr std::string_view letters("/\0.a\x7f\x80\xff", 7);
  std::string text;
  for (std::uint64_t length = random.below(6); text.size() < length;) {
    text += letters[random.below(letters.size())];
  }
  return text;
}

/// The order said in another way: compare as numbers, where '/' is the smallest of all.
std::vector<int> key(std::string_view text) {
  std::vector<int> numbers;
  for (const char byte : text) {
    numbers.push_back(byte == '/' ? -1 : static_cast<unsigned char>(byte));
  }
  return numbers;
}

}  // namespace

TEST_CASE("path: what may be synchronised and what may not") {
  struct Case {
    std::string path;
    bool good;
  };
  const std::string long_name(name_bytes_max, 'n');
  const Case cases[] = {
      {"a", true},
      {"a/b/c", true},
      {"...", true},
      {"..a/.b", true},
      {" ", true},
      {"line\nbreak", true},
      {"\xff\xfe", true},
      {"a\\b", true},
      {"", false},
      {"/", false},
      {"/a", false},
      {"a/", false},
      {"a//b", false},
      {".", false},
      {"..", false},
      {"a/./b", false},
      {"a/../b", false},
      {"../a", false},
      {"a/..", false},
      {std::string("a\0b", 3), false},
      {std::string("\0", 1), false},
      {"a/" + std::string("b\0", 2), false},
      {".p2psync", false},
      {".p2psync/tmp/x", false},
      {"a/.p2psync", true},
      {".p2psync2", true},
      {".P2PSYNC", true},
      {long_name, true},
      {long_name + "n", false},
      {"a/" + long_name, true},
      {"a/" + long_name + "n/b", false},
      {repeat("d/", path_depth_max - 1) + "d", true},
      {repeat("d/", path_depth_max) + "d", false},
      {repeat(std::string(254, 'n') + "/", 16) + std::string(15, 'n'), true},
      {repeat(std::string(254, 'n') + "/", 16) + std::string(16, 'n'), false},
  };
  for (const Case& test : cases) {
    CAPTURE(test.path);
    CHECK(!path_problem(test.path).has_value() == test.good);
  }
}

TEST_CASE("path: parent, name and child belong together") {
  struct Case {
    std::string_view path, parent, name;
  };
  const Case cases[] = {
      {"a", "", "a"},
      {"a/b", "a", "b"},
      {"a/b/c.d", "a/b", "c.d"},
      {"a b/ ", "a b", " "},
  };
  for (const Case& test : cases) {
    CAPTURE(test.path);
    CHECK(parent_of(test.path) == test.parent);
    CHECK(name_of(test.path) == test.name);
    CHECK(child_of(test.parent, test.name) == test.path);
    CHECK(is_below(test.path, test.parent));
  }
}

TEST_CASE("path: below a directory is what begins with its name and a slash") {
  struct Case {
    std::string_view path, directory;
    bool below;
  };
  const Case cases[] = {
      {"a", "", true},      {"a/b", "", true},   {"", "", false},       {"a/b", "a", true},
      {"a/b/c", "a", true}, {"a", "a", false},   {"ab", "a", false},    {"a.b", "a", false},
      {"a", "a/b", false},  {"b/a", "a", false}, {"a/b/c", "b", false},
  };
  for (const Case& test : cases) {
    CAPTURE(test.path);
    CAPTURE(test.directory);
    CHECK(is_below(test.path, test.directory) == test.below);
  }
}

TEST_CASE("path: a slash sorts below every other byte") {
  const PathLess less;
  for (int byte = 0; byte < 256; ++byte) {
    if (byte == '/') {
      continue;
    }
    CAPTURE(byte);
    const std::string other = std::string("d") + static_cast<char>(byte);
    CHECK(less("d/", other));
    CHECK(less("d/zz", other));
    CHECK_FALSE(less(other, "d/"));
    CHECK(less("d", other));
  }
  CHECK(less("a\x7f", "a\x80"));  // bytes are unsigned
}

TEST_CASE("path: everything below a directory is one range") {
  const std::uint64_t seed = test_seed(2);
  CAPTURE(seed);
  Random random(seed);
  const PathLess less;
  int below = 0;
  for (int round = 0; round < 20'000; ++round) {
    const std::string directory = random_string(random);
    const std::string path = random.chance(50) ? random_string(random)
                                               : child_of(directory, random_string(random)) + "x";
    if (directory.empty()) {
      continue;
    }
    const std::string behind = directory + '\0';
    const bool in_range = !less(path, directory + "/") && less(path, behind);
    CAPTURE(directory);
    CAPTURE(path);
    CHECK(in_range == is_below(path, directory));
    below += in_range ? 1 : 0;
  }
  CHECK(below > 1000);
}

TEST_CASE("path: the order is that of bytes with the slash first, and a strict weak order") {
  const std::uint64_t seed = test_seed(3);
  CAPTURE(seed);
  Random random(seed);
  const PathLess less;
  for (int round = 0; round < 20'000; ++round) {
    const std::string a = random_string(random);
    const std::string b = random_string(random);
    const std::string c = random_string(random);
    CAPTURE(a);
    CAPTURE(b);
    CAPTURE(c);
    CHECK(less(a, b) == (key(a) < key(b)));
    CHECK_FALSE(less(a, a));
    CHECK(int{less(a, b)} + int{less(b, a)} + int{a == b} == 1);
    CHECK((!less(a, b) || !less(b, c) || less(a, c)));
  }
}

TEST_CASE("path: in order, a directory comes right before what is in it") {
  std::vector<Path> paths{"a.b", "a", "a-", "a/z", "b", "a/b/c", "a/b", "a/b.c"};
  std::ranges::sort(paths, PathLess());
  CHECK(paths == std::vector<Path>{"a", "a/b", "a/b/c", "a/b.c", "a/z", "a-", "a.b", "b"});
}
