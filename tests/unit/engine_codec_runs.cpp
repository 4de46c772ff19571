// What messages say once and refer to later: bounds of ranges, and what members hold.
#include <doctest/doctest.h>

#include <algorithm>
#include <span>
#include <string>

#include "engine/codec.h"

using namespace p2psync::engine;

namespace {

using Encoded = std::vector<std::uint8_t>;

template <class T>
std::string refusal(const Encoded& bytes) {
  const auto decoded = decode<T>(bytes);
  return decoded ? "none" : decoded.error().object;
}

}  // namespace

TEST_CASE("codec: ranges that overlap, end before they begin or come to too much are refused") {
  const auto with = [](auto change) {
    Ranges ranges;
    ranges.split = {{"a", {{"b", 1, 2}, {"bc", 3, 4}}}, {"bc", {{"", 5, 6}}}};
    ranges.listed = {{"a", "b", {1}}, {"c", "d", {}}};
    ranges.answers = {{"a", "b", {1}, {2, 3}}, {"b", "", {}, {}}};
    change(ranges);
    return refusal<Ranges>(encode(ranges));
  };
  CHECK(with([](Ranges&) {}) == "none");
  CHECK(with([](Ranges& r) { r.split[0].parts[0].upper = "a"; }) ==
        "a range that ends before it begins");
  CHECK(with([](Ranges& r) { r.split[0].parts[1].upper = ""; }) == "ranges out of order");
  CHECK(with([](Ranges& r) { r.split[0].parts[0].upper = ""; }) == "ranges out of order");
  CHECK(with([](Ranges& r) { r.split[1].lower = "bb"; }) == "ranges out of order");
  CHECK(with([](Ranges& r) { r.split[1].parts.clear(); }) == "a range without parts");
  CHECK(with([](Ranges& r) { r.listed[1] = r.listed[0]; }) == "ranges out of order");
  CHECK(with([](Ranges& r) { r.answers[1] = {"0", "1", {}, {}}; }) == "ranges out of order");
  CHECK(with([](Ranges& r) { r.listed[1].upper.assign(path_bytes_max, 'x'); }) == "none");
  CHECK(with([](Ranges& r) { r.listed[1].upper.assign(path_bytes_max + 1, 'x'); }) ==
        "a path too long");
  // Some bytes each, which stand for 4 KiB.
  CHECK(with([](Ranges& r) {
          RangeSplit& split = r.split[1];
          split.parts.assign(300, {Path(path_bytes_max, 'x'), 1, 1});
          for (std::size_t i = 0; i < split.parts.size(); ++i) {
            split.parts[i].upper[path_bytes_max - 2] = static_cast<char>('a' + i / 20);
            split.parts[i].upper[path_bytes_max - 1] = static_cast<char>('a' + i % 20);
          }
        }) == "too many paths");
}

TEST_CASE("codec: what members hold has one form, and does not come to more than fits") {
  const VersionVector held{{{1, 2}, 3}};
  const Vectors vectors{{}, {{1, 0, held}, {2, 0, {}}, {3, 0, held}}, {}, false};
  Encoded bytes = encode(vectors);
  // Two numbers, one vector of one item, and the last row refers to it.
  CHECK(bytes.size() == 1 + 1 + 3 * 10 + 18 + 16 + 1 + 1);
  CHECK(refusal<Vectors>(bytes) == "none");
  const std::size_t last = bytes.size() - 19;
  REQUIRE(bytes[last] == 1);
  bytes[last] = 3;
  CHECK(refusal<Vectors>(bytes) == "a vector that did not come up before");
  bytes[last] = 2;
  const Encoded again = encode(held);
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(last) + 1, again.begin(), again.end());
  CHECK(refusal<Vectors>(bytes) == "a vector that came up before");
  CHECK(refusal<Vectors>(encode(Vectors{{}, {{2, 0, {}}, {1, 0, {}}}, {}, false})) ==
        "rows out of order");

  Vectors large;
  for (std::uint64_t i = 0; i < 300; ++i) {
    large.knowledge.add({{i, 1}, 1});
    large.rows.push_back({i, 1, {}});
  }
  for (HeldRow& row : large.rows) {
    row.held = large.knowledge;
  }
  CHECK(refusal<Vectors>(encode(large)) == "too much that is held");
  large.rows.resize(200);
  CHECK(refusal<Vectors>(encode(large)) == "none");
}

TEST_CASE("codec: bounds have one form") {
  Ranges ranges;
  ranges.listed = {{"abc", "abd", {}}};
  Encoded bytes = encode(ranges);
  // salt, knowledge, split; one list: 0 + "abc", 2 + "d", no items; no answers
  const Encoded list = {1, 0, 3, 'a', 'b', 'c', 2, 1, 'd', 0, 0};
  REQUIRE(std::ranges::equal(std::span(bytes).subspan(10), list));
  bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3, 'a', 'b', 'c', 1, 2, 'b', 'd', 0, 0};
  CHECK(refusal<Ranges>(bytes) == "a path not in its shortest form");
  bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3, 'a', 'b', 'c', 4, 1, 'd', 0, 0};
  CHECK(refusal<Ranges>(bytes) == "more of a path than there is");
  bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 'a', 'b', 'c', 2, 1, 'd', 0, 0};
  CHECK(refusal<Ranges>(bytes) == "a count beyond the bytes");
}
