#pragma once
// The rules of one `.p2pignore`: its lines, read once, in the language of `.gitignore`.
//
// A value. Memory: that of the text, about 40 bytes a rule, 4 a byte of what has wildcards, and 32
// a `[...]`.
#include <string>
#include <string_view>
#include <vector>

#include "engine/glob.h"

namespace p2psync::engine {

class IgnoreRules {
 public:
  struct Rule {
    enum class What : std::uint8_t {
      name,          ///< a name that is `literal`
      name_end,      ///< a name that ends with it (`*.o`)
      name_pattern,  ///< one that begins with it, and then matches the pattern
      path,          ///< a path below the directory that is `literal`
      path_pattern,
    };
    What what = What::name;
    bool negated = false;           ///< `!`
    bool directories_only = false;  ///< `/` at the end
    std::uint32_t line = 0;         ///< from 1
    std::uint32_t text_begin = 0;
    std::uint32_t text_size = 0;
    std::uint32_t literal_begin = 0;
    std::uint32_t literal_size = 0;
    std::uint32_t pattern_begin = 0;
    std::uint32_t pattern_size = 0;
  };

  /// Lines that can match nothing are no rules.
  explicit IgnoreRules(std::string_view text);
  [[nodiscard]] bool empty() const { return rules_.empty(); }
  /// Equal rules in equal order; they may stand in other lines.
  [[nodiscard]] bool say_the_same_as(const IgnoreRules& other) const;
  /// The last that is about it. `below`: the path from the directory on; `name` is its last part.
  [[nodiscard]] const Rule* last_about(std::string_view below, std::string_view name,
                                       bool is_directory) const;
  /// The line, without its end.
  [[nodiscard]] std::string_view text_of(const Rule& rule) const {
    return std::string_view(text_).substr(rule.text_begin, rule.text_size);
  }

 private:
  void add_line(std::string_view line, Rule rule);
  [[nodiscard]] bool is_about(const Rule& rule, std::string_view below,
                              std::string_view name) const;
  [[nodiscard]] bool matches(const Rule& rule, std::string_view literal,
                             std::string_view text) const;

  std::string text_;
  std::vector<Rule> rules_;
  // Of all rules, one behind the other.
  std::string literals_;
  std::vector<GlobElement> patterns_;
  std::vector<GlobClass> classes_;
};

}  // namespace p2psync::engine
