// A stream of bytes, cut into frames: the same at every split, and never above a limit.
//
// First byte: bit 0 greeted, the rest how much comes at once.
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

Cut cut(View bytes, std::size_t at_once, bool greeted) {
  net::FrameReader reader;
  if (greeted) {
    reader.greeted();
  }
  Cut cut;
  while (!bytes.empty() && !cut.refused) {
    const std::span<std::uint8_t> space = reader.space();
    require(space.size() >= net::FrameReader::read_bytes_min, "there is room to read into");
    const View some = take(bytes, std::min(at_once, space.size()));
    std::copy(some.begin(), some.end(), space.begin());
    reader.filled(some.size());
    for (bool more = true; more;) {
      const auto frame = reader.next();
      cut.refused = !frame.has_value();
      more = frame && *frame;
      if (more) {
        const auto& [kind, body] = **frame;
        require(body.size() <= net::body_bytes_max(static_cast<std::uint8_t>(kind)),
                "a frame keeps the limit of its kind");
        require(greeted || body.size() <= net::before_hello_bytes_max,
                "who was not greeted says little");
        cut.frames.emplace_back(kind, std::vector(body.begin(), body.end()));
      }
    }
  }
  return cut;
}

}  // namespace
}  // namespace p2psync::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync::fuzz;
  View bytes(data, size);
  const std::uint8_t how = take_byte(bytes);
  const bool greeted = (how & 1) != 0;
  const Cut whole = cut(bytes, SIZE_MAX, greeted);
  require(cut(bytes, 1U + (how >> 1), greeted) == whole, "a stream is cut the same at every split");
  return 0;
}
