#include "storage/content.h"

#include <algorithm>
#include <concepts>
#include <deque>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "storage/hash.h"

namespace p2psync::storage {

namespace {

constexpr std::size_t window_bytes = 2 * 1024 * 1024;
/// Cut and not yet hashed, beside one for each processor: those who hash then have something to do
/// while more is read and cut.
constexpr std::size_t windows_ahead = 2;

using Bytes = std::span<const std::uint8_t>;

/// A file's bytes from some offset on, read in large pieces.
class Window {
 public:
  Window(File& file, std::uint64_t size) : file_(file), size_(size) {}

  /// `length` bytes at least from this offset on, or up to the end; offsets ascend.
  Result<Bytes> at(std::uint64_t offset, std::size_t length) {
    length = std::min<std::uint64_t>(length, size_ - offset);
    if (buffer_ == nullptr || offset + length > begin_ + bytes_.size()) {
      if (auto filled = fill(offset, std::max(length, window_bytes)); !filled) {
        return std::unexpected(filled.error());
      }
    }
    return bytes_.subspan(offset - begin_);
  }
  /// Where they are, for as long as somebody needs them; another one each time it was filled.
  [[nodiscard]] const std::shared_ptr<std::uint8_t[]>& buffer() const { return buffer_; }

 private:
  /// What is here already is not read again.
  Result<void> fill(std::uint64_t offset, std::size_t length) {
    const Bytes kept = bytes_.subspan(std::min<std::uint64_t>(offset - begin_, bytes_.size()));
    length = std::min<std::uint64_t>(std::max(length, kept.size()), size_ - offset);
    auto buffer = std::make_shared_for_overwrite<std::uint8_t[]>(length);
    std::ranges::copy(kept, buffer.get());
    const auto rest = std::span(buffer.get(), length).subspan(kept.size());
    const auto count = file_.read(offset + kept.size(), rest);
    if (!count) {
      return std::unexpected(count.error());
    }
    if (*count < rest.size()) {
      return std::unexpected(Error{ErrorCode::changed, "read", "a file that became shorter"});
    }
    file_.begin_sync(offset, length);  // before its name is told it has to be on the disk
    buffer_ = std::move(buffer);
    bytes_ = {buffer_.get(), length};
    begin_ = offset;
    return {};
  }

  File& file_;
  std::uint64_t size_;
  std::uint64_t begin_ = 0;
  std::shared_ptr<std::uint8_t[]> buffer_;
  Bytes bytes_;
};

/// Longest first.
const Manifest& zero_chunks(const ChunkSizes& sizes) {
  static thread_local Manifest chunks;
  static thread_local ChunkSizes of{0, 0, 0};
  if (of.min != sizes.min || of.max != sizes.max) {
    of = sizes;
    chunks.clear();
    const std::vector<std::uint8_t> bytes(sizes.max);
    for (std::uint32_t length = sizes.max; length >= sizes.min; length /= 2) {
      chunks.push_back({length, sha256(std::span(bytes).first(length))});
    }
  }
  return chunks;
}

/// Parts chunks into sections, as they come.
class Sections {
 public:
  Sections(const ChunkSizes& sizes, const TakeManifest& take) : sizes_(sizes), take_(take) {}

  void add(const engine::Chunk& chunk) {
    manifest_.push_back(chunk);
    if (manifest_.size() >= sizes_.section &&
        (ends_section(chunk) || manifest_.size() == section_chunks_max(sizes_))) {
      close();
    }
  }
  Content finish() {
    if (!manifest_.empty()) {
      close();
    }
    return {outline_.size() == 1 ? outline_.front().name : name_of(outline_), std::move(outline_)};
  }

 private:
  /// One in `section` does; a zero chunk, of which there may be any number, does not.
  [[nodiscard]] bool ends_section(const engine::Chunk& chunk) const {
    std::uint32_t bits = 0;
    for (unsigned i = 0; i < sizeof(bits); ++i) {
      bits |= std::uint32_t{chunk.hash.bytes[i]} << (8 * i);
    }
    return bits % sizes_.section == 0 && !is_zeros(chunk, sizes_);
  }
  void close() {
    outline_.push_back(section_of(manifest_, sizes_));
    if (take_) {
      take_(outline_.back(), manifest_);
    }
    manifest_.clear();
  }

  const ChunkSizes& sizes_;
  const TakeManifest& take_;
  Manifest manifest_;
  Outline outline_;
};

/// Hashes chunks on other threads while more are cut. The chunks of one buffer are one piece of
/// work; where there can be no more threads it is done here.
class Hashing {
 public:
  explicit Hashing(Sections& sections) : sections_(sections) {}

  void add(Bytes chunk, const std::shared_ptr<std::uint8_t[]>& buffer) {
    if (buffer != buffer_) {
      hand_over();
      buffer_ = buffer;
    }
    waiting_.push_back(chunk);
  }
  void add(const engine::Chunk& known) {
    hand_over();
    take_all();
    sections_.add(known);
  }
  void finish() {
    take_all();
    add_all(hash(waiting_));  // of a small file it is all
  }

 private:
  static Manifest hash(const std::vector<Bytes>& pieces) {
    Manifest chunks;
    chunks.reserve(pieces.size());
    for (const Bytes piece : pieces) {
      chunks.push_back({static_cast<std::uint32_t>(piece.size()), sha256(piece)});
    }
    return chunks;
  }
  void hand_over() {
    if (waiting_.empty()) {
      return;
    }
    if (at_work_.size() == std::max(1U, std::thread::hardware_concurrency()) + windows_ahead) {
      take();
    }
    at_work_.push_back(
        std::async(std::launch::async | std::launch::deferred,
                   [pieces = std::exchange(waiting_, {}),
                    buffer = std::exchange(buffer_, nullptr)] { return hash(pieces); }));
  }
  void take() {
    const Manifest chunks = at_work_.front().get();
    at_work_.pop_front();
    add_all(chunks);
  }
  void add_all(const Manifest& chunks) {
    for (const engine::Chunk& chunk : chunks) {
      sections_.add(chunk);
    }
  }
  void take_all() {
    while (!at_work_.empty()) {
      take();
    }
  }

  Sections& sections_;
  std::vector<Bytes> waiting_;
  std::shared_ptr<std::uint8_t[]> buffer_;
  std::deque<std::future<Manifest>> at_work_;
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

Result<Content> read_chunks(File& file, std::uint64_t size, const ChunkSizes& sizes,
                            const TakeManifest& take) {
  auto data = file.data_extents();
  if (!data) {
    return std::unexpected(data.error());
  }
  Holes holes(std::move(*data));
  Window window(file, size);
  Sections sections(sizes, take);
  Hashing hashing(sections);
  for (std::uint64_t offset = 0; offset < size;) {
    if (size - offset >= sizes.max && holes.cover(offset, offset + sizes.max)) {
      hashing.add(zero_chunks(sizes).front());
      offset += sizes.max;
      continue;
    }
    const auto bytes = window.at(offset, sizes.max);
    if (!bytes) {
      return std::unexpected(bytes.error());
    }
    const auto chunk = bytes->first(first_chunk(*bytes, sizes));
    hashing.add(chunk, window.buffer());
    offset += chunk.size();
  }
  hashing.finish();
  return sections.finish();
}

template <std::unsigned_integral Number>
void append(std::vector<std::uint8_t>& bytes, Number number) {
  for (unsigned shift = 0; shift < 8 * sizeof(Number); shift += 8) {
    bytes.push_back(static_cast<std::uint8_t>(number >> shift));
  }
}

void append(std::vector<std::uint8_t>& bytes, const engine::Hash& hash) {
  bytes.insert(bytes.end(), hash.bytes.begin(), hash.bytes.end());
}

}  // namespace

Result<Content> read_content(File& file, std::uint64_t size, const ChunkSizes& sizes,
                             const TakeManifest& take) {
  if (size > sizes.max) {
    return read_chunks(file, size, sizes, take);
  }
  Window window(file, size);
  const auto bytes = window.at(0, sizes.max);
  if (!bytes) {
    return std::unexpected(bytes.error());
  }
  return Content{sha256(*bytes), {}};
}

engine::Hash name_of(std::span<const std::uint8_t> bytes, const ChunkSizes& sizes) {
  if (bytes.size() <= sizes.max) {
    return sha256(bytes);
  }
  const TakeManifest none;
  Sections sections(sizes, none);
  while (!bytes.empty()) {
    const auto chunk = bytes.first(first_chunk(bytes, sizes));
    sections.add({static_cast<std::uint32_t>(chunk.size()), sha256(chunk)});
    bytes = bytes.subspan(chunk.size());
  }
  return sections.finish().name;
}

std::vector<std::uint8_t> bytes_of(const Manifest& manifest) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(manifest.size() * (sizeof(std::uint32_t) + sizeof(engine::Hash)));
  for (const engine::Chunk& chunk : manifest) {
    append(bytes, chunk.length);
    append(bytes, chunk.hash);
  }
  return bytes;
}

std::vector<std::uint8_t> bytes_of(const Outline& outline) {
  std::vector<std::uint8_t> bytes;
  append(bytes, std::uint32_t{0});
  for (const Section& section : outline) {
    append(bytes, section.length);
    append(bytes, section.data);
    append(bytes, section.name);
  }
  return bytes;
}

engine::Hash name_of(const Manifest& manifest) {
  return sha512_256(bytes_of(manifest));
}

engine::Hash name_of(const Outline& outline) {
  return sha512_256(bytes_of(outline));
}

Section section_of(const Manifest& manifest, const ChunkSizes& sizes) {
  Section section{0, 0, name_of(manifest)};
  for (const engine::Chunk& chunk : manifest) {
    section.length += chunk.length;
    section.data += is_zeros(chunk, sizes) ? 0 : chunk.length;
  }
  return section;
}

bool is_zeros(const engine::Chunk& chunk, const ChunkSizes& sizes) {
  return std::ranges::find(zero_chunks(sizes), chunk) != zero_chunks(sizes).end();
}

}  // namespace p2psync::storage
