#pragma once
// How the codec writes what members hold. (Of codec.cpp alone; codec.h has the format.)
#include <map>
#include <vector>

#include "engine/codec_archive.h"
#include "engine/version_vector.h"

namespace p2psync::engine::codec {

void save(OutputArchive& archive, const VersionVector& vector);
void load(BoundedInputArchive& archive, VersionVector& vector);

/// Members mostly hold the same: each vector once, in the order in which they come up, and its
/// number where it comes up again. The first is that of what the sender knows.
class HeldRun {
 public:
  explicit HeldRun(const VersionVector& knowledge) { number(knowledge); }
  void operator()(OutputArchive& archive, const VersionVector& held) {
    const std::size_t before = numbers_.size();
    const std::size_t at = number(held);
    archive(at);
    if (at == before) {
      archive(held);
    }
  }
  void operator()(BoundedInputArchive& archive, VersionVector& held) {
    std::size_t at = 0;
    archive(at);
    require(at <= all_.size(), "a vector that did not come up before");
    if (at < all_.size()) {
      held = all_[at];
    } else {
      archive(held);
      require(number(held) == at, "a vector that came up before");
    }
    items_ += held.items().size();
    require(items_ <= held_items_max, "too much that is held");
  }

 private:
  /// A few bytes stand for a whole vector: what all come to is limited, to what would fit if each
  /// were written out.
  static constexpr std::size_t held_items_max = 1024 * 1024 / 17;

  std::size_t number(const VersionVector& held) {
    const auto [place, fresh] = numbers_.try_emplace(held.items(), all_.size());
    if (fresh) {
      all_.push_back(held);
    }
    return place->second;
  }

  std::map<std::vector<VersionVector::Item>, std::size_t> numbers_;
  std::vector<VersionVector> all_;
  std::size_t items_ = 0;
};

}  // namespace p2psync::engine::codec
