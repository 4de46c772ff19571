#include "storage/content.h"

#include <algorithm>
#include <utility>

#include "storage/hash.h"

namespace p2psync::storage {

namespace {

constexpr std::size_t window_bytes = 1024 * 1024;

/// A file's bytes from some offset on, read in large pieces.
class Window {
 public:
  Window(File& file, std::uint64_t size) : file_(file), size_(size) {}

  /// `length` bytes at least from this offset on, or up to the end; offsets ascend.
  Result<std::span<const std::uint8_t>> at(std::uint64_t offset, std::size_t length) {
    length = std::min<std::uint64_t>(length, size_ - offset);
    if (offset < begin_ || offset + length > begin_ + bytes_.size()) {
      if (auto filled = fill(offset, std::max(length, window_bytes)); !filled) {
        return std::unexpected(filled.error());
      }
    }
    return std::span<const std::uint8_t>(bytes_).subspan(offset - begin_);
  }

 private:
  /// What is here already is not read again.
  Result<void> fill(std::uint64_t offset, std::size_t length) {
    const std::size_t passed = std::min<std::uint64_t>(offset - begin_, bytes_.size());
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(passed));
    begin_ = offset;
    const std::size_t kept = bytes_.size();
    bytes_.resize(std::min<std::uint64_t>(std::max(length, kept), size_ - offset));
    const auto rest = std::span(bytes_).subspan(kept);
    const auto count = file_.read(begin_ + kept, rest);
    if (!count) {
      return std::unexpected(count.error());
    }
    if (*count < rest.size()) {
      return std::unexpected(Error{ErrorCode::changed, "read", "a file that became shorter"});
    }
    return {};
  }

  File& file_;
  std::uint64_t size_;
  std::uint64_t begin_ = 0;
  std::vector<std::uint8_t> bytes_;
};

/// Says of ascending ranges whether they lie in a hole.
class Holes {
 public:
  using Extents = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  explicit Holes(Extents data) : data_(std::move(data)) {}

  bool cover(std::uint64_t begin, std::uint64_t end) {
    while (next_ < data_.size() && data_[next_].second <= begin) {
      ++next_;
    }
    return next_ == data_.size() || data_[next_].first >= end;
  }

 private:
  Extents data_;
  std::size_t next_ = 0;
};

Result<Manifest> read_chunks(File& file, std::uint64_t size, const ChunkSizes& sizes) {
  auto data = file.data_extents();
  if (!data) {
    return std::unexpected(data.error());
  }
  Holes holes(std::move(*data));
  Window window(file, size);
  Manifest chunks;
  for (std::uint64_t offset = 0; offset < size; offset += chunks.back().length) {
    if (size - offset >= sizes.max && holes.cover(offset, offset + sizes.max)) {
      chunks.push_back(zeros(sizes));
      continue;
    }
    const auto bytes = window.at(offset, sizes.max);
    if (!bytes) {
      return std::unexpected(bytes.error());
    }
    const auto chunk = bytes->first(first_chunk(*bytes, sizes));
    chunks.push_back({static_cast<std::uint32_t>(chunk.size()), sha256(chunk)});
  }
  return chunks;
}

}  // namespace

Result<Content> read_content(File& file, std::uint64_t size, const ChunkSizes& sizes) {
  if (size <= sizes.max) {
    Window window(file, size);
    const auto bytes = window.at(0, sizes.max);
    if (!bytes) {
      return std::unexpected(bytes.error());
    }
    return Content{sha256(*bytes), {}};
  }
  auto chunks = read_chunks(file, size, sizes);
  if (!chunks) {
    return std::unexpected(chunks.error());
  }
  const engine::Hash name = name_of(*chunks);
  return Content{name, std::move(*chunks)};
}

engine::Hash name_of(std::span<const std::uint8_t> bytes, const ChunkSizes& sizes) {
  if (bytes.size() <= sizes.max) {
    return sha256(bytes);
  }
  Manifest chunks;
  for (; !bytes.empty(); bytes = bytes.subspan(chunks.back().length)) {
    const auto chunk = bytes.first(first_chunk(bytes, sizes));
    chunks.push_back({static_cast<std::uint32_t>(chunk.size()), sha256(chunk)});
  }
  return name_of(chunks);
}

std::vector<std::uint8_t> bytes_of(const Manifest& manifest) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(manifest.size() * (sizeof(std::uint32_t) + sizeof(engine::Hash)));
  for (const engine::Chunk& chunk : manifest) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      bytes.push_back(static_cast<std::uint8_t>(chunk.length >> shift));
    }
    bytes.insert(bytes.end(), chunk.hash.bytes.begin(), chunk.hash.bytes.end());
  }
  return bytes;
}

engine::Hash name_of(const Manifest& manifest) {
  return sha512_256(bytes_of(manifest));
}

const engine::Chunk& zeros(const ChunkSizes& sizes) {
  static thread_local engine::Chunk chunk;
  static thread_local std::uint32_t of_max = 0;
  if (of_max != sizes.max) {
    of_max = sizes.max;
    const std::vector<std::uint8_t> bytes(sizes.max);
    const auto first = std::span(bytes).first(first_chunk(bytes, sizes));
    chunk = {static_cast<std::uint32_t>(first.size()), sha256(first)};
  }
  return chunk;
}

}  // namespace p2psync::storage
