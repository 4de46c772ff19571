#include "net/frame.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "engine/codec.h"
#include "net/wire.h"
#include "tests/unit/net_messages.h"

namespace p2psync::net {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Whole {
  FrameKind kind;
  Bytes body;
  bool operator==(const Whole&) const = default;
};

void feed(FrameReader& reader, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto space = reader.space();
    const std::size_t count = std::min(space.size(), bytes.size());
    std::copy_n(bytes.begin(), count, space.begin());
    reader.filled(count);
    bytes = bytes.subspan(count);
  }
}

/// Everything that is complete; an error ends the test unless `refused` is given.
std::vector<Whole> drain(FrameReader& reader, bool* refused = nullptr) {
  std::vector<Whole> frames;
  while (true) {
    const auto frame = reader.next();
    if (!frame) {
      REQUIRE(refused != nullptr);
      *refused = true;
      return frames;
    }
    if (!*frame) {
      return frames;
    }
    frames.push_back({(**frame).kind, Bytes((**frame).body.begin(), (**frame).body.end())});
  }
}

Bytes header(std::uint8_t kind, std::size_t length) {
  auto bytes = frame_header(static_cast<FrameKind>(kind), length);
  return {bytes.begin(), bytes.end()};
}

TEST_CASE("frame: the example of the header") {
  const Bytes body{1, 2, 3};
  CHECK(make_frame(FrameKind::get, body) == Bytes{0, 0, 0, 3, 7, 1, 2, 3});
}

TEST_CASE("frame: a stream is cut the same at every split") {
  Bytes stream;
  std::vector<Whole> expected;
  for (const auto& message : one_of_every_message()) {
    const Bytes frame = encode_message(message);
    expected.push_back({kind_of(message), Bytes(frame.begin() + header_bytes, frame.end())});
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    FrameReader reader;
    feed(reader, std::span(stream).first(first));
    auto frames = drain(reader);
    feed(reader, std::span(stream).subspan(first));
    const auto rest = drain(reader);
    frames.insert(frames.end(), rest.begin(), rest.end());
    REQUIRE(frames == expected);
  }
  FrameReader reader;
  std::vector<Whole> frames;
  for (const std::uint8_t byte : stream) {
    feed(reader, std::span(&byte, 1));
    const auto more = drain(reader);
    frames.insert(frames.end(), more.begin(), more.end());
  }
  CHECK(frames == expected);
}

TEST_CASE("frame: large and small ones at random splits") {
  std::mt19937 random(42);
  FrameReader reader;
  reader.greeted();
  Bytes stream;
  std::vector<Whole> expected;
  std::vector<Whole> frames;
  for (int round = 0; round < 200; ++round) {
    const bool block = random() % 3 == 0;
    const std::size_t most = block             ? block_body_bytes_max
                             : round % 50 == 0 ? control_bytes_max
                                               : 300;
    Bytes body(random() % (most + 1));
    std::iota(body.begin(), body.end(), static_cast<std::uint8_t>(random()));
    const FrameKind kind = block ? FrameKind::block : FrameKind::entries;
    const Bytes frame = make_frame(kind, body);
    stream.insert(stream.end(), frame.begin(), frame.end());
    expected.push_back({kind, std::move(body)});
  }
  std::span<const std::uint8_t> rest(stream);
  while (!rest.empty()) {
    const auto space = reader.space();
    CHECK(space.size() >= FrameReader::read_bytes_min);
    const std::size_t count = std::min({space.size(), rest.size(), 1 + random() % 40'000});
    std::copy_n(rest.begin(), count, space.begin());
    reader.filled(count);
    rest = rest.subspan(count);
    const auto more = drain(reader);
    frames.insert(frames.end(), more.begin(), more.end());
  }
  CHECK((frames == expected));
}

TEST_CASE("frame: a large one has memory of its own, and stays as long as that is kept") {
  FrameReader reader;
  reader.greeted();
  for (const std::size_t size : {FrameReader::read_bytes, FrameReader::read_bytes + 1}) {
    const bool large = size > FrameReader::read_bytes;
    Bytes body(size - header_bytes);
    std::iota(body.begin(), body.end(), std::uint8_t{1});
    Bytes stream = make_frame(FrameKind::entries, body);
    const Bytes behind = make_frame(FrameKind::tick, Bytes{1, 2, 3});
    stream.insert(stream.end(), behind.begin(), behind.end());
    std::vector<Frame> kept;
    for (std::span<const std::uint8_t> rest(stream); !rest.empty();) {
      const auto space = reader.space();
      const std::size_t count = std::min({space.size(), rest.size(), std::size_t{5000}});
      std::copy_n(rest.begin(), count, space.begin());
      reader.filled(count);
      rest = rest.subspan(count);
      while (const auto frame = reader.next().value()) {
        kept.push_back(*frame);
      }
    }
    REQUIRE(kept.size() == 2);
    CHECK((kept[0].owner != nullptr) == large);
    CHECK(std::ranges::equal(kept[1].body, Bytes{1, 2, 3}));
    if (large) {
      CHECK(kept[0].owner.use_count() == 1);  // the reader has let go of it
      const auto space = reader.space();
      std::ranges::fill(space, std::uint8_t{0});
      CHECK(std::ranges::equal(kept[0].body, body));
    }
  }
}

TEST_CASE("frame: a large one beside others, cut wherever one of them begins or ends") {
  constexpr std::size_t most = FrameReader::read_bytes;
  for (const std::size_t size : {most - 1, most, most + 1, most + FrameReader::read_bytes_min,
                                 block_body_bytes_max, control_bytes_max}) {
    Bytes stream;
    std::vector<Whole> expected;
    std::vector<std::size_t> borders;
    for (const std::size_t body_bytes :
         {std::size_t{1}, size - header_bytes, std::size_t{0}, most}) {
      Bytes body(body_bytes);
      std::iota(body.begin(), body.end(), static_cast<std::uint8_t>(borders.size()));
      const Bytes frame = make_frame(FrameKind::entries, body);
      borders.push_back(stream.size());
      stream.insert(stream.end(), frame.begin(), frame.end());
      expected.push_back({FrameKind::entries, std::move(body)});
    }
    borders.push_back(stream.size());
    stream.insert(stream.end(), 6, 0xff);  // no header
    for (const std::size_t border : borders) {
      for (std::size_t cut = std::max<std::size_t>(border, 6) - 6; cut < border + 6; ++cut) {
        FrameReader reader;
        reader.greeted();
        std::vector<Whole> frames;
        bool refused = false;
        for (std::size_t at = 0; at < stream.size() && !refused;) {
          const auto space = reader.space();
          std::ranges::fill(space, std::uint8_t{0xaa});
          const std::size_t end = at < cut ? cut : stream.size();
          const std::size_t count = std::min(space.size(), end - at);
          std::copy_n(stream.begin() + static_cast<std::ptrdiff_t>(at), count, space.begin());
          reader.filled(count);
          at += count;
          const auto more = drain(reader, &refused);
          frames.insert(frames.end(), more.begin(), more.end());
        }
        CHECK((frames == expected));
        CHECK(refused);
        CHECK_FALSE(reader.next().has_value());  // and for good
      }
    }
  }
}

TEST_CASE("wire: a large block is a part of its frame, a small one a copy") {
  for (const std::size_t size : {std::size_t{100}, std::size_t{engine::block_bytes}}) {
    FrameReader reader;
    reader.greeted();
    Bytes bytes(size);
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{1});
    const Bytes frame = encode_message(engine::Block{7, engine::Bytes::of(Bytes(bytes))});
    std::optional<Frame> whole;
    for (const std::uint8_t byte : frame) {
      CHECK_FALSE(whole.has_value());
      feed(reader, std::span(&byte, 1));
      whole = reader.next().value();
    }
    REQUIRE(whole.has_value());
    const bool large = whole->owner != nullptr;
    CHECK(large == (size > 100));
    const auto message = decode_message(*whole);
    REQUIRE(message.has_value());
    const engine::Bytes& got = std::get<engine::Block>(*message).bytes;
    CHECK((got->data() >= whole->body.data() &&
           got->data() < whole->body.data() + whole->body.size()) == large);
    whole.reset();
    std::ranges::fill(reader.space(), std::uint8_t{0});
    CHECK(std::ranges::equal(*got, bytes));
  }
}

TEST_CASE("frame: each kind has its limit, judged by the header alone") {
  for (int number = 0; number < 256; ++number) {
    const auto kind = static_cast<std::uint8_t>(number);
    const auto limit = body_bytes_max(kind);
    CAPTURE(number);
    if (!limit) {
      FrameReader reader;
      reader.greeted();
      feed(reader, header(kind, 0));
      CHECK_FALSE(reader.next().has_value());
      continue;
    }
    const auto taken = [&](std::size_t length, bool greeted) {
      FrameReader reader;
      if (greeted) {
        reader.greeted();
      }
      feed(reader, header(kind, length));
      const bool good = reader.next().has_value();
      CHECK(reader.next().has_value() == good);  // an error stays one
      return good;
    };
    CHECK(taken(*limit, true));
    CHECK_FALSE(taken(*limit + 1, true));
    CHECK_FALSE(taken(UINT32_MAX, true));
    CHECK(taken(std::min(*limit, before_hello_bytes_max), false));
    CHECK_FALSE(taken(std::min(*limit, before_hello_bytes_max) + 1, false));
  }
}

TEST_CASE("frame: a header that promises much allocates nothing for it until bytes come") {
  FrameReader reader;
  reader.greeted();
  feed(reader, header(static_cast<std::uint8_t>(FrameKind::entries), control_bytes_max));
  CHECK_FALSE(reader.next()->has_value());
  CHECK(reader.space().size() <= control_bytes_max + FrameReader::read_bytes);
}

TEST_CASE("wire: every message comes back as it was") {
  for (const auto& message : one_of_every_message()) {
    const Bytes frame = encode_message(message);
    CAPTURE(static_cast<int>(frame[4]));
    CHECK(frame_within_limit(frame));
    const auto back = decode_message(frame);
    REQUIRE(back.has_value());
    CHECK(back->index() == message.index());
    CHECK(encode_message(*back) == frame);
  }
}

TEST_CASE("wire: a frame kind says which message it is, and no two share one") {
  std::vector<int> kinds;
  for (const auto& message : one_of_every_message()) {
    kinds.push_back(static_cast<int>(kind_of(message)));
  }
  CHECK(kinds.size() == std::variant_size_v<engine::Message>);
  CHECK(kinds == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
}

TEST_CASE("wire: truncated, extended and flipped frames are refused or are another message") {
  for (const auto& message : one_of_every_message()) {
    const Bytes frame = encode_message(message);
    CAPTURE(static_cast<int>(frame[4]));
    for (std::size_t length = 0; length < frame.size(); ++length) {
      const auto part = std::span(frame).first(length);
      CHECK_FALSE(decode_message(part).has_value());
      if (length >= header_bytes) {
        CHECK_FALSE(
            decode_message(Frame{kind_of(message), part.subspan(header_bytes)}).has_value());
      }
    }
    Bytes longer = frame;
    longer.push_back(0);
    CHECK_FALSE(decode_message(longer).has_value());
    CHECK_FALSE(decode_message(Frame{kind_of(message), std::span(longer).subspan(header_bytes)})
                    .has_value());

    for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
      Bytes flipped = frame;
      flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
      const auto other = decode_message(flipped);
      if (other) {
        CHECK(encode_message(*other) == flipped);  // exactly one encoding of anything
      }
      // As it would come from a connection, before and after Hello.
      FrameReader reader;
      if (bit % 2 == 0) {
        reader.greeted();
      }
      feed(reader, flipped);
      bool refused = false;
      for (const auto& part : drain(reader, &refused)) {
        (void)decode_message(Frame{part.kind, part.body});
      }
    }
  }
}

TEST_CASE("wire: the transport's own kinds are no messages") {
  for (const FrameKind kind :
       {FrameKind::ready, FrameKind::welcome, FrameKind::beat, FrameKind::paused}) {
    CHECK_FALSE(decode_message(Frame{kind, {}}).has_value());
  }
}

TEST_CASE("wire: a tick is at most 256 bytes, with every number at its largest") {
  const engine::Fingerprint most{UINT64_MAX, UINT64_MAX};
  const Bytes frame = encode_message(engine::Tick{most, UINT64_MAX, most, true, true, UINT64_MAX});
  CHECK(frame.size() <= tick_frame_bytes_max);
  CHECK(frame_within_limit(frame));
}

TEST_CASE("wire: a full block fits, one that is too large is not sent") {
  engine::Block block{UINT64_MAX, engine::Bytes::of(Bytes(engine::block_bytes))};
  CHECK(frame_within_limit(encode_message(block)));
  CHECK(frame_within_limit(frame_of(block)));
  block.bytes = engine::Bytes::of(Bytes(engine::block_bytes + 64));
  CHECK_FALSE(frame_within_limit(encode_message(block)));
  CHECK_FALSE(frame_within_limit(frame_of(block)));
}

TEST_CASE("wire: a frame in two parts is the same frame, and a large block in it no copy") {
  std::vector<engine::Message> messages = one_of_every_message();
  for (const std::size_t size :
       {std::size_t{0}, copied_bytes_max, copied_bytes_max + 1, std::size_t{engine::block_bytes}}) {
    for (const std::uint64_t request : {std::uint64_t{0}, UINT64_MAX}) {
      messages.emplace_back(engine::Block{request, engine::Bytes::of(Bytes(size, 7))});
    }
  }
  messages.emplace_back(engine::Block{1, nullptr});
  for (const engine::Message& message : messages) {
    const OutFrame frame = frame_of(message);
    Bytes whole = frame.head;
    if (frame.tail) {
      CHECK(frame.tail->data() == std::get<engine::Block>(message).bytes->data());
      whole.insert(whole.end(), frame.tail->begin(), frame.tail->end());
    }
    CHECK(frame.size() == whole.size());
    CHECK(whole == encode_message(message));
    const auto* const block = std::get_if<engine::Block>(&message);
    CHECK((frame.tail != nullptr) ==
          (block != nullptr && block->bytes && block->bytes->size() > copied_bytes_max));
  }
}

}  // namespace
}  // namespace p2psync::net
