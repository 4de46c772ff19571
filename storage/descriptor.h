#pragma once
// A file descriptor that closes itself. A value: no locks.
#include <unistd.h>

#include <utility>

namespace p2psync::storage {

class Descriptor {
 public:
  Descriptor() = default;
  /// Takes ownership; negative is none.
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) {
      ::close(number_);  // Linux closes it even where it says EINTR: never tried again
    }
  }

  /// Gives ownership away.
  int release() { return std::exchange(number_, -1); }
  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] explicit operator bool() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

}  // namespace p2psync::storage
