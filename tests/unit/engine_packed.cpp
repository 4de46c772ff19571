#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "engine/items.h"
#include "engine/random.h"
#include "engine/sorted_blocks.h"

using namespace p2psync::engine;

namespace {

/// Mostly what usual records hold, and at times anything else.
class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  Item item() {
    Item item;
    item.path = text(200) + "f";
    Record& record = item.record;
    for (std::uint64_t n = few(); n > 0; --n) {
      record.entry.context.add(dot());
    }
    for (std::uint64_t n = few(); n > 0; --n) {
      const Dot at = record.entry.context.empty() || rarely() ? dot() : own(record.entry);
      record.entry.versions.push_back({at, version(at)});
    }
    for (std::uint64_t n = rarely() ? few() : 0; n > 0; --n) {
      record.entry.deletions.push_back({dot(), words()});
    }
    for (std::uint64_t n = few(); n > 0; --n) {
      record.shown.push_back(shown(item));
    }
    for (std::uint64_t n = rarely() ? few() : 0; n > 0; --n) {
      record.doubts.push_back({text(20), std::nullopt});
      if (rarely()) {
        record.doubts.back().laid = shown(item);
      }
    }
    item.fingerprint = {word(), word()};
    return item;
  }

 private:
  std::uint64_t word() { return random_.next(); }
  bool rarely() { return random_.chance(25); }
  std::uint64_t few() { return rarely() ? random_.below(4) : 1; }
  std::string text(std::uint64_t longest) {
    std::string bytes(random_.below(longest), '\0');
    for (char& byte : bytes) {
      byte = static_cast<char>(word());
    }
    return bytes;
  }
  std::uint64_t extreme(std::uint64_t usual) {
    const std::uint64_t values[] = {0, 1, 127, 128, word(), UINT64_MAX, UINT64_MAX - 1};
    return rarely() ? values[random_.below(std::size(values))] : usual;
  }
  std::int64_t time() {
    return static_cast<std::int64_t>(extreme(1'700'000'000'000'000'000 + word() % 1'000'000'000));
  }
  std::vector<std::uint64_t> words() {
    std::vector<std::uint64_t> words(random_.below(superseded_max + 1));
    for (std::uint64_t& each : words) {
      each = word();
    }
    return words;
  }
  Dot dot() {
    return {{random_.below(3), random_.below(3)},
            std::clamp<std::uint64_t>(extreme(word() % 99), 1, sequence_max)};
  }
  Dot own(const Entry& entry) {
    const auto& [actor, sequence] = entry.context.items()[0];
    return {actor, sequence};
  }
  Version version(const Dot& of) {
    Version version;
    version.kind = static_cast<Kind>(random_.below(3));
    version.mode = static_cast<std::uint16_t>(extreme(0644));
    version.mtime = time();
    version.size = std::min(extreme(word() % 100'000), size_bytes_max);
    if (!rarely()) {
      for (std::uint8_t& byte : version.content.bytes) {
        byte = static_cast<std::uint8_t>(word());
      }
    }
    version.target = rarely() ? text(50) : "";
    version.rank = rarely() ? time() : version.mtime;
    version.label = rarely() ? text(10) : "alpha";
    version.tag = rarely() ? word() : tag_of(of);
    version.copy = rarely();
    version.metadata_only = rarely();
    version.base = rarely() ? word() : 0;
    version.imported = rarely();
    if (rarely()) {
      version.superseded = words();
    }
    return version;
  }
  Shown shown(const Item& item) {
    const Entry& entry = item.record.entry;
    Shown shown{rarely() ? text(30) : item.path, {}, {}, {}};
    if (entry.versions.empty() || rarely()) {
      for (std::uint64_t n = random_.below(3); n > 0; --n) {
        shown.dots.push_back(dot());
      }
      shown.version = version(dot());
    } else {
      shown.dots = {entry.versions[0].dot};
      shown.version = rarely() ? version(dot()) : entry.versions[0].version;
    }
    Signature& signature = shown.signature;
    signature.kind = rarely() ? static_cast<Kind>(random_.below(3)) : shown.version.kind;
    signature.mode = rarely() ? static_cast<std::uint16_t>(word()) : shown.version.mode;
    signature.size = extreme(shown.version.size);
    signature.mtime = rarely() ? time() : shown.version.mtime;
    signature.inode = extreme(word() % 100'000'000);
    signature.ctime = time();
    return shown;
  }

  Random random_;
};

bool same(const Item& a, const Item& b) {
  return a.path == b.path && a.fingerprint == b.fingerprint && a.record.entry == b.record.entry &&
         a.record.shown == b.record.shown && a.record.doubts == b.record.doubts;
}

}  // namespace

TEST_CASE("packed: any item comes back as it was") {
  Names names;
  Maker maker(1);
  std::vector<std::uint8_t> packed;
  for (int i = 0; i < 50'000; ++i) {
    const Item item = maker.item();
    pack(item, names, packed);
    CHECK(same(unpack(packed.data(), names), item));
    CHECK(size_of(packed.data()) == packed.size());
    CHECK(path_of(packed.data()) == item.path);
    CHECK(summary_of(packed.data()) == summary_of(item));
  }
}

TEST_CASE("packed: a usual file takes its path and 85 bytes at most, of which 48 are hashes") {
  const std::int64_t mtime = 1'700'000'000'123'456'789;
  Version version;
  version.mode = 0644;
  version.mtime = version.rank = mtime;
  version.size = 4'000'000'000;
  version.content.bytes.fill(7);
  version.label = "alpha";
  const Dot dot{{1, 0}, 1'000'000};
  version.tag = tag_of(dot);
  Names names;
  std::vector<std::uint8_t> packed;
  const std::string path(60, 'f');
  pack(path, {{dot, version}, 2'000'000'000, mtime + 1'000'000'000}, names, packed);
  CHECK(packed.size() <= path.size() + 85);
}

TEST_CASE("packed: what is plain is told without unpacking, and only that") {
  Names names;
  Maker maker(8);
  std::vector<std::uint8_t> packed;
  int plain_ones = 0;
  for (int i = 0; i < 50'000; ++i) {
    const Item item = maker.item();
    pack(item, names, packed);
    const auto& [entry, shown, doubts] = item.record;
    const bool expected = entry.versions.size() == 1 && entry.deletions.empty() && doubts.empty() &&
                          shown.size() == 1 && shown[0].name == item.path &&
                          shown[0].dots == std::vector{entry.versions[0].dot} &&
                          shown[0].version == entry.versions[0].version;
    const auto plain = plain_of(packed.data(), names);
    REQUIRE(plain.has_value() == expected);
    if (const auto record = plain_record(item.path, item.record)) {
      const Item same{item.path, item.record, fingerprint(item.path, item.record.entry)};
      std::vector<std::uint8_t> directly;
      pack(item.path, *record, names, directly);
      pack(same, names, packed);
      CHECK(directly == packed);
    }
    if (plain) {
      const auto& [dot, version] = entry.versions[0];
      CHECK(plain->dot == dot);
      CHECK(plain->only_seen == (entry.context == VersionVector{dot}));
      CHECK(plain->kind == version.kind);
      CHECK(plain->mode == version.mode);
      CHECK(plain->size == version.size);
      CHECK(plain->content == version.content);
      CHECK(plain->copy == version.copy);
      CHECK(plain->imported == version.imported);
      CHECK(plain->signature == shown[0].signature);
      ++plain_ones;
    }
  }
  CHECK(plain_ones > 5'000);
}

TEST_CASE("items: whatever is opened, written to, erased and packed, all are what they were") {
  Maker maker(2);
  Random random(3);
  Items items;
  std::map<Items::Id, Item> model;
  for (int i = 0; i < 50'000; ++i) {
    const std::uint64_t what = random.below(10);
    if (what < 4 || model.empty()) {
      const Item item = maker.item();
      const Items::Id id = items.add(item.path);
      CHECK(!model.contains(id));
      items.edit(id) = item;
      model[id] = item;
      continue;
    }
    const auto place = std::next(
        model.begin(),
        static_cast<std::ptrdiff_t>(random.below(std::min<std::size_t>(model.size(), 100))));
    Item room;
    if (what < 6) {
      CHECK(same(items.open(place->first), place->second));
    } else if (what == 6) {
      CHECK(same(items.read(place->first, room), place->second));
      CHECK(items.path(place->first) == place->second.path);
      CHECK(items.summary(place->first) == summary_of(place->second));
    } else if (what == 7) {
      place->second.record = maker.item().record;
      items.edit(place->first).record = place->second.record;
    } else if (what == 8) {
      items.erase(place->first);
      model.erase(place);
    } else {
      items.pack(random.below(50));
    }
  }
  const Items copy = items;
  for (const auto& [id, item] : model) {
    CHECK(same(copy.open(id), item));
    CHECK(same(items.open(id), item));
  }
}

TEST_CASE("items: the memory of what has become larger is given back, and all are what they were") {
  Maker maker(6);
  Items items;
  std::map<Items::Id, Item> model;
  for (int i = 0; i < 100'000; ++i) {
    Item item = maker.item();
    item.path += std::string(100, 'p');
    model[items.add(item)] = item;
  }
  for (auto& [id, item] : model) {
    item.record.doubts.push_back({std::string(300, 'd'), std::nullopt});
    items.edit(id).record.doubts = item.record.doubts;
    items.pack(10);
  }
  const std::size_t before = items.spare_bytes();
  CHECK(before > 2 * BlockPool::spare_usual);
  items.pack(0);
  CHECK(items.spare_bytes() <= BlockPool::spare_usual);
  Item room;
  for (const auto& [id, item] : model) {
    CHECK(same(items.read(id, room), item));
  }
}

TEST_CASE("block pool: containers of the library lie in one, and what is taken is counted") {
  BlockPool pool;
  std::uint8_t* const small = pool.take(9);
  std::uint8_t* const large = pool.take(BlockPool::pooled_max + 1);
  CHECK(pool.taken() == 16);
  CHECK(pool.spare() > 0);
  pool.give_back(small, 9);
  pool.give_back(large, BlockPool::pooled_max + 1);
  CHECK(pool.taken() == 0);
  PoolResource resource;
  std::pmr::map<int, std::pmr::string> texts(&resource);
  for (int i = 0; i < 1000; ++i) {
    texts[i % 100] = std::string(static_cast<std::size_t>(i), 'x');
  }
  for (const auto& [i, text] : texts) {
    CHECK(text.size() == static_cast<std::size_t>(900 + i));
  }
}

TEST_CASE("block pool: what is spare is in proportion to what is taken") {
  BlockPool pool;
  for (std::size_t size = 8; size <= BlockPool::pooled_max; size += 8) {
    static_cast<void>(pool.take(size));  // goes with the pool
  }
  CHECK(pool.spare() < 256 * 1024);
  for (int i = 0; i < 10'000; ++i) {
    static_cast<void>(pool.take(160));
  }
  CHECK(pool.spare() < 256 * 1024 + 32 * 1024);
}

TEST_CASE("block pool: no two blocks overlap, whatever is taken and given back") {
  struct Block {
    std::uint8_t* at;
    std::size_t size;
    std::uint8_t filled;
  };
  Random random(5);
  BlockPool pool;
  std::vector<Block> taken;
  for (int i = 0; i < 50'000; ++i) {
    if (taken.empty() || random.chance(i < 25'000 ? 70 : 30)) {
      const std::size_t size = 1 + random.below(random.chance(5) ? 3000 : 300);
      taken.push_back({pool.take(size), size, static_cast<std::uint8_t>(random.next())});
      std::fill_n(taken.back().at, size, taken.back().filled);
    } else {
      std::swap(taken[random.below(taken.size())], taken.back());
      const auto [at, size, filled] = taken.back();
      taken.pop_back();
      CHECK(std::count(at, at + size, filled) == static_cast<std::ptrdiff_t>(size));
      pool.give_back(at, size);
    }
  }
  for (const auto& [at, size, filled] : taken) {
    CHECK(std::count(at, at + size, filled) == static_cast<std::ptrdiff_t>(size));
    pool.give_back(at, size);
  }
}

TEST_CASE("sorted blocks: random operations give what a std::set gives") {
  Random random(4);
  for (const std::uint64_t range : {50UL, 3000UL, 1'000'000UL}) {
    SortedBlocks<std::uint64_t> blocks;
    std::set<std::uint64_t> model;
    for (int i = 0; i < 60'000; ++i) {
      const std::uint64_t key =
          random.chance(30) ? range + static_cast<std::uint64_t>(i) : random.below(range);
      if (random.chance(i < 30'000 ? 70 : 30)) {
        blocks.insert(key);
        model.insert(key);
      } else {
        const auto near = model.lower_bound(key);
        const std::uint64_t gone = near == model.end() ? key : *near;
        blocks.erase(gone);
        model.erase(gone);
      }
      CHECK(blocks.empty() == model.empty());
      if (i % 1'000 == 0) {
        blocks.settle();
      }
      if (i % 10'000 == 5'000) {
        std::vector<std::uint64_t> keys(model.begin(), model.end());
        keys.insert(keys.end(), model.begin(), model.end());
        blocks = SortedBlocks(std::move(keys));
      }
      if (i % 500 == 0) {
        const std::uint64_t from = random.below(range);
        auto expected = model.lower_bound(from);
        blocks.for_each_from(from, [&](std::uint64_t each) {
          REQUIRE(expected != model.end());
          CHECK(each == *expected);
          ++expected;
          return true;
        });
        CHECK(expected == model.end());
      }
    }
  }
}
