#include "apps/p2psync/rate.h"

#include <algorithm>

namespace p2psync::app {

void Rate::add(engine::Instant now, std::uint64_t bytes) {
  if (bytes == 0) {
    return;
  }
  while (!samples_.empty() && samples_.front().at + window <= now) {
    samples_.pop_front();
  }
  if (samples_.empty()) {
    begun_ = now;
  }
  if (samples_.empty() || samples_.back().at + grain <= now) {
    samples_.push_back({now, 0});
  }
  samples_.back().bytes += bytes;
}

std::uint64_t Rate::bytes_per_s(engine::Instant now) const {
  std::uint64_t bytes = 0;
  for (const Sample& sample : samples_) {
    bytes += sample.at + window > now ? sample.bytes : 0;
  }
  const std::chrono::duration<double> span = std::clamp(now - begun_, span_min, window);
  return static_cast<std::uint64_t>(static_cast<double>(bytes) / span.count());
}

std::optional<std::uint64_t> Rate::seconds_left(engine::Instant now, std::uint64_t bytes) const {
  const std::uint64_t rate = bytes_per_s(now);
  if (rate == 0 || bytes == 0) {
    return std::nullopt;
  }
  return bytes / rate + (bytes % rate == 0 ? 0 : 1);
}

}  // namespace p2psync::app
