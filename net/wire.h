#pragma once
// Messages as frames. The kinds have numbers of their own, so the order of Message's alternatives
// means nothing on the wire; the bodies are engine/codec.h's. No I/O in here: the simulator sends
// these bytes too.
//
// Decoding trusts nothing and never throws: `corrupt`, with the reason. Cost: linear.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/error.h"
#include "engine/message.h"
#include "net/frame.h"

namespace p2psync::net {

[[nodiscard]] FrameKind kind_of(const engine::Message& message);

/// The whole frame. It may be beyond its kind's limit if the message is: `frame_within_limit`.
[[nodiscard]] std::vector<std::uint8_t> encode_message(const engine::Message& message);

/// The same bytes, without a copy of a block of more than copied_bytes_max.
[[nodiscard]] OutFrame frame_of(const engine::Message& message);

/// Of what FrameReader gave. Bytes in the message may be a part of the frame, and keep it.
[[nodiscard]] Result<engine::Message> decode_message(const Frame& frame);
/// Which protocol a hello is of. This much of it stays as it is in all of them.
[[nodiscard]] std::optional<std::uint64_t> protocol_of(std::span<const std::uint8_t> hello_body);
/// Of exactly one whole frame, judged as by a FrameReader that was greeted.
[[nodiscard]] Result<engine::Message> decode_message(std::span<const std::uint8_t> frame);

}  // namespace p2psync::net
