#pragma once
// The bytes of packed items: numbers, dots and labels one after the other. Included by packed.cpp
// only, since nothing here is checked: what is read was written by this very process.
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/packed.h"

namespace p2psync::engine::packed_bytes {

class Writer {
 public:
  Writer(std::vector<std::uint8_t>& bytes, Names& names) : bytes_(bytes), names_(names) {}

  void byte(std::uint8_t value) { bytes_.push_back(value); }
  void raw(const void* data, std::size_t size) {
    const auto* begin = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
  }
  template <std::integral T>
  void fixed(T value) {
    raw(&value, sizeof value);
  }
  void number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
      byte(static_cast<std::uint8_t>(value | 0x80));
    }
    byte(static_cast<std::uint8_t>(value));
  }
  /// Small if the two are close to each other; any two will do.
  void difference(std::int64_t value, std::int64_t to) {
    const std::uint64_t by = static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(to);
    number(by << 1 ^ (by >> 63 != 0 ? ~std::uint64_t{0} : 0));
  }
  void string(std::string_view value) {
    number(value.size());
    raw(value.data(), value.size());
  }
  void dot(const Dot& dot) {
    number(names_.number(dot.actor));
    number(dot.sequence);
  }
  void label(const std::string& label) { number(names_.number(label)); }
  void words(const std::vector<std::uint64_t>& words) {
    number(words.size());
    raw(words.data(), words.size() * sizeof words.front());
  }

 private:
  std::vector<std::uint8_t>& bytes_;
  Names& names_;
};

/// Leaves `at` behind it.
inline std::uint64_t read_number(const std::uint8_t*& at) {
  std::uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    const std::uint64_t next = *at++;
    value |= (next & 0x7f) << shift;
    if (next < 0x80) {
      return value;
    }
  }
}

/// As Writer::string wrote it, where it lies.
inline std::string_view string_at(const std::uint8_t*& at) {
  const std::size_t size = read_number(at);
  return {reinterpret_cast<const char*>(std::exchange(at, at + size)), size};
}

class Reader {
 public:
  Reader(const std::uint8_t* at, const Names& names) : at_(at), names_(names) {}

  std::uint8_t byte() { return *at_++; }
  void raw(void* data, std::size_t size) {
    std::copy_n(at_, size, static_cast<std::uint8_t*>(data));
    at_ += size;
  }
  template <std::integral T>
  T fixed() {
    T value;
    raw(&value, sizeof value);
    return value;
  }
  std::uint64_t number() { return read_number(at_); }
  std::int64_t difference(std::int64_t to) {
    const std::uint64_t zigzag = number();
    const std::uint64_t by = zigzag >> 1 ^ ((zigzag & 1) != 0 ? ~std::uint64_t{0} : 0);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(to) + by);
  }
  std::string string() { return std::string(string_at(at_)); }
  Dot dot() {
    const Actor& actor = names_.actor(number());
    return {actor, number()};
  }
  const std::string& label() { return names_.label(number()); }
  void skip(std::size_t size) { at_ += size; }
  std::vector<std::uint64_t> words() {
    std::vector<std::uint64_t> words(number());
    raw(words.data(), words.size() * sizeof(std::uint64_t));
    return words;
  }

 private:
  const std::uint8_t* at_;
  const Names& names_;
};

}  // namespace p2psync::engine::packed_bytes
