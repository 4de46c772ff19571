// The part of the replica that lets go of what its user has chosen to ignore (ignore.h).
//
// What comes to be ignored stays on the disk and in the entries, and this node looks away: nothing
// there is an event, and nothing is laid. It remembers what it showed, as out of sight: ignored no
// longer, what stands there is an edit of that, and what is gone was not deleted but is laid again.
#include <algorithm>

#include "engine/replica.h"

namespace p2psync::engine {

bool Replica::ignores(const Path& name, bool directory) const {
  if (ignore_.empty()) {
    return false;
  }
  return ignore_.ignores(name, directory) || ignored_original(name, directory);
}

/// A conflict copy is ignored with its original, wherever that one's bytes stand now.
std::optional<Path> Replica::ignored_original(const Path& name, bool directory) const {
  if (name.find(".conflict-") != Path::npos) {
    for (Path& original : possible_originals(name)) {
      if (ignore_.ignores(original, directory)) {
        return std::move(original);
      }
    }
  }
  return std::nullopt;
}

std::optional<Ignore::Rule> Replica::rule_for(const Path& name, bool directory) const {
  const auto original = ignored_original(name, directory);
  return ignore_.rule_for(original.value_or(name), directory);
}

bool Replica::ignores(const Path& path, const Record& record) const {
  const bool as_file = ignores(path, false);
  if (ignores(path, true) == as_file) {
    return as_file;
  }
  const bool directory = index_.any_live_below(path) ||
                         std::ranges::any_of(record.entry.versions, [](const Sibling& sibling) {
                           return sibling.version.kind == Kind::directory;
                         });
  return directory ? !as_file : as_file;
}

bool Replica::has_room_for_rules(const Path& directory, std::uint64_t bytes) const {
  const auto before = rule_bytes_.find(directory);
  const std::size_t others = rules_bytes_ - (before == rule_bytes_.end() ? 0 : before->second);
  return bytes <= ignore_total_max && others <= ignore_total_max - bytes;
}

bool Replica::set_rules(const Path& directory, std::string_view text) {
  if (const auto before = rule_bytes_.extract(directory); !before.empty()) {
    rules_bytes_ -= before.mapped();
  }
  if (!text.empty()) {
    rule_bytes_.emplace(directory, text.size());
    rules_bytes_ += text.size();
  }
  if (!ignore_.set(directory, text)) {
    return false;
  }
  std::vector<std::pair<Path, Shown>> hidden;
  const Path lower = directory.empty() ? "" : directory + "/";
  const Path upper = directory.empty() ? "" : directory + '\0';
  index_.for_each(lower, upper, [&](const Path& path, const Record& record) {
    if (ignores(path, record)) {
      for (const Shown& shown : record.shown) {
        if (!shown.signature.is_out_of_sight()) {
          hidden.emplace_back(path, shown);
        }
      }
    }
    if (!is_laid(path, record)) {
      mark_dirty(path);  // it is to be laid from now on, or needs nothing any more
    }
    return true;
  });
  for (auto& [path, shown] : hidden) {
    shown.signature = shown.signature.out_of_sight();
    show(path, std::move(shown));
  }
  return true;
}

void Replica::note_ignored_in(const Path& directory, bool any) {
  const bool news = any ? ignored_in_.insert(directory).second : ignored_in_.erase(directory) > 0;
  if (!news) {
    return;
  }
  // Whether it, or one that it is in, can be removed.
  for (Path at = directory; !at.empty(); at = parent_of(Path(at))) {
    if (const Record* found = index_.find(at); found != nullptr && !found->entry.live()) {
      mark_dirty(at);
    }
  }
}

bool Replica::keeps_ignored(const Path& directory) const {
  const auto first = ignored_in_.lower_bound(directory);
  return first != ignored_in_.end() && (*first == directory || is_below(*first, directory));
}

}  // namespace p2psync::engine
