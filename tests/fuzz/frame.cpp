// A stream of bytes, cut into frames: the same at every split, and never above a limit.
//
// First byte: bit 0 greeted, bit 1 a run of zeros behind all the rest, as large frames have; the
// others how much comes at once.
#include <algorithm>
#include <optional>
#include <vector>

#include "net/frame.h"
#include "tests/fuzz/input.h"

namespace p2psync::fuzz {
namespace {

struct Cut {
  std::vector<std::pair<net::FrameKind, std::vector<std::uint8_t>>> frames;
  bool refused = false;
  bool operator==(const Cut&) const = default;
};

/// A frame that has an owner, and which of all it was.
struct Kept {
  net::Frame frame;
  std::size_t number;
};

Cut cut(View bytes, std::size_t at_once, bool greeted) {
  std::optional<net::FrameReader> life(std::in_place);
  net::FrameReader& reader = *life;
  if (greeted) {
    reader.greeted();
  }
  Cut cut;
  std::vector<Kept> kept;
  while (!bytes.empty() && !cut.refused) {
    const std::span<std::uint8_t> space = reader.space();
    require(space.size() >= net::FrameReader::read_bytes_min, "there is room to read into");
    const View some = take(bytes, std::min(at_once, space.size()));
    std::copy(some.begin(), some.end(), space.begin());
    reader.filled(some.size());
    for (bool more = true; more;) {
      const auto frame = reader.next();
      cut.refused = !frame.has_value();
      require(!cut.refused || !reader.next().has_value(), "after an error nothing more comes");
      more = frame && *frame;
      if (more) {
        const auto& [kind, body, owner] = **frame;
        require(body.size() <= net::body_bytes_max(static_cast<std::uint8_t>(kind)),
                "a frame keeps the limit of its kind");
        require(greeted || body.size() <= net::before_hello_bytes_max,
                "who was not greeted says little");
        if (owner != nullptr) {
          kept.push_back({**frame, cut.frames.size()});
        }
        cut.frames.emplace_back(kind, std::vector(body.begin(), body.end()));
      }
    }
  }
  life.reset();
  for (const auto& [frame, number] : kept) {
    require(std::ranges::equal(frame.body, cut.frames[number].second), "an owner keeps its bytes");
  }
  return cut;
}

}  // namespace
}  // namespace p2psync::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync::fuzz;
  namespace net = p2psync::net;
  constexpr std::size_t zeros = 400'000;  // more than what a reader keeps room for
  View bytes(data, size);
  const std::uint8_t how = take_byte(bytes);
  const bool greeted = (how & 1) != 0;
  std::size_t at_once = 1U + (how >> 2);
  std::vector<std::uint8_t> longer;
  if ((how & 2) != 0) {
    longer.assign(bytes.begin(), bytes.end());
    longer.resize(longer.size() + zeros);
    bytes = longer;
    at_once *= 1024;
  }
  const Cut whole = cut(bytes, SIZE_MAX, greeted);
  require(cut(bytes, at_once, greeted) == whole, "a stream is cut the same at every split");
  for (const auto& [kind, body] : whole.frames) {
    require(net::frame_within_limit(net::make_frame(kind, body)), "a frame that came may be sent");
  }
  return 0;
}
