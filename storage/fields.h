#pragma once
// Lines of fields divided by single blanks, as the applier's own small files have them.
//
// Read whole: they are as large as a batch, not as a tree. In texts, bytes outside '!'..'~' and '%'
// are %XX; the empty text is a lone %. Hashes are 64 hex digits.
#include <charconv>
#include <string>
#include <string_view>

#include "engine/entry.h"
#include "storage/fs.h"

namespace p2psync::storage {

/// The whole of one of these files.
[[nodiscard]] Result<std::string> read_text(Fs& fs, std::string_view path);

[[nodiscard]] std::string escaped(std::string_view text);

/// A place in the program's own directory, or the empty text.
[[nodiscard]] bool is_own_or_none(std::string_view place);

/// Takes a line apart; the first field that is not as it should be spoils the whole.
class Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}

  std::string text();
  engine::Hash hash();
  template <class Number>
  Number number(int base = 10) {
    return parse<Number>(next(), base);
  }
  [[nodiscard]] bool all_good() const { return good_ && rest_.empty(); }

 private:
  std::string_view next();
  template <class Number>
  Number parse(std::string_view digits, int base) {
    Number value{};
    const auto [end, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    good_ = good_ && problem == std::errc() && end == digits.data() + digits.size();
    return value;
  }

  std::string_view rest_;
  bool good_ = true;
};

}  // namespace p2psync::storage
