#pragma once
// Ignore: which paths are not synchronised, as users say it in `.p2pignore` files.
//
// Such a file stands in any directory, and has the language and the meaning of `.gitignore`: of the
// last rule about a path the `!` decides; a deeper directory's file comes after those above it; and
// what is below an ignored directory is ignored, whatever is said of it or there. Case counts, and
// paths are bytes. The files themselves are never ignored, unless a directory above is: the rules
// have to travel.
//
// A query goes on from the directories of the one before it, so neighbours share what is above
// them; it takes no memory, and not even queries may be made by two threads at once. Cost: the
// rules of the directories above, a few ns each; for patterns with wildcards (bytes of the pattern)
// x (bytes of the path) at the most. Source: gitignore(5); tests/unit/engine_ignore_git.cpp
// compares with git itself.
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/ignore_rules.h"
#include "engine/path.h"

namespace p2psync::engine {

inline constexpr std::string_view ignore_file = ".p2pignore";
/// Longer files of rules are refused by whoever reads them.
inline constexpr std::size_t ignore_bytes_max = 64 * 1024;
/// Of all of them: each line takes some 60 bytes of memory besides.
inline constexpr std::size_t ignore_total_max = 1024 * 1024;

class Ignore {
 public:
  /// A rule of a directory's file, as it decided.
  struct Rule {
    Path directory;        ///< whose `.p2pignore` it stands in; "" is the root
    std::size_t line = 0;  ///< from 1
    std::string text;      ///< the line, as it was written (without its end)
    bool negated = false;  ///< `!`: it says that the path is not ignored
  };

  Ignore() = default;
  Ignore(const Ignore& other) : files_(other.files_) {}  // a walk points into its own
  Ignore& operator=(const Ignore& other) { return *this = Ignore(other); }
  Ignore(Ignore&&) = default;
  Ignore& operator=(Ignore&&) = default;
  ~Ignore() = default;

  /// The rules of a directory from now on; an empty text: none. True if they differ from those
  /// before: comments, and where a rule stands, make no difference.
  bool set(const Path& directory, std::string_view text);
  /// No directory has any rule.
  [[nodiscard]] bool empty() const { return files_.empty(); }
  /// Whether the path, or a directory that it is in, is ignored. `is_directory`: what stands at the
  /// path itself.
  [[nodiscard]] bool ignores(std::string_view path, bool is_directory) const;
  /// The rule that decided, also where that was a `!`; of a directory above if that one is ignored.
  /// Nothing: no rule is about it.
  [[nodiscard]] std::optional<Rule> rule_for(std::string_view path, bool is_directory) const;

 private:
  using Files = std::map<Path, IgnoreRules, PathLess>;
  struct Decision {
    const Files::value_type* file = nullptr;
    const IgnoreRules::Rule* rule = nullptr;
  };
  /// The way from the root to a directory, for what stands in it.
  struct Walk {
    struct Step {
      std::size_t path_size;    ///< of the directory
      std::size_t files_count;  ///< so many of `files` are its own or above it
    };
    Path directory;
    std::vector<Step> steps;  ///< the first is the root
    std::vector<const Files::value_type*> files;
    /// The directory behind the last step is ignored: the walk ends there.
    Decision ignored;
    std::size_t ignored_size = 0;
  };
  void walk_to(std::string_view directory) const;
  [[nodiscard]] Decision last_about(std::string_view path, bool is_directory) const;
  [[nodiscard]] Decision decide(std::string_view path, bool is_directory) const;

  Files files_;  ///< those with rules
  mutable Walk walk_;
};

}  // namespace p2psync::engine
