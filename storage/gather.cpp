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
#include "storage/write_behind.h"

namespace p2psync::storage {

namespace {

constexpr std::size_t batch_bytes = 4 * 1024 * 1024;

bool overlap(const Place& one, const Place& other) {
  return one.offset < other.offset + other.length && other.offset < one.offset + one.length;
}

/// Where the chunks of what is here already are, by their hashes. Of a base of many sections only
/// those that may be like the one in hand are looked at: it itself, and what stands at its place.
class OldVersions {
 public:
  OldVersions(Fs& fs, const std::vector<engine::Base>& bases, const Place& wanted) {
    for (const engine::Base& base : bases) {
      const auto outline = find_outline(fs, base.content);
      auto file = outline ? fs.open_read(path_of(base))
                          : std::unexpected(Error{ErrorCode::not_found, "open", "a base"});
      if (!file) {
        continue;
      }
      for (const Place& place : places_of(*outline)) {
        if (place.section == wanted.section || overlap(place, wanted)) {
          add(find_manifest(fs, place.section).value_or(Manifest{}), place.offset);
        }
      }
      files_.push_back(std::move(*file));
    }
    std::ranges::sort(chunks_);
  }

  /// False: there is no such chunk, or the file is shorter by now.
  bool read(const engine::Chunk& chunk, std::span<std::uint8_t> into) const {
    const auto place = std::ranges::lower_bound(chunks_, chunk.hash, {}, &Old::hash);
    if (place == chunks_.end() || place->hash != chunk.hash) {
      return false;
    }
    File& file = *files_[place->file];
    const auto count = file.read(place->offset, into);
    // Most often it is about to go; and its pages serve the copy, which costs less
    // (write_behind.h).
    uncache_behind(file, place->offset, place->offset + into.size(), 0);
    return count && *count == into.size();
  }

 private:
  struct Old {
    engine::Hash hash;
    std::size_t file;
    std::uint64_t offset;
    auto operator<=>(const Old&) const = default;
  };
  void add(const Manifest& manifest, std::uint64_t offset) {
    for (const engine::Chunk& chunk : manifest) {
      chunks_.push_back({chunk.hash, files_.size(), offset});
      offset += chunk.length;
    }
  }

  std::vector<std::unique_ptr<File>> files_;
  std::vector<Old> chunks_;
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
        const std::uint64_t offset = batch->offset + begin;
        if (auto written = file_.write(offset, bytes); !written) {
          return written;
        }
        file_.begin_sync(offset, bytes.size());
        uncache_behind(file_, offset, offset + bytes.size());
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
std::uint64_t bytes_to_write(const Outline& outline,
                             const std::vector<std::pair<std::uint64_t, std::uint64_t>>& extents) {
  std::uint64_t bytes = 0;
  for (const Section& section : outline) {
    bytes += section.data;
  }
  for (const auto& [begin, end] : extents) {
    bytes -= std::min(bytes, end - begin);
  }
  return bytes;
}

}  // namespace

std::vector<Place> places_of(const Outline& outline) {
  std::vector<Place> places;
  std::uint64_t offset = 0;
  for (const Section& section : outline) {
    places.push_back({section.name, offset, section.length});
    offset += section.length;
  }
  return places;
}

Result<std::unique_ptr<File>> open_unfinished(Fs& fs, const engine::OpenStage& request,
                                              const Outline& outline) {
  const std::string path = unfinished_path(request.content);
  auto file = fs.open_write(path);
  // Behind the beginning it has what came before: a new one would have holes there.
  if (!file && file.error().code == ErrorCode::not_found && request.from == 0) {
    file = fs.create(path);
  }
  if (!file) {
    return file;
  }
  const auto extents = (*file)->data_extents();
  if (!extents) {
    return std::unexpected(extents.error());
  }
  // What is too large for the disk is not begun: it would take all the room that others need.
  Reserve reserve(fs);
  if (auto left = reserve.leave(path, bytes_to_write(outline, *extents)); !left) {
    return std::unexpected(left.error());
  }
  if (auto resized = (*file)->resize(request.size); !resized) {
    return std::unexpected(resized.error());
  }
  return file;
}

Result<std::vector<bool>> gather(Fs& fs, File& file, const engine::OpenStage& request,
                                 const Place& place, const Manifest& manifest) {
  const auto extents = file.data_extents();
  if (!extents) {
    return std::unexpected(extents.error());
  }
  const OldVersions old(fs, request.bases, place);
  std::vector<bool> there(manifest.size(), false);
  const auto longest = std::ranges::max_element(manifest, {}, &engine::Chunk::length);
  Reserve reserve(fs);
  Copying copying(reserve, request, file, old, longest == manifest.end() ? 0 : longest->length,
                  there);
  std::vector<std::uint8_t> bytes;
  auto data = extents->begin();
  std::uint64_t offset = place.offset;
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
      const auto count = file.read(offset, bytes);
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

std::optional<engine::Hash> alike(const Outline& base, const Place& wanted) {
  std::optional<engine::Hash> found;
  std::uint64_t most = 0;
  for (const Place& place : places_of(base)) {
    if (overlap(place, wanted)) {
      const std::uint64_t common =
          std::min(place.offset + place.length, wanted.offset + wanted.length) -
          std::max(place.offset, wanted.offset);
      if (common > most) {
        most = common;
        found = place.section;
      }
    }
  }
  return found;
}

}  // namespace p2psync::storage
