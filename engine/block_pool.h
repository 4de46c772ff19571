#pragma once
// Memory for very many small blocks that stay: blocks of a size lie together in slabs.
//
// Between them nothing else is allocated, so what comes and goes meanwhile (messages, plans,
// contents on their way) leaves whole pages behind when it is gone, and none of the blocks has a
// header of the allocator's. Sizes are rounded up to 8 bytes; above 1 KiB a block is one of the
// allocator's own. A slab is kept for blocks to come, and goes with the pool. O(1). No locks.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace p2psync::engine {

class BlockPool {
 public:
  [[nodiscard]] std::uint8_t* take(std::size_t size) {
    if (size > pooled_max) {
      return new std::uint8_t[size];
    }
    Class& blocks = classes_[class_of(size)];
    if (blocks.free != nullptr) {
      Free* const block = blocks.free;
      blocks.free = block->next;
      return reinterpret_cast<std::uint8_t*>(block);
    }
    const std::size_t rounded = (class_of(size) + 1) * grain;
    if (blocks.left < rounded) {
      slabs_.push_back(std::make_unique_for_overwrite<std::uint8_t[]>(slab_bytes));
      blocks.next = slabs_.back().get();
      blocks.left = slab_bytes;
    }
    std::uint8_t* const block = blocks.next;
    blocks.next += rounded;
    blocks.left -= rounded;
    return block;
  }

  /// `size`: as it was taken.
  void give_back(std::uint8_t* block, std::size_t size) {
    if (size > pooled_max) {
      delete[] block;
      return;
    }
    Class& blocks = classes_[class_of(size)];
    blocks.free = new (block) Free{blocks.free};
  }

 private:
  static constexpr std::size_t grain = 8;
  static constexpr std::size_t pooled_max = 1024;
  static constexpr std::size_t slab_bytes = 32 * 1024;

  struct Free {
    Free* next;
  };
  static_assert(sizeof(Free) <= grain);
  struct Class {
    Free* free = nullptr;
    std::uint8_t* next = nullptr;  ///< of the last slab, what was never taken
    std::size_t left = 0;
  };
  static std::size_t class_of(std::size_t size) { return size == 0 ? 0 : (size - 1) / grain; }

  std::array<Class, pooled_max / grain> classes_;
  std::vector<std::unique_ptr<std::uint8_t[]>> slabs_;
};

}  // namespace p2psync::engine
