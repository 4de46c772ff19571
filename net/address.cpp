#include "net/address.h"

#include <charconv>

namespace p2psync::net {

std::string Address::text() const {
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

Result<Address> parse_address(std::string_view text, HostPart host_part) {
  const auto refused =
      std::unexpected(Error{ErrorCode::invalid, "read address", std::string(text)});
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return refused;
  }
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    return refused;  // an IPv6 address without brackets: where does it end?
  }
  if (host.find('\0') != std::string_view::npos ||
      (host.empty() && (host_part == HostPart::required || colon != 0))) {
    return refused;
  }
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) {
    return refused;
  }
  return Address{std::string(host), port};
}

}  // namespace p2psync::net
