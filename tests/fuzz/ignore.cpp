// Rules of `.p2pignore`, as any member may write them, on any paths.
//
// Input: parts with a 0 byte between them: the rules of the root, of "a" and of "a/b"; then paths.
#include "engine/ignore.h"

#include <algorithm>
#include <array>
#include <string>

#include "tests/fuzz/input.h"

namespace p2psync::fuzz {
namespace {

using engine::Ignore;

constexpr std::array<std::string_view, 3> directories{"", "a", "a/b"};

std::string_view take_part(std::string_view& rest) {
  const std::size_t length = std::min(rest.find('\0'), rest.size());
  const std::string_view part = rest.substr(0, length);
  rest.remove_prefix(std::min(length + 1, rest.size()));
  return part;
}

std::string_view line_of(std::string_view text, std::size_t number) {
  for (; number > 1; --number) {
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  return text.substr(0, text.find('\n'));
}

void check_path(const Ignore& ignore, const std::array<std::string_view, 3>& texts,
                std::string_view path) {
  for (const bool is_directory : {false, true}) {
    const auto rule = ignore.rule_for(path, is_directory);
    const bool ignored = ignore.ignores(path, is_directory);
    require(ignored == (rule && !rule->negated), "the rule is what decides");
    const std::string_view parent = engine::parent_of(path);
    const bool parent_ignored = !parent.empty() && ignore.ignores(parent, true);
    require(ignored || !parent_ignored, "nothing comes out of an ignored directory");
    require(engine::name_of(path) != engine::ignore_file || ignored == parent_ignored,
            "rules travel with their directory");
    if (rule) {
      const auto* const at = std::ranges::find(directories, std::string_view(rule->directory));
      require(at != directories.end(), "a rule stands in a directory that has rules");
      require(engine::is_below(path, rule->directory), "a rule is about what is below it");
      const std::string_view text = texts[static_cast<std::size_t>(at - directories.begin())];
      require(line_of(text, rule->line).contains(rule->text), "it is told as it was written");
      require(rule->negated == rule->text.starts_with('!'), "a `!` is a `!`");
    }
    if (ignored) {
      const engine::Path below = engine::child_of(path, "x");
      require(!is_directory || ignore.ignores(below, false), "all below it is ignored");
    }
  }
}

}  // namespace
}  // namespace p2psync::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  std::string_view rest = fuzz::text({data, size});
  std::array<std::string_view, 3> texts;
  engine::Ignore ignore;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    texts[i] = fuzz::take_part(rest);
    ignore.set(engine::Path(fuzz::directories[i]), texts[i]);
    fuzz::require(!ignore.set(engine::Path(fuzz::directories[i]), texts[i]), "no difference");
  }
  while (!rest.empty()) {
    const std::string_view path = fuzz::take_part(rest);
    if (!engine::path_problem(path)) {
      fuzz::check_path(ignore, texts, path);
    }
  }
  for (const std::string_view directory : fuzz::directories) {
    ignore.set(engine::Path(directory), "");
  }
  fuzz::require(ignore.empty() && !ignore.ignores("a/b/c", false), "without rules all is in");
  return 0;
}
