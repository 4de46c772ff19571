// A content of several chunks, from the first question to the last byte.
#include <doctest/doctest.h>

#include <numeric>

#include "engine/stuck.h"
#include "engine/transfer.h"

using namespace p2psync::engine;

namespace {

constexpr Instant start{};
const Path path = "f";

Bytes bytes(std::size_t size) {
  return Bytes::of(std::vector<std::uint8_t>(size));
}

/// Three chunks of 100 bytes, and two peers who have them.
struct Fetch {
  Fetch() {
    need.content.bytes[0] = 1;
    need.size = 300;
    transfer.peer_up(2);
    transfer.peer_up(3);
    transfer.set_needs(path, {need});
  }
  std::vector<Output> next(Instant now = start) {
    std::vector<Output> out = std::exchange(made, {});
    transfer.next(
        now, [this](NodeId peer, const Need&) { return peer == likely; },
        [this](const Need&, const Path&) { return old; }, out);
    return out;
  }
  /// What was asked of whom.
  std::vector<std::pair<NodeId, Get>> gets(Instant now = start) {
    std::vector<std::pair<NodeId, Get>> gets;
    for (const Output& output : next(now)) {
      const auto& send = std::get<Send>(output);
      if (const auto* get = std::get_if<Get>(&send.message)) {
        gets.emplace_back(send.peer, *get);
      }
    }
    return gets;
  }
  Transfer::Outcome opened(StageOpened answer) {
    answer.content = need.content;
    return transfer.on(start, std::move(answer), made);
  }
  Transfer::Outcome chunks_wanted(std::vector<bool> there) {
    StageOpened answer;
    for (std::size_t i = 0; i < there.size(); ++i) {
      answer.chunks.push_back({100, {}});
      answer.chunks.back().hash.bytes[0] = static_cast<std::uint8_t>(i);
    }
    answer.there = std::move(there);
    return opened(std::move(answer));
  }
  Transfer::Outcome written(std::uint64_t offset, StageState state) {
    return transfer.on(start, StageWritten{need.content, offset, state, {}}, made);
  }
  void block(const std::pair<NodeId, Get>& get, Bytes answer, Instant now = start) {
    REQUIRE(transfer.on_block(now, get.first, {get.second.request, std::move(answer)}, made));
  }

  Need need;
  std::vector<Base> old;
  NodeId likely = 2;
  std::vector<Output> made;
  Transfer transfer{1, 200, 7};
};

}  // namespace

TEST_CASE("transfer: first what is here, then the manifest, then the chunks that are missing") {
  Fetch fetch;
  fetch.old = {{{}, 1000, path}};
  fetch.old[0].content.bytes[0] = 9;
  auto out = fetch.next();
  REQUIRE(out.size() == 1);
  CHECK(std::get<OpenStage>(out[0]).bases.at(0).content == fetch.old[0].content);
  CHECK(std::get<OpenStage>(out[0]).list == nullptr);
  CHECK(fetch.next().empty());

  const ListOf wanted{fetch.need.content, fetch.old[0].content};
  std::ignore = fetch.opened({{}, StageState::incomplete, wanted, {}, {}, {}});
  auto gets = fetch.gets();
  REQUIRE(gets.size() == 1);
  CHECK(gets[0].first == 2);
  CHECK(gets[0].second.list == wanted);
  CHECK(gets[0].second.offset == 0);
  fetch.block(gets[0], bytes(block_bytes));  // there is more
  gets = fetch.gets();
  REQUIRE(gets.size() == 1);
  CHECK(gets[0].second.offset == block_bytes);
  fetch.block(gets[0], bytes(10));
  out = fetch.next();
  REQUIRE(out.size() == 1);
  CHECK(std::get<OpenStage>(out[0]).list->size() == block_bytes + 10);
  CHECK(std::get<OpenStage>(out[0]).list_of == wanted);

  std::ignore = fetch.chunks_wanted({false, true, false});
  CHECK(fetch.transfer.pending_bytes() == 200);
  gets = fetch.gets();
  REQUIRE(gets.size() == 2);
  CHECK(gets[0].second.offset == 0);
  CHECK(gets[1].second.offset == 200);
  CHECK(!gets[1].second.list);
  CHECK(fetch.transfer.has({1, fetch.need.content, 100, 100}));
  CHECK(!fetch.transfer.has({1, fetch.need.content, 100, 99}));
  CHECK(!fetch.transfer.has({1, fetch.need.content, 0, 100}));
  SUBCASE("written one after the other") {
    fetch.block(gets[1], bytes(100));
    std::ignore = fetch.written(200, StageState::incomplete);
    fetch.made.clear();
    fetch.block(gets[0], bytes(100));
    CHECK(std::get<WriteBlock>(fetch.made.back()).last);
  }
  SUBCASE("the last comes while another is still being written") {
    fetch.block(gets[0], bytes(100));
    fetch.block(gets[1], bytes(100));
    CHECK(!std::get<WriteBlock>(fetch.made.back()).last);
    std::ignore = fetch.written(0, StageState::incomplete);
    std::ignore = fetch.written(200, StageState::incomplete);
    CHECK(std::get<WriteBlock>(fetch.made.back()).last);
    CHECK(std::get<WriteBlock>(fetch.made.back()).bytes == nullptr);
  }
  CHECK(fetch.written(0, StageState::complete).paths == std::vector{path});
  CHECK(fetch.transfer.pending_files() == 0);
  CHECK(fetch.transfer.pending_bytes() == 0);
}

TEST_CASE("transfer: a content of several sections is fetched one after the other") {
  Fetch fetch;
  fetch.transfer.set_needs(path, {});
  fetch.need.content.bytes[0] = 8;
  fetch.need.size = 500;
  fetch.transfer.set_needs(path, {fetch.need});
  std::ignore = fetch.next();
  std::ignore = fetch.chunks_wanted({false, true, false});
  auto gets = fetch.gets();
  REQUIRE(gets.size() == 2);
  fetch.block(gets[0], bytes(100));
  fetch.block(gets[1], bytes(100));
  CHECK(!std::get<WriteBlock>(fetch.made.back()).last);
  std::ignore = fetch.written(gets[0].second.offset, StageState::incomplete);
  fetch.made.clear();
  std::ignore = fetch.written(gets[1].second.offset, StageState::incomplete);
  CHECK(fetch.transfer.pending_bytes() == 200);

  // Peer 3, who may be fetching it too, hears what came of the first before the second is looked
  // for.
  auto out = fetch.next();
  REQUIRE(out.size() == 2);
  CHECK(std::get<Have>(std::get<Send>(out[0]).message).from == 0);
  CHECK(std::get<OpenStage>(out[1]).from == 300);
  const ListOf second{{}, fetch.need.content};
  SUBCASE("whose list is not here") {
    std::ignore = fetch.opened({{}, StageState::incomplete, second, {}, {}, {}, 300});
    gets = fetch.gets();
    REQUIRE(gets.size() == 1);
    CHECK(gets[0].second.list == second);
    fetch.block(gets[0], bytes(10));
    out = fetch.next();
    CHECK(std::get<OpenStage>(out.at(0)).list_of == second);
    CHECK(std::get<OpenStage>(out.at(0)).from == 300);
  }
  SUBCASE("whose list is here") {}
  fetch.need.size = 500;
  StageOpened answer{{}, StageState::incomplete, {}, {{150, {}}, {50, {}}}, {false, true}, {}, 300};
  answer.chunks[1].hash.bytes[0] = 1;
  std::ignore = fetch.opened(std::move(answer));
  CHECK(fetch.transfer.pending_bytes() == 150);
  out = fetch.next();
  REQUIRE(out.size() == 2);
  const auto& told = std::get<Have>(std::get<Send>(out[0]).message);
  CHECK(told.from == 300);
  CHECK(told.anew);
  CHECK(told.chunks == std::vector<ChunkRange>{{1, 2}});
  const Get get = std::get<Get>(std::get<Send>(out[1]).message);
  CHECK(get.offset == 300);
  // All that is before it can be had here.
  CHECK(fetch.transfer.has({1, fetch.need.content, 100, 100}));
  CHECK(fetch.transfer.has({1, fetch.need.content, 450, 50}));
  CHECK(!fetch.transfer.has({1, fetch.need.content, 300, 150}));
  fetch.block({2, get}, bytes(150));
  CHECK(std::get<WriteBlock>(fetch.made.back()).last);
  CHECK(fetch.written(300, StageState::complete).paths == std::vector{path});
  CHECK(fetch.transfer.pending_bytes() == 0);
}

TEST_CASE("transfer: a fellow is behind, ahead, or at the same section") {
  Fetch fetch;
  fetch.transfer.set_needs(path, {});
  fetch.need.content.bytes[0] = 8;
  fetch.need.size = 900;
  fetch.likely = 0;
  fetch.transfer.set_needs(path, {fetch.need});
  std::ignore = fetch.next();
  StageOpened answer{
      {}, StageState::incomplete, {}, {{100, {}}, {100, {}}, {100, {}}}, {false, false, false}, {},
      300};
  answer.chunks[1].hash.bytes[0] = 1;
  answer.chunks[2].hash.bytes[0] = 2;
  std::ignore = fetch.opened(std::move(answer));
  std::ignore = fetch.next();
  const auto offsets_asked_of_3 = [&](const Have& have) {
    fetch.transfer.peer_down(3);
    fetch.transfer.peer_up(3);
    std::ignore = fetch.next();  // the first is asked for on the chance
    fetch.transfer.on_have(3, have, fetch.made);
    std::vector<std::uint64_t> offsets;
    for (const auto& [peer, get] : fetch.gets()) {
      if (peer == 3) {
        offsets.push_back(get.offset);
      }
    }
    return offsets;
  };
  using Offsets = std::vector<std::uint64_t>;
  fetch.transfer.peer_down(2);
  const Hash& content = fetch.need.content;
  SUBCASE("at the same") {
    CHECK(offsets_asked_of_3({content, 300, {{1, 2}}, true}) == Offsets{400});
  }
  SUBCASE("ahead: it has all of this one") {
    CHECK(offsets_asked_of_3({content, 600, {{1, 2}}, true}) == Offsets{400, 500});
  }
  SUBCASE("behind: it has nothing of this one, and is told that all of that one is here") {
    fetch.transfer.on_have(3, {content, 0, {{1, 2}}, true}, fetch.made);
    REQUIRE(fetch.made.size() == 1);
    const Have& told = std::get<Have>(std::get<Send>(fetch.made[0]).message);
    CHECK(told.from == 0);
    CHECK(told.chunks == std::vector<ChunkRange>{{0, ~std::uint32_t{0}}});
    fetch.transfer.on_have(3, {content, 0, {{2, 3}}, false}, fetch.made);
    CHECK(fetch.made.size() == 1);
  }
}

TEST_CASE("transfer: a wrong chunk costs one chunk, and the peer that sent it waits") {
  Fetch fetch;
  std::ignore = fetch.next();
  std::ignore = fetch.chunks_wanted({true, true, false});
  auto gets = fetch.gets();
  REQUIRE(gets.size() == 1);
  fetch.block(gets[0], bytes(100));
  CHECK(std::get<WriteBlock>(fetch.made.back()).last);
  const auto outcome = fetch.written(200, StageState::mismatch);
  CHECK(outcome.blamed == std::vector<NodeId>{2});
  CHECK(outcome.paths.empty());
  fetch.made.clear();
  gets = fetch.gets();
  REQUIRE(gets.size() == 1);
  CHECK(gets[0].first == 3);
  CHECK(gets[0].second.offset == 200);
}

TEST_CASE("transfer: a wrong manifest is asked for elsewhere, and not against what is here") {
  Fetch fetch;
  std::ignore = fetch.next();
  Hash base;
  base.bytes[0] = 9;
  const ListOf wanted{fetch.need.content, base};
  std::ignore = fetch.opened({{}, StageState::incomplete, wanted, {}, {}, {}});
  auto gets = fetch.gets();
  REQUIRE(gets.size() == 1);
  fetch.block(gets[0], bytes(10));
  std::ignore = fetch.next();
  CHECK(fetch.opened({{}, StageState::mismatch, {}, {}, {}, {}}).blamed == std::vector<NodeId>{2});
  gets = fetch.gets();
  REQUIRE(gets.size() == 1);
  CHECK(gets[0].first == 3);
  CHECK(gets[0].second.list == ListOf{fetch.need.content, {}});
  CHECK(gets[0].second.offset == 0);
}

TEST_CASE("transfer: what was asked of a peer that goes is asked of another") {
  Fetch fetch;
  std::ignore = fetch.next();
  std::ignore = fetch.chunks_wanted({false, false, false});
  REQUIRE(fetch.gets().size() == 3);
  fetch.transfer.peer_down(2);
  // It is not known to have it: one question, and as it has it, the others.
  auto gets = fetch.gets();
  REQUIRE(gets.size() == 1);
  fetch.block(gets[0], bytes(100));
  fetch.made.clear();
  CHECK(fetch.gets().size() == 2);
}

TEST_CASE("transfer: no more is asked for than may be held in memory, until it is written") {
  Fetch fetch;
  fetch.need.content.bytes[0] = 7;
  fetch.need.size = 3 * outstanding_max;
  fetch.transfer.set_needs(path, {fetch.need});
  std::ignore = fetch.next();
  StageOpened answer;
  answer.chunks.resize(3 * outstanding_max / block_bytes);
  for (std::size_t i = 0; i < answer.chunks.size(); ++i) {
    answer.chunks[i] = {block_bytes, {}};
    answer.chunks[i].hash.bytes[0] = static_cast<std::uint8_t>(i);
  }
  answer.there.assign(answer.chunks.size(), false);
  std::ignore = fetch.opened(std::move(answer));
  std::vector<std::uint64_t> unwritten;
  for (auto gets = fetch.gets(); !gets.empty(); gets = fetch.gets()) {
    for (const auto& get : gets) {
      unwritten.push_back(get.second.offset);
      fetch.block(get, bytes(block_bytes));
    }
    fetch.made.clear();
  }
  CHECK(unwritten.size() == outstanding_max / block_bytes);
  std::ignore = fetch.written(unwritten[0], StageState::incomplete);
  CHECK(fetch.gets().size() == 1);
}

TEST_CASE("transfer: a failed disk begins anew with what is there by then") {
  Fetch fetch;
  std::ignore = fetch.next();
  std::ignore = fetch.chunks_wanted({true, false, false});
  const auto gets = fetch.gets();
  fetch.block(gets[0], bytes(100));
  std::ignore = fetch.written(100, StageState::failed);
  fetch.made.clear();
  CHECK(fetch.next().empty());
  CHECK(fetch.transfer.wake_at() == start + full_pause);
  const auto out = fetch.next(start + full_pause);
  REQUIRE(out.size() == 1);
  CHECK(std::holds_alternative<OpenStage>(out[0]));
  CHECK(fetch.next(start + full_pause).empty());
  CHECK(fetch.transfer.pending_bytes() == 300);
  // An answer to what was asked for before is nothing to anybody.
  CHECK(!fetch.transfer.on_block(start, gets[1].first, {gets[1].second.request, bytes(100)},
                                 fetch.made));
}

TEST_CASE("transfer: a content that is too large for the disk holds up no other") {
  Fetch fetch;
  std::ignore = fetch.next();
  std::ignore = fetch.opened(
      {{}, StageState::failed, {}, {}, {}, p2psync::Error{p2psync::ErrorCode::no_space}});
  Need other;
  other.content.bytes[0] = 2;
  other.size = 100;
  fetch.transfer.set_needs("small", {other});
  CHECK(fetch.gets().size() == 1);
  for (other.content.bytes[0] = 3; other.content.bytes[0] <= 2 + FetchesMax{}.large;
       ++other.content.bytes[0]) {  // with it, one more than there are places
    other.size = 1000;
    fetch.transfer.set_needs("large " + std::to_string(other.content.bytes[0]), {other});
  }
  CHECK(fetch.next().size() == FetchesMax{}.large);
}

TEST_CASE("transfer: when a small content is refused the disk is full, and nothing is asked for") {
  Fetch fetch;
  fetch.transfer.set_needs(path, {});
  fetch.need.content.bytes[0] = 2;
  fetch.need.size = 100;
  std::ignore = fetch.next();
  fetch.transfer.set_needs("small", {fetch.need});
  const auto gets = fetch.gets();
  REQUIRE(gets.size() == 1);
  fetch.block(gets[0], bytes(100));
  std::ignore = fetch.written(0, StageState::failed);
  fetch.made.clear();
  CHECK(fetch.next().empty());
  CHECK(fetch.transfer.wake_at() == start + full_pause);
  CHECK(fetch.gets(start + full_pause).size() == 1);
}

TEST_CASE("transfer: a chunk that stands in several places is asked for once") {
  Fetch fetch;
  std::ignore = fetch.next();
  StageOpened answer;
  answer.chunks.assign(3, Chunk{100, {}});
  answer.there.assign(3, false);
  std::ignore = fetch.opened(std::move(answer));
  auto gets = fetch.gets();
  REQUIRE(gets.size() == 1);
  SUBCASE("and again if its sender is gone") {
    fetch.transfer.peer_down(2);
    gets = fetch.gets();
    REQUIRE(gets.size() == 1);
    CHECK(gets[0].first == 3);
  }
  fetch.block(gets[0], bytes(100));
  REQUIRE(fetch.made.size() == 3);
  for (const std::uint64_t offset : {0U, 100U, 200U}) {
    CHECK(std::get<WriteBlock>(fetch.made[offset / 100]).offset == offset);
  }
  fetch.made.clear();
  SUBCASE("if its bytes are wrong, all of them are") {
    CHECK(fetch.written(100, StageState::mismatch).blamed == std::vector<NodeId>{2});
    gets = fetch.gets();
    REQUIRE(gets.size() == 1);
    std::ignore = fetch.written(0, StageState::mismatch);
    std::ignore = fetch.written(200, StageState::mismatch);
    std::ignore = fetch.gets();
    fetch.block(gets[0], bytes(100));
    CHECK(fetch.made.size() == 3);
  }
  std::ignore = fetch.written(0, StageState::incomplete);
  std::ignore = fetch.written(100, StageState::incomplete);
  fetch.made.clear();
  std::ignore = fetch.written(200, StageState::incomplete);
  REQUIRE(fetch.made.size() == 1);
  CHECK(std::get<WriteBlock>(fetch.made[0]).last);
}

TEST_CASE("transfer: a lost answer costs no more than it would have after a quick one") {
  using std::chrono::seconds;
  Fetch fetch;
  std::ignore = fetch.next();
  std::ignore = fetch.chunks_wanted({false, false, true});
  const auto gets = fetch.gets();
  REQUIRE(gets.size() == 2);
  fetch.block(gets[0], bytes(100), start + seconds(19));  // the peer slept
  std::ignore = fetch.written(0, StageState::incomplete);
  fetch.made.clear();
  std::size_t again = 0;
  for (int second = 19; second < 25; ++second) {
    again += fetch.gets(start + seconds(second)).size();
  }
  CHECK(again == 1);
}
