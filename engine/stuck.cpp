#include "engine/stuck.h"

namespace p2psync::engine {

std::string told(const Error& error) {
  return error.code == ErrorCode::no_space
             ? "the disk is full: this goes on by itself as soon as there is room"
             : error.message();
}

bool Stuck::refused(Instant now, const Hash& content, const Error& error) {
  const bool first = stuck_.empty();
  Refusal& refusal = stuck_.try_emplace(content, Refusal{error, now, now}).first->second;
  refusal.error = error;
  refusal.last = now;
  return first;
}

void Stuck::written(Instant now, const Hash& content) {
  if (const auto place = stuck_.find(content);
      place != stuck_.end() && now >= place->second.last + full_pause) {
    stuck_.erase(place);
  }
}

void Stuck::forget_unneeded(const NeededBy& needed_by) {
  std::erase_if(stuck_, [&](const auto& item) { return needed_by(item.first) == nullptr; });
}

std::vector<Problem> Stuck::problems(const NeededBy& needed_by) const {
  std::vector<Problem> list;
  for (const auto& [content, refusal] : stuck_) {
    if (const Path* path = needed_by(content)) {
      list.push_back({*path, told(refusal.error), refusal.since});
    }
  }
  return list;
}

}  // namespace p2psync::engine
