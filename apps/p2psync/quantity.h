#pragma once
// Durations, sizes, shares and addresses as people write them in the configuration.
//
// A duration is a number and ms, s, m, h or d; a size a number and B, KiB, MiB, GiB or TiB, or a
// plain number of bytes. Numbers are decimal, not negative, with at most nine digits after a point
// ("1.5s"); what does not fit 63 bits is refused. Pure functions; the error is what to tell a
// person, to be read after the key: "must be a duration such as \"10s\"".
#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace p2psync::app {

template <class T>
using Parsed = std::expected<T, std::string>;

/// A duration; "0" alone needs no unit.
[[nodiscard]] Parsed<std::chrono::nanoseconds> parse_duration(std::string_view text);
[[nodiscard]] Parsed<std::uint64_t> parse_size(std::string_view text);
/// "1%" to "100%".
[[nodiscard]] Parsed<int> parse_share(std::string_view text);

/// A host name or IP address (IPv6 without its brackets) and a port from 1 to 65535.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  /// As it is written: HOST:PORT, an IPv6 host in brackets.
  [[nodiscard]] std::string text() const;
  bool operator==(const Address&) const = default;
};
[[nodiscard]] Parsed<Address> parse_address(std::string_view text);

/// "1 copy", "2 copies"; without `many` an "s" makes it.
[[nodiscard]] std::string counted(std::int64_t number, std::string_view one,
                                  std::string_view many = {});
/// "14 B", "3.2 MiB": a size for people.
[[nodiscard]] std::string size_text(std::uint64_t bytes);
/// "230 ms", "12 s", "3 h 5 m": a duration for people, at most two units.
[[nodiscard]] std::string duration_text(std::chrono::nanoseconds duration);

}  // namespace p2psync::app
