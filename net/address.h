#pragma once
// "host:port" as it stands in the configuration. The host is a name, an IPv4 address, or an IPv6
// address in brackets: "[::1]:7744". No look-up in here.
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/error.h"

namespace p2psync::net {

struct Address {
  std::string host;  ///< without brackets; "" only with HostPart::optional
  std::uint16_t port = 0;

  [[nodiscard]] std::string text() const;
  bool operator==(const Address&) const = default;
};

enum class HostPart : std::uint8_t { required, optional };

/// `invalid` unless there is a host (where it is required) and a port from 0 to 65535.
[[nodiscard]] Result<Address> parse_address(std::string_view text,
                                            HostPart host = HostPart::required);

}  // namespace p2psync::net
