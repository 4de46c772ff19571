#include "engine/glob.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace p2psync::engine {
namespace {

using Byte = unsigned char;

bool between(Byte byte, Byte first, Byte last) {
  return first <= byte && byte <= last;
}
bool is_digit(Byte byte) {
  return between(byte, '0', '9');
}
bool is_lower(Byte byte) {
  return between(byte, 'a', 'z');
}
bool is_upper(Byte byte) {
  return between(byte, 'A', 'Z');
}
bool is_letter(Byte byte) {
  return is_lower(byte) || is_upper(byte);
}
bool is_graph(Byte byte) {
  return between(byte, '!', '~');
}

/// ASCII, whatever the locale. As for git, vertical tab and form feed are no space.
constexpr std::array<std::pair<std::string_view, bool (*)(Byte)>, 12> named_classes{{
    {"alnum", [](Byte byte) { return is_letter(byte) || is_digit(byte); }},
    {"alpha", is_letter},
    {"blank", [](Byte byte) { return byte == ' ' || byte == '\t'; }},
    {"cntrl", [](Byte byte) { return byte < ' ' || byte == 127; }},
    {"digit", is_digit},
    {"graph", is_graph},
    {"lower", is_lower},
    {"print", [](Byte byte) { return is_graph(byte) || byte == ' '; }},
    {"punct", [](Byte byte) { return is_graph(byte) && !is_letter(byte) && !is_digit(byte); }},
    {"space",
     [](Byte byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }},
    {"upper", is_upper},
    {"xdigit",
     [](Byte byte) {
       return is_digit(byte) || between(byte, 'a', 'f') || between(byte, 'A', 'F');
     }},
}};

/// Reads one pattern from left to right.
class Reader {
 public:
  Reader(std::string_view pattern, GlobOf what)
      : pattern_(pattern), what_(what), literal_(pattern.find_first_of("*?[\\")) {}

  bool read(std::vector<GlobElement>& elements, std::vector<GlobClass>& classes) {
    while (at_ < pattern_.size()) {
      switch (pattern_[at_]) {
        case '*': elements.push_back(stars()); break;
        case '?':
          ++at_;
          elements.push_back(glob::any);
          break;
        case '[': {
          const auto bytes = bracket();
          if (!bytes) {
            return false;
          }
          elements.push_back(glob::first_class + static_cast<GlobElement>(classes.size()));
          classes.push_back(*bytes);
          break;
        }
        default: {
          const auto byte = maybe_escaped();
          if (!byte) {
            return false;
          }
          elements.push_back(*byte);
        }
      }
    }
    return true;
  }

 private:
  [[nodiscard]] std::string_view rest() const { return pattern_.substr(at_); }

  /// The byte here, or the one behind a `\`.
  std::optional<Byte> maybe_escaped() {
    if (rest().starts_with('\\')) {
      ++at_;
    }
    if (at_ >= pattern_.size()) {
      return std::nullopt;
    }
    return static_cast<Byte>(pattern_[at_++]);
  }

  /// `**` counts at the beginning and after a '/'. Git compares what comes before the first special
  /// byte by itself, and what is left then begins there: so `a**/b` is an `a` before `**/b`.
  GlobElement stars() {
    const std::size_t begin = at_;
    at_ = std::min(pattern_.find_first_not_of('*', begin), pattern_.size());
    const bool component = begin == literal_ || pattern_[begin - 1] == '/';
    if (what_ == GlobOf::names || at_ - begin < 2 || !component) {
      return glob::run;
    }
    if (rest().empty()) {
      return glob::everything;
    }
    if (rest().starts_with('/')) {
      at_ += 1;
      return glob::directories;
    }
    if (rest().starts_with("\\/")) {
      at_ += 2;
      return glob::up_to_slash;
    }
    return glob::run;
  }

  std::optional<GlobClass> bracket() {
    GlobClass bytes;
    ++at_;
    const bool negated = rest().starts_with('!') || rest().starts_with('^');
    at_ += negated ? 1 : 0;
    std::optional<Byte> before;  // what a range may begin with
    do {                         // so that a `]` is one of the bytes if it is the first
      if (!bracket_item(bytes, before)) {
        return std::nullopt;
      }
    } while (!rest().starts_with(']'));
    ++at_;
    if (negated) {
      bytes.flip();
    }
    bytes.reset('/');
    return bytes;
  }

  /// A byte, a range or a named class; false if there is none.
  bool bracket_item(GlobClass& bytes, std::optional<Byte>& before) {
    if (before && rest().starts_with('-') && rest().size() > 1 && rest()[1] != ']') {
      ++at_;
      const auto last = maybe_escaped();
      for (unsigned byte = *before; last && byte <= *last; ++byte) {
        bytes.set(byte);
      }
      before.reset();
      return last.has_value();
    }
    if (rest().starts_with("[:")) {
      const std::size_t end = pattern_.find(']', at_ + 2);
      if (end == std::string_view::npos) {
        return false;
      }
      if (end > at_ + 2 && pattern_[end - 1] == ':') {
        const std::string_view name = pattern_.substr(at_ + 2, end - 1 - (at_ + 2));
        at_ = end + 1;
        before.reset();
        return add_named(name, bytes);
      }
    }
    before = maybe_escaped();
    if (before) {
      bytes.set(*before);
    }
    return before.has_value();
  }

  static bool add_named(std::string_view name, GlobClass& bytes) {
    const auto* const found =
        std::ranges::find(named_classes, name, [](const auto& named) { return named.first; });
    if (found == named_classes.end()) {
      return false;
    }
    for (unsigned byte = 0; byte < bytes.size(); ++byte) {
      if (found->second(static_cast<Byte>(byte))) {
        bytes.set(byte);
      }
    }
    return true;
  }

  std::string_view pattern_;
  GlobOf what_;
  std::size_t literal_;  ///< where the first special byte is
  std::size_t at_ = 0;
};

bool matches_one(GlobElement element, std::span<const GlobClass> classes, char byte) {
  if (element < glob::any) {
    return static_cast<Byte>(byte) == element;
  }
  if (element == glob::any) {
    return byte != '/';
  }
  return element >= glob::first_class &&
         classes[element - glob::first_class][static_cast<Byte>(byte)];
}

/// Where to go on when what follows a run or `**/` does not match: with the run one byte longer, or
/// at the next directory.
struct Again {
  std::size_t element = 0;  ///< 0: nowhere, since the run is before it
  std::size_t byte = 0;
};

}  // namespace

bool read_glob(std::string_view pattern, GlobOf what, std::vector<GlobElement>& elements,
               std::vector<GlobClass>& classes) {
  const std::size_t elements_before = elements.size();
  const std::size_t classes_before = classes.size();
  if (Reader(pattern, what).read(elements, classes)) {
    return true;
  }
  elements.resize(elements_before);
  classes.resize(classes_before);
  return false;
}

// Only the last run and the last `**/` are ever taken back. A run further left need not: if what is
// between two runs matches here, then a later match of it leaves the second run no choice that it
// does not have now. Behind a '/' the runs before it are settled, as none can grow across. And
// what is between two `**/` ends with a '/': where it ends first, the second has every choice.
bool glob_matches(std::span<const GlobElement> pattern, std::span<const GlobClass> classes,
                  std::string_view text) {
  Again run;
  Again directory;
  std::size_t element = 0;
  std::size_t byte = 0;
  while (true) {
    if (element == pattern.size()) {
      if (byte == text.size()) {
        return true;
      }
    } else if (pattern[element] == glob::everything) {
      return true;
    } else if (pattern[element] == glob::run) {
      run = {++element, byte};
      continue;
    } else if (pattern[element] == glob::directories) {
      directory = {++element, byte};
      run = {};
      continue;
    } else if (pattern[element] == glob::up_to_slash) {
      directory = {++element, byte};
      run = {};
    } else if (byte < text.size() && matches_one(pattern[element], classes, text[byte])) {
      run = text[byte] == '/' ? Again{} : run;
      ++element;
      ++byte;
      continue;
    }
    if (run.element != 0 && run.byte < text.size() && text[run.byte] != '/') {
      byte = ++run.byte;
      element = run.element;
      continue;
    }
    const std::size_t slash =
        directory.element == 0 ? std::string_view::npos : text.find('/', directory.byte);
    if (slash == std::string_view::npos) {
      return false;
    }
    byte = directory.byte = slash + 1;
    element = directory.element;
    run = {};
  }
}

}  // namespace p2psync::engine
