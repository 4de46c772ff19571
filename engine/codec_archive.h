#pragma once
// The two Cereal archives behind codec.h; included by codec.cpp only.
//
// BoundedInputArchive counts the bytes left and holds every count against them before anything is
// allocated: Cereal's own containers resize to whatever number they read. On bytes that make no
// sense it throws Malformed, which decode() catches. None of Cereal's container or pointer headers
// is included, so a type without a function here does not compile.
#include <algorithm>
#include <array>
#include <cereal/cereal.hpp>
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/bytes.h"

namespace p2psync::engine::codec {

struct Malformed {
  std::string_view reason;  ///< a literal
};

inline void require(bool holds, std::string_view reason) {
  if (!holds) {
    throw Malformed{reason};
  }
}

class OutputArchive : public cereal::OutputArchive<OutputArchive> {
 public:
  /// `room`: bytes that come first and are zero. `expected`: how many may follow.
  explicit OutputArchive(std::size_t room = 0, std::size_t expected = 0)
      : cereal::OutputArchive<OutputArchive>(this) {
    written_.reserve(room + expected);
    written_.resize(room);
  }
  void bytes(std::span<const std::uint8_t> from) {
    written_.insert(written_.end(), from.begin(), from.end());
  }
  void byte(std::uint8_t value) { written_.push_back(value); }
  [[nodiscard]] std::vector<std::uint8_t> take() { return std::move(written_); }

 private:
  std::vector<std::uint8_t> written_;
};

class BoundedInputArchive : public cereal::InputArchive<BoundedInputArchive> {
 public:
  /// `owner`: of the bytes, to be shared; null: what is to be shared is copied.
  explicit BoundedInputArchive(std::span<const std::uint8_t> bytes,
                               std::shared_ptr<const void> owner = nullptr)
      : cereal::InputArchive<BoundedInputArchive>(this), left_(bytes), owner_(std::move(owner)) {}

  /// The next bytes; good as long as the input is.
  std::span<const std::uint8_t> next(std::uint64_t count) {
    require(count <= left_.size(), "bytes missing");
    const auto taken = left_.first(static_cast<std::size_t>(count));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  Bytes share(std::uint64_t count) {
    const auto taken = next(count);
    return owner_ != nullptr ? Bytes(owner_, taken) : Bytes::of({taken.begin(), taken.end()});
  }
  void bytes(std::span<std::uint8_t> into) { std::ranges::copy(next(into.size()), into.begin()); }
  std::uint8_t byte() { return next(1).front(); }
  [[nodiscard]] std::size_t left() const { return left_.size(); }

 private:
  std::span<const std::uint8_t> left_;
  std::shared_ptr<const void> owner_;
};

template <class Archive>
inline constexpr bool loading = Archive::is_loading::value;

// --- Numbers

template <class T>
concept Unsigned = std::unsigned_integral<T> && !std::same_as<T, bool>;

template <Unsigned T>
void save(OutputArchive& archive, const T& value) {
  std::uint64_t rest = value;
  while (rest >= 0x80) {
    archive.byte(static_cast<std::uint8_t>(rest | 0x80));
    rest >>= 7;
  }
  archive.byte(static_cast<std::uint8_t>(rest));
}

template <Unsigned T>
void load(BoundedInputArchive& archive, T& value) {
  std::uint64_t read = 0;
  for (unsigned shift = 0;; shift += 7) {
    const std::uint64_t byte = archive.byte();
    // The tenth byte has room for one bit.
    require(shift < 63 || byte <= 1, "a number too long");
    read |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      require(byte != 0 || shift == 0, "a number not in its shortest form");
      break;
    }
  }
  value = static_cast<T>(read);
  require(value == read, "a number too large");
}

template <std::same_as<bool> T>
void save(OutputArchive& archive, const T& value) {
  archive.byte(value ? 1 : 0);
}

template <std::same_as<bool> T>
void load(BoundedInputArchive& archive, T& value) {
  const std::uint8_t byte = archive.byte();
  require(byte <= 1, "a bool that is neither");
  value = byte == 1;
}

/// A 64-bit number that is rarely small: always 8 bytes, little endian.
template <class T>
struct Fixed {
  T& value;
};

template <class T>
Fixed<T> fixed(T& value) {
  static_assert(sizeof(T) == 8);
  return {value};
}

template <class T>
void save(OutputArchive& archive, const Fixed<T>& number) {
  const auto value = static_cast<std::uint64_t>(number.value);
  std::array<std::uint8_t, 8> bytes;
  for (unsigned i = 0; i < 8; ++i) {
    bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
  archive.bytes(bytes);
}

template <class T>
void load(BoundedInputArchive& archive, Fixed<T>& number) {
  std::uint64_t value = 0;
  unsigned shift = 0;
  for (const std::uint8_t byte : archive.next(8)) {
    value |= std::uint64_t{byte} << shift;
    shift += 8;
  }
  number.value = static_cast<T>(value);
}

// --- Containers

/// The least that a T takes: numbers are zero, containers empty, so nothing encodes shorter than
/// the default.
template <class T>
std::size_t smallest_bytes() {
  static const std::size_t size = [] {
    OutputArchive archive;
    archive(T{});
    return archive.take().size();
  }();
  return size;
}

inline void save(OutputArchive& archive, const std::string& text) {
  archive(text.size());
  archive.bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

inline void load(BoundedInputArchive& archive, std::string& text) {
  std::uint64_t size = 0;
  archive(size);
  const auto bytes = archive.next(size);
  text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

template <class T>
void save(OutputArchive& archive, const std::vector<T>& items) {
  archive(items.size());
  for (const T& item : items) {
    archive(item);
  }
}

template <class T>
void load(BoundedInputArchive& archive, std::vector<T>& items) {
  std::uint64_t count = 0;
  archive(count);
  require(count <= archive.left() / smallest_bytes<T>(), "a count beyond the bytes");
  items.clear();
  // An element may be far larger in memory than here: room in advance for as many bytes as there
  // are, for the others when they have been decoded.
  items.reserve(std::min<std::size_t>(count, archive.left() / sizeof(T)));
  for (std::uint64_t i = 0; i < count; ++i) {
    archive(items.emplace_back());
  }
}

/// Shared bytes are the only pointers; each is stored anew.
inline void save(OutputArchive& archive, const Bytes& shared) {
  archive(shared != nullptr);
  if (shared != nullptr) {
    archive(shared->size());
    archive.bytes(*shared);
  }
}

inline void load(BoundedInputArchive& archive, Bytes& shared) {
  shared = nullptr;
  bool present = false;
  archive(present);
  if (present) {
    std::uint64_t size = 0;
    archive(size);
    shared = archive.share(size);
  }
}

template <class Archive, class T>
void save(Archive&, const std::shared_ptr<T>&) = delete;
template <class Archive, class T>
void load(Archive&, std::shared_ptr<T>&) = delete;
template <class Archive, class T>
void save(Archive&, const std::unique_ptr<T>&) = delete;
template <class Archive, class T>
void load(Archive&, std::unique_ptr<T>&) = delete;

template <class... Those>
void save(OutputArchive& archive, const std::variant<Those...>& value) {
  static_assert(sizeof...(Those) < 0x80);
  archive.byte(static_cast<std::uint8_t>(value.index()));
  std::visit([&archive](const auto& that) { archive(that); }, value);
}

template <class... Those>
void load(BoundedInputArchive& archive, std::variant<Those...>& value) {
  const std::size_t index = archive.byte();
  std::size_t at = 0;
  const bool known =
      ((at++ == index ? (archive(value.template emplace<Those>()), true) : false) || ...);
  require(known, "an unknown kind of message");
}

}  // namespace p2psync::engine::codec
