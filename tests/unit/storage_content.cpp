// How contents are cut and named, and manifests as differences.
#include "storage/content.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/random.h"
#include "storage/hash.h"
#include "storage/manifest.h"
#include "storage_folder.h"
#include "storage_spy_fs.h"

using namespace p2psync;
using namespace p2psync::storage;
using tests::bytes_of;
using tests::Folder;

namespace {

constexpr ChunkSizes small{32, 64, 256};

std::string noise(std::size_t size, std::uint64_t seed = 1) {
  engine::Random random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(random.below(256));
  }
  return bytes;
}

/// All of them, over all sections.
Manifest chunks_of(std::string_view bytes, const ChunkSizes& sizes = small) {
  const Folder folder;
  folder.write("f", bytes);
  const auto file = folder.fs->open_read("f");
  Manifest all;
  Outline sections;
  auto content = read_content(**file, bytes.size(), sizes,
                              [&](const Section& section, const Manifest& chunks) {
                                CHECK(section_of(chunks, sizes) == section);
                                sections.push_back(section);
                                all.insert(all.end(), chunks.begin(), chunks.end());
                              });
  REQUIRE(content);
  CHECK(content->name == name_of(bytes_of(bytes), sizes));
  CHECK(content->sections == sections);
  return all;
}

std::size_t in_common(const Manifest& one, const Manifest& other) {
  return static_cast<std::size_t>(std::ranges::count_if(one, [&](const engine::Chunk& chunk) {
    return std::ranges::find(other, chunk) != other.end();
  }));
}

std::optional<Manifest> through(const Manifest& base, const Manifest& manifest,
                                std::uint64_t size) {
  return apply_difference(base, difference(base, manifest), size, small);
}

}  // namespace

TEST_CASE("chunker: the chunks are the bytes, and of the lengths that were asked for") {
  const std::string bytes = noise(100'000);
  const Manifest chunks = chunks_of(bytes);
  std::size_t offset = 0;
  for (const engine::Chunk& chunk : chunks) {
    CHECK(sha256(std::string_view(bytes).substr(offset, chunk.length)) == chunk.hash);
    offset += chunk.length;
    CHECK(chunk.length <= small.max);
    CHECK((chunk.length > small.min || offset == bytes.size()));
  }
  CHECK(offset == bytes.size());
  const std::size_t average = bytes.size() / chunks.size();
  CHECK(average > small.average / 2);
  CHECK(average < small.average * 2);
}

TEST_CASE("chunker: the cuts never change, since they name contents") {
  const std::string bytes = noise(1 << 20);
  std::vector<std::size_t> lengths;
  for (auto rest = bytes_of(bytes); !rest.empty(); rest = rest.subspan(lengths.back())) {
    lengths.push_back(first_chunk(rest, {}));
  }
  CHECK(lengths.size() == 16);
  CHECK(to_hex(name_of(bytes_of(bytes), {})) ==
        "341bbcf06a5fcf6ee8b7c407100f64c50a9b94d2e6478ad5ba599c71a4f9555f");
}

/// As the papers say it, a byte at a time, and with nothing of the chunker's.
std::size_t slow_first_chunk(std::span<const std::uint8_t> bytes, const ChunkSizes& sizes) {
  std::array<std::uint64_t, 256> gear{};
  std::uint64_t state = 0;
  for (std::uint64_t& number : gear) {
    state += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    number = mixed ^ (mixed >> 31);
  }
  const auto bits = static_cast<unsigned>(std::countr_zero(sizes.average));
  const std::size_t end = std::min<std::size_t>(bytes.size(), sizes.max);
  std::uint64_t sum = 0;
  for (std::size_t i = sizes.min; i < end; ++i) {
    sum = (sum << 1) + gear[bytes[i]];
    const unsigned zeros = i < sizes.average ? bits + 2 : bits - 2;
    if ((sum << 1) >> (64 - zeros) == 0) {
      return i + 1;
    }
  }
  return end;
}

TEST_CASE("chunker: cuts where a search byte by byte does") {
  // Averages so small that the two halves find something, both of them, in every way; and one where
  // cuts are in every part of a block that is looked through at once, and in the rest behind it.
  for (const std::uint32_t average : {64U, 512U, 2048U, 16384U}) {
    const ChunkSizes sizes{.min = average / 4, .average = average, .max = 4 * average};
    const std::string bytes = noise(1 << 20, average);
    std::size_t cut_early = 0;
    for (auto rest = bytes_of(bytes); !rest.empty();) {
      const std::size_t length = first_chunk(rest, sizes);
      REQUIRE(length == slow_first_chunk(rest, sizes));
      cut_early += length < average ? 1 : 0;
      rest = rest.subspan(length);
    }
    CHECK(cut_early > (1U << 20) / average / 20);
    for (std::size_t size = 1; size < 2 * average; size += std::max(1U, average / 2048)) {
      const auto part = bytes_of(bytes).subspan(size, size);
      REQUIRE(first_chunk(part, sizes) == slow_first_chunk(part, sizes));
    }
  }
}

TEST_CASE("chunker: an insertion, an overwriting and an appending change the chunks they touch") {
  const std::string bytes = noise(8 << 20);
  const Manifest before = chunks_of(bytes, {});
  std::string middle = bytes;
  middle.replace(4 << 20, 10, "0123456789");
  for (const std::string& edited : {"x" + bytes, middle, bytes + noise(20, 2)}) {
    const Manifest after = chunks_of(edited, {});
    CHECK(in_common(after, before) + 3 >= after.size());
    CHECK(difference(before, after).size() < 3 * 37 + 10);
  }
}

TEST_CASE("content: what is one chunk is called by its bytes, what is more by its manifest") {
  const std::string one = noise(small.max);
  CHECK(chunks_of(one).empty());
  CHECK(name_of(bytes_of(one), small) == sha256(one));
  const Manifest several = chunks_of(noise(small.max + 1));
  CHECK(several.size() > 1);
  // A file with the bytes of a manifest is not the content that the manifest is of.
  const auto manifest = bytes_of(several);
  CHECK(sha256(manifest) != name_of(several));
}

TEST_CASE("content: what has many chunks is called by its outline, which is of sections") {
  constexpr ChunkSizes sizes{32, 64, 256, 8};
  const auto outline_of = [&](std::string_view bytes) {
    const Folder folder;
    folder.write("f", bytes);
    const auto file = folder.fs->open_read("f");
    return read_content(**file, bytes.size(), sizes)->sections;
  };
  const std::string bytes = noise(50'000);
  const Outline outline = outline_of(bytes);
  CHECK(outline.size() > 20);
  CHECK(length_of(outline) == bytes.size());
  CHECK(name_of(outline) == name_of(bytes_of(bytes), sizes));
  CHECK(read_outline(bytes_of(outline)) == outline);
  // As large as they may be, and the first has more chunks than any has at least.
  const std::uint64_t most = section_chunks_max(sizes) * sizes.max;
  for (const Section& section : outline) {
    CHECK(section.length <= most);
    CHECK(section.data == section.length);
  }
  SUBCASE("an insertion changes the section it is in, and few behind it") {
    const Outline after = outline_of(bytes.substr(0, 10'000) + "x" + bytes.substr(10'000));
    const auto kept = std::ranges::count_if(after, [&](const Section& section) {
      return std::ranges::find(outline, section) != outline.end();
    });
    CHECK(kept + 4 >= static_cast<std::ptrdiff_t>(outline.size()));
  }
  SUBCASE("one section is called as its manifest is") {
    const std::string some = noise(400);
    const Outline one = outline_of(some);
    REQUIRE(one.size() == 1);
    CHECK(one[0].name == name_of(bytes_of(some), sizes));
    CHECK(!read_outline(bytes_of(one)));
  }
  SUBCASE("zeros end no section, and are known to take no room") {
    const Outline zeros = outline_of(std::string(100 * sizes.max, '\0'));
    REQUIRE(zeros.size() == 4);
    CHECK(zeros[0].length == most);
    CHECK(zeros[0].data == 0);
    CHECK(zeros[1] == zeros[0]);
  }
}

TEST_CASE("manifest: whatever a peer sends as an outline is refused or is one") {
  Outline outline(5, Section{1000, 500, {}});
  const auto good = bytes_of(outline);
  CHECK(is_outline(good));
  CHECK(read_outline(good) == outline);
  // What it begins with, no difference can begin with.
  CHECK(!apply_difference({}, good, length_of(outline), small));
  engine::Random random(11);
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = good;
    bytes[random.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << random.below(8));
    bytes.resize(random.chance(20) ? random.below(bytes.size()) : bytes.size());
    if (const auto read = read_outline(bytes)) {
      CHECK(bytes_of(*read) == bytes);
      CHECK(length_of(*read) <= std::uint64_t{1} << 63);
    }
  }
  outline[1].length = 0;
  outline[1].data = 0;
  CHECK(!read_outline(bytes_of(outline)));
  outline[1] = {10, 11, {}};
  CHECK(!read_outline(bytes_of(outline)));
  outline.assign(4, Section{std::uint64_t{1} << 62, 0, {}});  // together they come to nothing
  CHECK(!read_outline(bytes_of(outline)));
  outline.assign(sections_max + 1, Section{1, 1, {}});
  CHECK(!read_outline(bytes_of(outline)));
}

TEST_CASE("content: holes are zeros that are not read") {
  const Folder folder;
  const std::uint64_t size = 64 << 20;
  const std::string data = noise(100'000);
  for (const char* name : {"sparse", "full"}) {
    const auto file = folder.fs->create(name);
    REQUIRE((*file)->resize(size));
    REQUIRE((*file)->write(10 << 20, bytes_of(data)));
  }
  const std::string zero(1 << 20, '\0');
  const auto full = folder.fs->open_write("full");
  for (std::uint64_t offset = 0; offset < size; offset += zero.size()) {
    if (offset != 10 << 20) {
      REQUIRE((*full)->write(offset, bytes_of(zero)));
    }
  }
  const auto sparse = folder.fs->open_read("sparse");
  CHECK(read_content(**sparse, size, {})->name == read_content(**full, size, {})->name);
}

TEST_CASE("chunker: a run of zeros is cut off, and is known without its bytes") {
  engine::Random random(3);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = noise(random.below(2000), random.below(1000));
    const std::size_t before = bytes.size();
    const std::size_t zeros = small.min + random.below(3000);
    bytes.append(zeros, '\0');
    bytes += "x" + noise(random.below(2000), random.below(1000));
    if (bytes.size() <= small.max) {
      continue;
    }
    const Manifest chunks = chunks_of(bytes);
    std::size_t offset = 0, known = 0;
    bool cut = false;
    for (const engine::Chunk& chunk : chunks) {
      CHECK(sha256(std::string_view(bytes).substr(offset, chunk.length)) == chunk.hash);
      if (is_zeros(chunk, small) && offset >= before) {
        known += chunk.length;
      }
      cut = cut || offset == before;
      offset += chunk.length;
    }
    CHECK(offset == bytes.size());
    CHECK(cut);
    CHECK(known + small.min > zeros);
  }
}

TEST_CASE("content: a file that is shorter than it was is told of") {
  const Folder folder;
  folder.write("f", noise(1000));
  const auto file = folder.fs->open_read("f");
  for (const std::uint64_t size : {1001U, 5000U}) {
    const auto content = read_content(**file, size, small);
    REQUIRE(!content);
    CHECK(content.error().code == ErrorCode::changed);
  }
}

TEST_CASE("manifest: a difference gives back what it was made from, whatever the two are") {
  engine::Random random(5);
  for (int round = 0; round < 2000; ++round) {
    Manifest base, manifest;
    std::uint64_t size = 0;
    for (Manifest* each : {&base, &manifest}) {
      const std::size_t count = random.below(40);
      for (std::size_t i = 0; i < count; ++i) {
        engine::Chunk chunk{small.min + static_cast<std::uint32_t>(random.below(2)), {}};
        chunk.hash.bytes[0] = static_cast<std::uint8_t>(random.below(4));
        each->push_back(chunk);
      }
    }
    for (const engine::Chunk& chunk : manifest) {
      size += chunk.length;
    }
    CHECK(through(base, manifest, size) == manifest);
    CHECK(!through(base, manifest, size + 1));
    // Whoever lacks the base can write one that needs none.
    CHECK(apply_difference(base, difference({}, manifest), size, small) == manifest);
  }
}

TEST_CASE("manifest: whatever a peer sends is refused or a manifest of that size") {
  const Manifest base = chunks_of(noise(20'000));
  const Manifest wanted = chunks_of(noise(3000, 2) + noise(20'000));
  const auto good = difference(base, wanted);
  engine::Random random(7);
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = good;
    for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
      bytes[random.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << random.below(8));
    }
    bytes.resize(random.chance(20) ? random.below(bytes.size()) : bytes.size());
    if (const auto manifest = apply_difference(base, bytes, 23'000, small)) {
      std::uint64_t size = 0;
      for (const engine::Chunk& chunk : *manifest) {
        size += chunk.length;
      }
      CHECK(size == 23'000);
    }
  }
  // As many chunks as a number can say, of nothing.
  const std::vector<std::uint8_t> bomb(1000, 0xFE);
  CHECK(!apply_difference(base, bomb, ~std::uint64_t{0}, small));
  // Nor is one that a chunker of these sizes would not make: a few bytes would stand for millions
  // of chunks.
  const std::uint64_t size = 1000 * small.min;
  Manifest crumbs(2000, engine::Chunk{static_cast<std::uint32_t>(small.min / 2), {}});
  CHECK(apply_difference({}, difference({}, crumbs), size, small) == crumbs);
  crumbs.assign(4000, engine::Chunk{static_cast<std::uint32_t>(small.min / 4), {}});
  CHECK(!apply_difference({}, difference({}, crumbs), size, small));
}

TEST_CASE("manifest: one that was damaged on the disk is one that is not there") {
  const Folder folder;
  REQUIRE(folder.fs->make_directory(".p2psync", 0700));
  REQUIRE(folder.fs->make_directory(std::string(manifests_directory), 0700));
  const Manifest manifest = chunks_of(noise(5000));
  const engine::Hash name = name_of(manifest);
  CHECK(!find_manifest(*folder.fs, name));
  store_manifest(*folder.fs, name, manifest);
  store_manifest(*folder.fs, name, manifest);
  CHECK(find_manifest(*folder.fs, name) == manifest);
  const std::string path = std::string(manifests_directory) + "/" + to_hex(name);
  for (const bool truncated : {false, true}) {
    std::string bytes = folder.content(path);
    bytes[7] = static_cast<char>(bytes[7] ^ 1);
    folder.write(path, truncated ? bytes.substr(0, 100) : bytes);
    CHECK(!find_manifest(*folder.fs, name));
    store_manifest(*folder.fs, name, manifest);
    CHECK(find_manifest(*folder.fs, name) == manifest);
  }
}

TEST_CASE("manifest: all together take a small part of the disk, and what was used last stays") {
  tests::Folder folder;
  REQUIRE(folder.fs->make_directory(".p2psync", 0700));
  REQUIRE(folder.fs->make_directory(std::string(manifests_directory), 0700));
  tests::SpyFs spy{*folder.fs};
  std::vector<engine::Hash> names;
  std::uint64_t bytes = 0;
  for (std::uint64_t i = 0; i < 4; ++i) {
    const Manifest manifest = chunks_of(noise(5000, i));
    names.push_back(name_of(manifest));
    store_manifest(spy, names.back(), manifest);
    bytes = std::max(bytes, bytes_of(manifest).size());
    const std::int64_t days = static_cast<std::int64_t>(10 - i) * 24 * 3600 * 1'000'000'000;
    REQUIRE(spy.set_mtime(std::string(manifests_directory) + "/" + to_hex(names.back()),
                          spy.wall_time() - days));
  }
  spy.free_space.all_bytes = UINT64_MAX;
  expire_lists(spy);
  CHECK(find_manifest(spy, names[0]));  // which is a use of it
  spy.free_space.all_bytes = 2 * bytes * lists_part;
  expire_lists(spy);
  CHECK(find_manifest(spy, names[0]));
  CHECK(!find_manifest(spy, names[1]));
  CHECK(!find_manifest(spy, names[2]));
  CHECK(find_manifest(spy, names[3]));
}
