#include "net/wire.h"

#include <algorithm>
#include <concepts>
#include <string>
#include <utility>

#include "engine/codec.h"

namespace p2psync::net {
namespace {

/// A Message alternative without a number does not compile.
template <class T>
consteval FrameKind number_of() {
  using namespace engine;
  if constexpr (std::same_as<T, Hello>) {
    return FrameKind::hello;
  } else if constexpr (std::same_as<T, Tick>) {
    return FrameKind::tick;
  } else if constexpr (std::same_as<T, Vectors>) {
    return FrameKind::vectors;
  } else if constexpr (std::same_as<T, Entries>) {
    return FrameKind::entries;
  } else if constexpr (std::same_as<T, Ranges>) {
    return FrameKind::ranges;
  } else if constexpr (std::same_as<T, Held>) {
    return FrameKind::held;
  } else if constexpr (std::same_as<T, Get>) {
    return FrameKind::get;
  } else if constexpr (std::same_as<T, Block>) {
    return FrameKind::block;
  } else if constexpr (std::same_as<T, Have>) {
    return FrameKind::have;
  } else {
    static_assert(std::same_as<T, Taken>, "a message needs a frame kind");
    return FrameKind::taken;
  }
}

template <class T>
bool decode_as(const Frame& frame, Result<engine::Message>& message) {
  if (frame.kind != number_of<T>()) {
    return false;
  }
  auto value = engine::decode<T>(frame.body, frame.owner);
  if (value) {
    message = std::move(*value);
  } else {
    message = std::unexpected(std::move(value.error()));
  }
  return true;
}

template <class... Those>
Result<engine::Message> decode_any(const Frame& frame, const std::variant<Those...>*) {
  Result<engine::Message> message;
  if (!(decode_as<Those>(frame, message) || ...)) {
    message =
        std::unexpected(Error{ErrorCode::corrupt, "decode message",
                              "of kind " + std::to_string(static_cast<unsigned>(frame.kind))});
  }
  return message;
}

}  // namespace

FrameKind kind_of(const engine::Message& message) {
  return std::visit([]<class T>(const T&) { return number_of<T>(); }, message);
}

std::vector<std::uint8_t> encode_message(const engine::Message& message) {
  return std::visit(
      []<class T>(const T& value) {
        std::vector<std::uint8_t> frame = engine::encode(value, header_bytes);
        std::ranges::copy(frame_header(number_of<T>(), frame.size() - header_bytes), frame.begin());
        if (frame.capacity() - frame.size() > frame.size() / 8) {
          frame.shrink_to_fit();  // it may wait for long, among many, and only its size is counted
        }
        return frame;
      },
      message);
}

OutFrame frame_of(const engine::Message& message) {
  const auto* const block = std::get_if<engine::Block>(&message);
  if (block == nullptr || !block->bytes || block->bytes->size() <= copied_bytes_max) {
    return {encode_message(message)};
  }
  OutFrame frame{engine::encode_before_bytes(*block, header_bytes), block->bytes};
  std::ranges::copy(frame_header(FrameKind::block, frame.size() - header_bytes),
                    frame.head.begin());
  return frame;
}

Result<engine::Message> decode_message(const Frame& frame) {
  return decode_any(frame, static_cast<const engine::Message*>(nullptr));
}

std::optional<std::uint64_t> protocol_of(std::span<const std::uint8_t> hello_body) {
  // As the codec writes numbers: seven bits a byte, the low ones first, and a bit for more.
  std::uint64_t number = 0;
  for (unsigned i = 0; i < hello_body.size() && i < sizeof(std::uint32_t) + 1; ++i) {
    number |= std::uint64_t{hello_body[i] & 0x7fU} << (7 * i);
    if (hello_body[i] < 0x80) {
      return number;
    }
  }
  return std::nullopt;
}

Result<engine::Message> decode_message(std::span<const std::uint8_t> frame) {
  if (!frame_within_limit(frame)) {
    return std::unexpected(Error{ErrorCode::corrupt, "decode message", "that is not one frame"});
  }
  return decode_message(
      Frame{static_cast<FrameKind>(frame[4]), frame.subspan(header_bytes), nullptr});
}

}  // namespace p2psync::net
