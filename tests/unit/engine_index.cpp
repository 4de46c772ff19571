#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>

#include "engine/index.h"

using namespace p2psync::engine;

namespace {

using Model = std::map<Path, Record, PathLess>;

std::uint64_t seed_for(std::uint64_t fallback) {
  const char* given = std::getenv("P2PSYNC_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : fallback;
}

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t below(std::uint64_t end) { return engine_() % end; }

 private:
  std::mt19937_64 engine_;
};

/// Short components over few letters, so that paths are prefixes of each other and come again.
Path random_path(Dice& dice) {
  static constexpr std::string_view letters = "ab-./\x01\xff";
  Path path;
  const std::uint64_t length = 1 + dice.below(7);
  while (path.size() < length) {
    const char c = letters[dice.below(letters.size())];
    if (c != '/' || (!path.empty() && path.back() != '/' && path.size() + 1 < length)) {
      path += c;
    }
  }
  return path;
}

Record random_record(Dice& dice) {
  Record record;
  const std::uint64_t siblings = dice.below(4);
  const Actor actor{dice.below(3), 7};
  for (std::uint64_t i = 0; i < siblings; ++i) {
    Version version;
    version.size = dice.below(1000);
    version.label = "n";
    record.entry.versions.push_back({{actor, 1 + i}, version});
  }
  record.entry.context.add({actor, 5 + siblings});
  return record;
}

Summary naive_summary(const Model& model, std::string_view lower, std::string_view upper) {
  Summary sum;
  for (const auto& [path, record] : model) {
    if (!PathLess{}(path, lower) && (upper.empty() || PathLess{}(path, upper))) {
      sum += {distinct(record.entry), fingerprint(path, record.entry)};
    }
  }
  return sum;
}

void compare_walk(const Index& index, const Model& model) {
  REQUIRE(index.size() == model.size());
  auto expected = model.begin();
  index.for_each("", "", [&](const Path& path, const Record& record) {
    CHECK(path == expected->first);
    CHECK(record.entry == expected->second.entry);
    ++expected;
    return true;
  });
  CHECK(expected == model.end());
  expected = model.begin();
  for (const auto* item = index.at_or_after(""); item != nullptr;
       item = index.next_after(item->path)) {
    CHECK(item->path == expected->first);
    ++expected;
  }
  CHECK(expected == model.end());
}

void compare_children(const Index& index, const Model& model, const Path& directory) {
  std::vector<std::pair<Path, Path>> expected;
  for (const auto& [path, record] : model) {
    if (!is_below(path, directory)) {
      continue;
    }
    const std::size_t begin = directory.empty() ? 0 : directory.size() + 1;
    const Path child = path.substr(0, path.find('/', begin));
    const std::pair<Path, Path> visit(path == child ? path : Path(), name_of(child));
    if (expected.empty() || expected.back() != visit) {
      expected.push_back(visit);
    }
  }
  std::vector<std::pair<Path, Path>> found;
  index.for_each_child(directory, [&](std::optional<Index::Id> id, std::string_view name) {
    found.emplace_back(id ? Path(index.path(*id)) : Path(), name);
  });
  CHECK(found == expected);
}

void compare_range(const Index& index, const Model& model, const Path& a, const Path& b) {
  if (!b.empty() && PathLess{}(b, a)) {
    CHECK(index.summary(a, b) == Summary{});
    return;
  }
  CHECK(index.summary(a, b) == naive_summary(model, a, b));
  const auto begin = model.lower_bound(a);
  const auto* item = index.at_or_after(a);
  CHECK((item == nullptr) == (begin == model.end()));
  if (item != nullptr) {
    CHECK(item->path == begin->first);
  }
  std::size_t seen = 0;
  index.for_each(a, b, [&seen](const Path&, const Record&) {
    ++seen;
    return true;
  });
  const auto end = b.empty() ? model.end() : model.lower_bound(b);
  CHECK(seen == static_cast<std::size_t>(std::distance(begin, end)));
  bool below = false;
  for (const auto& [path, record] : model) {
    below = below || (is_below(path, a) && record.entry.live());
  }
  CHECK(index.any_live_below(a) == below);
}

void compare_split(const Index& index, const Path& a, const Path& b, std::size_t parts) {
  const auto bounds = index.split(a, b, parts);
  CHECK(bounds.size() < std::max<std::size_t>(parts, 1));
  Path lower = a;
  Summary sum;
  const std::uint64_t live = index.summary(a, b).live;
  for (std::size_t i = 0; i <= bounds.size(); ++i) {
    const Path upper = i < bounds.size() ? bounds[i] : b;
    if (i < bounds.size()) {
      CHECK(PathLess{}(lower, upper));
    }
    const Summary part = index.summary(lower, upper);
    // A path's siblings (up to 3 here) stay together, so a part may be off by two of them.
    CHECK(part.live <= live / parts + 7);
    sum += part;
    lower = upper;
  }
  CHECK(sum == index.summary(a, b));
}

void run_against_model(std::uint64_t seed, std::size_t operations, std::uint64_t growth) {
  INFO("P2PSYNC_SEED=" << seed);
  Dice dice(seed);
  Index index;
  Model model;
  for (std::size_t i = 0; i < operations; ++i) {
    const Path path = random_path(dice);
    // Growing and shrinking by turns, so that splits and merges both reach every level.
    const bool grow = dice.below(10) < ((i / 20000) % 2 == 0 ? growth : 10 - growth);
    if (grow && dice.below(2) == 0) {
      const Record record = random_record(dice);
      index.put(path, record);
      model[path] = record;
    } else if (grow) {
      const Record record = random_record(dice);
      const auto edit = [&record](Record& old) { old.entry.context = record.entry.context; };
      index.update(path, edit);
      edit(model[path]);
    } else {
      // Erase something that is there.
      const auto victim = model.lower_bound(path);
      const Path gone = victim != model.end() ? victim->first : path;
      index.erase(gone);
      model.erase(gone);
    }
    const Path probe = random_path(dice);
    const auto expected = model.find(probe);
    const Record* found = index.find(probe);
    REQUIRE((found != nullptr) == (expected != model.end()));
    if (found != nullptr) {
      REQUIRE(found->entry == expected->second.entry);
    }
    if (i % 10 == 0) {
      index.pack(dice.below(40));
    }
    if (i % 997 == 0) {
      index.check();
      const Path other = dice.below(4) == 0 ? Path() : random_path(dice);
      compare_range(index, model, probe, other);
      compare_range(index, model, "", other);
      compare_children(index, model, probe);
      compare_children(index, model, "");
      if (other.empty() || PathLess{}(probe, other)) {
        compare_split(index, probe, other, 1 + dice.below(20));
      }
      compare_split(index, "", "", 16);
    }
  }
  index.pack(model.size() / 2);
  index.check();
  const Index copy = index;
  copy.check();
  compare_walk(copy, model);
  compare_walk(index, model);
  CHECK(index.summary() == naive_summary(model, "", ""));
  while (!model.empty()) {
    const Path path = dice.below(2) == 0 ? model.begin()->first : std::prev(model.end())->first;
    index.erase(path);
    model.erase(path);
  }
  index.check();
  CHECK(index.empty());
  CHECK(index.summary() == Summary{});
}

}  // namespace

TEST_CASE("index: random operations give what a std::map gives") {
  run_against_model(seed_for(1), 60'000, 7);
  run_against_model(seed_for(2), 40'000, 9);
}

TEST_CASE("index: built bottom up it is the same as built path by path") {
  Dice dice(seed_for(3));
  for (const std::size_t count : {0UL, 1UL, 2UL, 47UL, 48UL, 49UL, 97UL, 1000UL, 20'000UL}) {
    CAPTURE(count);
    Model model;
    for (std::size_t i = 0; model.size() < count; ++i) {
      model[random_path(dice) + std::to_string(i)] = random_record(dice);
    }
    Index::Builder builder;
    for (auto& [path, record] : model) {
      const Actor actor{9, 9};
      const PlainRecord plain{{{actor, 1}, {.label = "n"}}, 5, 6};
      if (dice.below(2) == 0) {
        record = record_of(path, plain);
        CHECK(builder.add(path, plain));
      } else {
        CHECK(builder.add(path, record));
      }
      CHECK(!builder.add(path, record));
      CHECK(!builder.add(path, plain));
      CHECK(!builder.add(path + "z", Record()));
    }
    Index index = builder.finish();
    index.check();
    compare_walk(index, model);
    CHECK(index.summary() == naive_summary(model, "", ""));
    for (auto item = model.begin(); item != model.end();) {  // and goes on as any other
      if (dice.below(3) > 0) {
        index.erase(item->first);
        item = model.erase(item);
      } else {
        index.put(item->first + "+", item->second);
        ++item;
      }
    }
    index.check();
  }
}

TEST_CASE("index: ascending, descending and inside-out insertion give one sum") {
  const int count = 5000;
  const auto path = [](int i) { return "d/" + std::to_string(100'000 + i); };
  const auto record = [](int i) {
    Record made;
    made.entry.context.add({{1, 1}, static_cast<std::uint64_t>(i) + 1});
    made.entry.versions.push_back({{{1, 1}, static_cast<std::uint64_t>(i) + 1}, {}});
    return made;
  };
  Index up;
  Index down;
  Index inside_out;
  for (int i = 0; i < count; ++i) {
    up.put(path(i), record(i));
    down.put(path(count - 1 - i), record(count - 1 - i));
    const int middle = i % 2 == 0 ? count / 2 + i / 2 : count / 2 - 1 - i / 2;
    inside_out.put(path(middle), record(middle));
  }
  up.check();
  down.check();
  inside_out.check();
  CHECK(up.summary().live == count);
  CHECK(up.summary() == down.summary());
  CHECK(up.summary() == inside_out.summary());
  const auto bounds = up.split("", "", 16);
  REQUIRE(bounds.size() == 15);
  CHECK(up.summary("", bounds[0]).live == count / 16);
}

TEST_CASE("index: names that differ in case alone are two") {
  Index index;
  const auto add = [&](const Path& path, std::uint64_t event) {
    index.update(path, [&](Record& record) { record.entry.context.add({{1, 1}, event}); });
  };
  add("Readme", 1);
  CHECK(index.find("README") == nullptr);
  add("README", 2);
  REQUIRE(index.find("README") != nullptr);
  REQUIRE(index.find("Readme") != nullptr);
  CHECK(index.find("README")->entry.context.at({1, 1}) == 2);
  CHECK(index.find("Readme")->entry.context.at({1, 1}) == 1);
}

TEST_CASE("index: an empty record is never stored") {
  Index index;
  index.put("a", {});
  CHECK(index.find("a") == nullptr);
  index.update("a", [](Record&) {});
  CHECK(index.empty());
  index.update("a", [](Record& record) { record.entry.context.add({{1, 1}, 1}); });
  REQUIRE(index.find("a") != nullptr);
  index.update("a", [](Record& record) { record = {}; });
  CHECK(index.find("a") == nullptr);
}

TEST_CASE("index: a copy is a value of its own, at every depth of the tree") {
  Dice dice(seed_for(8));
  Index index;
  Model model;
  for (int i = 0; i < 5000; ++i) {
    const Path path = random_path(dice);
    const Record record = random_record(dice);
    index.put(path, record);
    model[path] = record;
  }
  Index copy = index;
  copy.check();
  compare_walk(copy, model);
  const Path first = model.begin()->first;
  copy.erase(first);
  compare_walk(index, model);
  index = copy;
  model.erase(first);
  compare_walk(index, model);
  index.check();
}

TEST_CASE("index: whoever asks again is not told of what has taken the number since") {
  Dice dice(3);
  Index index;
  for (const char* path : {"a", "b", "c"}) {
    Record record = random_record(dice);
    record.entry.context.add({{1, 7}, 1});
    index.put(path, std::move(record));
  }
  const auto number = index.id("b");
  CHECK(index.id("b") == number);
  index.erase("b");
  CHECK_FALSE(index.id("b"));
  index.put("d", *index.find("a"));
  CHECK(index.id("d") == number);
  CHECK_FALSE(index.find("b"));
  const Index copy = index;
  CHECK(copy.id("d") == number);
  index = Index();
  CHECK_FALSE(index.id("d"));
  CHECK(copy.id("d") == number);
}

TEST_CASE("index: an item stays where it is while others come and go") {
  Index index;
  Record record;
  record.entry.context.add({{1, 1}, 1});
  index.put("m", record);
  const Record* kept = index.find("m");
  for (int i = 0; i < 2000; ++i) {
    index.put("a" + std::to_string(i), record);
    index.put("z" + std::to_string(i), record);
  }
  for (int i = 0; i < 2000; ++i) {
    index.erase("a" + std::to_string(i));
  }
  CHECK(index.find("m") == kept);
  CHECK(kept->entry == record.entry);
}

TEST_CASE("index: a walk goes on though the index changes under it") {
  Index index;
  Record record;
  record.entry.context.add({{1, 1}, 1});
  for (int i = 0; i < 1000; ++i) {
    index.put(std::to_string(10'000 + i), record);
  }
  std::size_t seen = 0;
  Path at;
  for (const auto* item = index.at_or_after(""); item != nullptr; item = index.next_after(at)) {
    at = item->path;
    ++seen;
    index.erase(at);
    index.put("0" + at, record);
  }
  CHECK(seen == 1000);
  CHECK(index.size() == 1000);
  index.check();
}

TEST_CASE("index: what is live below a directory is neither the directory nor its neighbours") {
  Record live;
  live.entry.context.add({{1, 1}, 1});
  live.entry.versions.push_back({{{1, 1}, 1}, {}});
  Record tombstone;
  tombstone.entry.context.add({{1, 1}, 2});
  Index index;
  CHECK_FALSE(index.any_live_below(""));
  index.put("dir", live);
  index.put("dir-a", live);
  index.put("dir.", live);
  index.put("dir\x01", live);
  index.put("dir/gone", tombstone);
  CHECK_FALSE(index.any_live_below("dir"));
  CHECK(index.any_live_below(""));
  index.put("dir/a/b", live);
  CHECK(index.any_live_below("dir"));
  CHECK(index.any_live_below("dir/a"));
  CHECK_FALSE(index.any_live_below("dir/a/b"));
  index.erase("dir/a/b");
  CHECK_FALSE(index.any_live_below("dir"));
}

TEST_CASE("index: split bounds are as short as their neighbours allow") {
  Record live;
  live.entry.context.add({{1, 1}, 1});
  live.entry.versions.push_back({{{1, 1}, 1}, {}});
  Index index;
  index.put("usr/include/a-very-long-name", live);
  index.put("usr/share/another-long-name", live);
  CHECK(index.split("", "", 2) == std::vector<Path>{"usr/s"});
  CHECK(index.split("", "", 16) == std::vector<Path>{"usr/s"});
  CHECK(index.split("usr/share", "", 16).empty());
}
