#pragma once
// What a node says of itself on the LAN: one UDP datagram of 24 bytes.
//
//   magic    4 bytes   70 32 70 73, "p2ps"
//   version  1 byte    1
//   flags    1 byte    bit 0: it asks, so whoever hears it says where it is too; the others are 0
//   port     2 bytes   big endian, not 0: where it takes connections, by TCP
//   member   16 bytes  which member of which cluster: the first 16 bytes of the SHA-256 of
//                      "p2psync lan 1", 00, the cluster's name, 00, the key's id as 32 bytes
// Example: it asks, port 7744 (1e 40), the member being aa aa … aa:
//   70 32 70 73  01  01  1e 40  aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa
//
// The host is the datagram's source. Whoever is no member of the cluster learns from it that
// p2psync runs there, and neither a name nor a key; other clusters' announcements are no member's.
// Nothing in it is proven: it says where to dial, and there the key decides (tls.h).
//
// Decoding trusts nothing and never throws: `corrupt`, with the reason. No I/O in here.
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/error.h"
#include "net/tls.h"

namespace p2psync::net {

using MemberTag = std::array<std::uint8_t, 16>;

/// Cost: one SHA-256.
[[nodiscard]] MemberTag member_tag(std::string_view cluster, const KeyId& key);

struct Announcement {
  bool asks = false;
  std::uint16_t port = 0;
  MemberTag member{};
  bool operator==(const Announcement&) const = default;
};

inline constexpr std::size_t announcement_bytes = 24;

[[nodiscard]] std::array<std::uint8_t, announcement_bytes> encode_announcement(
    const Announcement& announcement);
[[nodiscard]] Result<Announcement> decode_announcement(std::span<const std::uint8_t> datagram);

}  // namespace p2psync::net
