// What is told of a content's parts while it is written.
#include "storage/write_behind.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "storage_staged.h"

using namespace p2psync;
using namespace p2psync::storage;
using engine::StageState;
using tests::Folder;
using tests::Made;
using tests::SpyFs;
using Parts = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

namespace {

constexpr std::uint64_t mib = 1024 * 1024;

struct Spied : Folder {
  SpyFs spy{*fs};
  std::unique_ptr<File> file = *spy.create("a");
};

}  // namespace

TEST_CASE("write behind: whole stretches, and each once") {
  Spied all;
  SUBCASE("in small pieces") {
    for (std::uint64_t at = 0; at < 25 * mib; at += 3 * mib) {
      write_behind(*all.file, at, at + 3 * mib);
    }
    CHECK(all.spy.sync_begun == Parts{{0, 8 * mib}, {8 * mib, 16 * mib}, {16 * mib, 24 * mib}});
  }
  SUBCASE("in one") {
    write_behind(*all.file, 0, 25 * mib);
    CHECK(all.spy.sync_begun == Parts{{0, 24 * mib}});
  }
  CHECK(all.spy.uncached.empty());
}

TEST_CASE("write behind: of a large content the end stays in memory, and nothing else") {
  Spied all;
  Parts uncached;
  SUBCASE("in small pieces") {
    for (std::uint64_t at = 0; at < cached_bytes + 32 * mib; at += mib / 2) {
      write_behind(*all.file, at, at + mib / 2);
    }
    uncached = {{0, 8 * mib}, {8 * mib, 16 * mib}, {16 * mib, 24 * mib}, {24 * mib, 32 * mib}};
  }
  SUBCASE("in large pieces") {
    write_behind(*all.file, 0, cached_bytes + 4 * mib);
    write_behind(*all.file, cached_bytes + 4 * mib, cached_bytes + 35 * mib);
    uncached = {{0, 32 * mib}};
  }
  SUBCASE("in one") {
    write_behind(*all.file, 0, cached_bytes + 35 * mib);
    uncached = {{0, 32 * mib}};
  }
  CHECK(all.spy.uncached == uncached);
}

TEST_CASE("write behind: of what is read and about to go nothing stays") {
  Spied all;
  uncache_behind(*all.file, 0, 3 * mib, 0);
  CHECK(all.spy.uncached.empty());
  uncache_behind(*all.file, 3 * mib, 17 * mib, 0);
  uncache_behind(*all.file, 17 * mib, 24 * mib, 0);
  CHECK(all.spy.uncached == Parts{{0, 16 * mib}, {16 * mib, 24 * mib}});
  CHECK(all.spy.sync_begun.empty());
}

namespace {

struct Receiving : Folder {
  explicit Receiving(const ChunkSizes& sizes) {
    fs->chunk_sizes = spy.chunk_sizes = sizes;
    REQUIRE(prepare_state(*fs));
  }
  SpyFs spy{*fs};
  Staging staging{spy};
};

}  // namespace

TEST_CASE("write behind: a content that comes in chunks") {
  Receiving node(tests::small);
  const Made content(9 * mib);
  REQUIRE(node.staging.open(content.opening()).state == StageState::incomplete);
  for (std::size_t i = 0; i < content.chunks.size(); ++i) {
    const bool last = i + 1 == content.chunks.size();
    CHECK(node.staging.write(content.chunk(i, last)).state ==
          (last ? StageState::complete : StageState::incomplete));
  }
  CHECK(node.spy.sync_begun == Parts{{0, 8 * mib}});
}

TEST_CASE("write behind: a content that is copied from its old version") {
  const ChunkSizes sizes;  // as they are, or there were several sections
  Receiving node(sizes);
  const Made content(25 * mib, 1, sizes);
  const Made old(content.bytes + "!", sizes);
  node.write("old", old.bytes);
  auto opening = content.opening();
  opening.bases = {{old.hash, old.bytes.size(), "old"}};
  auto asking = opening;
  asking.list = nullptr;
  REQUIRE(node.staging.open(asking).state == StageState::incomplete);  // lists the old one's chunks
  node.spy.sync_begun.clear();
  CHECK(node.staging.open(opening).state == StageState::incomplete);  // but for its end
  std::uint64_t begun = 0;
  for (const auto& [begin, end] : node.spy.sync_begun) {
    CHECK(begin == begun);
    begun = end;
  }
  CHECK(begun > content.bytes.size() - sizes.max);
  // Of the old one; of the new one the end, which is all of it, stays.
  CHECK(node.spy.uncached == Parts{{0, 8 * mib}, {8 * mib, 16 * mib}, {16 * mib, 24 * mib}});
}

TEST_CASE("write behind: what is uncached and on the disk leaves memory") {
  const Folder folder;
  struct statfs about{};
  REQUIRE(::statfs(folder.path.c_str(), &about) == 0);
  if (about.f_type != EXT4_SUPER_MAGIC && about.f_type != XFS_SUPER_MAGIC) {
    MESSAGE("skipped: tmpfs keeps everything, and of other file systems it is not known");
    return;
  }
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto file = *folder.fs->create("a");
  const std::vector<std::uint8_t> bytes(mib);
  REQUIRE(file->write(0, bytes));
  REQUIRE(file->sync());
  const int descriptor = ::open((folder.path + "/a").c_str(), O_RDONLY | O_CLOEXEC);
  void* const mapped = ::mmap(nullptr, mib, PROT_READ, MAP_SHARED, descriptor, 0);
  REQUIRE(mapped != MAP_FAILED);
  const auto in_memory = [&] {
    std::vector<unsigned char> pages(mib / page_bytes);
    REQUIRE(::mincore(mapped, mib, pages.data()) == 0);
    return static_cast<std::size_t>(
        std::ranges::count_if(pages, [](unsigned char page) { return (page & 1U) != 0; }));
  };
  CHECK(in_memory() == mib / page_bytes);
  file->uncache(0, mib / 2);
  CHECK(in_memory() == mib / 2 / page_bytes);
  ::munmap(mapped, mib);
  ::close(descriptor);
}
