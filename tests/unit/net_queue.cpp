// The parts of a connection that need no socket.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>

#include "net/address.h"
#include "net/connection.h"
#include "net/log_gate.h"
#include "net/send_queue.h"
#include "net/token_bucket.h"

namespace p2psync::net {
namespace {

using engine::Priority;
using namespace std::chrono_literals;
using Bytes = std::vector<std::uint8_t>;

TEST_CASE("send queue: control goes first, each priority in its order") {
  SendQueue queue;
  CHECK(queue.take(true).size() == 0);
  queue.push({Bytes(20'000, 1)}, Priority::data);
  queue.push({Bytes(20'000, 2)}, Priority::control);
  queue.push({Bytes(20'000, 3)}, Priority::data);
  queue.push({Bytes(20'000, 4)}, Priority::control);
  CHECK(queue.bytes() == 80'000);
  CHECK(queue.data_bytes() == 40'000);
  for (const std::uint8_t expected : Bytes{2, 4, 1, 3}) {
    CHECK(queue.take(true).head == Bytes(20'000, expected));
  }
  CHECK(queue.bytes() == 0);
}

TEST_CASE("send queue: small frames go together, large ones alone and uncopied") {
  SendQueue queue;
  for (int i = 0; i < 1000; ++i) {
    queue.push({Bytes(100, static_cast<std::uint8_t>(i))}, Priority::control);
  }
  const Bytes first = queue.take(true).head;
  CHECK(first.size() > SendQueue::gathered_bytes_max - 100);
  CHECK(first.size() <= SendQueue::gathered_bytes_max);
  for (std::size_t i = 0; i < first.size(); ++i) {
    REQUIRE(first[i] == static_cast<std::uint8_t>(i / 100));
  }
  const std::size_t rest = queue.take(true).size();
  CHECK(first.size() + rest == 100'000);

  Bytes large(200'000, 9);
  const auto* where = large.data();
  queue.push({std::move(large)}, Priority::data);
  CHECK(queue.take(true).head.data() == where);

  const auto block = engine::Bytes::of(Bytes(200'000, 9));
  queue.push({Bytes(10, 1), block}, Priority::data);
  CHECK(queue.data_bytes() == 200'010);
  const OutFrame taken = queue.take(true);
  CHECK(taken.head == Bytes(10, 1));
  CHECK(taken.tail->data() == block->data());
  CHECK(queue.bytes() == 0);
}

TEST_CASE("send queue: of data, small frames overtake large ones, under the same limit") {
  SendQueue queue;
  queue.push({Bytes(200'000, 1)}, Priority::data);
  queue.push({Bytes(200'000, 2)}, Priority::data);
  queue.push({Bytes(10, 3)}, Priority::data);
  queue.push({Bytes(10, 4)}, Priority::data);
  CHECK(queue.data_bytes() == 400'020);
  CHECK(queue.take(false).size() == 0);
  CHECK(queue.take(true).size() == 20);
  CHECK(queue.take(true).head == Bytes(200'000, 1));
  queue.push({Bytes(10, 5)}, Priority::data);
  CHECK(queue.take(true).head == Bytes(10, 5));
  CHECK(queue.take(true).head == Bytes(200'000, 2));
  CHECK(queue.bytes() == 0);
}

TEST_CASE("send queue: data may be held back") {
  SendQueue queue;
  queue.push({Bytes(10, 1)}, Priority::data);
  CHECK(queue.data_is_next());
  CHECK(queue.take(false).size() == 0);
  queue.push({Bytes(10, 2)}, Priority::control);
  CHECK_FALSE(queue.data_is_next());
  CHECK(queue.take(false).head == Bytes(10, 2));
  CHECK(queue.take(true).head == Bytes(10, 1));
}

TEST_CASE("token bucket: keeps its rate over time, whatever the portions") {
  const Instant begin{1h};
  for (const std::uint64_t portion : {1'000U, 100'000U, 3'000'000U}) {
    TokenBucket bucket(1'000'000);
    Instant now = begin;
    std::uint64_t moved = 0;
    while (moved < 20'000'000) {
      now = bucket.ready_at(now);
      CHECK(bucket.ready_at(now) == now);
      bucket.spend(portion);
      moved += portion;
    }
    const double seconds = std::chrono::duration<double>(now - begin).count();
    const double expected = static_cast<double>(moved - portion) / 1e6;
    CHECK(seconds > expected - 0.5);
    CHECK(seconds < expected + 0.5);
  }
}

TEST_CASE("token bucket: any ten seconds are within five percent, for all that share it") {
  constexpr std::uint64_t frame = 262'144 + 40;
  for (const std::uint64_t limit : {16'384U, 65'536U, 2'000'000U, 100'000'000U}) {
    for (const std::size_t writers : {1U, 2U, 5U}) {
      Traffic traffic(limit, 0);
      // All are told the same moment when the debt will be paid, and look again when it has come.
      std::vector<Instant> wakes(writers, Instant{1h});
      std::deque<std::pair<Instant, std::uint64_t>> window;
      std::uint64_t moved = 0;
      double least = 1;
      double most = 1;
      for (Instant now{1h}; now < Instant{1h} + 60s;) {
        const auto next = std::ranges::min_element(wakes);
        now = *next;
        if (*next = traffic.upload.ready_at(now); *next > now) {
          continue;
        }
        const std::uint64_t portion = std::min<std::uint64_t>(traffic.write_bytes_max, frame);
        traffic.upload.spend(portion);
        window.emplace_back(now, portion);
        moved += portion;
        while (window.front().first <= now - 10s) {
          moved -= window.front().second;
          window.pop_front();
        }
        const double share = static_cast<double>(moved) / (10.0 * static_cast<double>(limit));
        most = std::max(most, share);
        least = now > Instant{1h} + 10s ? std::min(least, share) : least;
      }
      CHECK(least > 0.95);
      CHECK(most < 1.05);
    }
  }
}

TEST_CASE("token bucket: saves up no more than a quarter of a second, and no limit is none") {
  TokenBucket bucket(1'000'000);
  Instant now{1h};
  CHECK(bucket.ready_at(now) == now);
  bucket.spend(350'000);
  CHECK(bucket.ready_at(now) > now + 90ms);
  CHECK(bucket.ready_at(now) < now + 110ms);
  TokenBucket none;
  none.spend(UINT64_MAX);
  CHECK(none.ready_at(now) == now);
}

TEST_CASE("address: host and port") {
  const auto text = [](std::string_view from, HostPart host = HostPart::required) {
    const auto address = parse_address(from, host);
    return address ? address->host + " " + std::to_string(address->port) : "refused";
  };
  CHECK(text("node1:7744") == "node1 7744");
  CHECK(text("127.0.0.1:0") == "127.0.0.1 0");
  CHECK(text("[::1]:65535") == "::1 65535");
  CHECK(text(":7744", HostPart::optional) == " 7744");
  for (const std::string_view bad :
       {"", "node1", "node1:", ":7744", "node1:65536", "node1:-1", "node1:+1", "node1: 1",
        "node1:7744x", "::1:7744", "::1", "[::1]", "[]:1", "[::1:1", "a]:1", "a[b]:1"}) {
    CAPTURE(bad);
    CHECK(text(bad) == "refused");
  }
  CHECK(text("[]:1", HostPart::optional) == "refused");
  CHECK(text("", HostPart::optional) == "refused");
  CHECK(Address{"::1", 5}.text() == "[::1]:5");
  CHECK(Address{"a", 5}.text() == "a:5");
}

TEST_CASE("log gate: one line now and then, with the number of those between") {
  LogGate gate;
  const Instant now{1h};
  CHECK(gate.pass(now, "a") == "a");
  CHECK_FALSE(gate.pass(now + 1s, "b").has_value());
  CHECK_FALSE(gate.pass(now + 2s, "c").has_value());
  CHECK(gate.pass(now + LogGate::pause, "d") == "d (and 2 more since the last such line)");
  CHECK(gate.pass(now + 2 * LogGate::pause, "e") == "e");
}

}  // namespace
}  // namespace p2psync::net
