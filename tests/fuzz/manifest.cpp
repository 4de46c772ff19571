// Manifests and outlines: as a peer sends one, a difference to one that is here; and as a file,
// which anybody may have written to.
//
// First byte: how many chunks the base has, squared; from 16 on it is a file, of which that byte
// says how its name comes about and which call fails. Of a difference: two bytes, the size that is
// claimed, in steps of 4 KiB.
#include "storage/manifest.h"

#include "storage/hash.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/some_disk.h"
#include "tests/fuzz/some_manifest.h"

namespace p2psync::fuzz {
namespace {

using storage::Manifest;

void of_a_peer(const Manifest& base, View bytes) {
  const storage::ChunkSizes sizes;
  const std::uint64_t low = take_byte(bytes);
  const std::uint64_t claimed = (low | std::uint64_t{take_byte(bytes)} << 8) * 4096;
  if (const auto outline = storage::read_outline(bytes)) {
    require(std::ranges::equal(storage::bytes_of(*outline), bytes), "an outline is what it was");
    require(outline->size() <= storage::sections_max, "and has no more sections than any may");
  }
  const auto manifest = storage::apply_difference(base, bytes, claimed, sizes);
  if (manifest) {
    std::uint64_t sum = 0;
    for (const engine::Chunk& chunk : *manifest) {
      sum += chunk.length;
    }
    require(sum == claimed, "the chunks come to the size");
    const auto difference = storage::difference(base, *manifest);
    require(storage::apply_difference(base, difference, claimed, sizes) == manifest,
            "its own difference gives the same manifest");
  }
}

void on_disk(std::uint8_t how, View bytes) {
  sim::SimFs disk;
  fill(disk);
  const bool true_name = how % 4 != 0;
  const engine::Hash name = true_name ? storage::sha512_256(bytes) : engine::Hash{};
  const std::string path = ".p2psync/manifests/" + storage::to_hex(name);
  disk.write_file(path, text(bytes));
  fail_at(disk, how % 4 - (true_name ? 1U : 0U));
  const auto found = storage::find_manifest(disk, name);
  const auto outline = storage::find_outline(disk, name);
  disk.fault = nullptr;
  if (!true_name) {
    require(!disk.exists(path), "what is not what it is called goes");
  }
  require(!found || (true_name && storage::name_of(*found) == name), "what is found has its name");
  require(!found || std::ranges::equal(storage::bytes_of(*found), bytes),
          "and is what stood there");
  require(!found || !outline || outline->size() == 1, "a manifest is of one section");
  if (outline && outline->size() > 1) {
    require(storage::name_of(*outline) == name, "an outline that is found has its name");
    disk.remove(path);
    std::ignore = storage::store_outline(disk, name, *outline);
    require(storage::find_outline(disk, name) == outline, "and is found again");
  }
  if (found) {
    disk.remove(path);
    fail_at(disk, how / 4 % 4);
    storage::store_manifest(disk, name, *found);
    disk.fault = nullptr;
    require(storage::find_manifest(disk, name).value_or(*found) == *found, "stored, or not there");
  }
}

}  // namespace
}  // namespace p2psync::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync::fuzz;
  View bytes(data, size);
  const std::uint8_t how = take_byte(bytes);
  if (how < 16) {
    of_a_peer(some_manifest(how * std::size_t{how}), bytes);
  } else {
    on_disk(how, bytes);
  }
  return 0;
}
