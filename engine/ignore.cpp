#include "engine/ignore.h"

#include <algorithm>
#include <ranges>
#include <utility>

namespace p2psync::engine {
namespace {

/// True if the path is the directory, or below it.
bool leads_through(std::string_view path, std::string_view directory) {
  return path == directory || is_below(path, directory);
}

}  // namespace

bool Ignore::set(const Path& directory, std::string_view text) {
  IgnoreRules rules(text);
  const auto known = files_.find(directory);
  const bool differ =
      known == files_.end() ? !rules.empty() : !rules.say_the_same_as(known->second);
  walk_ = {};
  if (!rules.empty()) {
    files_.insert_or_assign(directory, std::move(rules));
  } else if (known != files_.end()) {
    files_.erase(known);
  }
  return differ;
}

void Ignore::walk_to(std::string_view directory) const {
  Walk& walk = walk_;
  if (walk.ignored.rule != nullptr) {
    if (leads_through(directory, std::string_view(walk.directory).substr(0, walk.ignored_size))) {
      return;
    }
    walk.ignored = {};
  }
  // Back to what both have in common.
  while (!walk.steps.empty() &&
         !leads_through(directory,
                        std::string_view(walk.directory).substr(0, walk.steps.back().path_size))) {
    walk.steps.pop_back();
  }
  walk.files.resize(walk.steps.empty() ? 0 : walk.steps.back().files_count);
  walk.directory = directory;
  const auto enter = [&](std::string_view entered) {
    if (const auto own = files_.find(entered); own != files_.end()) {
      walk.files.push_back(&*own);
    }
    walk.steps.push_back({entered.size(), walk.files.size()});
  };
  if (walk.steps.empty()) {
    enter("");
  }
  while (walk.steps.back().path_size < directory.size()) {
    const std::size_t passed = walk.steps.back().path_size;
    const std::size_t end = std::min(directory.find('/', passed + 1), directory.size());
    const std::string_view next = directory.substr(0, end);
    const Decision decision = last_about(next, true);
    if (decision.rule != nullptr && !decision.rule->negated) {
      walk.ignored = decision;
      walk.ignored_size = end;
      return;
    }
    enter(next);
  }
}

Ignore::Decision Ignore::last_about(std::string_view path, bool is_directory) const {
  const std::string_view name = name_of(path);
  if (name == ignore_file) {
    return {};
  }
  for (const auto* const file : std::views::reverse(walk_.files)) {
    const std::string_view below = path.substr(file->first.empty() ? 0 : file->first.size() + 1);
    if (const auto* rule = file->second.last_about(below, name, is_directory)) {
      return {file, rule};
    }
  }
  return {};
}

Ignore::Decision Ignore::decide(std::string_view path, bool is_directory) const {
  if (files_.empty() || path.empty()) {
    return {};
  }
  walk_to(parent_of(path));
  return walk_.ignored.rule != nullptr ? walk_.ignored : last_about(path, is_directory);
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
  return Rule{file->first, rule->line, std::string(file->second.text_of(*rule)), rule->negated};
}

}  // namespace p2psync::engine
