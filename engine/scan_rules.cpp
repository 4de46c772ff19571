// The part of the scan that follows the files of rules (ignore.h), ahead of all else.
//
// What a file of rules says counts from when the file itself is on record, and until then nothing
// beside it is looked at, told or laid: who writes a rule and then deletes what it is about has
// deleted nothing, in whatever order that is noticed, also by the scan after a start.
#include <algorithm>

#include "engine/scan.h"

namespace p2psync::engine {

/// Only if they are what is on record: a file that is being saved may be empty, or away, for a
/// moment, and a look is not fooled by that.
void Scan::take_rules(Instant now, const Listed& listed) {
  const Path& directory = listed.directory;
  bool deep = true;
  if (const auto awaited = rules_awaited_.find(directory);
      awaited != rules_awaited_.end() && !lists_.contains(directory)) {
    deep = awaited->second;
    rules_awaited_.erase(awaited);
  }
  const Path file = child_of(directory, ignore_file);
  const Shown* shown = replica_.shown(file);
  std::string_view text;
  std::optional<std::string_view> trouble;
  if (shown != nullptr && shown->version.kind == Kind::file) {
    if (shown->version.size > ignore_bytes_max) {
      trouble = "too large for a file of rules";
    } else if (!replica_.has_room_for_rules(directory, shown->version.size)) {
      trouble = "more rules than there is room for, of all directories together";
    } else if (!listed.rules) {
      return;
    } else if (listed.rules->content == Hash{}) {
      trouble = "cannot be read";
    } else if (listed.rules->content != shown->version.content) {
      return;
    } else {
      text = listed.rules->text;
    }
  }
  if (trouble) {
    // Whatever it says is to be ignored must not be told: so that is everything.
    text = "*";
    rule_problems_.try_emplace(
        directory,
        Problem{file, std::string(*trouble) + ": nothing beside it is synchronised", now});
  } else {
    rule_problems_.erase(directory);
  }
  if (replica_.set_rules(directory, text) && deep) {
    list(directory, true);
  }
}

/// It is ignored, whatever stands there.
bool Scan::passes_over(const Path& name) {
  if (!replica_.ignores(name, false) || !replica_.ignores(name, true) ||
      replica_.doubtful().contains(name)) {
    return false;
  }
  // A directory that is to go may have been waiting for it.
  if (const Path parent(parent_of(name));
      !parent.empty() && replica_.keeps_ignored(parent) && !replica_.record(parent).entry.live()) {
    list(parent, false);
  }
  return true;
}

/// Files of rules first, and then the listings that bring what is in them.
void Scan::read_rules(const std::function<bool(const Path&)>& busy, std::vector<Output>& out) {
  for (const Path& directory : replica_.take_rules()) {
    rules_awaited_.insert_or_assign(directory, true);
    list(directory, false);
  }
  Look look;
  for (auto name = rule_files_.begin(); name != rule_files_.end();) {
    if (in_flight_.contains(*name) || held_up_.contains(*name)) {
      ++name;
      continue;
    }
    auto queued = queue_.extract(*name);
    if (queued.empty() || passes_over(*name)) {
      name = rule_files_.erase(name);
      continue;
    }
    if (busy(*name) || busy(replica_.owner(*name))) {
      held_up_.insert(std::move(queued));
    } else {
      look.names.push_back(look_at(*name));
    }
    ++name;
  }
  if (!look.names.empty()) {
    ++looks_;
    out.push_back(std::move(look));
  }
  for (const auto& [directory, deep] : rules_awaited_) {
    if (auto wanted = lists_.extract(directory); !wanted.empty()) {
      if (listing_.contains(directory)) {
        lists_.insert(std::move(wanted));
        continue;
      }
      out.push_back(List{directory});
      listing_.emplace(directory, wanted.mapped());
    }
  }
}

}  // namespace p2psync::engine
