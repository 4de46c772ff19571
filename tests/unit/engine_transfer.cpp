// Which contents are asked for, and when.
#include "engine/transfer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

using namespace p2psync::engine;

namespace {

Need need(std::uint8_t id, std::uint64_t size) {
  Need need;
  need.content.bytes[0] = id;
  need.size = size;
  return need;
}

/// Everybody has everything, and nothing here is like what comes.
std::vector<Output> next(Transfer& transfer) {
  std::vector<Output> out;
  transfer.next(
      {}, [](NodeId, const Need&) { return true; },
      [](const Need&, const Path&) { return std::vector<Base>(); }, out);
  return out;
}

}  // namespace

TEST_CASE("transfer: a content that nobody can send keeps no other from being asked for") {
  Transfer transfer(1, block_bytes, 7);
  const auto asked = [&] {
    std::vector<Get> asked;
    for (const Output& output : next(transfer)) {
      asked.push_back(std::get<Get>(std::get<Send>(output).message));
    }
    return asked;
  };
  transfer.peer_up(2);
  transfer.set_needs("unreadable", {need(1, 1)});
  const auto first = asked();
  REQUIRE(first.size() == 1);
  std::vector<Output> out;
  REQUIRE(transfer.on_block({}, 2, {first[0].request, nullptr}, out));
  transfer.set_needs("larger", {need(2, 2)});
  const auto second = asked();
  REQUIRE(second.size() == 1);
  CHECK(second[0].content == need(2, 2).content);
}

namespace {

/// Contents 1 to 4 of a member that is away, two of them waiting; peer 2 has what `here` says.
struct Away {
  explicit Away(std::uint64_t size) : size(size) {
    transfer.peer_up(2);
    for (std::uint8_t id = 1; id <= 4; ++id) {
      transfer.set_needs("away " + std::to_string(id), {need(id, size)});
    }
  }
  /// What was asked for, each time until nothing more is; none of it is there but what is `here`.
  std::vector<int> tried(Instant now) {
    std::vector<int> ids;
    for (bool any = true; any;) {
      any = false;
      std::vector<Output> out = std::exchange(made, {});
      transfer.next(
          now, [this](NodeId, const Need& need) { return here == need.content.bytes[0]; },
          [](const Need&, const Path&) { return std::vector<Base>(); }, out);
      for (const Output& output : out) {
        if (const auto* open = std::get_if<OpenStage>(&output)) {
          any = true;
          std::ignore = transfer.on(
              now, StageOpened{open->content, StageState::incomplete, {}, {}, {}, {}}, made);
        } else if (const auto* send = std::get_if<Send>(&output)) {
          any = true;
          const Get& get = std::get<Get>(send->message);
          ids.push_back(get.content.bytes[0]);
          const bool has = here == get.content.bytes[0] && !get.list;
          REQUIRE(transfer.on_block(
              now, 2,
              {get.request, has ? Bytes::of(std::vector<std::uint8_t>(size)) : nullptr},
              made));
        }
      }
    }
    return ids;
  }

  std::uint64_t size;
  std::optional<int> here;
  std::vector<Output> made;
  Transfer transfer{1, 100, 7, FetchesMax{2, 2}};
};

}  // namespace

TEST_CASE("transfer: many that nobody can send keep no place from what was not tried yet") {
  for (const std::uint64_t size : {10U, 1000U}) {
    CAPTURE(size);
    Away away(size);
    CHECK(away.tried({}) == std::vector<int>{1, 2, 3, 4});
    CHECK(away.tried({}).empty());
    away.transfer.set_needs("here", {need(5, size)});
    CHECK(away.tried({}) == std::vector<int>{5});
    CHECK(away.transfer.pending_files() == 5);
  }
}

TEST_CASE("transfer: those that nobody could send take turns") {
  Away away(10);
  std::ignore = away.tried({});
  std::map<int, int> times;
  for (Instant now{}; now < Instant{} + 4 * turn_small; now += std::chrono::seconds(1)) {
    for (const int id : away.tried(now)) {
      ++times[id];
    }
  }
  REQUIRE(times.size() == 4);
  for (const auto& [id, count] : times) {
    CHECK(count > 2);
    CHECK(count < 20);  // not one after the other as quickly as may be
  }
}

TEST_CASE("transfer: what waits for a turn is asked for as soon as a peer is known to have it") {
  Away away(10);
  REQUIRE(away.tried({}).back() == 4);
  const Instant later = Instant{} + look_through_interval;
  std::ignore = away.tried(later);
  away.here = 1;
  away.transfer.peer_grew(2);
  REQUIRE(away.transfer.wake_at() <= later + look_through_interval);
  CHECK(std::ranges::count(away.tried(later + look_through_interval), 1) == 1);
}

TEST_CASE("transfer: while it is held nothing is asked for, and what was comes in") {
  Transfer transfer(1, block_bytes, 7);
  transfer.peer_up(2);
  transfer.set_needs("a", {need(1, 1)});
  const std::vector<Output> first = next(transfer);
  REQUIRE(first.size() == 1);
  transfer.hold(true);
  transfer.set_needs("b", {need(2, 1)});
  CHECK(next(transfer).empty());
  CHECK(transfer.wake_at() > Instant{});
  const auto& get = std::get<Get>(std::get<Send>(first[0]).message);
  std::vector<Output> out;
  REQUIRE(
      transfer.on_block({}, 2, {get.request, Bytes::of({0})}, out));
  CHECK(std::holds_alternative<WriteBlock>(out.at(0)));
  CHECK(next(transfer).empty());
  transfer.hold(false);
  CHECK(next(transfer).size() == 1);
}

TEST_CASE("transfer: says what is on its way, large before small, and then what waits") {
  constexpr std::uint64_t large = 3 * block_bytes;
  Transfer transfer(1, block_bytes, 7);
  CHECK(transfer.incoming().empty());
  transfer.peer_up(2);
  transfer.set_needs("small", {need(1, 10)});
  transfer.set_needs("two paths", {need(2, large)});
  transfer.set_needs("one of two paths", {need(2, large)});
  for (std::uint8_t id = 3; id < 3 + FetchesMax{}.large; ++id) {
    transfer.set_needs("waits " + std::to_string(id), {need(id, large + id)});
  }
  std::vector<Output> out = next(transfer);
  const Chunk chunk{block_bytes, {}};
  std::ignore = transfer.on(Instant{},
                            {need(2, 0).content,
                             StageState::incomplete,
                             {},
                             {chunk, chunk, chunk},
                             {true, false, true},
                             {}},
                            out);
  std::vector<std::string> list;
  for (const Incoming& incoming : transfer.incoming()) {
    list.push_back(incoming.path + " " + std::to_string(incoming.bytes) + " " +
                   std::to_string(incoming.done_bytes));
  }
  CHECK(list == std::vector<std::string>{"waits 5 786437 0", "waits 4 786436 0", "waits 3 786435 0",
                                         "one of two paths 786432 524288", "small 10 0",
                                         "waits 6 786438 0"});
  for (std::uint8_t id = 10; id < 100; ++id) {
    transfer.set_needs(std::to_string(id), {need(id, large)});
  }
  CHECK(transfer.incoming().size() == incoming_max);
}

TEST_CASE("transfer: what is on its way for a path that is removed arrives for another") {
  const Need wanted = need(1, 10);
  Transfer transfer(1, block_bytes, 7);
  transfer.peer_up(2);
  transfer.set_needs("renamed", {wanted});
  REQUIRE(next(transfer).size() == 1);
  SUBCASE("in the same step") {
    transfer.set_needs("renamed", {});
    transfer.set_needs("to this", {wanted});
    CHECK(next(transfer).empty());
    CHECK(transfer.pending_files() == 1);
  }
  SUBCASE("or is wanted no more") {
    transfer.set_needs("renamed", {});
    const auto out = next(transfer);
    REQUIRE(out.size() == 1);
    CHECK(std::get<DropStage>(out[0]).content == wanted.content);
    CHECK(transfer.pending_files() == 0);
  }
  SUBCASE("or has turned up here") {
    CHECK(transfer.abandon(wanted.content) == std::vector<Path>{"renamed"});
    CHECK(transfer.pending_files() == 0);
    CHECK(next(transfer).size() == 1);
    transfer.set_needs("renamed", {wanted});  // gone again
    CHECK(next(transfer).size() == 1);
  }
}

TEST_CASE("transfer: what storage answers to an attempt that was given up does not end the next") {
  const Need wanted = need(1, 10);
  Transfer transfer(1, block_bytes, 7);
  transfer.peer_up(2);
  transfer.set_needs("path", {wanted});
  std::vector<Output> out;
  const auto fetched = [&] {
    const auto asked = next(transfer);
    const Get get = std::get<Get>(std::get<Send>(asked.back()).message);
    out.clear();
    REQUIRE(transfer.on_block(
        {}, 2, {get.request, Bytes::of(std::vector<std::uint8_t>(10))}, out));
    REQUIRE(std::get<WriteBlock>(out.at(0)).last);
  };
  const auto written = [&] {
    return transfer.on({}, {wanted.content, 0, StageState::complete, std::nullopt}, out);
  };
  fetched();
  REQUIRE(transfer.abandon(wanted.content).size() == 1);  // it stands here
  CHECK(next(transfer).size() == 1);                      // DropStage
  transfer.set_needs("path", {wanted});                   // gone again
  fetched();
  // The first is written, and dropped, before the second is: laid now, it would be taken away.
  const auto first = written();
  CHECK(first.stale);
  CHECK(first.paths.empty());
  CHECK(transfer.pending_files() == 1);
  const auto second = written();
  CHECK(!second.stale);
  CHECK(second.paths == std::vector<Path>{"path"});
  CHECK(transfer.pending_files() == 0);
}
