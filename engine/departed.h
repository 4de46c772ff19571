#pragma once
// Departed: the notes of what left this node's folder and is not kept, by the instant of that.
//
// There are many and they are rarely asked for, so each lies there as bytes: some hundred, in
// blocks of 16 KiB. Notes that come in the order of time leave full blocks behind; the oldest go
// first. Cost: put and drop_first O(log n + 16 KiB moved), a visit O(1), and a microsecond for
// version(). A value: no locks.
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "engine/entry.h"
#include "engine/path.h"

namespace p2psync::engine {

class Departed {
 public:
  /// Good for as long as nothing is put or dropped.
  struct Note {
    std::int64_t left = 0;  ///< ns since 1970
    std::string_view path;
    std::span<const std::uint8_t> packed;  ///< as codec.h encodes a Version
    [[nodiscard]] Version version() const;
  };

  /// In place of the note of that very instant, if there is one.
  void put(std::int64_t left, std::string_view path, const Version& version);
  /// The oldest. There must be one.
  void drop_first();

  [[nodiscard]] bool empty() const { return blocks_.empty(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// When the oldest left; there must be one.
  [[nodiscard]] std::int64_t first() const { return note_at(blocks_.begin()->second, 0).left; }
  /// What they take.
  [[nodiscard]] std::size_t bytes() const;

  /// Of this instant and later, the earliest first, while `visit` returns true.
  template <class Visit>
  void for_each_from(std::int64_t left, const Visit& visit) const {
    auto block = blocks_.upper_bound(left);
    if (block != blocks_.begin()) {
      --block;
    }
    for (; block != blocks_.end(); ++block) {
      const Block& notes = block->second;
      for (std::size_t at = place_of(notes, left); at < notes.size(); at = behind(notes, at)) {
        if (!visit(note_at(notes, at))) {
          return;
        }
      }
    }
  }

 private:
  /// Notes one behind the other, ascending.
  using Block = std::vector<std::uint8_t>;
  using Blocks = std::map<std::int64_t, Block>;

  [[nodiscard]] static Note note_at(const Block& notes, std::size_t at);
  [[nodiscard]] static std::size_t behind(const Block& notes, std::size_t at);
  /// Where the first note stands that left then or later.
  [[nodiscard]] static std::size_t place_of(const Block& notes, std::int64_t left);
  Block& add_block(std::int64_t first);
  [[nodiscard]] Blocks::iterator block_for(std::int64_t left);

  Blocks blocks_;  ///< by the instant of the first note or an earlier one; none is empty
  std::size_t size_ = 0;
};

}  // namespace p2psync::engine
