#pragma once
// Versions that have left the tree, each as a few bytes: there can be as many as there are files.
//
// A map from the name of a KeptVersion to it. They are rarely asked for, so each lies there as
// bytes: some 120, one behind the other in blocks of some 16 KiB, which have little to spare. Names
// that come in ascending order, as those of files in `.p2psync/versions` do, leave full blocks.
// Cost: put, erase, find O(log n + 16 KiB looked through); a visit O(1), version() a microsecond.
// A value: no locks.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/record.h"

namespace p2psync::engine {

class PackedVersions {
 public:
  /// Good for as long as nothing is put or erased.
  struct Item {
    std::string_view file;
    std::string_view path;
    std::span<const std::uint8_t> packed;  ///< as codec.h encodes a Version
    [[nodiscard]] Version version() const;
  };

  /// In place of the one of that name, if there is one.
  void put(const KeptVersion& kept);
  /// False: there was none.
  bool erase(std::string_view file);
  [[nodiscard]] std::optional<Item> find(std::string_view file) const;
  [[nodiscard]] bool contains(std::string_view file) const { return find(file).has_value(); }

  [[nodiscard]] bool empty() const { return blocks_.empty(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// The one with the least name, the oldest; there must be one.
  [[nodiscard]] Item first() const { return item_at(blocks_.begin()->second, 0); }
  /// What they take.
  [[nodiscard]] std::size_t bytes() const;

  /// In order from the first name that is not below `file`, while `visit` returns true.
  template <class Visit>
  void for_each_from(std::string_view file, const Visit& visit) const {
    auto block = blocks_.upper_bound(file);
    if (block != blocks_.begin()) {
      --block;
    }
    for (; block != blocks_.end(); ++block) {
      const Block& items = block->second;
      for (std::size_t at = place_of(items, file); at < items.size(); at = behind(items, at)) {
        if (!visit(item_at(items, at))) {
          return;
        }
      }
    }
  }

 private:
  /// Items one behind the other, ascending.
  using Block = std::vector<std::uint8_t>;
  using Blocks = std::map<std::string, Block, std::less<>>;

  [[nodiscard]] static Item item_at(const Block& items, std::size_t at);
  [[nodiscard]] static std::size_t behind(const Block& items, std::size_t at);
  /// Where the first item stands that is not below the name.
  [[nodiscard]] static std::size_t place_of(const Block& items, std::string_view file);
  static void make_room(Block& items, std::size_t bytes);
  Block& divide(Block& items);
  [[nodiscard]] Blocks::iterator block_for(std::string_view file);
  bool join_next(Blocks::iterator block);

  Blocks blocks_;  ///< by the name of the first item or an earlier one; none is empty
  std::size_t size_ = 0;
};

}  // namespace p2psync::engine
