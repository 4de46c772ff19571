#pragma once
// Which messages tell nothing that must be on record first.
//
// Whoever asks for bytes, or gets them, learns of no event and builds upon nothing: after a crash
// the question is asked again, and bytes are what their hash says. So these need not wait for the
// index, and the bytes keep coming while it is written to. That something is not here is another
// matter: a peer may take its own version back for it.
//
// Nothing may pass the Hello of a connection.
#include "engine/message.h"

namespace p2psync::engine {

[[nodiscard]] inline bool needs_no_record(const Message& message) {
  const auto* block = std::get_if<Block>(&message);
  return std::holds_alternative<Get>(message) || (block != nullptr && block->bytes != nullptr);
}

}  // namespace p2psync::engine
