#include "engine/thinning.h"

#include <chrono>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace p2psync::engine {
namespace {

constexpr std::int64_t hour = std::chrono::nanoseconds(std::chrono::hours(1)).count();
constexpr std::int64_t day = 24 * hour;
constexpr std::int64_t week = 7 * day;

/// Of all that left in the same span, one stays. By a multiple of it, so that it is the same one
/// tomorrow; a version that is a week old has begun its last day of hours, or ended it.
std::int64_t span_of(std::int64_t left, std::int64_t now) {
  // Whole days, so that a day's hours are thinned all at once.
  return left / day <= (now - week) / day ? day : hour;
}

}  // namespace

std::set<std::string> thinned(const PackedVersions& kept, std::int64_t now) {
  std::set<std::string> gone;
  // What stays so far of each path: the last of its span, and when that began.
  std::unordered_map<std::string_view, std::pair<std::int64_t, std::string_view>> last;
  kept.for_each_from("", [&](const PackedVersions::Item& item) {  // the oldest first
    const std::int64_t left = left_at(item.file);
    if (left == 0 || left > now - day) {
      return true;
    }
    const std::int64_t span = span_of(left, now);
    const std::int64_t begin = left - left % span;
    const auto [place, first] = last.try_emplace(item.path, begin, item.file);
    if (!first) {
      if (place->second.first == begin) {
        gone.emplace(place->second.second);
      }
      place->second = {begin, item.file};
    }
    return true;
  });
  return gone;
}

}  // namespace p2psync::engine
