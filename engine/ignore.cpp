#include "engine/ignore.h"

#include <iterator>
#include <utility>

namespace p2psync::engine {

bool Ignore::set(const Path& directory, std::string_view text) {
  IgnoreRules rules(text);
  const auto known = files_.find(directory);
  if (known == files_.end()) {
    if (rules.empty()) {
      return false;
    }
    const Held* const above = nearest_above(directory);
    const auto added = files_.emplace(directory, File{std::move(rules), above}).first;
    relink_below(directory, above, &*added);
    return true;
  }
  if (rules.empty()) {
    relink_below(directory, &*known, known->second.above);
    files_.erase(known);
    return true;
  }
  const bool differ = !rules.say_the_same_as(known->second.rules);
  known->second.rules = std::move(rules);
  return differ;
}

void Ignore::relink_below(const Path& directory, const Held* before, const Held* after) {
  for (auto file = files_.upper_bound(directory);
       file != files_.end() && is_below(file->first, directory); ++file) {
    if (file->second.above == before) {
      file->second.above = after;
    }
  }
}

const Ignore::Held* Ignore::nearest_above(std::string_view path) const {
  // A directory and all below it are one range: so the last file before the path is in the
  // directory that is sought, or further down in another branch of it.
  const auto behind = files_.lower_bound(path);
  const Held* file = behind == files_.begin() ? nullptr : &*std::prev(behind);
  while (file != nullptr && !is_below(path, file->first)) {
    file = file->second.above;
  }
  return file;
}

Ignore::Decision Ignore::decide(std::string_view path, bool is_directory) const {
  Decision decision;
  const Held* nearest = nearest_above(path);
  // From the path itself upwards, so the highest directory that is ignored has the last word.
  for (std::string_view at = path; nearest != nullptr; is_directory = true) {
    const std::string_view parent = parent_of(at);
    const std::string_view name = name_of(at);
    for (const Held* file = nearest; file != nullptr && name != ignore_file;
         file = file->second.above) {
      const std::string_view below = at.substr(file->first.empty() ? 0 : file->first.size() + 1);
      if (const auto* rule = file->second.rules.last_about(below, name, is_directory)) {
        if (at.size() == path.size() || !rule->negated) {
          decision = {file, rule};
        }
        break;
      }
    }
    at = parent;
    while (nearest != nullptr && nearest->first.size() >= at.size()) {
      nearest = nearest->second.above;
    }
  }
  return decision;
}

bool Ignore::ignores(std::string_view path, bool is_directory) const {
  const Decision decision = decide(path, is_directory);
  return decision.rule != nullptr && !decision.rule->negated;
}

std::optional<Ignore::Rule> Ignore::rule_for(std::string_view path, bool is_directory) const {
  const auto [file, rule] = decide(path, is_directory);
  if (rule == nullptr) {
    return std::nullopt;
  }
  return Rule{file->first, rule->line, std::string(file->second.rules.text_of(*rule)),
              rule->negated};
}

}  // namespace p2psync::engine
