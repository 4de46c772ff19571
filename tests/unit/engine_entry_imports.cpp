// Imports in random histories: whatever the order of merges, the same ones turn out to be old news.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "engine/entry.h"
#include "engine_dice.h"

using namespace p2psync::engine;

namespace {

/// As few as never overflow the list of superseded versions: beyond it recognition ends.
constexpr std::uint64_t contents = superseded_max;

struct Side {
  Entry entry;
  VersionVector seen;
};

Side merged(const Side& one, const Side& other) {
  Side both{merge(one.entry, one.seen, other.entry, other.seen), one.seen};
  both.seen.join(other.seen);
  return both;
}

Version file(std::uint64_t text) {
  Version version;
  version.content.bytes[0] = static_cast<std::uint8_t>(text);
  version.label = "n";
  return version;
}

void note(std::vector<std::uint64_t>& list, std::uint64_t name) {
  if (std::ranges::find(list, name) == list.end()) {
    list.push_back(name);
  }
}

class History {
 public:
  explicit History(std::uint64_t seed) : random_(seed) {}

  void step() {
    const std::uint64_t chosen = random_.below(sides.size());
    switch (random_.below(6)) {
      case 0: event(chosen, true); break;
      case 1: event(chosen, false); break;
      case 2: import(chosen); break;
      default: sides[chosen] = merged(sides[chosen], sides[random_.below(sides.size())]);
    }
  }

  std::array<Side, 3> sides;

 private:
  Dot mint(std::uint64_t side) {
    const Dot dot{{side + 1, 1}, ++sequences_[side]};
    sides[side].seen.add(dot);
    sides[side].entry.context.add(dot);
    return dot;
  }
  void import(std::uint64_t side) {
    const Dot dot = mint(side);
    Version version = file(random_.below(contents));
    version.imported = true;
    insert(sides[side].entry, {dot, version});
  }
  static void insert(Entry& entry, Sibling sibling) {
    entry.versions.push_back(std::move(sibling));
    std::ranges::sort(entry.versions, {}, &Sibling::dot);
  }
  /// A write or a deletion of what a disk showed: any of the siblings. Their history goes on in it.
  void event(std::uint64_t side, bool write) {
    Entry& entry = sides[side].entry;
    std::vector<std::uint64_t> replaced;
    std::erase_if(entry.versions, [&](const Sibling& sibling) {
      if (random_.chance(40)) {
        return false;
      }
      note(replaced, recognition(sibling.version));
      std::ranges::for_each(sibling.version.superseded, [&](auto name) { note(replaced, name); });
      return true;
    });
    for (const Deletion& deletion : entry.deletions) {
      std::ranges::for_each(deletion.superseded, [&](auto name) { note(replaced, name); });
    }
    entry.deletions.clear();
    const Dot dot = mint(side);
    if (write) {
      Version version = file(random_.below(contents));
      version.superseded = std::move(replaced);
      insert(entry, {dot, version});
    } else {
      entry.deletions.push_back({dot, std::move(replaced)});
    }
  }

  Random random_;
  std::array<std::uint64_t, 3> sequences_{};
};

std::size_t imports(const Entry& entry) {
  return static_cast<std::size_t>(std::ranges::count_if(
      entry.versions, [](const Sibling& sibling) { return sibling.version.imported; }));
}

}  // namespace

TEST_CASE("merge: the order of merges does not decide which imports are old news") {
  const std::uint64_t seed = test_seed(5);
  CAPTURE(seed);
  std::size_t gone = 0;
  std::size_t stayed = 0;
  for (int round = 0; round < 2000; ++round) {
    CAPTURE(round);
    History history(seed + static_cast<std::uint64_t>(round));
    for (int step = 0; step < 25; ++step) {
      history.step();
      const auto& [one, two, three] = history.sides;
      const Side all = merged(merged(one, two), three);
      CHECK(all.entry == merged(one, merged(two, three)).entry);
      CHECK(all.entry == merged(merged(three, one), two).entry);
      CHECK(all.entry == merged(all, two).entry);
      CHECK(!entry_problem(all.entry));
      stayed += imports(all.entry);
      gone += imports(one.entry) > imports(merged(one, two).entry) ? 1 : 0;
    }
  }
  CHECK(gone > 1000);
  CHECK(stayed > 1000);
}
