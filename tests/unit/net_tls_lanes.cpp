#include "net/tls_lanes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

namespace p2psync::net {
namespace {

/// How far the target of a copy lies ahead of its source within their pages.
std::size_t ahead(const void* target, const void* source) {
  return (reinterpret_cast<std::uintptr_t>(target) - reinterpret_cast<std::uintptr_t>(source)) %
         4096;
}

std::vector<std::uint8_t> numbered(std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  return bytes;
}

TEST_CASE("tls lanes: a lane begins half a page from the other copy, wherever that is") {
  const std::vector<std::uint8_t> other(5000);
  Lane lane(100);
  for (std::size_t i = 0; i < other.size(); i += 7) {
    const std::span<std::uint8_t> space = lane.space(&other[i]);
    CHECK(ahead(space.data(), &other[i]) == 2048);
    REQUIRE(space.size() == 100);
    std::ranges::fill(space, std::uint8_t{1});  // all of it is memory of the lane's
    lane.filled(100);
    CHECK(lane.room() == 0);
    CHECK(lane.space(nullptr).empty());
    lane.taken(100);
    CHECK(lane.room() == 100);
  }
}

TEST_CASE("tls lanes: what a lane holds is one piece and stays where it is until it was taken") {
  const std::vector<std::uint8_t> bytes = numbered(100);
  Lane lane(bytes.size());
  std::ranges::copy(std::span(bytes).first(60), lane.space(nullptr).begin());
  lane.filled(60);
  const std::uint8_t* const held = lane.held().data();
  lane.taken(50);
  CHECK(lane.room() == 40);
  // Another place would suit this one; the lane is not empty.
  std::ranges::copy(std::span(bytes).subspan(60), lane.space(&bytes[60]).begin());
  lane.filled(40);
  CHECK(lane.held().data() == held + 50);
  CHECK(std::ranges::equal(lane.held(), std::span(bytes).subspan(50)));
  CHECK(lane.room() == 0);
  lane.taken(50);
  CHECK(lane.held().empty());
  CHECK(lane.room() == 100);
}

TEST_CASE("tls lanes: a BIO takes what there is room for, gives what there is, and asks again") {
  TlsLanes lanes(100);
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(make_bio(lanes), &BIO_free);
  const std::vector<std::uint8_t> bytes = numbered(150);
  std::array<std::uint8_t, 150> into{};

  CHECK(BIO_read(bio.get(), into.data(), 150) <= 0);
  CHECK(BIO_should_read(bio.get()) != 0);
  CHECK(lanes.in_other == into.data());
  std::ranges::copy(std::span(bytes).first(100), lanes.in.space(lanes.in_other).begin());
  lanes.in.filled(100);
  CHECK(BIO_pending(bio.get()) == 100);
  CHECK(BIO_read(bio.get(), into.data(), 30) == 30);
  CHECK(BIO_read(bio.get(), into.data() + 30, 120) == 70);
  CHECK(BIO_should_retry(bio.get()) == 0);
  CHECK(std::ranges::equal(std::span(into).first(100), std::span(bytes).first(100)));

  CHECK(BIO_write(bio.get(), bytes.data(), 60) == 60);
  CHECK(BIO_write(bio.get(), bytes.data() + 60, 90) == 40);
  CHECK(BIO_wpending(bio.get()) == 100);
  CHECK(BIO_should_retry(bio.get()) == 0);
  CHECK(BIO_write(bio.get(), bytes.data(), 1) <= 0);
  CHECK(BIO_should_write(bio.get()) != 0);
  CHECK(BIO_flush(bio.get()) == 1);
  CHECK(std::ranges::equal(lanes.out.held(), std::span(bytes).first(100)));
}

}  // namespace
}  // namespace p2psync::net
