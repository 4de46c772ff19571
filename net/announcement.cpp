#include "net/announcement.h"

#include <openssl/evp.h>

#include <algorithm>
#include <string>

namespace p2psync::net {
namespace {

constexpr std::array<std::uint8_t, 4> magic{'p', '2', 'p', 's'};
constexpr std::uint8_t version = 1;
constexpr std::uint8_t asks_bit = 1;
constexpr std::size_t member_at = 8;
constexpr std::string_view domain = "p2psync lan 1";

}  // namespace

MemberTag member_tag(std::string_view cluster, const KeyId& key) {
  std::string text(domain);
  text += '\0';
  text += cluster;
  text += '\0';
  text.append(key.bytes.begin(), key.bytes.end());
  std::array<std::uint8_t, 32> hash{};
  const int hashed =
      EVP_Digest(text.data(), text.size(), hash.data(), nullptr, EVP_sha256(), nullptr);
  invariant(hashed == 1, "SHA-256 works");
  MemberTag tag;
  std::copy_n(hash.begin(), tag.size(), tag.begin());
  return tag;
}

std::array<std::uint8_t, announcement_bytes> encode_announcement(const Announcement& announcement) {
  std::array<std::uint8_t, announcement_bytes> bytes{};
  std::ranges::copy(magic, bytes.begin());
  bytes[4] = version;
  bytes[5] = announcement.asks ? asks_bit : 0;
  bytes[6] = static_cast<std::uint8_t>(announcement.port >> 8U);
  bytes[7] = static_cast<std::uint8_t>(announcement.port);
  std::ranges::copy(announcement.member, bytes.begin() + member_at);
  return bytes;
}

Result<Announcement> decode_announcement(std::span<const std::uint8_t> datagram) {
  const auto refused = [](const char* why) {
    return std::unexpected(Error{ErrorCode::corrupt, "decode announcement", why});
  };
  if (datagram.size() != announcement_bytes ||
      !std::equal(magic.begin(), magic.end(), datagram.begin())) {
    return refused("that is none");
  }
  if (datagram[4] != version) {
    return refused("of another version");
  }
  if ((datagram[5] & ~asks_bit) != 0) {
    return refused("unknown flags");
  }
  Announcement announcement;
  announcement.asks = datagram[5] == asks_bit;
  announcement.port = static_cast<std::uint16_t>(datagram[6] << 8U | datagram[7]);
  if (announcement.port == 0) {
    return refused("without a port");
  }
  std::ranges::copy(datagram.subspan(member_at), announcement.member.begin());
  return announcement;
}

}  // namespace p2psync::net
