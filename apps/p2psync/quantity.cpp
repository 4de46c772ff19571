#include "apps/p2psync/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <utility>

namespace p2psync::app {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t worth;
};
constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::array<Unit, 5> duration_units{{{"ms", 1'000'000},
                                              {"s", second_ns},
                                              {"m", 60 * second_ns},
                                              {"h", 3600 * second_ns},
                                              {"d", 86400 * second_ns}}};
constexpr std::array<Unit, 6> size_units{{{"", 1},
                                          {"B", 1},
                                          {"KiB", std::int64_t{1} << 10},
                                          {"MiB", std::int64_t{1} << 20},
                                          {"GiB", std::int64_t{1} << 30},
                                          {"TiB", std::int64_t{1} << 40}}};
constexpr int fraction_digits_max = 9;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

enum class Fault : std::uint8_t { shape, range };

/// A number and one of the units, exactly (128-bit integers; what is below one unit of the result
/// is cut off).
std::expected<std::int64_t, Fault> parse_scaled(std::string_view text,
                                                std::span<const Unit> units) {
  using Wide = unsigned __int128;
  constexpr Wide limit = static_cast<Wide>(std::numeric_limits<std::int64_t>::max());
  std::size_t at = 0;
  Wide number = 0;
  Wide divisor = 1;
  const auto digits = [&](bool fraction) {
    const std::size_t begin = at;
    for (; at < text.size() && is_digit(text[at]); ++at) {
      number = std::min(number * 10 + static_cast<Wide>(text[at] - '0'), limit * 1'000'000'000);
      divisor *= fraction ? 10 : 1;
      if (fraction && at - begin >= fraction_digits_max) {
        return false;
      }
    }
    return at > begin;
  };
  if (!digits(false)) {
    return std::unexpected(Fault::shape);
  }
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (!digits(true)) {
      return std::unexpected(Fault::shape);
    }
  }
  while (at < text.size() && text[at] == ' ') {
    ++at;
  }
  const std::string_view suffix = text.substr(at);
  const auto unit = std::ranges::find(units, suffix, &Unit::name);
  if (unit == units.end()) {
    return std::unexpected(Fault::shape);
  }
  // 2^63 * 10^9 * 2^47 would not fit: judge the number before it is scaled.
  if (number / divisor > limit / static_cast<Wide>(unit->worth)) {
    return std::unexpected(Fault::range);
  }
  const Wide value = number * static_cast<Wide>(unit->worth) / divisor;
  if (value > limit) {
    return std::unexpected(Fault::range);
  }
  return static_cast<std::int64_t>(value);
}

bool host_valid(std::string_view host) {
  return !host.empty() && host.size() <= 253 && std::ranges::all_of(host, [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_';
  });
}

bool ipv6_shape(std::string_view host) {
  return host.contains(':') && std::ranges::all_of(host, [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ':' ||
                  c == '.' || c == '%';
         });
}

}  // namespace

Parsed<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  if (text == "0") {
    return std::chrono::nanoseconds(0);
  }
  const auto value = parse_scaled(text, duration_units);
  if (!value) {
    return std::unexpected(value.error() == Fault::range
                               ? "is longer than 292 years"
                               : "must be a duration such as \"10s\" (ms, s, m, h or d)");
  }
  return std::chrono::nanoseconds(*value);
}

Parsed<std::uint64_t> parse_size(std::string_view text) {
  const auto value = parse_scaled(text, size_units);
  if (!value) {
    return std::unexpected(value.error() == Fault::range ? "is more than 8388607 TiB"
                                                         : "must be a size such as \"10GiB\" (B, "
                                                           "KiB, MiB, GiB or TiB)");
  }
  return static_cast<std::uint64_t>(*value);
}

Parsed<int> parse_share(std::string_view text) {
  int share = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), share);
  const bool read = error == std::errc() && end != text.data() && end == &text.back() &&
                    text.back() == '%' && is_digit(text.front());
  if (!read || share < 1 || share > 100) {
    return std::unexpected("must be a share such as \"50%\", from 1% to 100%");
  }
  return share;
}

std::string Address::text() const {
  return host.contains(':') ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Parsed<Address> parse_address(std::string_view text) {
  std::string_view host;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos || !ipv6_shape(text.substr(1, close - 1))) {
      return std::unexpected("must be HOST:PORT; an IPv6 address is written [::1]:7744");
    }
    host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
  } else {
    const std::size_t colon = text.rfind(':');
    host = text.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
    if (ipv6_shape(host)) {
      return std::unexpected("must be HOST:PORT; an IPv6 address is written [::1]:7744");
    }
    if (!host_valid(host)) {
      return std::unexpected("must be HOST:PORT, with a host name or an IP address");
    }
  }
  if (rest.empty()) {
    return std::unexpected("has no port: must be HOST:PORT");
  }
  rest.remove_prefix(1);
  unsigned port = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
  if (error != std::errc() || end != rest.data() + rest.size() || port < 1 || port > 65535) {
    return std::unexpected("must have a port from 1 to 65535");
  }
  return Address{std::string(host), static_cast<std::uint16_t>(port)};
}

std::string counted(std::int64_t number, std::string_view one, std::string_view many) {
  if (number == 1 || many.empty()) {
    return fmt::format("{} {}{}", number, one, number == 1 ? "" : "s");
  }
  return fmt::format("{} {}", number, many);
}

std::string size_text(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> names{"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < names.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, names[unit]);
}

std::string duration_text(std::chrono::nanoseconds duration) {
  using std::chrono::duration_cast;
  const auto ms = duration_cast<std::chrono::milliseconds>(duration).count();
  if (ms < 1000) {
    return ms == 0 && duration.count() > 0
               ? fmt::format("{:.1f} ms", static_cast<double>(duration.count()) / 1e6)
               : fmt::format("{} ms", ms);
  }
  const auto s = ms / 1000;
  if (s < 60) {
    return fmt::format("{} s", s);
  }
  if (s < 3600) {
    return fmt::format("{} m {} s", s / 60, s % 60);
  }
  if (s < 86400) {
    return fmt::format("{} h {} m", s / 3600, s % 3600 / 60);
  }
  return fmt::format("{} d {} h", s / 86400, s % 86400 / 3600);
}

}  // namespace p2psync::app
