#include "engine/entry.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine_dice.h"

using namespace p2psync::engine;

namespace {

constexpr Actor a{1, 1};
constexpr Actor b{2, 1};
constexpr Actor c{3, 1};

Hash hash_of(std::uint64_t text) {
  Hash hash;
  for (std::size_t i = 0; i < 8; ++i) {
    hash.bytes[i] = static_cast<std::uint8_t>(text >> (8 * i));
  }
  return hash;
}

Version file(std::uint64_t text) {
  Version version;
  version.mode = 0644;
  version.mtime = static_cast<std::int64_t>(text);
  version.size = text;
  version.content = hash_of(text);
  version.rank = version.mtime;
  version.label = "alpha";
  version.tag = text;
  return version;
}

Version import(std::uint64_t text) {
  Version version = file(text);
  version.imported = true;
  return version;
}

Version after(std::uint64_t text, std::vector<std::uint64_t> replaced) {
  Version version = file(text);
  version.superseded = std::move(replaced);
  return version;
}

Entry entry_of(std::vector<Sibling> versions, std::vector<Deletion> deletions = {},
               VersionVector more = {}) {
  Entry entry{std::move(more), std::move(versions), std::move(deletions)};
  for (const Sibling& sibling : entry.versions) {
    entry.context.add(sibling.dot);
  }
  for (const Deletion& deletion : entry.deletions) {
    entry.context.add(deletion.dot);
  }
  return entry;
}

std::set<Dot> live_dots(const Entry& entry) {
  std::set<Dot> dots;
  for (const Sibling& sibling : entry.versions) {
    dots.insert(sibling.dot);
  }
  return dots;
}

struct Side {
  Entry entry;
  VersionVector seen;
};

Side merged(const Side& one, const Side& other) {
  Side both{merge(one.entry, one.seen, other.entry, other.seen), one.seen};
  both.seen.join(other.seen);
  return both;
}

// --- The naive model: which events are known, and what each of them removed and marked.

struct Event {
  bool write = false;
  bool copy = false;
  std::set<Dot> removed;
  std::set<Dot> marked;  ///< as copies
};
using Events = std::map<Dot, Event>;

std::map<Dot, bool> naive_live(const Events& events, const std::set<Dot>& known) {
  std::map<Dot, bool> live;  // and whether it is a copy
  for (const Dot& dot : known) {
    if (events.at(dot).write) {
      live[dot] = events.at(dot).copy;
    }
  }
  for (const Dot& dot : known) {
    for (const Dot& gone : events.at(dot).removed) {
      live.erase(gone);
    }
  }
  for (const Dot& dot : known) {
    for (const Dot& marked : events.at(dot).marked) {
      if (const auto place = live.find(marked); place != live.end()) {
        place->second = true;
      }
    }
  }
  return live;
}

struct Member {
  Side side;
  std::set<Dot> known;
};

/// A few members that write, delete, merge and collect at random.
class History {
 public:
  explicit History(std::uint64_t seed) : random_(seed), members_(3) {}

  void step() {
    const std::uint64_t chosen = random_.below(members_.size());
    const std::uint64_t other = random_.below(members_.size());
    switch (random_.below(6)) {
      case 0: write(chosen); break;
      case 1: remove(chosen); break;
      case 2: collect(chosen); break;
      default: take(chosen, other); break;
    }
  }
  void check() const {
    for (const Member& member : members_) {
      std::map<Dot, bool> live;
      for (const Sibling& sibling : member.side.entry.versions) {
        live[sibling.dot] = sibling.version.copy;
      }
      CHECK(live == naive_live(events_, member.known));
      CHECK(!entry_problem(member.side.entry));
      CHECK(merged(member.side, member.side).entry == member.side.entry);
    }
    const auto [one, two, three] = std::tie(members_[0].side, members_[1].side, members_[2].side);
    CHECK(merged(one, two).entry == merged(two, one).entry);
    CHECK(merged(merged(one, two), three).entry == merged(one, merged(two, three)).entry);
    CHECK(merged(merged(one, two), two).entry == merged(one, two).entry);
  }
  [[nodiscard]] int collected() const { return collected_; }
  [[nodiscard]] std::size_t siblings() const { return members_[0].side.entry.versions.size(); }

 private:
  Dot mint(std::uint64_t member) {
    const Dot dot{{member + 1, 1}, ++sequences_[member]};
    members_[member].known.insert(dot);
    members_[member].side.seen.add(dot);
    members_[member].side.entry.context.add(dot);
    return dot;
  }
  /// What a disk might show: any of the siblings.
  std::set<Dot> some(const Entry& entry) {
    std::set<Dot> dots;
    for (const Sibling& sibling : entry.versions) {
      if (random_.chance(50)) {
        dots.insert(sibling.dot);
      }
    }
    return dots;
  }
  void drop(Entry& entry, const std::set<Dot>& dots) {
    std::erase_if(entry.versions, [&](const Sibling& s) { return dots.contains(s.dot); });
  }
  void write(std::uint64_t member) {
    Entry& entry = members_[member].side.entry;
    const std::set<Dot> removed = some(entry);
    drop(entry, removed);
    const Dot dot = mint(member);
    Version version = file(dot.sequence * 10 + member);
    version.copy = random_.chance(30);
    events_[dot] = {true, version.copy, removed, {}};
    entry.versions.push_back({dot, version});
    std::ranges::sort(entry.versions, {}, &Sibling::dot);
    if (random_.chance(50)) {
      entry.deletions.clear();
    }
  }
  void remove(std::uint64_t member) {
    Entry& entry = members_[member].side.entry;
    const std::set<Dot> removed = some(entry);
    drop(entry, removed);
    const std::set<Dot> marked = some(entry);
    for (Sibling& sibling : entry.versions) {
      sibling.version.copy = sibling.version.copy || marked.contains(sibling.dot);
    }
    const Dot dot = mint(member);
    events_[dot] = {false, false, removed, marked};
    entry.deletions.push_back({dot, {dot.sequence}});
    std::ranges::sort(entry.deletions, {}, &Deletion::dot);
  }
  void take(std::uint64_t member, std::uint64_t other) {
    members_[member].side = merged(members_[member].side, members_[other].side);
    members_[member].known.insert(members_[other].known.begin(), members_[other].known.end());
  }
  void collect(std::uint64_t member) {
    Entry& entry = members_[member].side.entry;
    const bool stable = std::ranges::all_of(
        members_, [&](const Member& each) { return each.side.seen.covers(entry.context); });
    if (stable && !entry.live() && !entry.context.empty()) {
      entry = {};
      ++collected_;
    }
  }

  Random random_;
  std::vector<Member> members_;
  Events events_;
  std::map<std::uint64_t, std::uint64_t> sequences_;
  int collected_ = 0;
};

}  // namespace

TEST_CASE("merge: random histories agree with a naive model, in whatever order they merge") {
  const std::uint64_t seed = test_seed(4);
  CAPTURE(seed);
  int collected = 0;
  std::size_t siblings_most = 0;
  for (int round = 0; round < 400; ++round) {
    History history(seed + static_cast<std::uint64_t>(round));
    for (int step = 0; step < 40; ++step) {
      CAPTURE(round);
      CAPTURE(step);
      history.step();
      history.check();
      siblings_most = std::max(siblings_most, history.siblings());
    }
    collected += history.collected();
  }
  CHECK(collected > 50);
  CHECK(siblings_most >= 3);
}

TEST_CASE("merge: concurrent writes stay side by side") {
  const Side one{entry_of({{{a, 1}, file(1)}}), {{a, 1}}};
  const Side other{entry_of({{{b, 1}, file(2)}}), {{b, 1}}};
  CHECK(live_dots(merged(one, other).entry) == std::set<Dot>{{a, 1}, {b, 1}});
}

TEST_CASE("merge: a delete removes only what its author saw") {
  // The author saw a1; b1 was written meanwhile.
  const Side author{entry_of({}, {{{c, 1}, {}}}, {{a, 1}}), {{a, 1}, {c, 1}}};
  const Side writer{entry_of({{{a, 1}, file(1)}, {{b, 1}, file(2)}}), {{a, 1}, {b, 1}}};
  const Side both = merged(author, writer);
  CHECK(live_dots(both.entry) == std::set<Dot>{{b, 1}});
  CHECK(both.entry.deletions == author.entry.deletions);
  CHECK(both.entry.context == VersionVector{{a, 1}, {b, 1}, {c, 1}});
}

TEST_CASE("merge: an entry that is ahead of its node's knowledge removes what it replaced") {
  // The beginning of a stream: the entry is here, and the knowledge that comes last is not.
  const Side ahead{entry_of({{{b, 1}, file(2)}}, {}, {{a, 1}}), {}};
  const Side behind{entry_of({{{a, 1}, file(1)}}), {{a, 1}}};
  CHECK(live_dots(merged(behind, ahead).entry) == std::set<Dot>{{b, 1}});
  CHECK(live_dots(merged(ahead, behind).entry) == std::set<Dot>{{b, 1}});
}

TEST_CASE("merge: a collected tombstone brings nothing back, since knowledge covers it") {
  const Side stale{entry_of({{{a, 1}, file(1)}}), {{a, 1}}};
  CHECK_FALSE(merged({{}, {{a, 1}, {b, 1}}}, stale).entry.live());
  CHECK_FALSE(merged(stale, {{}, {{a, 1}, {b, 1}}}).entry.live());
  // Who has not seen it takes it; silence of who never knew deletes nothing.
  CHECK(merged({{}, {{b, 1}}}, stale).entry.live());
  CHECK(merged(stale, {{}, {{b, 7}}}).entry.live());
}

TEST_CASE("merge: a note that one side has dropped knowingly goes") {
  const Side keeps{entry_of({}, {{{a, 2}, {7}}}, {{a, 1}}), {{a, 2}}};
  CHECK(merged(keeps, {{}, {{a, 2}}}).entry.deletions.empty());
  CHECK(merged(keeps, {{}, {{a, 1}}}).entry.deletions.size() == 1);
}

TEST_CASE("merge: an import that is old news goes, whoever has it and in either order") {
  const std::uint64_t old_news = recognition(file(1));
  struct Case {
    const char* name;
    Version imported;
    Entry other;
    bool stays;
  };
  Version other_mtime = import(1);
  other_mtime.mtime = 99;
  const Case cases[] = {
      {"superseded by a write", import(1), entry_of({{{b, 2}, after(2, {old_news})}}), false},
      {"superseded long ago", import(1), entry_of({{{b, 2}, after(2, {7, 8, 9, old_news})}}),
       false},
      {"removed by a deletion", import(1), entry_of({}, {{{b, 2}, {old_news}}}), false},
      {"not recorded anywhere", import(1), entry_of({{{b, 2}, after(2, {7})}}), true},
      {"the same bytes at another time", other_mtime, entry_of({{{b, 2}, after(2, {old_news})}}),
       true},
      {"written by a user, not imported", file(1), entry_of({{{b, 2}, after(2, {old_news})}}),
       true},
      {"equal to the living version", import(1), entry_of({{{b, 2}, file(1)}}), true},
      {"a note of another deletion", import(1), entry_of({}, {{{b, 2}, {8}}}), true},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    const Side mine{entry_of({{{a, 1}, test.imported}}), {{a, 1}}};
    const Side theirs{test.other, {{b, 2}}};
    const Side both = merged(mine, theirs);
    CHECK(both.entry == merged(theirs, mine).entry);
    CHECK(live_dots(both.entry).contains({a, 1}) == test.stays);
    // Its dot was seen: a stale push of it changes nothing any more.
    CHECK(merged(both, mine).entry == both.entry);
    CHECK(both.entry.context.covers(Dot{a, 1}));
  }
}

TEST_CASE("merge: copy merges by or") {
  for (const bool mine : {false, true}) {
    for (const bool theirs : {false, true}) {
      Side one{entry_of({{{a, 1}, file(1)}}), {{a, 1}}};
      Side other = one;
      one.entry.versions[0].version.copy = mine;
      other.entry.versions[0].version.copy = theirs;
      CHECK(merged(one, other).entry.versions.at(0).version.copy == (mine || theirs));
    }
  }
}

TEST_CASE("entry: find gives the sibling of a dot, or null") {
  const Entry entry = entry_of({{{a, 1}, file(1)}, {{b, 2}, file(2)}});
  REQUIRE(entry.find({b, 2}) != nullptr);
  CHECK(entry.find({b, 2})->size == 2);
  CHECK(entry.find({a, 2}) == nullptr);
  CHECK(entry.find({c, 1}) == nullptr);
  CHECK(Entry().find({a, 1}) == nullptr);
}

TEST_CASE("entry: the fingerprint depends on path, dots and live siblings, and on nothing else") {
  const Entry one = entry_of({{{a, 1}, file(1)}, {{b, 1}, file(2)}});
  const Fingerprint base = fingerprint("p", one);
  CHECK(fingerprint("p", entry_of(one.versions, {{{c, 9}, {1, 2}}}, {{c, 12}})) == base);
  CHECK(fingerprint("p", entry_of({}, {{{c, 9}, {1}}}, {{a, 1}})) == Fingerprint());
  CHECK(fingerprint("q", one) != base);
  CHECK(fingerprint("p", entry_of({one.versions[0]})) != base);

  const auto changed = [&](auto&& change) {
    Entry other = one;
    change(other.versions[0].version);
    return fingerprint("p", other) != base;
  };
  CHECK(changed([](Version& v) { v.kind = Kind::directory; }));
  CHECK(changed([](Version& v) { v.mode = 0600; }));
  CHECK(changed([](Version& v) { v.mtime += 1; }));
  CHECK(changed([](Version& v) { v.size += 1; }));
  CHECK(changed([](Version& v) { v.content = hash_of(77); }));
  CHECK(changed([](Version& v) { v.target = "t"; }));
  CHECK(changed([](Version& v) { v.rank += 1; }));
  CHECK(changed([](Version& v) { v.label = "beta"; }));
  CHECK(changed([](Version& v) { v.tag += 1; }));
  CHECK(changed([](Version& v) { v.copy = true; }));
  CHECK(changed([](Version& v) { v.metadata_only = true; }));
  CHECK(changed([](Version& v) { v.base = 5; }));
  CHECK(changed([](Version& v) { v.imported = true; }));
  Entry other_dot = one;
  other_dot.versions[0].dot.sequence = 2;
  CHECK(fingerprint("p", other_dot) != base);
}

TEST_CASE("fingerprint: subtraction undoes addition, with carries and borrows") {
  const Fingerprint values[] = {{0, 0}, {1, 0}, {UINT64_MAX, 0}, {UINT64_MAX, UINT64_MAX}, {7, 9}};
  for (const Fingerprint& one : values) {
    for (const Fingerprint& other : values) {
      Fingerprint sum = one;
      sum += other;
      Fingerprint swapped = other;
      swapped += one;
      CHECK(sum == swapped);
      sum -= other;
      CHECK(sum == one);
    }
  }
  Fingerprint carried{UINT64_MAX, 3};
  carried += {1, 0};
  CHECK(carried == Fingerprint{0, 4});
}
