// What repair by ranges costs, and that it finds all: two nodes whose knowledge is equal and whose
// trees are not.
#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/codec.h"
#include "engine/gossip.h"

using namespace p2psync::engine;

namespace {

constexpr std::size_t paths = 20'000;
constexpr std::size_t directory_files = 200;
constexpr Actor writer{3, 100};
using Numbers = std::set<std::size_t>;

Path path_of(std::size_t number) {
  return "projects/team-" + std::to_string(1000 + number / directory_files) +
         "/a-directory-of-it/some-file-" + std::to_string(1'000'000 + number) + ".txt";
}

Entry entry_of(std::size_t number) {
  const Dot dot{writer, number + 1};
  Version version;
  version.mode = 0644;
  version.mtime = version.rank = 1'700'000'000'000'000'000 + static_cast<std::int64_t>(number);
  version.size = 1000;
  std::memcpy(version.content.bytes.data(), &number, sizeof number);
  version.label = "alpha";
  version.tag = tag_of(dot);
  return {{dot}, {{dot, version}}, {}};
}

/// How one side's tree is not what its knowledge says.
struct Damage {
  Numbers missing, changed;
};

/// Nothing but what two nodes say to each other; all that is under way arrives at once.
class Sides {
 public:
  Sides(const Damage& first, const Damage& second) {
    add(1, first);
    add(2, second);
  }

  void connect() {
    for (auto& [id, side] : sides_) {
      std::vector<Output> out;
      side.gossip->peer_up(now_, 3 - id, out);
      take(id, std::move(out));
    }
    while (!under_way_.empty()) {
      REQUIRE(++flights_ < 100);
      for (auto& [to, message] : std::exchange(under_way_, {})) {
        std::vector<Output> out;
        sides_.at(to).gossip->on(now_, 3 - to, std::move(message), out);
        take(to, std::move(out));
      }
    }
  }

  [[nodiscard]] bool equal() {
    return sides_.at(1).replica->index().summary() == sides_.at(2).replica->index().summary();
  }
  [[nodiscard]] const Entry* entry(NodeId id, std::size_t number) {
    const Record* record = sides_.at(id).replica->index().find(path_of(number));
    return record == nullptr ? nullptr : &record->entry;
  }

  std::size_t wire = 0;     ///< bytes of all messages from the first Ranges on
  std::size_t flights = 0;  ///< in which they crossed
  std::size_t entries = 0;
  std::size_t largest = 0;

 private:
  struct Side {
    NodeOptions options;
    std::unique_ptr<Replica> replica;
    std::unique_ptr<Gossip> gossip;
  };

  void add(NodeId id, const Damage& damage) {
    Side& side = sides_[id];
    side.options.self = id;
    side.options.members = {{1, "alpha"}, {2, "beta"}};
    side.options.seed = side.options.incarnation = id;
    Loaded loaded;
    for (std::size_t i = 0; i < paths; ++i) {
      if (!damage.missing.contains(i)) {
        Entry entry = entry_of(i);
        entry.versions[0].version.copy = damage.changed.contains(i);
        loaded.index.put(path_of(i), {std::move(entry), {}, {}});
      }
    }
    loaded.knowledge = {{writer, paths}};
    side.replica = std::make_unique<Replica>(side.options, std::move(loaded));
    side.gossip = std::make_unique<Gossip>(side.options, *side.replica);
  }

  void take(NodeId from, std::vector<Output> out) {
    for (Output& output : out) {
      auto& send = std::get<Send>(output);
      const std::size_t bytes = encode(send.message).size();
      begun_ = begun_                                         ? begun_
               : std::holds_alternative<Ranges>(send.message) ? std::optional(flights_)
                                                              : std::nullopt;
      if (begun_) {
        wire += bytes;
        flights = flights_ + 1 - *begun_;
        largest = std::max(largest, bytes);
        if (const auto* told = std::get_if<Entries>(&send.message)) {
          entries += told->entries.size();
        }
      }
      // As it is read on the other side.
      auto read = decode<Message>(encode(send.message));
      REQUIRE_MESSAGE(read.has_value(), read.error().object);
      under_way_.emplace_back(3 - from, std::move(*read));
    }
  }

  Instant now_{std::chrono::hours(1)};
  std::map<NodeId, Side> sides_;
  std::vector<std::pair<NodeId, Message>> under_way_;
  std::size_t flights_ = 0;
  std::optional<std::size_t> begun_;
};

Numbers few_directories(std::size_t count, std::size_t directories) {
  Numbers numbers;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t directory = i % directories * 11;
    numbers.insert(directory * directory_files + i / directories * 3 % directory_files);
  }
  return numbers;
}

Numbers scattered(std::size_t count) {
  Numbers numbers;
  for (std::size_t i = 0; i < count; ++i) {
    numbers.insert(i * 7919 % paths);
  }
  return numbers;
}

}  // namespace

TEST_CASE("repair: the cost follows the difference, not the tree") {
  struct Case {
    std::string name;
    Damage first, second;
    std::size_t wire_max, flights_max, entries_max;
  };
  const Case cases[] = {
      {"nothing", {}, {}, 0, 0, 0},
      {"one is missing here", {{4711}, {}}, {}, 1800, 4, 0},
      {"one is missing there", {}, {{4711}, {}}, 1800, 5, 0},
      {"the first and the last", {{0, paths - 1}, {}}, {}, 2600, 4, 0},
      {"one is otherwise here", {{}, {4711}}, {}, 2300, 6, 2},
      {"one is otherwise there", {}, {{}, {4711}}, 2100, 5, 1},
      {"200 in 4 directories", {few_directories(200, 4), {}}, {}, 9500, 4, 0},
      {"200 anywhere", {scattered(200), {}}, {}, 68'000, 4, 0},
      {"200 anywhere, on both sides", {scattered(100), {}}, {{}, scattered(200)}, 92'000, 5, 100},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    Sides sides(test.first, test.second);
    sides.connect();
    CHECK(sides.equal());
    CHECK(sides.wire <= test.wire_max);
    CHECK(sides.flights <= test.flights_max);
    CHECK(sides.entries <= test.entries_max);
  }
}

TEST_CASE("repair: what differs everywhere goes in messages that a peer takes") {
  Numbers half;
  for (std::size_t i = 0; i < paths; i += 2) {
    half.insert(i);
  }
  Damage damage;
  SUBCASE("every other path is missing") {
    damage.missing = half;
  }
  SUBCASE("every other path is otherwise") {
    damage.changed = half;
  }
  SUBCASE("nothing is left but one path") {
    for (std::size_t i = 1; i < paths; ++i) {
      damage.missing.insert(i);
    }
  }
  for (const bool first : {true, false}) {
    CAPTURE(first);
    Sides sides(first ? damage : Damage{}, first ? Damage{} : damage);
    sides.connect();
    CHECK(sides.equal());
    CHECK(sides.largest < 512 * 1024);  // of 1 MiB that net/ allows
    CHECK(sides.flights <= 8);
  }
}

TEST_CASE(
    "repair: by equal knowledge what one side lacks was removed, and a mark of a copy stays") {
  Sides sides({{5}, {}}, {{6}, {7}});
  sides.connect();
  REQUIRE(sides.equal());
  for (const NodeId id : {NodeId{1}, NodeId{2}}) {
    CHECK((sides.entry(id, 5) == nullptr || !sides.entry(id, 5)->live()));
    CHECK((sides.entry(id, 6) == nullptr || !sides.entry(id, 6)->live()));
    CHECK(sides.entry(id, 7)->versions.at(0).version.copy);
    CHECK(sides.entry(id, 8)->live());
  }
}
