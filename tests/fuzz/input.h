#pragma once
// Takes a fuzzer's bytes apart, and the checks that the targets share.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include "engine/codec.h"

namespace p2psync::fuzz {

using View = std::span<const std::uint8_t>;

/// What must hold for every input: the fuzzer keeps the one for which it does not.
inline void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
  }
}

/// The first byte, which is taken away; 0 if there is none.
inline std::uint8_t take_byte(View& bytes) {
  if (bytes.empty()) {
    return 0;
  }
  const std::uint8_t first = bytes.front();
  bytes = bytes.subspan(1);
  return first;
}

inline View take(View& bytes, std::size_t count) {
  const View first = bytes.first(count < bytes.size() ? count : bytes.size());
  bytes = bytes.subspan(first.size());
  return first;
}

inline std::string_view text(View bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What decodes, encodes to the same bytes: nothing has two forms, and nothing is lost.
template <engine::Encodable T>
void there_and_back(View bytes) {
  const auto value = engine::decode<T>(bytes);
  if (value) {
    const auto again = engine::encode(*value);
    require(
        View(again).size() == bytes.size() && std::equal(again.begin(), again.end(), bytes.begin()),
        "what was decoded encodes to the bytes it came from");
  } else {
    require(value.error().code == ErrorCode::corrupt, "what cannot be decoded is corrupt");
  }
}

}  // namespace p2psync::fuzz
