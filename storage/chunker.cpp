#include "storage/chunker.h"

#include <algorithm>
#include <array>
#include <bit>

namespace p2psync::storage {

namespace {

constexpr unsigned normalisation = 2;  // bits

/// Random numbers that never change: SplitMix64 from zero (Steele et al., OOPSLA 2014).
constexpr std::array<std::uint64_t, 256> make_gear() {
  std::array<std::uint64_t, 256> gear{};
  std::uint64_t state = 0;
  for (std::uint64_t& number : gear) {
    state += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    number = mixed ^ (mixed >> 31);
  }
  return gear;
}

constexpr std::array<std::uint64_t, 256> gear = make_gear();

/// The highest bits: each byte is shifted up through the sum, so those know the last 64 bytes.
constexpr std::uint64_t highest(unsigned bits) {
  return ~std::uint64_t{0} << (64 - bits);
}

}  // namespace

std::size_t first_chunk(std::span<const std::uint8_t> bytes, const ChunkSizes& sizes) {
  if (bytes.size() <= sizes.min) {
    return bytes.size();
  }
  const auto bits = static_cast<unsigned>(std::countr_zero(sizes.average));
  const std::size_t end = std::min<std::size_t>(bytes.size(), sizes.max);
  const std::size_t middle = std::min<std::size_t>(end, sizes.average);
  std::uint64_t sum = 0;
  std::size_t at = sizes.min;
  const auto search = [&](std::size_t until, std::uint64_t mask) {
    for (; at < until; ++at) {
      sum = (sum << 1) + gear[bytes[at]];
      if ((sum & mask) == 0) {
        ++at;
        return true;
      }
    }
    return false;
  };
  if (!search(middle, highest(bits + normalisation))) {
    search(end, highest(bits - normalisation));
  }
  return at;
}

}  // namespace p2psync::storage
