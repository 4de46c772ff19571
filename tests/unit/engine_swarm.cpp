// Several nodes that fetch one content from one source at the same time.
#include <doctest/doctest.h>

#include <deque>
#include <numeric>

#include "engine/transfer.h"

using namespace p2psync::engine;

namespace {

constexpr std::uint32_t chunk_bytes = 64 * 1024;
constexpr Duration tick = std::chrono::milliseconds(10);
constexpr NodeId source = 1;
const Path path = "f";

std::vector<Chunk> chunks(std::size_t count, std::size_t from = 0) {
  std::vector<Chunk> chunks(count, Chunk{chunk_bytes, {}});
  for (std::size_t i = 0; i < count; ++i) {
    chunks[i].hash.bytes[0] = static_cast<std::uint8_t>(from + i);
    chunks[i].hash.bytes[1] = static_cast<std::uint8_t>((from + i) / 256);
  }
  return chunks;
}

/// Nodes 2 and following fetch what node 1 has. In each tick every node sends `speed` blocks, in
/// the order asked for; what is sent arrives in the next tick and is written at once.
class Swarm {
 public:
  /// `section`: chunks of each.
  Swarm(std::size_t fetchers, std::size_t count, std::size_t section = 1U << 14U)
      : count_(count), section_(section) {
    need_.content.bytes[0] = 1;
    need_.size = std::uint64_t{count} * chunk_bytes;
    for (NodeId id = 2; id < 2 + fetchers; ++id) {
      add(id);
    }
  }

  void add(NodeId id) {
    Fetcher& fetcher = fetchers_.try_emplace(id, Transfer(id, block_bytes, id)).first->second;
    fetcher.transfer.peer_up(source);
    for (auto& [other, it] : fetchers_) {
      if (other != id) {
        fetcher.transfer.peer_up(other);
        it.transfer.peer_up(id);
      }
    }
    fetcher.transfer.set_needs(path, {need_});
  }
  /// From now on nothing comes from it; `told`: its connections end.
  void stop(NodeId id, bool told) {
    speeds_[id] = 0;
    fetchers_.erase(id);
    for (auto& [other, it] : fetchers_) {
      if (told) {
        it.transfer.peer_down(id);
      }
    }
  }
  void set_speed(NodeId id, std::size_t blocks) { speeds_[id] = blocks; }
  /// It says that it has all, and has nothing.
  void lie(NodeId id) {
    for (auto& [other, it] : fetchers_) {
      it.transfer.peer_up(id);
      it.transfer.on_have(id, {need_.content, 0, {{0, static_cast<std::uint32_t>(count_)}}, false},
                          it.out);
    }
  }

  /// False: not all had it after so many ticks.
  bool run(std::size_t ticks) {
    for (; ticks > 0; --ticks, now_ += tick, ++ticks_) {
      bool done = true;
      for (auto& [id, fetcher] : fetchers_) {
        step(id, fetcher);
        done = done && fetcher.transfer.pending_files() == 0;
      }
      if (done) {
        return true;
      }
      serve();
    }
    return false;
  }
  [[nodiscard]] std::size_t ticks() const { return ticks_; }
  [[nodiscard]] std::size_t sent(NodeId id) { return sent_[id]; }
  /// Different chunks that the source has sent.
  [[nodiscard]] std::size_t out() const { return out_.size(); }

 private:
  struct Fetcher {
    Transfer transfer;
    std::vector<Output> out;
  };

  void step(NodeId id, Fetcher& fetcher) {
    fetcher.transfer.next(
        now_, [](NodeId peer, const Need&) { return peer == source; },
        [](const Need&, const Path&) { return std::vector<Base>(); }, fetcher.out);
    while (!fetcher.out.empty()) {
      for (Output& output : std::exchange(fetcher.out, {})) {
        if (auto* send = std::get_if<Send>(&output)) {
          if (auto* get = std::get_if<Get>(&send->message)) {
            queues_[send->peer].emplace_back(id, *get);
          } else if (const auto to = fetchers_.find(send->peer); to != fetchers_.end()) {
            to->second.transfer.on_have(id, std::get<Have>(send->message), to->second.out);
          }
        } else if (auto* open = std::get_if<OpenStage>(&output)) {
          StageOpened opened{open->content};
          const std::size_t from = open->from / chunk_bytes;
          opened.from = open->from;
          opened.chunks = chunks(std::min(section_, count_ - from), from);
          opened.there.assign(opened.chunks.size(), false);
          std::ignore = fetcher.transfer.on(now_, std::move(opened), fetcher.out);
        } else if (auto* write = std::get_if<WriteBlock>(&output)) {
          const auto state = write->last ? StageState::complete : StageState::incomplete;
          std::ignore = fetcher.transfer.on(
              now_, StageWritten{write->content, write->offset, state}, fetcher.out);
          if (write->last) {
            complete_.insert(id);
          }
        }
      }
    }
  }

  void serve() {
    for (auto& [id, queue] : queues_) {
      const auto speed = speeds_.find(id);
      std::size_t left = speed == speeds_.end() ? 8 : speed->second;
      for (; left > 0 && !queue.empty(); --left, queue.pop_front()) {
        const auto& [asker, get] = queue.front();
        const auto to = fetchers_.find(asker);
        if (to == fetchers_.end()) {
          continue;
        }
        const auto own = fetchers_.find(id);
        const bool here = id == source || complete_.contains(id) ||
                          (own != fetchers_.end() && own->second.transfer.has(get));
        ++sent_[id];
        if (id == source) {
          out_.insert(get.offset);
        }
        static const Bytes bytes = Bytes::of(std::vector<std::uint8_t>(chunk_bytes));
        to->second.transfer.on_block(now_ + tick, id, {get.request, here ? bytes : nullptr},
                                     to->second.out);
      }
    }
  }

  std::size_t count_;
  std::size_t section_;
  Need need_;
  Instant now_{};
  std::map<NodeId, Fetcher> fetchers_;
  std::map<NodeId, std::deque<std::pair<NodeId, Get>>> queues_;
  std::map<NodeId, std::size_t> speeds_, sent_;
  std::set<std::uint64_t> out_;
  std::set<NodeId> complete_;
  std::size_t ticks_ = 0;
};

}  // namespace

TEST_CASE("swarm: the source sends each chunk little more than once, and the last has it soon") {
  Swarm swarm(7, 1024);
  REQUIRE(swarm.run(1000));
  const std::size_t ideal = 1024 / 8;
  CHECK(swarm.ticks() <= ideal * 5 / 4);
  CHECK(swarm.sent(source) <= 1024 * 5 / 4);
}

TEST_CASE("swarm: where a section ends little is lost") {
  // Of a quarter of the chunks that one has at least. Who is ready first with a section goes on
  // with the next, and for as long as it is alone there it shares with nobody.
  Swarm whole(7, 8192);
  REQUIRE(whole.run(3000));
  Swarm parted(7, 8192, 4096);
  REQUIRE(parted.run(3000));
  CHECK(parted.ticks() <= whole.ticks() * 11 / 10);
  CHECK(parted.sent(source) <= whole.sent(source) * 11 / 10);
}

TEST_CASE("swarm: who is a section behind gets it from those who are ahead") {
  Swarm swarm(3, 4096, 1024);
  REQUIRE(!swarm.run(320));
  const std::size_t before = swarm.sent(source);
  swarm.add(9);
  REQUIRE(swarm.run(5000));
  CHECK(swarm.sent(source) - before <= 4096);
}

TEST_CASE("swarm: alone with the source, each chunk is sent once") {
  Swarm swarm(1, 500);
  REQUIRE(swarm.run(1000));
  CHECK(swarm.sent(source) == 500);
  CHECK(swarm.ticks() <= 70);
}

TEST_CASE("swarm: one that is slow, or dies, or lies keeps the others from nothing") {
  Swarm swarm(4, 256);
  SUBCASE("slow") {
    swarm.set_speed(3, 0);
  }
  SUBCASE("dies, and the others know") {
    REQUIRE(!swarm.run(12));
    swarm.stop(3, true);
  }
  SUBCASE("dies without a word") {
    REQUIRE(!swarm.run(12));
    swarm.stop(3, false);
  }
  SUBCASE("lies") {
    REQUIRE(!swarm.run(2));
    swarm.lie(9);
    swarm.set_speed(9, 100);
  }
  CHECK(swarm.run(800));
}

TEST_CASE("swarm: the last chunks come from fellows when the source is gone") {
  Swarm swarm(3, 128);
  std::size_t ticks = 0;
  while (swarm.out() < 128 && ++ticks < 100) {
    REQUIRE(!swarm.run(1));
  }
  swarm.set_speed(source, 0);
  CHECK(swarm.run(3000));
}

TEST_CASE("swarm: who comes late gets most of it from the others") {
  Swarm swarm(3, 512);
  REQUIRE(!swarm.run(40));
  const std::size_t before = swarm.sent(source);
  swarm.add(9);
  REQUIRE(swarm.run(1000));
  CHECK(swarm.sent(source) - before <= 512);
}

TEST_CASE("swarm: a node's own share first, then backwards, then what fellows have too") {
  Pieces pieces(chunks(6));
  pieces.share(1, 3);
  pieces.has(7, std::vector<ChunkRange>{{0, 1}, {3, 4}, {5, 900}});
  std::vector<std::size_t> order;
  while (const auto piece = pieces.next_of_whole(true)) {
    order.push_back(*piece);
    pieces.set(*piece, Pieces::State::asked);
  }
  CHECK(order == std::vector<std::size_t>{2, 1, 4, 3, 5, 0});
}

TEST_CASE("swarm: what only a node had that is gone is asked of the source again") {
  Pieces pieces(chunks(3));
  pieces.has(7, std::vector<ChunkRange>{{0, 3}});
  CHECK(!pieces.next_of_whole(false));
  CHECK(pieces.next_of(7) == 0);
  pieces.has_not(7, 1);
  CHECK(pieces.next_of_whole(false) == 1);
  pieces.forget(7);
  CHECK(pieces.next_of_whole(false) == 0);
  CHECK(!pieces.next_of(7));
}

TEST_CASE("swarm: of what a fellow has the rarest comes first, and nothing that is here") {
  Pieces pieces(chunks(4));
  pieces.has(7, std::vector<ChunkRange>{{0, 4}});
  pieces.has(8, std::vector<ChunkRange>{{0, 1}, {2, 3}});
  pieces.set(1, Pieces::State::asked);
  CHECK(pieces.next_of(7) == 3);
  pieces.set(3, Pieces::State::written);
  CHECK(pieces.take_news() == std::vector<ChunkRange>{{3, 4}});
  CHECK(pieces.take_news().empty());
  pieces.set(1, Pieces::State::missing);
  CHECK(pieces.next_of(7) == 1);
  CHECK(pieces.written() == std::vector<ChunkRange>{{3, 4}});
}
