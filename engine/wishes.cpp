#include "engine/wishes.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace p2psync::engine {

std::optional<Signature> Wishes::shown_at(const Path& path) const {
  const Shown* shown = replica_.shown(path);
  return shown == nullptr ? std::nullopt : std::optional(shown->signature);
}

void Wishes::on(Instant now, BringBack asked) {
  until_ = std::max(until_, now + asked.patience);
  for (auto& [path, version] : asked.items) {
    if (!version) {
      replica_.take_away(path);
    } else if (replica_.available(*version)) {
      replica_.restore(path, std::move(*version));
    } else {
      wishes_.insert_or_assign(path, Wish{std::move(*version), shown_at(path)});
      replica_.mark_dirty(path);  // what it needs is found out anew
    }
  }
}

void Wishes::add_need(const Path& path, std::vector<Need>& needs) const {
  if (const auto wish = wishes_.find(path); wish != wishes_.end()) {
    const Version& version = wish->second.version;
    needs.push_back({version.content, version.size, {}, version.mode});
  }
}

void Wishes::use(std::span<const Path> paths, const Hash& content) {
  for (const Path& path : paths) {
    const auto wish = wishes_.find(path);
    if (wish == wishes_.end() || wish->second.version.content != content) {
      continue;
    }
    Wish granted = std::move(wishes_.extract(wish).mapped());
    replica_.mark_dirty(path);
    if (granted.over == shown_at(path)) {
      replica_.restore(path, std::move(granted.version));
    }
  }
}

void Wishes::next(Instant now, const std::set<NodeId>& others,
                  const std::function<bool(NodeId)>& connected) {
  if (wishes_.empty()) {
    return;
  }
  std::set<NodeId> asked;
  std::ranges::copy_if(others, std::inserter(asked, asked.end()), connected);
  if (asked.empty() || now >= until_) {
    for (const auto& [path, wish] : std::exchange(wishes_, {})) {
      replica_.mark_dirty(path);
    }
    return;
  }
  for (const auto& [content, path] : transfer_.nowhere(asked)) {
    const auto wish = wishes_.find(path);
    if (wish != wishes_.end() && wish->second.version.content == content) {
      wishes_.erase(wish);
      replica_.mark_dirty(path);
    }
  }
}

}  // namespace p2psync::engine
