#pragma once
// Paths in order, as messages have many of: each says how many bytes it has in common with the one
// before it. Included by codec.cpp only.
//
// A few bytes can then stand for path_bytes_max of them, so what all paths of a message come to is
// limited too.
#include <algorithm>
#include <optional>
#include <string_view>

#include "engine/codec_archive.h"
#include "engine/gossip.h"
#include "engine/message.h"

namespace p2psync::engine::codec {

/// Far more than a node puts into one message.
inline constexpr std::size_t paths_bytes_max = 1024 * 1024;
static_assert(paths_bytes_max > 2 * std::max(ranges_bytes_max, entries_bytes_max));

class PathRun {
 public:
  void operator()(OutputArchive& archive, const Path& path) {
    const std::size_t shared = shared_with(path);
    archive(shared, path.size() - shared);
    archive.bytes(
        {reinterpret_cast<const std::uint8_t*>(path.data()) + shared, path.size() - shared});
    before_ = path;
  }
  void operator()(BoundedInputArchive& archive, Path& path) {
    std::uint64_t shared = 0;
    std::uint64_t size = 0;
    archive(shared, size);
    require(shared <= before_.size(), "more of a path than there is");
    const auto rest = archive.next(size);
    require(shared + rest.size() <= path_bytes_max, "a path too long");
    total_ += shared + rest.size();
    require(total_ <= paths_bytes_max, "too many paths");
    path.assign(before_, 0, shared);
    path.append(reinterpret_cast<const char*>(rest.data()), rest.size());
    require(shared_with(path) == shared, "a path not in its shortest form");
    before_ = path;
  }

 private:
  [[nodiscard]] std::size_t shared_with(std::string_view path) const {
    const auto differ = std::ranges::mismatch(before_, path);
    return static_cast<std::size_t>(differ.in2 - path.begin());
  }

  Path before_;
  std::size_t total_ = 0;
};

/// Ranges that follow each other and do not overlap: all of them cost no more than one walk over
/// the index. Their bounds order like paths but need not be any.
class Ascent {
 public:
  void next(OutputArchive&, const Path&, const Path&) {}
  void next(BoundedInputArchive&, const Path& lower, const Path& upper) {
    require(!before_ || (!before_->empty() && !PathLess{}(lower, *before_)), "ranges out of order");
    require(upper.empty() || PathLess{}(lower, upper), "a range that ends before it begins");
    before_ = upper;
  }

 private:
  std::optional<Path> before_;
};

/// As a vector, each item by a function; none of them takes less than `least` bytes.
template <class Archive, class T, class Each>
void each_of(Archive& archive, std::vector<T>& items, std::size_t least, const Each& each) {
  std::uint64_t count = items.size();
  archive(count);
  if constexpr (loading<Archive>) {
    require(count <= archive.left() / least, "a count beyond the bytes");
    items.clear();
    for (std::uint64_t i = 0; i < count; ++i) {
      each(items.emplace_back());
    }
  } else {
    for (T& item : items) {
      each(item);
    }
  }
}

}  // namespace p2psync::engine::codec
