#include "engine/ignore_rules.h"

#include <algorithm>
#include <limits>
#include <ranges>

#include "engine/error.h"

namespace p2psync::engine {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

std::uint32_t narrow(std::size_t size) {
  return static_cast<std::uint32_t>(size);
}

/// Without the spaces at the end, but with one that a `\` holds. A line that ends with a `\` keeps
/// those before it, as for git; it matches nothing anyway.
std::string_view without_spaces_at_end(std::string_view line) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] == '\\') {
      ++at;
      end = at + 1;
    } else if (line[at] != ' ') {
      end = at + 1;
    }
  }
  return line.substr(0, end);
}

}  // namespace

IgnoreRules::IgnoreRules(std::string_view text) : text_(text) {
  invariant(text.size() <= std::numeric_limits<std::uint32_t>::max(), "ignore: a text too long");
  std::size_t begin = text.starts_with(byte_order_mark) ? byte_order_mark.size() : 0;
  for (std::uint32_t number = 1; begin < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (!line.starts_with('#')) {
      Rule rule;
      rule.line = number;
      rule.text_begin = narrow(begin);
      rule.text_size = narrow(line.size());
      add_line(line, rule);
    }
    begin = end + 1;
  }
  rules_.shrink_to_fit();
}

void IgnoreRules::add_line(std::string_view line, Rule rule) {
  // As for git, where a line is a C string.
  std::string_view pattern = without_spaces_at_end(line.substr(0, line.find('\0')));
  if (pattern.starts_with('!')) {
    rule.negated = true;
    pattern.remove_prefix(1);
  }
  if (pattern.ends_with('/')) {
    rule.directories_only = true;
    pattern.remove_suffix(1);
  }
  const bool of_paths = pattern.contains('/');
  if (pattern.starts_with('/')) {
    pattern.remove_prefix(1);
  }
  const std::size_t begin = patterns_.size();
  if (pattern.empty() ||
      !read_glob(pattern, of_paths ? GlobOf::paths : GlobOf::names, patterns_, classes_)) {
    return;
  }
  auto rest = std::span<const GlobElement>(patterns_).subspan(begin);
  const auto is_literal = [](GlobElement element) { return element < glob::any; };
  const bool ends_with =
      !of_paths && rest.front() == glob::run && std::ranges::all_of(rest.subspan(1), is_literal);
  if (ends_with) {
    rest = rest.subspan(1);
  }
  rule.literal_begin = narrow(literals_.size());
  for (; !rest.empty() && is_literal(rest.front()); rest = rest.subspan(1)) {
    literals_.push_back(static_cast<char>(rest.front()));
  }
  rule.literal_size = narrow(literals_.size()) - rule.literal_begin;
  // The literal is kept as bytes only: what is left of the pattern moves to where it began.
  std::ranges::copy(rest, patterns_.begin() + static_cast<std::ptrdiff_t>(begin));
  patterns_.resize(begin + rest.size());
  rule.pattern_begin = narrow(begin);
  rule.pattern_size = narrow(rest.size());
  using What = Rule::What;
  if (ends_with) {
    rule.what = What::name_end;
  } else if (of_paths) {
    rule.what = rest.empty() ? What::path : What::path_pattern;
  } else {
    rule.what = rest.empty() ? What::name : What::name_pattern;
  }
  rules_.push_back(rule);
}

bool IgnoreRules::say_the_same_as(const IgnoreRules& other) const {
  return std::ranges::equal(rules_, other.rules_, [&](const Rule& mine, const Rule& theirs) {
    return text_of(mine) == other.text_of(theirs);
  });
}

const IgnoreRules::Rule* IgnoreRules::last_about(std::string_view below, std::string_view name,
                                                 bool is_directory) const {
  for (const Rule& rule : std::views::reverse(rules_)) {
    if ((is_directory || !rule.directories_only) && is_about(rule, below, name)) {
      return &rule;
    }
  }
  return nullptr;
}

bool IgnoreRules::is_about(const Rule& rule, std::string_view below, std::string_view name) const {
  const std::string_view literal(literals_.data() + rule.literal_begin, rule.literal_size);
  using What = Rule::What;
  switch (rule.what) {
    case What::name: return name == literal;
    case What::name_end: return name.ends_with(literal);
    case What::name_pattern: return matches(rule, literal, name);
    case What::path: return below == literal;
    case What::path_pattern: return matches(rule, literal, below);
  }
  return false;
}

bool IgnoreRules::matches(const Rule& rule, std::string_view literal, std::string_view text) const {
  return text.starts_with(literal) && glob_matches(std::span<const GlobElement>(patterns_).subspan(
                                                       rule.pattern_begin, rule.pattern_size),
                                                   classes_, text.substr(literal.size()));
}

}  // namespace p2psync::engine
