#pragma once
// A sorted set of small keys in blocks: for sets with a key for each file, where a node for each
// key would cost many times the key.
//
// Keys are trivially copyable and have operator<. A block holds at most 2,048 of them: several
// pages, since between blocks lies what the allocator cannot give back. Keys that come in ascending
// order leave full blocks behind. Cost: insert, erase, contains O(log n + 2,048 keys moved); memory
// about 1.0 (ascending, or settled) to 2 times the keys. A value: no locks.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

namespace p2psync::engine {

template <class Key>
class SortedBlocks {
 public:
  SortedBlocks() = default;
  /// O(n log n), and far quicker than one by one.
  explicit SortedBlocks(std::vector<Key> keys) {
    std::ranges::sort(keys);
    const auto ends = std::ranges::unique(keys);
    keys.erase(ends.begin(), ends.end());
    for (auto key = keys.begin(); key != keys.end();) {
      const auto end = key + std::min(block_filled, keys.end() - key);
      blocks_.emplace_hint(blocks_.end(), *key, std::vector<Key>(key, end));
      key = end;
    }
  }

  void insert(const Key& key) {
    auto block = block_of(key);
    if (block == blocks_.end()) {
      blocks_[key] = {key};
      return;
    }
    if (key < block->first) {
      auto first = blocks_.extract(block);
      first.key() = key;
      block = blocks_.insert(std::move(first)).position;
    }
    std::vector<Key>& keys = block->second;
    const auto place = std::ranges::lower_bound(keys, key);
    if (place != keys.end() && !(key < *place)) {
      return;
    }
    ++inserted_;
    if (std::ssize(keys) < block_max) {
      keys.insert(place, key);
    } else if (place == keys.end()) {
      blocks_[key] = {key};
    } else {
      const auto middle = keys.begin() + block_max / 2;
      std::vector<Key> upper(middle, keys.end());
      keys.erase(middle, keys.end());
      blocks_[upper.front()] = std::move(upper);
      insert(key);
    }
  }

  void erase(const Key& key) {
    const auto block = block_of(key);
    if (block == blocks_.end()) {
      return;
    }
    std::vector<Key>& keys = block->second;
    const auto place = std::ranges::lower_bound(keys, key);
    if (place == keys.end() || key < *place) {
      return;
    }
    keys.erase(place);
    if (keys.empty()) {
      blocks_.erase(block);
    }
  }

  /// In order from the first key that is not below `from`, while `visit` returns true. The set must
  /// not change meanwhile.
  template <class Visit>
  void for_each_from(const Key& from, const Visit& visit) const {
    auto block = blocks_.upper_bound(from);
    if (block != blocks_.begin()) {
      --block;
    }
    for (; block != blocks_.end(); ++block) {
      const std::vector<Key>& keys = block->second;
      for (auto key = std::ranges::lower_bound(keys, from); key != keys.end(); ++key) {
        if (!visit(*key)) {
          return;
        }
      }
    }
  }

  [[nodiscard]] bool empty() const { return blocks_.empty(); }

  /// If many keys have come since the last time: gives back the room for more of them.
  void settle() {
    if (inserted_ < static_cast<std::uint64_t>(block_max)) {
      return;
    }
    inserted_ = 0;
    for (auto& [first, keys] : blocks_) {
      keys.shrink_to_fit();
    }
  }

 private:
  static constexpr std::ptrdiff_t block_max = 2048;
  static constexpr std::ptrdiff_t block_filled = 1792;  ///< at first: some will come in between

  using Blocks = std::map<Key, std::vector<Key>>;

  /// The block where the key is or belongs, the first for keys below all; the end if there is none.
  typename Blocks::iterator block_of(const Key& key) {
    auto block = blocks_.upper_bound(key);
    return block == blocks_.begin() ? block : std::prev(block);
  }

  std::uint64_t inserted_ = 0;
  Blocks blocks_;  ///< by a key that is not above any in the block, and above all before it
};

}  // namespace p2psync::engine
