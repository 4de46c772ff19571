#pragma once
// Random numbers from a seed: the engine's only source, so that a run replays. Source: Steele, Lea
// and Flood, Fast Splittable Pseudorandom Number Generators, 2014 (SplitMix64).
#include <cstdint>

namespace p2psync::engine {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, bound); bound > 0. The bias of the plain remainder is far below what matters
  /// here.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  /// True with probability percent / 100.
  bool chance(std::uint64_t percent) { return below(100) < percent; }
  /// A stream begun with this goes on as this one does.
  [[nodiscard]] std::uint64_t state() const { return state_; }

 private:
  std::uint64_t state_;
};

}  // namespace p2psync::engine
