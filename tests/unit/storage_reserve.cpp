// The part of the disk that contents on their way in leave free.
#include "storage/reserve.h"

#include <doctest/doctest.h>

#include "storage_staged.h"

using namespace p2psync;
using namespace p2psync::storage;
using engine::StageState;
using tests::Begun;
using tests::count;

TEST_CASE("staging: contents leave the last part of the disk to what keeps a node going") {
  Begun begun;
  auto& [stage, spy, staging, content] = begun;
  const auto bytes = content.chunk(0).bytes->size();
  // Of a large disk 16 MiB, of a small one its sixteenth.
  for (const auto& [all, reserve] :
       {std::pair{1ULL << 40, 16ULL << 20}, {1ULL << 20, 1ULL << 16}}) {
    spy.free_space = {all, reserve + bytes - 1};
    const auto refused = staging.write(content.chunk(0));
    REQUIRE(refused.error);
    CHECK(refused.error->code == ErrorCode::no_space);
    spy.free_space.free_bytes += 1;
    CHECK(staging.write(content.chunk(0)).state == StageState::incomplete);
  }
}

TEST_CASE("staging: what is too large for the disk is not begun, and what is here of it counts") {
  Begun begun;
  auto& [stage, spy, staging, content] = begun;
  const std::uint64_t bytes = content.chunk(0).bytes->size();
  REQUIRE(staging.write(content.chunk(0)).state == StageState::incomplete);
  constexpr std::uint64_t reserve = 1 << 16;
  const std::uint64_t slack = 2 * 4096 + 1;  // the blocks that it has are whole ones
  spy.free_space = {1 << 20, reserve + content.bytes.size() - bytes - slack};
  spy.on_write = [](const std::string& path) {
    FAIL("it was written to");
    return Result<void>(std::unexpected(system_error("write", path, EIO)));
  };
  const auto refused = staging.open(content.opening());
  CHECK(refused.state == StageState::failed);
  REQUIRE(refused.error);
  CHECK(refused.error->code == ErrorCode::no_space);
  spy.free_space.free_bytes += slack;
  const auto opened = staging.open(content.opening());
  CHECK(opened.state == StageState::incomplete);
  CHECK(count(opened.there) == 1);
}

TEST_CASE("staging: the file system is not asked for its room at every write") {
  Begun begun;
  auto& [stage, spy, staging, content] = begun;
  const auto write = [&] { return staging.write(content.chunk(0)).state; };
  // What may be written unasked is no more than a part of the reserve.
  constexpr std::uint64_t reserve = 16ULL << 20;
  spy.free_space = {1ULL << 40, 1ULL << 39};
  spy.asked_for_room = 0;
  REQUIRE(write() == StageState::incomplete);
  spy.free_space.free_bytes = 0;
  std::uint64_t unasked = 0;
  for (; write() == StageState::incomplete; ++unasked) {
    REQUIRE(spy.asked_for_room == 1);
    REQUIRE(unasked < reserve / content.chunk(0).bytes->size());
  }
  CHECK(unasked > 100);
  CHECK(unasked * content.chunk(0).bytes->size() <= reserve / 16);
  // With little room left each write asks.
  spy.free_space.free_bytes = 2 * reserve - 1;
  spy.asked_for_room = 0;
  REQUIRE(write() == StageState::incomplete);
  REQUIRE(write() == StageState::incomplete);
  CHECK(spy.asked_for_room == 2);
}
