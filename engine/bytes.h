#pragma once
// A file's bytes on their way between the rooms: shared, never changed, never copied.
//
//   Bytes read = Bytes::of(std::move(vector));      // or a part of something larger:
//   Bytes block(frame, body.subspan(20, 4096));     // keeps the whole frame
//   if (read != nullptr) { write(*read); }
//
// A value of four words; null when default-constructed, and what is null has no bytes to look at.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace p2psync::engine {

class Bytes {
 public:
  Bytes() = default;
  Bytes(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): as a pointer's
  /// `bytes` are the owner's, or empty.
  Bytes(std::shared_ptr<const void> owner, std::span<const std::uint8_t> bytes)
      : owner_(std::move(owner)), bytes_(bytes) {}
  [[nodiscard]] static Bytes of(std::vector<std::uint8_t> bytes) {
    auto owner = std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes));
    const std::span<const std::uint8_t> all(*owner);
    return {std::move(owner), all};
  }

  explicit operator bool() const { return owner_ != nullptr; }
  [[nodiscard]] const std::span<const std::uint8_t>& operator*() const { return *operator->(); }
  [[nodiscard]] const std::span<const std::uint8_t>* operator->() const {
    invariant(owner_ != nullptr, "there are bytes");
    return &bytes_;
  }
  friend bool operator==(const Bytes& bytes, std::nullptr_t) { return bytes.owner_ == nullptr; }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::uint8_t> bytes_;
};

/// Memory that is yet to be written, for one who does it at once: zeroing it first would take as
/// long as a copy. It begins half a page behind where an allocator puts it: TLS copies from and to
/// it, its own memory begins at a page as large blocks do, and a copy whose target lies a few bytes
/// ahead of its source modulo 4,096 can take twenty times as long (net/tls_lanes.h).
[[nodiscard]] inline std::shared_ptr<std::uint8_t[]> uninitialised_bytes(std::size_t count) {
  constexpr std::size_t half_page_bytes = 2048;
  auto memory = std::make_shared_for_overwrite<std::uint8_t[]>(half_page_bytes + count);
  std::uint8_t* const begin = memory.get() + half_page_bytes;
  return {std::move(memory), begin};
}

}  // namespace p2psync::engine
