// What the scan can say of itself.
#include <algorithm>

#include "engine/scan.h"

namespace p2psync::engine {

std::uint64_t Scan::skipped() const {
  std::uint64_t count = 0;
  for (const auto& [directory, names] : special_) {
    count += names.size();
  }
  return count;
}

std::vector<Problem> Scan::problems() const {
  std::vector<Problem> list;
  for (const auto& [path, problem] : problems_) {
    list.push_back(problem);
  }
  for (const auto& [directory, problem] : rule_problems_) {
    list.push_back(problem);
  }
  if (auto held = brake_.problem()) {
    list.push_back(std::move(*held));
  }
  return list;
}

std::optional<Instant> Scan::wake_at() const {
  std::optional<Instant> earliest;
  const auto sooner = [&earliest](Instant when) {
    earliest = earliest ? std::min(*earliest, when) : when;
  };
  if (!queue_.empty() && !listing_.empty() && looks_ < looks_in_flight_max) {
    sooner(gather_until_);
  }
  for (const auto& [name, again] : retries_) {
    sooner(again.at);
  }
  for (const auto& [directory, again] : list_again_) {
    sooner(again.when.at);
  }
  if (const auto wake = brake_.wake_at()) {
    sooner(*wake);
  }
  for (const auto& [name, since] : absent_) {
    if (!queue_.contains(name) && !held_up_.contains(name) && !in_flight_.contains(name)) {
      sooner(since + absence_wait);
    }
  }
  return earliest;
}

}  // namespace p2psync::engine
