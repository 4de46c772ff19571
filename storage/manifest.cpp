#include "storage/manifest.h"

#include <algorithm>
#include <concepts>
#include <limits>
#include <numeric>
#include <tuple>
#include <unordered_map>

#include "storage/hash.h"

namespace p2psync::storage {

namespace {

constexpr std::size_t chunk_bytes = sizeof(std::uint32_t) + sizeof(engine::Hash);
constexpr std::size_t outline_head_bytes = sizeof(std::uint32_t);
constexpr std::size_t section_bytes = 2 * sizeof(std::uint64_t) + sizeof(engine::Hash);
constexpr std::size_t file_bytes_max = std::max(section_chunks_max({}) * chunk_bytes,
                                                outline_head_bytes + sections_max * section_bytes);

std::string path_of(const engine::Hash& name) {
  return engine::child_of(manifests_directory, to_hex(name));
}

template <std::unsigned_integral Number>
Number take(std::span<const std::uint8_t>& bytes) {
  Number number = 0;
  for (unsigned i = 0; i < sizeof(Number); ++i) {
    number |= Number{bytes[i]} << (8 * i);
  }
  bytes = bytes.subspan(sizeof(Number));
  return number;
}

engine::Hash take_hash(std::span<const std::uint8_t>& bytes) {
  engine::Hash hash;
  std::ranges::copy(bytes.first(sizeof(hash)), hash.bytes.begin());
  bytes = bytes.subspan(sizeof(hash));
  return hash;
}

engine::Chunk take_chunk(std::span<const std::uint8_t>& bytes) {
  engine::Chunk chunk;
  chunk.length = take<std::uint32_t>(bytes);
  chunk.hash = take_hash(bytes);
  return chunk;
}

void put_number(std::vector<std::uint8_t>& bytes, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) {
    bytes.push_back(static_cast<std::uint8_t>(number | 0x80));
  }
  bytes.push_back(static_cast<std::uint8_t>(number));
}

std::optional<std::uint64_t> take_number(std::span<const std::uint8_t>& bytes) {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 63 && !bytes.empty(); shift += 7) {
    const std::uint8_t byte = bytes.front();
    bytes = bytes.subspan(1);
    number |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) {
      return number;
    }
  }
  return std::nullopt;
}

Result<void> store(Fs& fs, const engine::Hash& name, std::span<const std::uint8_t> bytes) {
  const std::string path = path_of(name);
  const auto file = fs.create(path);
  if (!file) {
    const bool there = file.error().code == ErrorCode::changed;
    return there ? Result<void>() : std::unexpected(file.error());
  }
  auto written = (*file)->write(0, bytes);
  if (!written) {
    std::ignore = fs.unlink(path);
  }
  return written;
}

std::optional<std::vector<std::uint8_t>> find(Fs& fs, const engine::Hash& name) {
  const std::string path = path_of(name);
  const auto file = fs.open_read(path);
  const auto about = file ? (*file)->stat() : std::unexpected(file.error());
  if (!about) {
    return std::nullopt;
  }
  const std::uint64_t size = about->signature.size;
  std::vector<std::uint8_t> bytes(std::min<std::uint64_t>(size, file_bytes_max));
  const auto count = (*file)->read(0, bytes);
  if (!count) {
    return std::nullopt;
  }
  if (*count != size || sha512_256(bytes) != name) {
    std::ignore = fs.unlink(path);
    return std::nullopt;
  }
  const std::int64_t now = fs.wall_time();
  if (now - about->signature.mtime > std::chrono::nanoseconds(list_use_interval).count()) {
    std::ignore = fs.set_mtime(path, now);
  }
  return bytes;
}

std::optional<Manifest> read_manifest(std::span<const std::uint8_t> bytes) {
  if (bytes.empty() || bytes.size() % chunk_bytes != 0 || is_outline(bytes)) {
    return std::nullopt;
  }
  Manifest manifest;
  manifest.reserve(bytes.size() / chunk_bytes);
  while (!bytes.empty()) {
    manifest.push_back(take_chunk(bytes));
  }
  return manifest;
}

}  // namespace

void store_manifest(Fs& fs, const engine::Hash& section, const Manifest& manifest) {
  std::ignore = store(fs, section, bytes_of(manifest));
}

Result<void> store_outline(Fs& fs, const engine::Hash& content, const Outline& outline) {
  return outline.size() > 1 ? store(fs, content, bytes_of(outline)) : Result<void>();
}

TakeManifest storing_in(Fs& fs) {
  return [&fs](const Section& section, const Manifest& manifest) {
    store_manifest(fs, section.name, manifest);
  };
}

std::optional<Manifest> find_manifest(Fs& fs, const engine::Hash& section) {
  const auto bytes = find(fs, section);
  return bytes ? read_manifest(*bytes) : std::nullopt;
}

std::optional<Outline> find_outline(Fs& fs, const engine::Hash& content) {
  const auto bytes = find(fs, content);
  if (bytes && !is_outline(*bytes)) {
    const auto manifest = read_manifest(*bytes);
    return manifest ? std::optional(Outline{section_of(*manifest, fs.chunk_sizes)}) : std::nullopt;
  }
  return bytes ? read_outline(*bytes) : std::nullopt;
}

bool is_outline(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= outline_head_bytes &&
         std::ranges::all_of(bytes.first(outline_head_bytes),
                             [](std::uint8_t byte) { return byte == 0; });
}

std::optional<Outline> read_outline(std::span<const std::uint8_t> bytes) {
  if (!is_outline(bytes)) {
    return std::nullopt;
  }
  bytes = bytes.subspan(outline_head_bytes);
  const std::size_t sections = bytes.size() / section_bytes;
  if (bytes.size() % section_bytes != 0 || sections < 2 || sections > sections_max) {
    return std::nullopt;
  }
  Outline outline;
  std::uint64_t left = std::numeric_limits<std::int64_t>::max();  // no file is longer
  while (!bytes.empty()) {
    Section section;
    section.length = take<std::uint64_t>(bytes);
    section.data = take<std::uint64_t>(bytes);
    section.name = take_hash(bytes);
    if (section.length == 0 || section.length > left || section.data > section.length) {
      return std::nullopt;
    }
    left -= section.length;
    outline.push_back(section);
  }
  return outline;
}

std::uint64_t length_of(const Outline& outline) {
  return std::accumulate(
      outline.begin(), outline.end(), std::uint64_t{0},
      [](std::uint64_t sum, const Section& section) { return sum + section.length; });
}

std::vector<std::uint8_t> difference(const Manifest& base, const Manifest& manifest) {
  std::unordered_map<engine::Hash, std::size_t, engine::HashOfHash> places;
  for (std::size_t i = base.size(); i-- > 0;) {
    places[base[i].hash] = i;
  }
  std::vector<std::uint8_t> bytes;
  std::size_t next = 0;  // in the base, behind what was last taken from it
  for (std::size_t at = 0; at < manifest.size();) {
    std::size_t from = next;
    if (from == base.size() || base[from] != manifest[at]) {
      const auto place = places.find(manifest[at].hash);
      from = place == places.end() ? base.size() : place->second;
    }
    std::size_t count = 0;
    while (from + count < base.size() && at + count < manifest.size() &&
           base[from + count] == manifest[at + count]) {
      ++count;
    }
    if (count > 0) {
      put_number(bytes, 2 * count + 1);
      put_number(bytes, from);
      next = from + count;
    } else {
      const engine::Chunk& chunk = manifest[at];
      while (at + count < manifest.size() && manifest[at + count] == chunk) {
        ++count;
      }
      put_number(bytes, 2 * count);
      const auto written = bytes_of({chunk});
      bytes.insert(bytes.end(), written.begin(), written.end());
    }
    at += count;
  }
  return bytes;
}

std::optional<Manifest> apply_difference(const Manifest& base,
                                         std::span<const std::uint8_t> difference,
                                         std::uint64_t length, const ChunkSizes& sizes) {
  Manifest manifest;
  std::uint64_t sum = 0;
  // Only what is cut off before a run of zeros, and the last, may be shorter than `min`.
  const std::uint64_t most =
      std::min<std::uint64_t>(2 * (length / sizes.min) + 2, section_chunks_max(sizes));
  const auto add = [&](const engine::Chunk& chunk) {
    manifest.push_back(chunk);
    sum += chunk.length;
    return chunk.length > 0 && chunk.length <= sizes.max && sum <= length &&
           manifest.size() <= most;
  };
  while (!difference.empty()) {
    const auto head = take_number(difference);
    if (!head || *head < 2) {
      return std::nullopt;
    }
    std::uint64_t count = *head / 2;
    if (*head % 2 == 1) {
      auto from = take_number(difference);
      if (!from || *from > base.size() || count > base.size() - *from) {
        return std::nullopt;
      }
      for (; count > 0; --count) {
        if (!add(base[(*from)++])) {
          return std::nullopt;
        }
      }
    } else {
      if (difference.size() < chunk_bytes) {
        return std::nullopt;
      }
      const engine::Chunk chunk = take_chunk(difference);
      for (; count > 0; --count) {
        if (!add(chunk)) {
          return std::nullopt;
        }
      }
    }
  }
  return sum == length ? std::optional(std::move(manifest)) : std::nullopt;
}

}  // namespace p2psync::storage
