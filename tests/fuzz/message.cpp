// One message of a peer, as it comes out of a frame. First byte: the frame's kind.
#include <algorithm>

#include "net/wire.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  fuzz::View bytes(data, size);
  const auto kind = static_cast<net::FrameKind>(fuzz::take_byte(bytes));
  std::ignore = net::protocol_of(bytes);
  const auto message = net::decode_message(net::Frame{kind, bytes});
  if (!message) {
    fuzz::require(message.error().code == ErrorCode::corrupt, "what cannot be decoded is corrupt");
    return 0;
  }
  fuzz::require(net::kind_of(*message) == kind, "a message is of the kind that its frame names");
  const auto frame = net::encode_message(*message);
  const fuzz::View body = fuzz::View(frame).subspan(net::header_bytes);
  fuzz::require(std::ranges::equal(body, bytes), "what was decoded encodes to what came");
  const net::OutFrame parts = net::frame_of(*message);
  fuzz::require(parts.size() == frame.size() &&
                    std::ranges::equal(parts.head, fuzz::View(frame).first(parts.head.size())) &&
                    (!parts.tail ||
                     std::ranges::equal(*parts.tail, fuzz::View(frame).subspan(parts.head.size()))),
                "in two parts it is the same frame");
  if (const auto* hello = std::get_if<engine::Hello>(&*message)) {
    fuzz::require(net::protocol_of(bytes) == hello->protocol, "a hello's protocol is known");
  }
  const auto whole = net::decode_message(frame);
  fuzz::require(whole && net::encode_message(*whole) == frame, "the whole frame says the same");
  fuzz::require(!net::decode_message(fuzz::View(frame).first(frame.size() - 1)),
                "half of it nothing");
  return 0;
}
