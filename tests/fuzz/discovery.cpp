// Announcements, which anybody on the LAN may send: what decodes has one form.
#include <algorithm>

#include "net/announcement.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  const fuzz::View bytes(data, size);
  const auto read = net::decode_announcement(bytes);
  if (read) {
    const auto again = net::encode_announcement(*read);
    fuzz::require(std::ranges::equal(again, bytes),
                  "what was decoded encodes to the bytes it came from");
    fuzz::require(read->port != 0, "there is a port to dial");
    static const net::MemberTag member = net::member_tag("demo", net::KeyId{});
    fuzz::require((read->member == member) == std::ranges::equal(bytes.last(member.size()), member),
                  "it speaks of the member whose tag it has");
  } else {
    fuzz::require(read.error().code == ErrorCode::corrupt, "what cannot be decoded is corrupt");
  }
  return 0;
}
