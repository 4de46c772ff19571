#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>

#include "apps/p2psync/page/line_diff.h"

using namespace p2psync::app;

namespace {

using Lines = std::vector<std::string_view>;

/// "a" the same, "-a" only left, "+b" only right, "a|b" the one in place of the other.
std::string told(const Lines& left, const Lines& right) {
  std::string out;
  for (const DiffRow& row : line_diff(left, right)) {
    const std::string one = row.left ? std::string(left[*row.left]) : "";
    const std::string other = row.right ? std::string(right[*row.right]) : "";
    out += out.empty() ? "" : " ";
    out += row.same ? one : !row.right ? "-" + one : !row.left ? "+" + other : one + "|" + other;
  }
  return out;
}

/// The length of a longest common subsequence, by the book.
std::size_t common(const Lines& left, const Lines& right) {
  std::vector<std::vector<std::size_t>> table(left.size() + 1,
                                              std::vector<std::size_t>(right.size() + 1, 0));
  for (std::size_t i = 1; i <= left.size(); ++i) {
    for (std::size_t j = 1; j <= right.size(); ++j) {
      table[i][j] = left[i - 1] == right[j - 1] ? table[i - 1][j - 1] + 1
                                                : std::max(table[i - 1][j], table[i][j - 1]);
    }
  }
  return table[left.size()][right.size()];
}

/// Each line is in one row, in order, and what is the same is the same.
void check_whole(const Lines& left, const Lines& right, const std::vector<DiffRow>& rows) {
  std::size_t x = 0;
  std::size_t y = 0;
  for (const DiffRow& row : rows) {
    REQUIRE((row.left || row.right));
    if (row.left) {
      REQUIRE(*row.left == x++);
    }
    if (row.right) {
      REQUIRE(*row.right == y++);
    }
    if (row.same) {
      REQUIRE((row.left && row.right));
      REQUIRE(left[*row.left] == right[*row.right]);
    }
  }
  REQUIRE(x == left.size());
  REQUIRE(y == right.size());
}

}  // namespace

TEST_CASE("diff: a text is its lines") {
  CHECK(lines_of("").empty());
  CHECK(lines_of("a") == Lines{"a"});
  CHECK(lines_of("a\n") == Lines{"a"});
  CHECK(lines_of("a\n\nb") == Lines{"a", "", "b"});
  CHECK(lines_of("\n") == Lines{""});
}

TEST_CASE("diff: what differs") {
  CHECK(told({}, {}) == "");
  CHECK(told({"a"}, {}) == "-a");
  CHECK(told({}, {"a", "b"}) == "+a +b");
  CHECK(told({"a", "b", "c"}, {"a", "b", "c"}) == "a b c");
  CHECK(told({"a", "b", "c"}, {"a", "x", "c"}) == "a b|x c");
  CHECK(told({"a", "b", "c"}, {"a", "c"}) == "a -b c");
  CHECK(told({"a", "c"}, {"a", "b", "c"}) == "a +b c");
  CHECK(told({"a", "b", "c", "d"}, {"b", "x", "d", "e"}) == "-a b c|x d +e");
  CHECK(told({"a", "a"}, {"a", "a", "a"}) == "a a +a");
}

TEST_CASE("diff: no script is shorter, against a table of all") {
  std::mt19937 dice(7);
  const Lines letters{"a", "b", "c", "d"};
  for (int round = 0; round < 2000; ++round) {
    const auto text = [&] {
      Lines lines(dice() % 12);
      std::ranges::generate(lines, [&] { return letters[dice() % letters.size()]; });
      return lines;
    };
    const Lines left = text();
    const Lines right = text();
    const auto rows = line_diff(left, right);
    check_whole(left, right, rows);
    CHECK(static_cast<std::size_t>(std::ranges::count_if(rows, &DiffRow::same)) ==
          common(left, right));
  }
}

TEST_CASE("diff: texts that have little in common are still told whole") {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < 3 * edits_max; ++i) {
    words.push_back(std::to_string(i));
  }
  Lines left{"begin"};
  Lines right{"begin"};
  for (std::size_t i = 0; i < words.size(); ++i) {
    (i % 2 == 0 ? left : right).push_back(words[i]);
  }
  left.push_back("end");
  right.push_back("end");
  const auto rows = line_diff(left, right);
  check_whole(left, right, rows);
  CHECK(rows.front().same);
  CHECK(rows.back().same);
  CHECK(std::ranges::count_if(rows, &DiffRow::same) == 2);
}
