#include "storage/chunker.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
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

/// Every byte of every file goes through here, and what takes the time is that each sum waits for
/// the one before. So two bytes are taken at a time, as the later paper has it; and since a sum
/// knows no more than the last bytes, three parts of a block are looked through at once, which only
/// tells whether one of them has a cut.
struct Search {
  const std::uint8_t* at;
  std::uint64_t sum = 0;

  /// `at` is then behind the byte where the sum had none of these bits, or at `end`.
  bool until(const std::uint8_t* end, std::uint64_t mask) {
    while (static_cast<std::size_t>(end - at) >= parts * part_bytes && !in_block(mask)) {
    }
    return one_by_one(end, mask);
  }

 private:
  static constexpr std::size_t parts = 3;
  static constexpr std::size_t part_bytes = 512;
  static constexpr std::size_t known_bytes = 64;  // by a sum

  /// False: there is none in the block, and `at` is behind it.
  bool in_block(std::uint64_t mask) {
    std::array<std::uint64_t, parts> sums{sum};
    for (std::size_t part = 1; part < parts; ++part) {
      const std::uint8_t* const begin = at + part * part_bytes;
      for (const std::uint8_t* byte = begin - known_bytes; byte < begin; ++byte) {
        sums[part] = (sums[part] << 1) + gear[*byte];
      }
    }
    for (std::size_t i = 0; i < part_bytes; i += 2) {
      for (std::size_t part = 0; part < parts; ++part) {
        const std::uint8_t* const bytes = at + part * part_bytes + i;
        sums[part] = (sums[part] << 2) + shifted[bytes[0]];
        const bool first = (sums[part] & mask << 1) == 0;
        sums[part] += gear[bytes[1]];
        if (first || (sums[part] & mask) == 0) {
          return true;
        }
      }
    }
    at += parts * part_bytes;
    sum = sums[parts - 1];
    return false;
  }

  bool one_by_one(const std::uint8_t* end, std::uint64_t mask) {
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

  bool found(int bytes) {
    at += bytes;
    return true;
  }
};

/// How many zeros the bytes begin with.
std::size_t leading_zeros(std::span<const std::uint8_t> bytes) {
  std::size_t count = 0;
  for (std::uint64_t word = 0; bytes.size() - count >= sizeof word; count += sizeof word) {
    std::memcpy(&word, bytes.data() + count, sizeof word);
    if (word != 0) {
      break;
    }
  }
  while (count < bytes.size() && bytes[count] == 0) {
    ++count;
  }
  return count;
}

/// Where a run of `min` zeros or more begins that begins before `end`; or `end`. `bytes` may reach
/// beyond. A run covers a multiple of `min`: only there need one look.
std::size_t run_of_zeros(std::span<const std::uint8_t> bytes, std::size_t end, std::size_t min) {
  std::size_t before = 0;
  for (std::size_t probe = min; probe < end + min && probe < bytes.size(); probe += min) {
    if (bytes[probe] != 0) {
      continue;
    }
    std::size_t begin = probe;
    while (begin > before && bytes[begin - 1] == 0) {
      --begin;
    }
    const std::size_t count = probe - begin + leading_zeros(bytes.subspan(probe));
    if (count >= min) {
      return std::min(begin, end);
    }
    before = begin + count;
  }
  return end;
}

}  // namespace

std::size_t first_chunk(std::span<const std::uint8_t> bytes, const ChunkSizes& sizes) {
  if (bytes.size() <= sizes.min) {
    return bytes.size();
  }
  bytes = bytes.first(std::min<std::size_t>(bytes.size(), sizes.max));
  if (const std::size_t zeros = leading_zeros(bytes); zeros >= sizes.min) {
    return sizes.min * std::bit_floor(zeros / sizes.min);
  }
  const auto bits = static_cast<unsigned>(std::countr_zero(sizes.average));
  const std::size_t end = bytes.size();
  const std::size_t middle = std::min<std::size_t>(end, sizes.average);
  Search search{bytes.data() + sizes.min};
  if (!search.until(bytes.data() + middle, highest(bits + normalisation))) {
    std::ignore = search.until(bytes.data() + end, highest(bits - normalisation));
  }
  return run_of_zeros(bytes, static_cast<std::size_t>(search.at - bytes.data()), sizes.min);
}

}  // namespace p2psync::storage
