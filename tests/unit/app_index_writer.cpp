#include <doctest/doctest.h>

#include <asio/io_context.hpp>
#include <string>
#include <vector>

#include "apps/p2psync/index_writer.h"
#include "apps/p2psync/outbox.h"
#include "net/wire.h"
#include "storage/posix_fs.h"
#include "tests/unit/app_scratch.h"

using namespace p2psync;
using namespace p2psync::app;

namespace {

engine::Change change(const std::string& file) {
  engine::Change out;
  out.kept.push_back({file, "path", {}});
  return out;
}

/// An index in a directory of its own, and the loop that both threads answer to.
struct Bench {
  Scratch scratch;
  std::unique_ptr<storage::PosixFs> fs = *storage::open_posix_fs(scratch.at(""));
  std::unique_ptr<storage::IndexStore> store = *storage::IndexStore::open(*fs, "index.db", 1);
  asio::io_context context;
  std::size_t problems = 0;
  bool go_on = true;

  IndexWriter::Events events() {
    return {.problem = [this](const Error&) { ++problems; }, .go_on = [this] { return go_on; }};
  }

  void run_until(const std::function<bool()>& done) {
    context.restart();  // it stops by itself when the last guard goes
    const auto work = asio::make_work_guard(context);
    while (!done()) {
      context.run_one();
    }
  }
  /// What a next start would find.
  std::vector<std::string> stored() {
    store.reset();
    store = *storage::IndexStore::open(*fs, "index.db", 1);
    std::vector<std::string> files;
    for (const auto& kept : store->load()->kept) {
      files.push_back(kept.file);
    }
    return files;
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("index writer: what waits runs after the commit it waits for, in the order given") {
  Bench bench;
  Names done;
  {
    IndexWriter writer(bench.context, *bench.store, bench.events());
    writer.when_durable([&] { done.emplace_back("nothing to wait for"); });
    CHECK(done == Names{"nothing to wait for"});
    writer.persist(change("a"));
    writer.when_durable([&] { done.emplace_back("after a"); });
    writer.persist(change("b"));
    writer.when_durable([&] {
      done.emplace_back("after b");
      writer.persist(change("c"));
      writer.when_durable([&] { done.emplace_back("after c"); });
    });
    writer.when_durable([&] { done.emplace_back("after b too"); });
    CHECK(done.size() == 1);
    CHECK(!writer.idle());
    bench.run_until([&] { return done.size() == 5; });
    CHECK(done == Names{"nothing to wait for", "after a", "after b", "after b too", "after c"});
    bench.run_until([&] { return writer.idle(); });
  }
  CHECK(bench.stored() == Names{"a", "b", "c"});
  CHECK(bench.problems == 0);
}

TEST_CASE("index writer: what waited does not run once it must not go on") {
  Bench bench;
  bool ran = false;
  {
    IndexWriter writer(bench.context, *bench.store, bench.events());
    writer.persist(change("a"));
    writer.when_durable([&] { ran = true; });
    bench.go_on = false;
    bench.run_until([&] { return writer.idle(); });
  }
  CHECK(!ran);
  CHECK(bench.stored() == Names{"a"});
}

TEST_CASE("index writer: the end of the first scan is recorded after what it found") {
  Bench bench;
  CHECK(bench.store->fresh());
  {
    IndexWriter writer(bench.context, *bench.store, bench.events());
    writer.persist(change("a"));
    writer.record_scanned();
    CHECK(!writer.idle());
    bench.run_until([&] { return writer.idle(); });
  }
  CHECK(bench.stored() == Names{"a"});
  CHECK(!bench.store->fresh());
}

using Frame = Outbox::Frame;

engine::Message message_in(const Frame& frame) {
  auto message = net::decode_message(frame);
  REQUIRE(message);
  return std::move(*message);
}

std::uint64_t count_in(const Frame& frame) {
  return std::get<engine::Taken>(message_in(frame)).count;
}

bool no_data(const engine::Send&) {
  return false;
}

TEST_CASE("outbox: a message leaves when what was persisted before it is durable") {
  Bench bench;
  std::vector<std::uint64_t> left;
  {
    IndexWriter writer(bench.context, *bench.store, bench.events());
    Outbox outbox(
        writer, [&](engine::NodeId, const Frame& frame) { left.push_back(count_in(frame)); },
        no_data);
    outbox.send({2, engine::Taken{.stream = 0, .count = 1}});
    CHECK(left.empty());  // no connection
    outbox.up(2);
    outbox.send({2, engine::Taken{.stream = 0, .count = 2}});
    CHECK(left == std::vector<std::uint64_t>{2});
    writer.persist(change("a"));
    outbox.send({2, engine::Taken{.stream = 0, .count = 3}});
    CHECK(left.size() == 1);
    bench.run_until([&] { return left.size() == 2; });
    CHECK(left.back() == 3);
  }
  CHECK(bench.stored() == Names{"a"});
}

TEST_CASE("outbox: a question for bytes waits for the hello, and for nothing that is persisted") {
  Bench bench;
  std::vector<std::size_t> left;
  IndexWriter writer(bench.context, *bench.store, bench.events());
  Outbox outbox(
      writer,
      [&](engine::NodeId, const Frame& frame) { left.push_back(message_in(frame).index()); },
      [&](const engine::Send& send) {
        left.push_back(send.message.index());
        return true;
      });
  const engine::Message hello = engine::Hello();
  const engine::Message get = engine::Get();
  const engine::Message taken = engine::Taken();
  const engine::Message not_here = engine::Block();
  outbox.up(2);
  writer.persist(change("a"));
  outbox.send({2, hello});
  outbox.send({2, get});
  CHECK(left.empty());
  bench.run_until([&] { return left.size() == 2; });
  writer.persist(change("b"));
  outbox.send({2, taken});
  outbox.send({2, not_here});
  outbox.send({2, get});
  CHECK(left == std::vector{hello.index(), get.index(), get.index()});
  bench.run_until([&] { return left.size() == 5; });
  CHECK(left.back() == not_here.index());
}

TEST_CASE("outbox: what was meant for a lost connection does not reach the next one") {
  Bench bench;
  std::vector<std::uint64_t> left;
  IndexWriter writer(bench.context, *bench.store, bench.events());
  Outbox outbox(
      writer, [&](engine::NodeId, const Frame& frame) { left.push_back(count_in(frame)); },
      no_data);
  outbox.up(2);
  writer.persist(change("a"));
  outbox.send({2, engine::Taken{.stream = 0, .count = 1}});
  outbox.down(2);
  outbox.up(2);
  outbox.send({2, engine::Taken{.stream = 0, .count = 2}});
  bench.run_until([&] { return writer.idle() && !left.empty(); });
  CHECK(left == std::vector<std::uint64_t>{2});
}

TEST_CASE("outbox: data that the transport has no room for waits, and control passes it") {
  Bench bench;
  std::vector<std::uint64_t> left;
  bool room = false;
  IndexWriter writer(bench.context, *bench.store, bench.events());
  Outbox outbox(
      writer, [&](engine::NodeId, const Frame& frame) { left.push_back(count_in(frame)); },
      [&](const engine::Send& send) {
        if (room) {
          left.push_back(std::get<engine::Taken>(send.message).count);
        }
        return room;
      });
  outbox.up(2);
  outbox.send({2, engine::Taken{.stream = 0, .count = 1}, engine::Priority::data});
  outbox.send({2, engine::Taken{.stream = 0, .count = 2}, engine::Priority::data});
  outbox.send({2, engine::Taken{.stream = 0, .count = 3}});
  CHECK(left == std::vector<std::uint64_t>{3});
  room = true;
  outbox.send({2, engine::Taken{.stream = 0, .count = 4}, engine::Priority::data});
  CHECK(left.size() == 1);  // not past the others
  outbox.drained(2);
  CHECK(left == std::vector<std::uint64_t>{3, 1, 2, 4});
}

TEST_CASE("outbox: who asks on while the index is written to does not fill the memory") {
  Bench bench;
  IndexWriter writer(bench.context, *bench.store, bench.events());
  std::size_t left = 0;
  std::size_t left_bytes = 0;
  std::vector<std::string> reasons;
  Outbox outbox(
      writer,
      [&](engine::NodeId, const Frame& frame) {
        ++left;
        left_bytes += frame.size();
      },
      no_data, [&](engine::NodeId, const std::string& reason) { reasons.push_back(reason); });
  const engine::Message answer = engine::Vectors{.knowledge = {{{1, 2}, 3}}};
  outbox.up(2);
  writer.persist(change("a"));
  outbox.send({2, engine::Hello{}});
  std::size_t taken = 1;
  for (; reasons.empty(); ++taken) {
    REQUIRE(taken < 1'000'000);
    outbox.send({2, answer});
  }
  CHECK(reasons.front().ends_with("too much is waiting to be sent"));
  CHECK(left == 0);
  // What waits for others has nothing to do with it, nor has what waited for an earlier connection.
  outbox.up(3);
  outbox.send({3, answer});
  CHECK(reasons.size() == 1);
  bench.run_until([&] { return left > 1; });
  CHECK(left == taken);
  CHECK(left_bytes < Outbox::unrecorded_bytes_max);
  writer.persist(change("b"));
  outbox.send({2, answer});
  outbox.down(2);
  outbox.up(2);
  outbox.send({2, answer});
  CHECK(reasons.size() == 1);
  bench.run_until([&] { return left > taken; });
  CHECK(left == taken + 1);
}

TEST_CASE("outbox: who asks for more than it reads is given up, and does not fill the memory") {
  Bench bench;
  IndexWriter writer(bench.context, *bench.store, bench.events());
  std::vector<engine::NodeId> given_up;
  Outbox outbox(
      writer, [](engine::NodeId, const Frame&) {}, no_data,
      [&](engine::NodeId peer, const std::string&) { given_up.push_back(peer); });
  outbox.up(2);
  outbox.send({2, engine::Hello{}});
  const auto bytes = engine::Bytes::of(std::vector<std::uint8_t>(engine::block_bytes));
  const auto send = [&] { outbox.send({2, engine::Block{1, bytes}, engine::Priority::data}); };
  // What a member may have asked for at once, and as much again that it asked for a second time.
  for (std::size_t sent = 0; sent < 2 * engine::Window::bytes_max; sent += engine::block_bytes) {
    send();
  }
  CHECK(given_up.empty());
  send();
  CHECK(given_up == std::vector<engine::NodeId>{2});
  outbox.down(2);
  outbox.up(2);
  outbox.send({2, engine::Hello{}});
  send();
  CHECK(given_up.size() == 1);
}
