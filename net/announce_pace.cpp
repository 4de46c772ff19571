#include "net/announce_pace.h"

#include <algorithm>
#include <array>

namespace p2psync::net {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::chrono::milliseconds, AnnouncePace::quick_steps> quick_intervals{
    250ms, 500ms, 1000ms, 2000ms, 4000ms, AnnouncePace::slow_interval};

}  // namespace

void AnnouncePace::hurry(Instant now) {
  seeking_ = true;
  step_ = 0;
  seek_at_ = now;
}

void AnnouncePace::missing(Instant now, bool any) {
  if (any && !seeking_) {
    step_ = quick_steps;
    // Others may have lost the same member in the same instant.
    seek_at_ = now + spacing - about(spacing);
  } else if (!any) {
    step_ = quick_steps;
    seek_at_ = Instant::max();
  }
  seeking_ = any;
}

void AnnouncePace::asked(Instant now) {
  std::uniform_int_distribution<std::int64_t> part(
      0, std::chrono::nanoseconds(answer_after_max).count());
  answer_at_ = std::min(answer_at_, now + std::chrono::nanoseconds(part(jitter_)));
}

Instant AnnouncePace::due() const {
  const Instant wanted = std::min(seek_at_, answer_at_);
  return wanted == Instant::max() ? wanted
                                  : std::max(wanted, spent_until_ - (saved_up - 1) * spacing);
}

std::optional<AnnouncePace::Kind> AnnouncePace::take(Instant now) {
  if (now < due()) {
    return std::nullopt;
  }
  const bool seeks = seek_at_ <= now;
  const bool asks = seeks && step_ < quick_steps;
  if (seeks) {
    seek_at_ = now + about(step_ < quick_steps ? quick_intervals[step_++] : slow_interval);
  }
  answer_at_ = Instant::max();
  spent_until_ = std::max(spent_until_, now) + spacing;
  return asks ? Kind::asks : Kind::says;
}

std::chrono::nanoseconds AnnouncePace::about(std::chrono::nanoseconds interval) {
  std::uniform_int_distribution<std::int64_t> part(interval.count() * 3 / 4, interval.count());
  return std::chrono::nanoseconds(part(jitter_));
}

}  // namespace p2psync::net
