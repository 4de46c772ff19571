#include "storage/manifest.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <unordered_map>

#include "storage/hash.h"

namespace p2psync::storage {

namespace {

constexpr std::size_t chunk_bytes = sizeof(std::uint32_t) + sizeof(engine::Hash);

std::string path_of(const engine::Hash& content) {
  return engine::child_of(manifests_directory, to_hex(content));
}

engine::Chunk chunk_at(std::span<const std::uint8_t, chunk_bytes> bytes) {
  engine::Chunk chunk;
  for (unsigned i = 0; i < sizeof(std::uint32_t); ++i) {
    chunk.length |= std::uint32_t{bytes[i]} << (8 * i);
  }
  std::ranges::copy(bytes.last(sizeof(engine::Hash)), chunk.hash.bytes.begin());
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

}  // namespace

void store_manifest(Fs& fs, const engine::Hash& content, const Manifest& manifest) {
  const std::string path = path_of(content);
  const auto file = fs.create(path);
  if (file && !(*file)->write(0, bytes_of(manifest))) {
    std::ignore = fs.unlink(path);
  }
}

std::optional<Manifest> find_manifest(Fs& fs, const engine::Hash& content) {
  const std::string path = path_of(content);
  const auto file = fs.open_read(path);
  const auto about = file ? (*file)->stat() : std::unexpected(file.error());
  if (!about) {
    return std::nullopt;
  }
  const std::uint64_t size = about->signature.size;
  std::vector<std::uint8_t> bytes(std::min<std::uint64_t>(size, chunks_max * chunk_bytes));
  const auto count = (*file)->read(0, bytes);
  if (!count) {
    return std::nullopt;
  }
  if (*count != size || size % chunk_bytes != 0 || sha512_256(bytes) != content) {
    std::ignore = fs.unlink(path);
    return std::nullopt;
  }
  Manifest manifest;
  manifest.reserve(bytes.size() / chunk_bytes);
  for (auto rest = std::span<const std::uint8_t>(bytes); !rest.empty();
       rest = rest.subspan(chunk_bytes)) {
    manifest.push_back(chunk_at(rest.first<chunk_bytes>()));
  }
  return manifest;
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
                                         std::uint64_t size, const ChunkSizes& sizes) {
  Manifest manifest;
  std::uint64_t length = 0;
  // Only what is cut off before a run of zeros, and the last, may be shorter than `min`.
  const std::uint64_t most = std::min<std::uint64_t>(2 * (size / sizes.min) + 2, chunks_max);
  const auto add = [&](const engine::Chunk& chunk) {
    manifest.push_back(chunk);
    length += chunk.length;
    return chunk.length > 0 && chunk.length <= sizes.max && length <= size &&
           manifest.size() <= most;
  };
  while (!difference.empty()) {
    const auto head = take_number(difference);
    if (!head) {
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
      const engine::Chunk chunk = chunk_at(difference.first<chunk_bytes>());
      difference = difference.subspan(chunk_bytes);
      for (; count > 0; --count) {
        if (!add(chunk)) {
          return std::nullopt;
        }
      }
    }
  }
  return length == size ? std::optional(std::move(manifest)) : std::nullopt;
}

}  // namespace p2psync::storage
