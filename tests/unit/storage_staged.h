#pragma once
// Contents of several small chunks, and a disk for them to come to.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/hash.h"
#include "storage/manifest.h"
#include "storage/staging.h"
#include "storage_folder.h"
#include "storage_spy_fs.h"

namespace p2psync::tests {

using namespace storage;
using engine::StageState;

inline constexpr ChunkSizes small{1024, 2048, 8192};

struct Made {
  explicit Made(std::size_t size, std::uint32_t state = 12345, const ChunkSizes& sizes = small)
      : bytes(size, '\0') {
    for (char& byte : bytes) {
      state = state * 1664525 + 1013904223;
      byte = static_cast<char>(state >> 24U);
    }
    cut(sizes);
  }
  explicit Made(std::string text, const ChunkSizes& sizes = small) : bytes(std::move(text)) {
    cut(sizes);
  }
  void cut(const ChunkSizes& sizes) {
    for (auto rest = tests::bytes_of(bytes); !rest.empty();) {
      const auto chunk =
          rest.first(bytes.size() <= sizes.max ? rest.size() : first_chunk(rest, sizes));
      chunks.push_back({static_cast<std::uint32_t>(chunk.size()), sha256(chunk)});
      rest = rest.subspan(chunk.size());
    }
    hash = storage::name_of(tests::bytes_of(bytes), sizes);
  }
  [[nodiscard]] engine::WriteBlock chunk(std::size_t index, bool last = false) const {
    std::size_t offset = 0;
    for (std::size_t i = 0; i < index; ++i) {
      offset += chunks[i].length;
    }
    const std::string part = bytes.substr(offset, chunks[index].length);
    return {hash,
            bytes.size(),
            offset,
            chunks[index].hash,
            engine::Bytes::of(std::vector<std::uint8_t>(part.begin(), part.end())),
            last};
  }
  [[nodiscard]] engine::OpenStage opening(const Manifest& base = {}) const {
    return {hash,
            bytes.size(),
            {},
            engine::Bytes::of(difference(base, chunks)),
            {hash, base.empty() ? engine::Hash{} : storage::name_of(base)}};
  }

  std::string bytes;
  Manifest chunks;
  engine::Hash hash;
};

struct Stage : Folder {
  Stage() {
    fs->chunk_sizes = small;
    REQUIRE(prepare_state(*fs).has_value());
  }
  /// Stands in the tree; its manifest was made when it was looked at.
  [[nodiscard]] engine::Base base(const std::string& name, const Made& content) const {
    write(name, content.bytes);
    return {content.hash, content.bytes.size(), name};
  }
  [[nodiscard]] bool nothing_left() const { return fs->list(staging_directory)->empty(); }
  Staging staging{*fs};
};

/// A content of several chunks, none of them written, on a disk that can refuse.
struct Begun {
  Begun() {
    spy.chunk_sizes = small;
    REQUIRE(staging.open(content.opening()).state == StageState::incomplete);
  }
  Stage stage;
  SpyFs spy{*stage.fs};
  Staging staging{spy};
  const Made content{20'000};
};

inline std::size_t count(const std::vector<bool>& there) {
  return static_cast<std::size_t>(std::ranges::count(there, true));
}

}  // namespace p2psync::tests
