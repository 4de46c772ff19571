#include "net/announcement.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace p2psync::net {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes encoded(const Announcement& announcement) {
  const auto bytes = encode_announcement(announcement);
  return {bytes.begin(), bytes.end()};
}

Announcement example() {
  Announcement announcement{.asks = true, .port = 7744};
  announcement.member.fill(0xaa);
  return announcement;
}

TEST_CASE("announcement: the bytes are those of the header's example") {
  Bytes expected{0x70, 0x32, 0x70, 0x73, 1, 1, 0x1e, 0x40};
  expected.insert(expected.end(), 16, 0xaa);
  CHECK(encoded(example()) == expected);
  CHECK(decode_announcement(expected).value() == example());
  expected[5] = 0;
  CHECK(!decode_announcement(expected)->asks);
}

TEST_CASE("announcement: every flip of a bit is refused or says something else, in one form") {
  const Bytes good = encoded(example());
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    Bytes flipped = good;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const auto read = decode_announcement(flipped);
    if (read) {
      CHECK(*read != example());
      CHECK(encoded(*read) == flipped);
    } else {
      CHECK(read.error().code == ErrorCode::corrupt);
      ++refused;
    }
  }
  CHECK(refused == 4 * 8 + 8 + 7);  // magic, version, and the flags that are none
}

TEST_CASE("announcement: every length but its own is refused, and so is a port of 0") {
  Bytes longer = encoded(example());
  for (std::size_t length = 0; length < longer.size(); ++length) {
    CHECK(!decode_announcement(std::span(longer).first(length)));
  }
  longer.push_back(0);
  CHECK(!decode_announcement(longer));
  Announcement nowhere = example();
  nowhere.port = 0;
  CHECK(!decode_announcement(encoded(nowhere)));
}

TEST_CASE("announcement: a member's tag differs by cluster and key, and names neither") {
  KeyId one;
  one.bytes.fill(1);
  KeyId two = one;
  two.bytes.back() = 2;
  const std::set<MemberTag> tags{member_tag("demo", one), member_tag("demo", two),
                                 member_tag("demp", one), member_tag("", one)};
  CHECK(tags.size() == 4);
  CHECK(member_tag("demo", one) == member_tag("demo", one));
  const MemberTag tag = member_tag("demo", one);
  CHECK(!std::equal(tag.begin(), tag.begin() + 8, one.bytes.begin()));
  // As `printf 'p2psync lan 1\0demo\0' + 32 x 01 | sha256sum` has it: nodes of two releases agree.
  const MemberTag known{0x80, 0x59, 0x34, 0x8b, 0x64, 0x3f, 0x86, 0x31,
                        0x0c, 0x25, 0x76, 0x5c, 0xe9, 0xb2, 0x80, 0xb6};
  CHECK(tag == known);
}

}  // namespace
}  // namespace p2psync::net
