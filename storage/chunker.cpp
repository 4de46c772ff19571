#include "storage/chunker.h"

#include <algorithm>
#include <array>
#include <bit>
#include <tuple>

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

constexpr std::array<std::uint64_t, 256> make_shifted() {
  std::array<std::uint64_t, 256> shifted = gear;
  for (std::uint64_t& number : shifted) {
    number <<= 1;
  }
  return shifted;
}

constexpr std::array<std::uint64_t, 256> shifted = make_shifted();

/// The highest bits but one: each byte is shifted up through the sum, so those know the last 63
/// bytes; and none is lost when the sum is shifted for two bytes at once.
constexpr std::uint64_t highest(unsigned bits) {
  return ~std::uint64_t{0} << (64 - bits) >> 1;
}

/// Every byte of every file goes through here: two at a time, as the later paper has it, since what
/// takes the time is that each sum waits for the one before.
struct Search {
  const std::uint8_t* at;
  std::uint64_t sum = 0;

  /// `at` is then behind the byte where the sum had none of these bits, or at `end`.
  bool until(const std::uint8_t* end, std::uint64_t mask) {
    for (; end - at >= 2; at += 2) {
      sum = (sum << 2) + shifted[at[0]];
      if ((sum & mask << 1) == 0) {
        return found(1);
      }
      sum += gear[at[1]];
      if ((sum & mask) == 0) {
        return found(2);
      }
    }
    if (at < end) {
      sum = (sum << 1) + gear[*at++];
      return (sum & mask) == 0;
    }
    return false;
  }

 private:
  bool found(int bytes) {
    at += bytes;
    return true;
  }
};

}  // namespace

std::size_t first_chunk(std::span<const std::uint8_t> bytes, const ChunkSizes& sizes) {
  if (bytes.size() <= sizes.min) {
    return bytes.size();
  }
  const auto bits = static_cast<unsigned>(std::countr_zero(sizes.average));
  const std::size_t end = std::min<std::size_t>(bytes.size(), sizes.max);
  const std::size_t middle = std::min<std::size_t>(end, sizes.average);
  Search search{bytes.data() + sizes.min};
  if (!search.until(bytes.data() + middle, highest(bits + normalisation))) {
    std::ignore = search.until(bytes.data() + end, highest(bits - normalisation));
  }
  return static_cast<std::size_t>(search.at - bytes.data());
}

}  // namespace p2psync::storage
