// What peers ask this node for: how much of it is read at a time, and for whom.
#include "engine/serving.h"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "engine/window.h"

using namespace p2psync::engine;

namespace {

constexpr NodeId peer = 2;
constexpr NodeId other = 3;

NodeOptions options() {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "one"}, {2, "two"}, {3, "three"}};
  return options;
}

/// A node that has one content of 1 MiB.
class Server {
 public:
  Server() {
    content_.bytes[0] = 7;
    replica_.add_staged(content_);
  }
  void ask(NodeId from, std::uint64_t request, std::uint32_t length = block_bytes) {
    serving_.on_get(from, Get{request, content_, 0, length, std::nullopt}, out_);
  }
  void ask_for_another(NodeId from, std::uint64_t request) {
    serving_.on_get(from, Get{request, Hash{}, 0, 1, std::nullopt}, out_);
  }
  void gone(NodeId id) { serving_.peer_down(id); }
  /// What storage has to read since the last call.
  std::vector<ReadBlock> reads() { return take<ReadBlock>(); }
  std::vector<Send> sent() { return take<Send>(); }
  std::vector<Disconnect> ended() { return take<Disconnect>(); }
  void answer(const ReadBlock& read) {
    const auto bytes = Bytes::of(std::vector<std::uint8_t>(read.length));
    serving_.on_read({read.peer, read.request, read.content, bytes}, out_);
  }

 private:
  template <class Kind>
  std::vector<Kind> take() {
    std::vector<Kind> taken;
    std::erase_if(out_, [&taken](const Output& output) {
      const auto* found = std::get_if<Kind>(&output);
      if (found != nullptr) {
        taken.push_back(*found);
      }
      return found != nullptr;
    });
    return taken;
  }

  Hash content_;
  Replica replica_{options(), {}};
  Transfer transfer_{1, block_bytes, 1};
  Serving serving_{replica_, transfer_};
  std::vector<Output> out_;
};

constexpr std::size_t at_a_time = Window::bytes_max / block_bytes;

}  // namespace

TEST_CASE("serving: all that is asked for is answered, with the number that it was asked with") {
  Server server;
  for (std::uint64_t request = 0; request < 200; ++request) {
    server.ask(peer, request * 3);
  }
  std::uint64_t next = 0;
  for (auto reads = server.reads(); !reads.empty(); reads = server.reads()) {
    CHECK(reads.size() <= at_a_time);
    for (const ReadBlock& read : reads) {
      server.answer(read);
    }
    for (const Send& send : server.sent()) {
      CHECK(send.peer == peer);
      const auto& block = std::get<Block>(send.message);
      CHECK(block.request == next * 3);
      CHECK(block.bytes != nullptr);
      ++next;
    }
  }
  CHECK(next == 200);
}

TEST_CASE("serving: no more is read at a time than a peer should want, and for each its own") {
  Server server;
  for (std::uint64_t request = 0; request < 500; ++request) {
    server.ask(peer, request);
  }
  auto reads = server.reads();
  CHECK(reads.size() == at_a_time);
  server.ask(other, 1);
  CHECK(server.reads().size() == 1);
  server.answer(reads[0]);
  server.answer(reads[1]);
  CHECK(server.reads().size() == 2);
  CHECK(server.ended().empty());
}

TEST_CASE("serving: small blocks are not held back") {
  Server server;
  for (std::uint64_t request = 0; request < Window::requests_max; ++request) {
    server.ask(peer, request, 4096);
  }
  CHECK(server.reads().size() == Window::requests_max);
}

TEST_CASE("serving: who asks for too many, or for too much, is disconnected") {
  Server server;
  for (std::uint64_t request = 0; request < Serving::requests_max; ++request) {
    server.ask(peer, request);
  }
  CHECK(server.ended().empty());
  server.ask(peer, 9999);
  CHECK(server.ended().size() == 1);
  server.ask(other, 1, block_bytes + 1);
  CHECK(server.ended().size() == 1);
}

TEST_CASE("serving: a connection that has gone leaves nothing to the next but less room") {
  Server server;
  for (std::uint64_t request = 0; request < 500; ++request) {
    server.ask(peer, request);
  }
  const auto old = server.reads();
  server.gone(peer);
  // The same numbers, as after a start: what they were asked with before is no answer to them.
  for (std::uint64_t request = 0; request < 500; ++request) {
    server.ask(peer, request);
  }
  CHECK(server.reads().empty());
  for (const ReadBlock& read : old) {
    server.answer(read);
  }
  CHECK(server.sent().empty());
  const auto fresh = server.reads();
  CHECK(fresh.size() == at_a_time);
  server.answer(fresh[0]);
  CHECK(server.sent().size() == 1);
}

TEST_CASE(
    "serving: beside a disk that stands still, who dials anew again and again is served later") {
  Server server;
  std::vector<ReadBlock> reads;
  for (int connection = 0; connection < 20; ++connection) {
    for (std::uint64_t request = 0; request < Window::requests_max; ++request) {
      server.ask(peer, request, 100);
    }
    const auto more = server.reads();
    reads.insert(reads.end(), more.begin(), more.end());
    server.gone(peer);
  }
  CHECK(server.ended().empty());
  CHECK(reads.size() == Serving::requests_max);
  server.ask(peer, 5, 100);
  for (const ReadBlock& read : reads) {
    server.answer(read);
  }
  const auto last = server.reads();
  REQUIRE(last.size() == 1);
  server.answer(last[0]);
  const auto sent = server.sent();
  REQUIRE(sent.size() == 1);
  CHECK(std::get<Block>(sent[0].message).request == 5);
  // And is one like any other afterwards.
  for (std::uint64_t request = 0; request < Serving::requests_max; ++request) {
    server.ask(peer, request, 100);
  }
  CHECK(server.reads().size() == Serving::requests_max);
  CHECK(server.ended().empty());
  server.ask(peer, 9999, 100);
  CHECK(server.ended().size() == 1);
}

TEST_CASE("serving: what is not here is said at once") {
  Server server;
  server.ask_for_another(peer, 5);
  const auto sent = server.sent();
  REQUIRE(sent.size() == 1);
  CHECK(std::get<Block>(sent[0].message).request == 5);
  CHECK(std::get<Block>(sent[0].message).bytes == nullptr);
}
