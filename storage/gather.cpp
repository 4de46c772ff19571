#include "storage/gather.h"

#include <algorithm>
#include <deque>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "storage/hash.h"
#include "storage/manifest.h"
#include "storage/reserve.h"
#include "storage/staging.h"

namespace p2psync::storage {

namespace {

constexpr std::size_t batch_bytes = 4 * 1024 * 1024;

/// Where the chunks of what is here already are, by their hashes.
class OldVersions {
 public:
  OldVersions(Fs& fs, const std::vector<engine::Base>& bases) {
    for (const engine::Base& base : bases) {
      const auto manifest = find_manifest(fs, base.content);
      auto file = manifest ? fs.open_read(path_of(base))
                           : std::unexpected(Error{ErrorCode::not_found, "open", "a base"});
      if (!file) {
        continue;
      }
      std::uint64_t offset = 0;
      for (const engine::Chunk& chunk : *manifest) {
        places_.push_back({chunk.hash, files_.size(), offset});
        offset += chunk.length;
      }
      files_.push_back(std::move(*file));
    }
    std::ranges::sort(places_);
  }

  /// False: there is no such chunk, or the file is shorter by now.
  bool read(const engine::Chunk& chunk, std::span<std::uint8_t> into) const {
    const auto place = std::ranges::lower_bound(places_, chunk.hash, {}, &Place::hash);
    if (place == places_.end() || place->hash != chunk.hash) {
      return false;
    }
    const auto count = files_[place->file]->read(place->offset, into);
    return count && *count == into.size();
  }

 private:
  struct Place {
    engine::Hash hash;
    std::size_t file;
    std::uint64_t offset;
    auto operator<=>(const Place&) const = default;
  };
  std::vector<std::unique_ptr<File>> files_;
  std::vector<Place> places_;
};

/// Chunks that follow one another in the content, as they were found.
struct Batch {
  struct Found {
    std::size_t index;
    std::size_t at;  ///< in the buffer
    engine::Chunk chunk;
  };
  std::uint64_t offset = 0;  ///< of the first
  std::vector<Found> found;
  /// Room for all of it from the beginning: to make room by and by is to copy and to clear it.
  std::unique_ptr<std::uint8_t[]> buffer;
  std::size_t size = 0;
  [[nodiscard]] std::span<std::uint8_t> at(std::size_t begin, std::size_t length) const {
    return {buffer.get() + begin, length};
  }
  std::future<std::vector<bool>> right;
};

std::vector<bool> check(const Batch& batch) {
  std::vector<bool> right;
  for (const Batch::Found& found : batch.found) {
    right.push_back(sha256(batch.at(found.at, found.chunk.length)) == found.chunk.hash);
  }
  return right;
}

/// Copies from the old version, batch by batch.
class Copying {
 public:
  /// `longest`: no chunk is longer.
  Copying(Reserve& reserve, const engine::OpenStage& request, File& file, const OldVersions& old,
          std::size_t longest, std::vector<bool>& there)
      : reserve_(reserve),
        path_(unfinished_path(request.content)),
        file_(file),
        old_(old),
        room_(std::max<std::size_t>(longest, std::min<std::uint64_t>(request.size, batch_bytes))),
        there_(there) {}

  Result<void> add(std::size_t index, std::uint64_t offset, const engine::Chunk& chunk) {
    const bool follows = batch_.offset + batch_.size == offset;
    if (!follows || batch_.size + chunk.length > room_) {
      if (auto done = hand_over(); !done) {
        return done;
      }
      batch_.offset = offset;
    }
    if (batch_.buffer == nullptr) {
      batch_.buffer = std::make_unique_for_overwrite<std::uint8_t[]>(room_);
    }
    if (old_.read(chunk, batch_.at(batch_.size, chunk.length))) {
      batch_.found.push_back({index, batch_.size, chunk});
      batch_.size += chunk.length;
    }
    return {};
  }

  Result<void> finish() {
    auto done = hand_over();
    while (done && !at_work_.empty()) {
      done = write();
    }
    return done;
  }

 private:
  Result<void> hand_over() {
    if (batch_.found.empty()) {
      return {};
    }
    Batch& batch = *at_work_.emplace_back(std::make_unique<Batch>(std::exchange(batch_, {})));
    // A thread of its own is worth it for much.
    const auto policy = batch.size < batch_bytes / 4 ? std::launch::deferred
                                                     : std::launch::async | std::launch::deferred;
    batch.right = std::async(policy, [&batch] { return check(batch); });
    return at_work_.size() > std::max(1U, std::thread::hardware_concurrency()) ? write()
                                                                               : Result<void>();
  }

  /// What is right of the oldest batch, in as few pieces as it makes.
  Result<void> write() {
    const std::unique_ptr<Batch> batch = std::move(at_work_.front());
    at_work_.pop_front();
    const std::vector<bool> right = batch->right.get();
    for (std::size_t i = 0; i < right.size();) {
      std::size_t end = i;
      for (; end < right.size() && right[end]; ++end) {
        there_[batch->found[end].index] = true;
      }
      if (end > i) {
        const std::size_t begin = batch->found[i].at;
        const Batch::Found& last = batch->found[end - 1];
        const auto bytes = batch->at(begin, last.at + last.chunk.length - begin);
        if (auto left = reserve_.leave(path_, bytes.size()); !left) {
          return left;
        }
        if (auto written = file_.write(batch->offset + begin, bytes); !written) {
          return written;
        }
        file_.begin_sync(batch->offset + begin, bytes.size());
      }
      i = end + 1;
    }
    return {};
  }

  Reserve& reserve_;
  std::string path_;
  File& file_;
  const OldVersions& old_;
  std::size_t room_;
  std::vector<bool>& there_;
  Batch batch_;
  std::deque<std::unique_ptr<Batch>> at_work_;
};

/// All of it that has to be written, as far as is known before anything is read.
std::uint64_t bytes_to_write(const Manifest& manifest,
                             const std::vector<std::pair<std::uint64_t, std::uint64_t>>& extents,
                             const ChunkSizes& sizes) {
  std::uint64_t bytes = 0;
  for (const engine::Chunk& chunk : manifest) {
    bytes += is_zeros(chunk, sizes) ? 0 : chunk.length;
  }
  for (const auto& [begin, end] : extents) {
    bytes -= std::min(bytes, end - begin);
  }
  return bytes;
}

Result<std::unique_ptr<File>> open_unfinished(Fs& fs, const engine::Hash& content) {
  const std::string path = unfinished_path(content);
  auto file = fs.open_write(path);
  if (!file && file.error().code == ErrorCode::not_found) {
    file = fs.create(path);
  }
  return file;
}

}  // namespace

Result<std::vector<bool>> gather(Fs& fs, const engine::OpenStage& request,
                                 const Manifest& manifest) {
  const auto file = open_unfinished(fs, request.content);
  if (!file) {
    return std::unexpected(file.error());
  }
  const auto extents = (*file)->data_extents();
  if (!extents) {
    return std::unexpected(extents.error());
  }
  // What is too large for the disk is not begun: it would take all the room that others need.
  Reserve reserve(fs);
  if (auto left = reserve.leave(unfinished_path(request.content),
                                bytes_to_write(manifest, *extents, fs.chunk_sizes));
      !left) {
    return std::unexpected(left.error());
  }
  if (auto resized = (*file)->resize(request.size); !resized) {
    return std::unexpected(resized.error());
  }
  const OldVersions old(fs, request.bases);
  std::vector<bool> there(manifest.size(), false);
  const auto longest = std::ranges::max_element(manifest, {}, &engine::Chunk::length);
  Copying copying(reserve, request, **file, old, longest == manifest.end() ? 0 : longest->length,
                  there);
  std::vector<std::uint8_t> bytes;
  auto data = extents->begin();
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < manifest.size(); offset += manifest[i++].length) {
    const engine::Chunk& chunk = manifest[i];
    while (data != extents->end() && data->second <= offset) {
      ++data;
    }
    const bool hole = data == extents->end() || data->first >= offset + chunk.length;
    if (hole) {
      there[i] = is_zeros(chunk, fs.chunk_sizes);
    } else {
      bytes.resize(chunk.length);
      const auto count = (*file)->read(offset, bytes);
      there[i] = count && *count == bytes.size() && sha256(bytes) == chunk.hash;
    }
    if (!there[i]) {
      if (auto copied = copying.add(i, offset, chunk); !copied) {
        return std::unexpected(copied.error());
      }
    }
  }
  if (auto copied = copying.finish(); !copied) {
    return std::unexpected(copied.error());
  }
  return there;
}

}  // namespace p2psync::storage
