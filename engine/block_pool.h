#pragma once
// Memory for very many small blocks that stay: blocks of a size lie together in slabs.
//
// Between them nothing else is allocated, so what comes and goes meanwhile (messages, plans,
// contents on their way) leaves whole pages behind when it is gone, and none of the blocks has a
// header of the allocator's. Sizes are rounded up to 8 bytes; above 1 KiB a block is one of the
// allocator's own. The slabs of a size grow with what it has: of most sizes there are but a few
// blocks. A slab is kept for blocks to come, and goes with the pool. O(1). No locks.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <vector>

#include "engine/error.h"

namespace p2psync::engine {

class BlockPool {
 public:
  [[nodiscard]] std::uint8_t* take(std::size_t size) {
    if (size > pooled_max) {
      return new std::uint8_t[size];
    }
    Class& blocks = classes_[class_of(size)];
    taken_ += rounded(size);
    if (blocks.free != nullptr) {
      Free* const block = blocks.free;
      blocks.free = block->next;
      return reinterpret_cast<std::uint8_t*>(block);
    }
    if (blocks.left < rounded(size)) {
      blocks.slab = std::clamp(2 * blocks.slab, slab_min, slab_max);
      blocks.left = blocks.slab;
      slabs_.push_back(std::make_unique_for_overwrite<std::uint8_t[]>(blocks.slab));
      blocks.next = slabs_.back().get();
      in_slabs_ += blocks.slab;
    }
    std::uint8_t* const block = blocks.next;
    blocks.next += rounded(size);
    blocks.left -= rounded(size);
    return block;
  }

  /// `size`: as it was taken.
  void give_back(std::uint8_t* block, std::size_t size) {
    if (size > pooled_max) {
      delete[] block;
      return;
    }
    Class& blocks = classes_[class_of(size)];
    taken_ -= rounded(size);
    blocks.free = new (block) Free{blocks.free};
  }

  /// Bytes of the blocks in slabs, and bytes in slabs that are not in use.
  [[nodiscard]] std::size_t taken() const { return taken_; }
  [[nodiscard]] std::size_t spare() const { return in_slabs_ - taken_; }

  static constexpr std::size_t pooled_max = 1024;
  /// In the last slabs of all sizes.
  static constexpr std::size_t spare_usual = std::size_t{4} << 20;

 private:
  static constexpr std::size_t grain = 8;
  static constexpr std::size_t slab_min = 2 * 1024;
  static constexpr std::size_t slab_max = 32 * 1024;

  struct Free {
    Free* next;
  };
  static_assert(sizeof(Free) <= grain);
  struct Class {
    Free* free = nullptr;
    std::uint8_t* next = nullptr;  ///< of the last slab, what was never taken
    std::size_t left = 0;
    std::size_t slab = 0;  ///< of the last one, its bytes
  };
  static std::size_t class_of(std::size_t size) { return size == 0 ? 0 : (size - 1) / grain; }
  static std::size_t rounded(std::size_t size) { return (class_of(size) + 1) * grain; }
  static_assert(slab_min >= pooled_max && spare_usual >= pooled_max / grain * slab_max);

  std::array<Class, pooled_max / grain> classes_;
  std::vector<std::unique_ptr<std::uint8_t[]>> slabs_;
  std::size_t taken_ = 0;
  std::size_t in_slabs_ = 0;
};

/// The same for containers of the standard library. They must not outlive it.
class PoolResource : public std::pmr::memory_resource {
 private:
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    invariant(alignment <= 8, "block pool: blocks are aligned to 8 bytes");
    return pool_.take(size);
  }
  void do_deallocate(void* block, std::size_t size, std::size_t) override {
    pool_.give_back(static_cast<std::uint8_t*>(block), size);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  BlockPool pool_;
};

/// A hash table keeps its buckets when what was in it has gone: those of a whole tree, say.
template <class Table>
void free_if_empty(Table& table) {
  if (table.empty()) {
    table = Table(0, table.hash_function());
  }
}

}  // namespace p2psync::engine
