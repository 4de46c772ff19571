#include "engine/departed.h"

#include <cstddef>
#include <cstring>
#include <iterator>
#include <utility>

#include "engine/codec.h"
#include "engine/error.h"

namespace p2psync::engine {
namespace {

constexpr std::size_t notes_bytes_max = 16 * 1024;

/// In front of each note: then come the path and the version.
struct Header {
  std::int64_t left = 0;
  std::uint16_t path_bytes = 0;
  std::uint16_t version_bytes = 0;
};
constexpr std::size_t header_bytes = 12;
static_assert(offsetof(Header, version_bytes) + sizeof(Header::version_bytes) == header_bytes);

Header header_at(const std::vector<std::uint8_t>& notes, std::size_t at) {
  Header header;
  std::memcpy(&header, notes.data() + at, header_bytes);
  return header;
}

auto place(std::vector<std::uint8_t>& notes, std::size_t at) {
  return notes.begin() + static_cast<std::ptrdiff_t>(at);
}

std::vector<std::uint8_t> packed(std::int64_t left, std::string_view path, const Version& version) {
  const std::vector<std::uint8_t> encoded = encode(version);
  invariant(path.size() <= UINT16_MAX && encoded.size() <= UINT16_MAX, "a note has its limits");
  const Header header{left, static_cast<std::uint16_t>(path.size()),
                      static_cast<std::uint16_t>(encoded.size())};
  std::vector<std::uint8_t> bytes(header_bytes);
  std::memcpy(bytes.data(), &header, header_bytes);
  bytes.insert(bytes.end(), path.begin(), path.end());
  bytes.insert(bytes.end(), encoded.begin(), encoded.end());
  return bytes;
}

}  // namespace

Version Departed::Note::version() const {
  auto version = decode<Version>(packed);
  invariant(version.has_value(), "a note is what was written here");
  return std::move(*version);
}

Departed::Note Departed::note_at(const Block& notes, std::size_t at) {
  const Header header = header_at(notes, at);
  const std::uint8_t* const path = notes.data() + at + header_bytes;
  return {header.left,
          {reinterpret_cast<const char*>(path), header.path_bytes},
          {path + header.path_bytes, header.version_bytes}};
}

std::size_t Departed::behind(const Block& notes, std::size_t at) {
  const Header header = header_at(notes, at);
  return at + header_bytes + header.path_bytes + header.version_bytes;
}

std::size_t Departed::place_of(const Block& notes, std::int64_t left) {
  std::size_t at = 0;
  while (at < notes.size() && header_at(notes, at).left < left) {
    at = behind(notes, at);
  }
  return at;
}

Departed::Block& Departed::add_block(std::int64_t first) {
  Block& block = blocks_[first];
  block.reserve(notes_bytes_max);
  return block;
}

/// Where a note of that instant is or belongs.
Departed::Blocks::iterator Departed::block_for(std::int64_t left) {
  const auto after = blocks_.upper_bound(left);
  if (after != blocks_.begin()) {
    return std::prev(after);
  }
  if (after == blocks_.end()) {
    add_block(left);
    return blocks_.begin();
  }
  auto first = blocks_.extract(after);
  first.key() = left;
  return blocks_.insert(std::move(first)).position;
}

void Departed::put(std::int64_t left, std::string_view path, const Version& version) {
  const std::vector<std::uint8_t> note = packed(left, path, version);
  Block* notes = &block_for(left)->second;
  std::size_t at = place_of(*notes, left);
  if (at < notes->size() && header_at(*notes, at).left == left) {
    notes->erase(place(*notes, at), place(*notes, behind(*notes, at)));
    --size_;
  }
  if (notes->size() + note.size() > notes_bytes_max && at < notes->size()) {
    Block& upper = add_block(header_at(*notes, at).left);
    upper.insert(upper.end(), place(*notes, at), notes->end());
    notes->resize(at);
  }
  if (notes->size() + note.size() > notes_bytes_max) {
    notes = &add_block(left);
    at = 0;
  }
  notes->insert(place(*notes, at), note.begin(), note.end());
  ++size_;
}

void Departed::drop_first() {
  const auto block = blocks_.begin();
  Block& notes = block->second;
  notes.erase(notes.begin(), place(notes, behind(notes, 0)));
  --size_;
  if (notes.empty()) {
    blocks_.erase(block);
  }
}

std::size_t Departed::bytes() const {
  std::size_t bytes = 0;
  for (const auto& [first, notes] : blocks_) {
    bytes += sizeof(Blocks::value_type) + notes.capacity();
  }
  return bytes;
}

}  // namespace p2psync::engine
