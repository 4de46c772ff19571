#include "engine/packed_versions.h"

#include <cstddef>
#include <cstring>
#include <iterator>
#include <utility>

#include "engine/codec.h"
#include "engine/error.h"

namespace p2psync::engine {
namespace {

constexpr std::size_t block_bytes_max = 16 * 1024;
/// Of a block, to spare: versions that leave for want of room are noted between those that left
/// since, so that most blocks are not full.
constexpr std::size_t spare_bytes = 1024;

/// In front of each item: then come the name, the path and the version.
struct Header {
  std::uint16_t file = 0;
  std::uint16_t path = 0;
  std::uint16_t version = 0;
  [[nodiscard]] std::size_t whole() const { return sizeof *this + file + path + version; }
};

Header header_at(const std::vector<std::uint8_t>& items, std::size_t at) {
  Header header;
  std::memcpy(&header, items.data() + at, sizeof header);
  return header;
}

auto place(std::vector<std::uint8_t>& items, std::size_t at) {
  return items.begin() + static_cast<std::ptrdiff_t>(at);
}

std::vector<std::uint8_t> packed(const KeptVersion& kept) {
  const std::vector<std::uint8_t> version = encode(kept.version);
  for (const std::size_t size : {kept.file.size(), kept.path.size(), version.size()}) {
    invariant(size <= UINT16_MAX, "names, paths and versions have limits");
  }
  const Header header{static_cast<std::uint16_t>(kept.file.size()),
                      static_cast<std::uint16_t>(kept.path.size()),
                      static_cast<std::uint16_t>(version.size())};
  std::vector<std::uint8_t> bytes(sizeof header);
  bytes.reserve(header.whole());
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.insert(bytes.end(), kept.file.begin(), kept.file.end());
  bytes.insert(bytes.end(), kept.path.begin(), kept.path.end());
  bytes.insert(bytes.end(), version.begin(), version.end());
  return bytes;
}

}  // namespace

Version PackedVersions::Item::version() const {
  auto version = decode<Version>(packed);
  invariant(version.has_value(), "what is packed was encoded here");
  return std::move(*version);
}

PackedVersions::Item PackedVersions::item_at(const Block& items, std::size_t at) {
  const Header header = header_at(items, at);
  const std::uint8_t* const begin = items.data() + at + sizeof header;
  const auto* const text = reinterpret_cast<const char*>(begin);
  return {{text, header.file},
          {text + header.file, header.path},
          {begin + header.file + header.path, header.version}};
}

std::size_t PackedVersions::behind(const Block& items, std::size_t at) {
  return at + header_at(items, at).whole();
}

std::size_t PackedVersions::place_of(const Block& items, std::string_view file) {
  std::size_t at = 0;
  while (at < items.size() && item_at(items, at).file < file) {
    at = behind(items, at);
  }
  return at;
}

/// For as many bytes more.
void PackedVersions::make_room(Block& items, std::size_t bytes) {
  if (items.capacity() < items.size() + bytes) {
    items.reserve(items.size() + bytes + spare_bytes);
  }
}

/// In the middle, as near as items are there. Returns the upper part, which has at least one item;
/// the lower has none if there was only that.
PackedVersions::Block& PackedVersions::divide(Block& items) {
  std::size_t middle = 0;
  while (middle < items.size() / 2 && behind(items, middle) < items.size()) {
    middle = behind(items, middle);
  }
  const std::string first(item_at(items, middle).file);
  Block& upper = blocks_.emplace(first, Block(place(items, middle), items.end())).first->second;
  items.resize(middle);
  items.shrink_to_fit();
  return upper;
}

/// Where an item of that name is or belongs.
PackedVersions::Blocks::iterator PackedVersions::block_for(std::string_view file) {
  const auto after = blocks_.upper_bound(file);
  if (after != blocks_.begin()) {
    return std::prev(after);
  }
  if (after == blocks_.end()) {
    return blocks_.emplace(file, Block()).first;
  }
  auto first = blocks_.extract(after);
  first.key() = file;
  return blocks_.insert(std::move(first)).position;
}

void PackedVersions::put(const KeptVersion& kept) {
  const std::vector<std::uint8_t> item = packed(kept);
  Block* items = &block_for(kept.file)->second;
  std::size_t at = place_of(*items, kept.file);
  if (at < items->size() && item_at(*items, at).file == kept.file) {
    items->erase(place(*items, at), place(*items, behind(*items, at)));
    --size_;
  }
  if (items->size() + item.size() > block_bytes_max && !items->empty()) {
    if (at == items->size()) {
      items = &blocks_.emplace(kept.file, Block()).first->second;
      at = 0;
    } else if (Block& upper = divide(*items); at > items->size()) {
      at -= items->size();
      items = &upper;
    }
  }
  make_room(*items, item.size());
  items->insert(place(*items, at), item.begin(), item.end());
  ++size_;
}

bool PackedVersions::erase(std::string_view file) {
  auto block = blocks_.upper_bound(file);
  if (block == blocks_.begin()) {
    return false;
  }
  Block& items = (--block)->second;
  const std::size_t at = place_of(items, file);
  if (at == items.size() || item_at(items, at).file != file) {
    return false;
  }
  items.erase(place(items, at), place(items, behind(items, at)));
  --size_;
  if (items.empty()) {
    blocks_.erase(block);
    return true;
  }
  if (items.capacity() - items.size() > 2 * spare_bytes) {
    items.shrink_to_fit();
  }
  // Of many only some may stay (thinning.h).
  if (block == blocks_.begin() || !join_next(std::prev(block))) {
    join_next(block);
  }
  return true;
}

/// If the two then fill half a block at the most.
bool PackedVersions::join_next(Blocks::iterator block) {
  const auto next = std::next(block);
  Block& items = block->second;
  if (next == blocks_.end() || items.size() + next->second.size() > block_bytes_max / 2) {
    return false;
  }
  make_room(items, next->second.size());
  items.insert(items.end(), next->second.begin(), next->second.end());
  blocks_.erase(next);
  return true;
}

std::optional<PackedVersions::Item> PackedVersions::find(std::string_view file) const {
  std::optional<Item> found;
  for_each_from(file, [&](const Item& item) {
    if (item.file == file) {
      found = item;
    }
    return false;
  });
  return found;
}

std::size_t PackedVersions::bytes() const {
  std::size_t bytes = 0;
  for (const auto& [first, items] : blocks_) {
    bytes += sizeof(Blocks::value_type) + items.capacity();
  }
  return bytes;
}

}  // namespace p2psync::engine
