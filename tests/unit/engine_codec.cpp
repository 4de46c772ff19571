#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <type_traits>

#include "engine/codec.h"

using namespace p2psync;
using namespace p2psync::engine;

namespace {

using Encoded = std::vector<std::uint8_t>;

/// Random values of every type, extreme ones and small ones mixed; only such as a node may make.
class Maker {
 public:
  explicit Maker(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t below(std::uint64_t end) { return engine_() % end; }
  std::uint64_t number() { return engine_() >> below(64); }
  std::uint64_t sequence() { return 1 + number() % sequence_max; }
  bool coin() { return below(2) == 0; }
  std::int64_t time() { return static_cast<std::int64_t>(engine_()); }
  std::string text(std::size_t bytes_max) {
    std::string made(below(bytes_max + 1), '\0');
    std::ranges::generate(made, [this] { return static_cast<char>(1 + below(255)); });
    return made;
  }
  std::string name() {
    std::string made = "x" + text(20);
    std::ranges::replace(made, '/', '_');
    return made;
  }
  std::string label() {
    std::string made(1 + below(label_bytes_max), '-');
    std::ranges::generate(made, [this] { return "abcxyz019-"[below(10)]; });
    return made;
  }
  template <class F>
  auto list(std::size_t items_max, F make) {
    std::vector<decltype(make())> made(below(items_max + 1));
    std::ranges::generate(made, make);
    return made;
  }

  void fill(Path& path) {
    path = name();
    while (coin()) {
      path += '/' + name();
    }
  }
  void fill(Actor& actor) { actor = {1 + below(5), below(3) == 0 ? engine_() : 1 + below(4)}; }
  void fill(Dot& dot) { dot = {make<Actor>(), sequence()}; }
  void fill(VersionVector& vector) {
    for (const Dot& dot : list(5, [this] { return make<Dot>(); })) {
      vector.add(dot);
    }
  }
  void fill(Hash& hash) {
    std::ranges::generate(hash.bytes, [this] { return static_cast<std::uint8_t>(below(256)); });
  }
  void fill(Fingerprint& fingerprint) { fingerprint = {engine_(), engine_()}; }
  void fill(Version& version) {
    version.kind = static_cast<Kind>(below(3));
    version.mode = static_cast<std::uint16_t>(below(01000));
    version.mtime = coin() ? time() : 0;
    version.rank = coin() ? version.mtime : time();
    version.size = version.kind == Kind::file ? number() >> 1 : 0;
    version.content = make<Hash>();
    version.target = version.kind == Kind::symlink ? "t" + text(30) : "";
    version.label = label();
    version.tag = number();
    version.copy = coin();
    version.metadata_only = coin();
    version.base = version.metadata_only ? engine_() : 0;
    version.imported = coin();
    version.superseded = list(superseded_max, [this] { return number(); });
  }
  void fill(Entry& entry) {
    std::vector<Dot> dots = list(4, [this] { return make<Dot>(); });
    std::ranges::sort(dots);
    dots.erase(std::unique(dots.begin(), dots.end()), dots.end());
    entry.context = make<VersionVector>();
    for (const Dot& dot : dots) {
      entry.context.add(dot);
      if (coin()) {
        entry.versions.push_back({dot, make<Version>()});
      } else {
        entry.deletions.push_back({dot, list(superseded_max, [this] { return number(); })});
      }
    }
  }
  void fill(PathEntry& item) { item = {make<Path>(), make<Entry>()}; }
  void fill(Signature& signature) {
    signature = {static_cast<Kind>(below(3)),
                 static_cast<std::uint16_t>(below(01000)),
                 number(),
                 number(),
                 time(),
                 time()};
  }
  void fill(Shown& shown) {
    shown = {make<Path>(), list(3, [this] { return make<Dot>(); }), make<Version>(),
             make<Signature>()};
  }
  void fill(Record& record) {
    record = {make<Entry>(), list(3, [this] { return make<Shown>(); })};
  }
  void fill(PlainRecord& plain) { plain = {{make<Dot>(), make<Version>()}, number(), time()}; }
  void fill(HeldRow& row) { row = {number(), number(), make<VersionVector>()}; }
  void fill(KeptVersion& kept) { kept = {name(), make<Path>(), make<Version>()}; }

  void fill(Hello& hello) {
    std::uint64_t id = 0;
    hello = {static_cast<std::uint32_t>(number()), text(30), text(20), list(5, [&] {
               id += 1 + below(9);
               return MemberName{id, label()};
             })};
  }
  void fill(Tick& tick) {
    tick = {make<Fingerprint>(), number(), make<Fingerprint>(), coin(), coin(), number()};
  }
  void fill(Vectors& vectors) {
    std::uint64_t member = below(3);
    vectors = {make<VersionVector>(), {}, make<Fingerprint>(), coin()};
    for (std::uint64_t i = below(5); i > 0; --i) {
      const std::uint64_t same =
          below(vectors.rows.size() + 3);  // as another, as known, or neither
      vectors.rows.push_back({member += 1 + below(9), number(),
                              same < vectors.rows.size()    ? vectors.rows[same].held
                              : same == vectors.rows.size() ? vectors.knowledge
                                                            : make<VersionVector>()});
    }
    for (std::uint64_t node = below(3); node < 3; ++node) {
      ToldEndings told{node, 0, below(10), list(4, [this] { return make<Ending>(); }), number()};
      told.length = told.from + told.endings.size() + below(3);
      vectors.endings.push_back(std::move(told));
    }
  }
  void fill(Ending& ending) { ending = {1 + below(UINT64_MAX), 1 + below(UINT64_MAX)}; }
  void fill(SequenceRange& range) {
    const std::uint64_t from = number() % sequence_max;
    range = {make<Actor>(), from, from + below(sequence_max - from)};
  }
  void fill(Entries& entries) {
    entries = {number(), number(), make<VersionVector>(),
               list(3, [this] { return make<SequenceRange>(); }),
               list(3, [this] { return make<PathEntry>(); })};
  }
  void fill(Taken& taken) { taken = {number(), number()}; }
  void fill(Have& have) {
    std::uint32_t at = 0;
    have = {make<Hash>(), number(),
            list(4,
                 [&] {
                   const std::uint32_t begin = at + static_cast<std::uint32_t>(below(300));
                   at = begin + 1 + static_cast<std::uint32_t>(below(300));
                   return ChunkRange{begin, at};
                 }),
            coin()};
  }
  void fill(Ranges& ranges) {
    // Ascending and apart, the last one perhaps up to the end.
    Path at;
    const auto bound = [&] { return at += name(); };
    const auto items = [this] { return list(4, [this] { return engine_(); }); };
    ranges.salt = engine_();
    ranges.knowledge = make<VersionVector>();
    ranges.split = list(3, [&] {
      RangeSplit split{coin() ? at : bound(), {}};
      split.parts = list(3, [&] { return RangePart{bound(), number(), engine_()}; });
      split.parts.push_back({bound(), number(), engine_()});
      return split;
    });
    if (!ranges.split.empty() && coin()) {
      ranges.split.back().parts.back().upper = "";
    }
    at = "";
    ranges.listed = list(3, [&] {
      Path lower = bound();
      return RangeList{lower, bound(), items()};
    });
    at = "";
    ranges.answers = list(3, [&] {
      Path lower = bound();
      return RangeAnswer{lower, bound(), items(), items()};
    });
  }
  void fill(Held& held) { held = {make<HeldRow>()}; }
  void fill(Get& get) {
    get = {
        number(), make<Hash>(), number(), static_cast<std::uint32_t>(below(block_bytes + 1)), {}};
    if (below(2) == 0) {
      get.list = {make<Hash>(), make<Hash>()};
    }
  }
  void fill(Block& block) {
    block = {number(), nullptr};
    if (coin()) {
      block.bytes = Bytes::of(Encoded(below(100), std::uint8_t{7}));
    }
  }
  void fill(Message& message) {
    const auto pick = [&]<std::size_t... I>(std::index_sequence<I...>) {
      const std::size_t chosen = below(sizeof...(I));
      ((I == chosen ? fill(message.emplace<I>()) : void()), ...);
    };
    pick(std::make_index_sequence<std::variant_size_v<Message>>());
  }

  template <class T>
  T make() {
    T value;
    fill(value);
    return value;
  }

 private:
  std::mt19937_64 engine_;
};

bool same(const auto& a, const auto& b) {
  return a == b;
}
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b);
bool same(const Hello& a, const Hello& b) {
  return a.protocol == b.protocol && a.cluster == b.cluster && a.version == b.version &&
         a.members == b.members;
}
bool same(const Tick& a, const Tick& b) {
  return a.root == b.root && a.live == b.live && a.matrix == b.matrix && a.settled == b.settled &&
         a.answer == b.answer && a.echo == b.echo;
}
bool same(const Vectors& a, const Vectors& b) {
  return a.knowledge == b.knowledge && a.rows == b.rows && a.root == b.root &&
         a.answer == b.answer && a.endings == b.endings;
}
bool same(const PathEntry& a, const PathEntry& b) {
  return a.path == b.path && a.entry == b.entry;
}
bool same(const Entries& a, const Entries& b) {
  return a.stream == b.stream && a.index == b.index && a.knowledge == b.knowledge &&
         a.ranges == b.ranges && same(a.entries, b.entries);
}
bool same(const Taken& a, const Taken& b) {
  return a.stream == b.stream && a.count == b.count;
}
bool same(const Have& a, const Have& b) {
  return a.content == b.content && a.from == b.from && a.chunks == b.chunks && a.anew == b.anew;
}
bool same(const Held& a, const Held& b) {
  return a.row == b.row;
}
bool same(const Get& a, const Get& b) {
  return a.request == b.request && a.content == b.content && a.offset == b.offset &&
         a.length == b.length && a.list == b.list;
}
bool same(const Block& a, const Block& b) {
  return a.request == b.request && (a.bytes == nullptr) == (b.bytes == nullptr) &&
         (a.bytes == nullptr || std::ranges::equal(*a.bytes, *b.bytes));
}
bool same(const Record& a, const Record& b) {
  return a.entry == b.entry && a.shown == b.shown;
}
bool same(const PlainRecord& a, const PlainRecord& b) {
  return a.version == b.version && a.inode == b.inode && a.ctime == b.ctime;
}
bool same(const Message& a, const Message& b) {
  return a.index() == b.index() &&
         std::visit([&b]<class T>(const T& value) { return same(value, std::get<T>(b)); }, a);
}
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::ranges::equal(a, b, [](const T& x, const T& y) { return same(x, y); });
}

#define P2PSYNC_EVERY_TYPE                                                                  \
  Message, Hello, Tick, Vectors, Entries, Taken, Ranges, Held, Get, Block, Have, PathEntry, \
      VersionVector, Dot, Version, Entry, Record, PlainRecord, HeldRow, Ending, KeptVersion

std::uint64_t seed() {
  const char* given = std::getenv("P2PSYNC_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

/// Either refused, or a value whose only encoding these bytes are.
template <class T>
void expect_error_or_value(const Encoded& bytes) {
  const auto decoded = decode<T>(bytes);
  if (decoded) {
    CHECK(encode(*decoded) == bytes);
  } else {
    CHECK(decoded.error().code == ErrorCode::corrupt);
    CHECK_FALSE(decoded.error().object.empty());
  }
}

template <class T>
std::string refusal(const Encoded& bytes) {
  const auto decoded = decode<T>(bytes);
  return decoded ? "none" : decoded.error().object;
}

Entry one_version() {
  Entry entry;
  entry.context.add({{1, 2}, 3});
  entry.versions.push_back({{{1, 2}, 3}, {}});
  entry.versions[0].version.label = "n";
  return entry;
}

}  // namespace

TEST_CASE_TEMPLATE("codec: what is encoded decodes to the same value", T, P2PSYNC_EVERY_TYPE) {
  Maker maker(seed());
  INFO("P2PSYNC_SEED=" << seed());
  for (int i = 0; i < 300; ++i) {
    const T value = maker.make<T>();
    const Encoded bytes = encode(value);
    const auto decoded = decode<T>(bytes);
    REQUIRE_MESSAGE(decoded.has_value(), decoded.error().object);
    CHECK(same(value, *decoded));
    CHECK(encode(*decoded) == bytes);
  }
}

TEST_CASE("codec: of a record in the index it shows whether it is a plain one") {
  Maker maker(seed());
  for (int i = 0; i < 300; ++i) {
    const Path path = maker.make<Path>();
    const Encoded other = encode(maker.make<Record>());
    CHECK_FALSE(is_plain(other));
    CHECK_FALSE(decode<PlainRecord>(other).has_value());
    const auto plain = maker.make<PlainRecord>();
    const Encoded bytes = encode(plain);
    CHECK(is_plain(bytes));
    CHECK_FALSE(decode<Record>(bytes).has_value());
    Record record = record_of(path, plain);
    const auto again = plain_record(path, record);
    REQUIRE(again.has_value());
    CHECK(same(*again, plain));
    // Whatever else there is to it shows in none.
    CHECK_FALSE(plain_record(path + "x", record).has_value());
    const auto more = [&](const auto& add) {
      Record changed = record;
      add(changed);
      return plain_record(path, changed).has_value();
    };
    const Dot dot{{99, 99}, 99};
    CHECK_FALSE(more([&](Record& r) { r.entry.context.add(dot); }));
    CHECK_FALSE(more([&](Record& r) { r.entry.versions.clear(); }));
    CHECK_FALSE(more([&](Record& r) { r.entry.deletions.push_back({dot, {}}); }));
    CHECK_FALSE(more([&](Record& r) { r.entry.versions[0].version.copy ^= true; }));
    CHECK_FALSE(more([&](Record& r) { r.shown.clear(); }));
    CHECK_FALSE(more([&](Record& r) { r.shown[0].dots.push_back(dot); }));
    CHECK_FALSE(more([&](Record& r) { ++r.shown[0].signature.size; }));
    CHECK_FALSE(more([&](Record& r) { r.shown[0].signature.mode ^= 1; }));
    CHECK_FALSE(more([&](Record& r) { r.doubts.push_back({path, {}}); }));
  }
}

TEST_CASE_TEMPLATE("codec: every truncation is refused and every flipped bit is survived", T,
                   P2PSYNC_EVERY_TYPE) {
  Maker maker(seed());
  INFO("P2PSYNC_SEED=" << seed());
  for (int i = 0; i < 12; ++i) {
    Encoded bytes = encode(maker.make<T>());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      CHECK_FALSE(decode<T>(std::span(bytes).first(size)).has_value());
    }
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      expect_error_or_value<T>(bytes);
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
    bytes.push_back(0);
    CHECK(refusal<T>(bytes) == "bytes too many");
  }
}

TEST_CASE_TEMPLATE("codec: random bytes are survived", T, P2PSYNC_EVERY_TYPE) {
  Maker maker(seed());
  INFO("P2PSYNC_SEED=" << seed());
  for (int i = 0; i < 3000; ++i) {
    Encoded bytes(maker.below(80));
    // Small bytes look like counts and flags, so that more of the decoder is reached.
    const std::uint64_t end = maker.coin() ? 256 : 4;
    std::ranges::generate(bytes, [&] { return static_cast<std::uint8_t>(maker.below(end)); });
    expect_error_or_value<T>(bytes);
  }
}

TEST_CASE("codec: a count beyond the bytes is refused before anything is allocated") {
  // Under ASan an allocation of this size aborts.
  const Encoded huge = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
  CHECK(refusal<VersionVector>(huge) == "a count beyond the bytes");
  CHECK(refusal<Entry>(huge) == "a count beyond the bytes");
  Encoded entries = {0, 0, 0, 0};
  entries.insert(entries.end(), huge.begin(), huge.end());
  CHECK(refusal<Entries>(entries) == "a count beyond the bytes");
  Encoded hello = {1};
  hello.insert(hello.end(), huge.begin(), huge.end());
  CHECK(refusal<Hello>(hello) == "bytes missing");
  Encoded block = {0, 1};
  block.insert(block.end(), huge.begin(), huge.end());
  CHECK(refusal<Block>(block) == "bytes missing");
  // 17 bytes is the least an item takes: three of them do not fit into what follows.
  Encoded vector = {3};
  vector.resize(1 + 2 * 17 + 16);
  CHECK(refusal<VersionVector>(vector) == "a count beyond the bytes");
}

TEST_CASE("codec: the example in the header is what comes out") {
  const Encoded dot = {1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xac, 0x02};
  CHECK(encode(Dot{{1, 2}, 300}) == dot);
  CHECK(decode<Dot>(dot).value() == Dot{{1, 2}, 300});
  Encoded after_room = dot;
  after_room.insert(after_room.begin(), 3, 0);
  CHECK(encode(Dot{{1, 2}, 300}, 3) == after_room);
}

TEST_CASE("codec: numbers have one form and one size") {
  CHECK(refusal<Taken>({0x80, 0x00}) == "a number not in its shortest form");
  CHECK(refusal<Taken>({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}) ==
        "a number too long");
  CHECK(refusal<Taken>({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00}) ==
        "a number too long");
  CHECK(decode<Taken>(Encoded{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00})
            .value()
            .stream == UINT64_MAX);
  CHECK(refusal<Hello>({0x80, 0x80, 0x80, 0x80, 0x10, 0, 0, 0}) == "a number too large");
  CHECK(refusal<Block>({0, 2}) == "a bool that is neither");
}

TEST_CASE("codec: what a node would not say is refused with the reason") {
  const auto with = [](auto change) {
    PathEntry item{"p", one_version()};
    change(item);
    return refusal<PathEntry>(encode(item));
  };
  CHECK(with([](PathEntry&) {}) == "none");
  CHECK(with([](PathEntry& i) { i.path = ""; }) == "empty path");
  CHECK(with([](PathEntry& i) { i.path = "../x"; }) == "component that is empty, . or ..");
  CHECK(with([](PathEntry& i) { i.path = "/x"; }) == "component that is empty, . or ..");
  CHECK(with([](PathEntry& i) { i.path = ".p2psync/x"; }) == "the program's own directory");
  CHECK(with([](PathEntry& i) { i.path = std::string("a\0b", 3); }) == "NUL in a name");
  const auto version = [&with](auto change) {
    return with([&change](PathEntry& i) { change(i.entry.versions[0].version); });
  };
  CHECK(version([](Version& v) { v.mode = 01000; }) == "mode bits beyond 0777");
  CHECK(version([](Version& v) { v.kind = static_cast<Kind>(3); }) == "an unknown kind");
  CHECK(version([](Version& v) { v.label = ""; }) == "a node name that is none");
  CHECK(version([](Version& v) { v.label = "UPPER"; }) == "a node name that is none");
  CHECK(version([](Version& v) { v.label.assign(33, 'a'); }) == "a node name that is none");
  CHECK(version([](Version& v) { v.target = "x"; }) == "a bad link target");
  CHECK(version([](Version& v) {
          v.kind = Kind::symlink;
          v.target.assign(4096, 'x');
        }) == "a bad link target");
  CHECK(version([](Version& v) {
          v.kind = Kind::symlink;
          v.target = std::string("a\0b", 3);
        }) == "a bad link target");
  CHECK(version([](Version& v) { v.superseded.resize(9); }) == "too many superseded versions");
  CHECK(with([](PathEntry& i) { i.entry.versions.push_back(i.entry.versions[0]); }) ==
        "siblings out of order");
  CHECK(with([](PathEntry& i) { i.entry.context = {}; }) == "a sibling outside its context");
  CHECK(with([](PathEntry& i) { i.entry.versions[0].dot.sequence = 0; }) == "an event numbered 0");

  CHECK(refusal<Message>({99}) == "an unknown kind of message");
  CHECK(refusal<Hello>(encode(Hello{1, "c", "v", {{2, "b"}, {1, "a"}}})) == "members out of order");
  CHECK(refusal<Hello>(encode(Hello{1, "c", "v", {{1, "a b"}}})) == "a node name that is none");
  CHECK(refusal<Get>(encode(Get{1, {}, 0, block_bytes + 1, {}})) == "a block too large");
  const auto large = Bytes::of(Encoded(block_bytes + 1));
  CHECK(refusal<Block>(encode(Block{1, large})) == "a block too large");
  KeptVersion kept{"a/b", "p", {}};
  CHECK(refusal<KeptVersion>(encode(kept)) == "a name with a slash");
}

TEST_CASE("codec: a tick fits its limit, whatever the tree") {
  Maker maker(seed());
  Tick tick = maker.make<Tick>();
  tick.live = UINT64_MAX;
  CHECK(encode(Message(tick)).size() <= 64);
}

TEST_CASE("codec: null bytes and no bytes are two things") {
  const auto none = decode<Block>(encode(Block{1, nullptr}));
  CHECK(none.value().bytes == nullptr);
  const auto empty = decode<Block>(encode(Block{1, Bytes::of({})}));
  REQUIRE(empty.value().bytes != nullptr);
  CHECK(empty.value().bytes->empty());
}
