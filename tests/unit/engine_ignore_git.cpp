// The ignore rules beside git's own: generated trees, rules and paths, and `git check-ignore` has
// to give the same answer, and to name the same line of the same file.
//
// git takes for a directory what is one on disk, so the directories are made; files need not exist.
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "app_scratch.h"
#include "engine/ignore.h"
#include "engine_dice.h"

using namespace p2psync::engine;

namespace {

constexpr int trees = 50;
constexpr int paths_a_tree = 200;

/// As it can be read and typed, whatever bytes it has.
std::string shown(std::string_view text) {
  std::ostringstream out;
  for (const char c : text) {
    if (c == '\n') {
      out << "\\n\n    ";
    } else if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126) {
      out << "\\x" << std::hex << (static_cast<unsigned>(c) & 0xffU) << std::dec;
    } else {
      out << c;
    }
  }
  return out.str();
}

struct Tree {
  std::map<Path, std::string> rules;  ///< by directory
  std::set<Path> directories;
  std::vector<Path> paths;  ///< to ask about; those that are no directories are files

  [[nodiscard]] std::string text() const {
    std::string told;
    for (const auto& [directory, text] : rules) {
      told += "in \"" + shown(directory) + "\":\n    " + shown(text) + "\n";
    }
    return told;
  }
};

/// What decided: "", or "file:line".
struct Answer {
  bool ignored = false;
  std::string rule;
  bool operator==(const Answer&) const = default;
  [[nodiscard]] std::string text() const {
    return (ignored ? "ignored by " : "not ignored by ") + (rule.empty() ? "any rule" : rule);
  }
};

/// Trees of few names, so that rules and paths meet.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  Tree tree() {
    Tree made;
    names_.clear();
    for (std::uint64_t count = 2 + random_.below(5); names_.size() < count;) {
      names_.push_back(std::string(one_of(some_names)));
    }
    while (made.paths.size() < paths_a_tree) {
      add_path(made);
    }
    const std::vector<Path> directories(made.directories.begin(), made.directories.end());
    made.rules[""] = rules_for(made, "");
    for (const Path& directory : directories) {
      if (random_.chance(25)) {
        made.rules[directory] = rules_for(made, directory);
      }
    }
    return made;
  }

 private:
  static constexpr auto some_names = std::to_array<std::string_view>(
      {"a",          "b",        "ab",   "abc",  "aab",  "foo", "foo.o",        "bar.txt",
       "foo.tar.gz", "a b",      "a ",   " a",   "#x",   "!y",  "x\\y",         "[z]",
       "z",          "\xc3\xa9", "\xff", "-",    "]",    "A",   "B1",           "7",
       "**",         "*",        "?",    "a\tb", "a\rb", "x\r", ".a",           "a.",
       "_",          "~",        "a-b",  "^c",   "\v",   "a:b", "node_modules", "aaaaaaaaaaaab"});

  template <typename List>
  const typename List::value_type& one_of(const List& list) {
    return list[random_.below(list.size())];
  }

  void add_path(Tree& made) {
    Path path;
    const std::uint64_t depth = 1 + random_.below(5);
    for (std::uint64_t level = 0; level < depth; ++level) {
      if (!path.empty()) {
        made.directories.insert(path);
      }
      path = child_of(path, one_of(names_));
    }
    if (random_.chance(25)) {
      made.directories.insert(path);
    }
    made.paths.push_back(path);
  }

  std::string rules_for(const Tree& made, const Path& directory) {
    std::string text = random_.chance(5) ? "\xef\xbb\xbf" : "";
    for (std::uint64_t lines = 1 + random_.below(8); lines > 0; --lines) {
      text += line_for(made, directory);
      text += random_.chance(10) ? "\r\n" : "\n";
    }
    if (random_.chance(20)) {
      text.pop_back();
    }
    return text;
  }

  std::string line_for(const Tree& made, const Path& directory) {
    if (random_.chance(4)) {
      return std::string(one_of(std::to_array<std::string_view>(
          {"",     "#a",   "# comment", " ",   "!",   "/",    "//",  "!/",        "\\",  "[",
           "*",    "/*",   "**",        "/**", "!*",  "!**/", "*/",  "[[:foo:]]", "[a",  "a\\",
           "\\#x", "\\!y", "**/*",      "*/*", "/*/", "[]",   "[!]", "[]-]",      "***", "\r"})));
    }
    std::string line = random_.chance(30) ? "!" : "";
    line += random_.chance(30) ? "/" : "";
    line += pattern_for(made, directory);
    line += random_.chance(20) ? "/" : "";
    line += random_.chance(3) ? "/" : "";
    if (random_.chance(8)) {
      line += one_of(std::to_array<std::string_view>(
          {" ", "  ", "\\ ", "\\  ", " \\ ", "\t", "\\", "\r", " #"}));
    }
    return line;
  }

  /// Of a path of the tree, or a part of one, with some of it made vague.
  std::string pattern_for(const Tree& made, const Path& directory) {
    std::string_view path = one_of(made.paths);
    for (int tries = 0; tries < 8 && !is_below(path, directory); ++tries) {
      path = one_of(made.paths);
    }
    if (!directory.empty() && is_below(path, directory)) {
      path.remove_prefix(directory.size() + 1);
    }
    if (random_.chance(50)) {
      path = name_of(path);
    }
    while (random_.chance(40) && !parent_of(path).empty()) {
      path = parent_of(path);
    }
    std::string pattern;
    for (std::size_t begin = 0; begin <= path.size();) {
      const std::size_t end = std::min(path.find('/', begin), path.size());
      pattern += begin == 0 ? "" : random_.chance(3) ? "\\/" : "/";
      pattern +=
          random_.chance(15) ? std::string(one_of(stars)) : vague(path.substr(begin, end - begin));
      begin = end + 1;
    }
    return pattern;
  }

  static constexpr auto stars = std::to_array<std::string_view>(
      {"**", "**", "**/**", "*", "***", "a**", "**b", "*?", "?", "**/*", "*/**", "[!a]", "a*/**"});

  std::string vague(std::string_view name) {
    if (random_.chance(35)) {
      return escaped(name);
    }
    std::string pattern;
    for (std::size_t at = 0; at < name.size(); ++at) {
      switch (random_.below(12)) {
        case 0: pattern += "?"; break;
        case 1: pattern += "*"; break;
        case 2:
          pattern += "*";
          at += random_.below(name.size() - at);
          break;
        case 3: pattern += bracket(name[at]); break;
        case 4: pattern += "**"; break;
        case 5: pattern += std::string("\\") + name[at]; break;
        case 6:
          pattern += name[at];
          pattern += random_.chance(30) ? "*" : "";
          break;
        default: pattern += escaped(name.substr(at, 1));
      }
    }
    return pattern;
  }

  std::string escaped(std::string_view name) {
    std::string pattern;
    for (const char c : name) {
      const bool special = std::string_view("*?[\\ #!").contains(c);
      pattern += special && random_.chance(60) ? std::string("\\") + c : std::string(1, c);
    }
    return pattern;
  }

  std::string bracket(char c) {
    std::string inside = random_.chance(20) ? "!" : random_.chance(10) ? "^" : "";
    for (std::uint64_t items = 1 + random_.below(3); items > 0; --items) {
      switch (random_.below(9)) {
        case 0: inside += c; break;
        case 1: inside += std::string("\\") + c; break;
        case 2:
          inside += std::string(1, static_cast<char>(c - 1)) + "-" + static_cast<char>(c + 1);
          break;
        case 3: inside += std::string(1, c) + "-\\" + c; break;
        case 4:
          inside += one_of(std::to_array<std::string_view>(
              {"a-z", "A-Z", "0-9", "z-a", "a-", "-", "]", "[", "\\]", "+--", "[-a"}));
          break;
        case 5:
        case 6:
          inside += "[:" +
                    std::string(one_of(std::to_array<std::string_view>(
                        {"alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print",
                         "punct", "space", "upper", "xdigit"}))) +
                    ":]";
          break;
        case 7: inside += c; break;
        default:
          inside += one_of(std::to_array<std::string_view>(
              {"[:foo:]", "[:", "[::]", "[:alpha", "[:alpha]", ":]", "\\", "b-[:digit:]"}));
      }
    }
    // A '/' or a line's end would make two patterns of it.
    for (char& byte : inside) {
      byte = byte == '/' || byte == '\n' || byte == '\0' ? 'q' : byte;
    }
    return "[" + inside + "]";
  }

  Random random_;
  std::vector<std::string> names_;
};

void write(const std::string& file, std::string_view text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  REQUIRE(out.flush().good());
}

bool git_is_here() {
  return std::system("git --version >/dev/null 2>&1") == 0;
}

/// A repository without anything in it, which costs less than `git init`.
void make_repository(const std::string& top) {
  std::filesystem::create_directories(top + "/.git/objects");
  std::filesystem::create_directories(top + "/.git/refs");
  write(top + "/.git/HEAD", "ref: refs/heads/main\n");
}

std::vector<Answer> answers_of_git(const Tree& tree, const std::string& top) {
  make_repository(top);
  for (const Path& directory : tree.directories) {
    std::filesystem::create_directories(std::filesystem::path(top) / directory);
  }
  for (const auto& [directory, text] : tree.rules) {
    write((std::filesystem::path(top) / directory / ".gitignore").string(), text);
  }
  std::string asked;
  for (const Path& path : tree.paths) {
    asked += path + '\0';
  }
  write(top + "/.git/asked", asked);
  // Exit 1: no path is ignored.
  const std::string command =
      "cd '" + top +
      "' && LC_ALL=C GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null"
      " git -c core.excludesFile=/dev/null check-ignore --no-index --stdin -z -v -n"
      " <.git/asked >.git/told; test $? -le 1";
  REQUIRE(std::system(command.c_str()) == 0);
  std::ifstream in(top + "/.git/told", std::ios::binary);
  std::vector<std::string> fields;
  for (std::string field; std::getline(in, field, '\0');) {
    fields.push_back(field);
  }
  REQUIRE(fields.size() == 4 * tree.paths.size());
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < fields.size(); i += 4) {
    REQUIRE(fields[i + 3] == tree.paths[i / 4]);
    const bool none = fields[i].empty();
    answers.push_back(
        {!none && !fields[i + 2].starts_with('!'), none ? "" : fields[i] + ":" + fields[i + 1]});
  }
  return answers;
}

Answer answer_of_ours(const Ignore& ignore, const Path& path, bool is_directory) {
  const auto rule = ignore.rule_for(path, is_directory);
  const bool ignored = ignore.ignores(path, is_directory);
  if (!rule) {
    return {ignored, ""};
  }
  CHECK(ignored == !rule->negated);
  return {ignored, child_of(rule->directory, ".gitignore") + ":" + std::to_string(rule->line)};
}

}  // namespace

TEST_CASE("ignore: git gives the same answers, for the same rules") {
  if (!git_is_here()) {
    const char* ci = std::getenv("CI");
    REQUIRE_MESSAGE((ci == nullptr || std::string_view(ci) != "true"), "git is not installed");
    MESSAGE("skipped: git is not installed");
    return;
  }
  const std::uint64_t seed = test_seed(7);
  CAPTURE(seed);
  Generator generator(seed);
  int ignored = 0;
  int decided = 0;
  for (int number = 0; number < trees; ++number) {
    const Tree tree = generator.tree();
    const p2psync::app::Scratch scratch;
    const std::vector<Answer> git = answers_of_git(tree, scratch.at("tree"));
    Ignore ignore;
    for (const auto& [directory, text] : tree.rules) {
      ignore.set(directory, text);
    }
    for (std::size_t i = 0; i < tree.paths.size(); ++i) {
      const bool is_directory = tree.directories.contains(tree.paths[i]);
      const Answer ours = answer_of_ours(ignore, tree.paths[i], is_directory);
      CHECK_MESSAGE(ours == git[i], tree.text(), shown(tree.paths[i]), is_directory ? "/" : "",
                    ": git says ", git[i].text(), ", we say ", ours.text());
      ignored += git[i].ignored ? 1 : 0;
      decided += git[i].rule.empty() ? 0 : 1;
    }
  }
  // It compares something only while both answers are frequent.
  constexpr int all = trees * paths_a_tree;
  CHECK(ignored > all / 10);
  CHECK(ignored < all * 9 / 10);
  CHECK(decided > ignored + all / 50);
}
