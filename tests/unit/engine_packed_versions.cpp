// Versions that have left the tree, packed, against a map of them.
#include "engine/packed_versions.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>

using namespace p2psync::engine;

namespace {

using Model = std::map<std::string, KeptVersion, std::less<>>;

KeptVersion kept(std::int64_t left, std::size_t path_bytes, std::uint64_t number) {
  Version version;
  version.mtime = static_cast<std::int64_t>(number);
  version.size = number;
  version.content.bytes.fill(static_cast<std::uint8_t>(number));
  version.label = "alpha";
  std::string file = departure_name(left);
  if (number % 3 == 0) {
    file.pop_back();
  }
  return {file, Path(path_bytes, 'p'), version};
}

Model read(const PackedVersions& packed, std::string_view from) {
  Model found;
  packed.for_each_from(from, [&](const PackedVersions::Item& item) {
    CHECK((found.empty() || found.rbegin()->first < item.file));
    const std::string file(item.file);
    found[file] = {file, Path(item.path), item.version()};
    return true;
  });
  return found;
}

}  // namespace

TEST_CASE("packed versions: in any order they are those of a map") {
  std::mt19937_64 random(7);  // NOLINT(cert-msc51-cpp): the same each time
  PackedVersions packed;
  Model model;
  for (std::uint64_t step = 0; step < 10'000; ++step) {
    const std::uint64_t act = random() % 8;
    if (act == 0 && !model.empty()) {
      REQUIRE(packed.first().file == model.begin()->first);
      REQUIRE(packed.erase(packed.first().file));
      model.erase(model.begin());
    } else if (act == 1) {
      const std::string file = departure_name(static_cast<std::int64_t>(1 + random() % 15'000));
      const auto later = model.lower_bound(file);
      const std::string gone = later == model.end() ? file : later->first;
      REQUIRE(packed.contains(gone) == model.contains(gone));
      REQUIRE(packed.erase(gone) == (model.erase(gone) > 0));
    } else {
      // Mostly later than what is there, some at the instant of another, a few with a long path.
      const std::uint64_t back = random() % (random() % 3 == 0 ? 5000 : 10);
      const KeptVersion made = kept(static_cast<std::int64_t>(step + 5001 - back),
                                    random() % 50 == 0 ? 4000 : 1 + random() % 30, step);
      packed.put(made);
      model[made.file] = made;
      const auto found = packed.find(made.file);
      REQUIRE(found);
      REQUIRE(found->path == made.path);
      REQUIRE(found->version() == made.version);
    }
    REQUIRE(packed.size() == model.size());
    REQUIRE(packed.empty() == model.empty());
    if (step % 500 == 0) {
      const std::string from = departure_name(static_cast<std::int64_t>(1 + random() % (step + 1)));
      REQUIRE(read(packed, from) == Model(model.lower_bound(from), model.end()));
    }
  }
  CHECK(read(packed, "") == model);
  for (const auto& [file, version] : model) {
    REQUIRE(packed.erase(file));
  }
  CHECK(packed.empty());
  CHECK(packed.bytes() == 0);
}

TEST_CASE("packed versions: a visit ends when it is told to") {
  PackedVersions packed;
  for (std::int64_t left = 1; left <= 1000; ++left) {
    packed.put(kept(left, 1, 1));
  }
  std::string last;
  packed.for_each_from(departure_name(300), [&](const PackedVersions::Item& item) {
    last = item.file;
    return last < departure_name(700);
  });
  CHECK(last == departure_name(700));
}

TEST_CASE("packed versions: what comes in order takes little, and what goes gives it back") {
  PackedVersions packed;
  constexpr std::int64_t count = 50'000;
  const std::uint64_t now = 1'700'000'000'000'000'000;
  for (std::int64_t i = 0; i < count; ++i) {
    packed.put(kept(i + 1, 30, now));
  }
  CHECK(packed.bytes() < count * 140);
  for (std::int64_t i = 0; i < count; ++i) {
    if (i % 100 != 0) {
      REQUIRE(packed.erase(departure_name(i + 1)));
    }
  }
  CHECK(packed.size() == count / 100);
  CHECK(packed.bytes() < count / 100 * 600);
}

TEST_CASE("packed versions: what comes between others takes little as well") {
  PackedVersions packed;
  std::mt19937_64 random(3);  // NOLINT(cert-msc51-cpp): the same each time
  constexpr std::int64_t count = 50'000;
  const std::uint64_t now = 1'700'000'000'000'000'000;
  // What had to make room is noted by when it left, a while after what left then and is not kept.
  for (std::int64_t i = 0; i < count; ++i) {
    packed.put(kept(2 * i + (random() % 2 == 0 ? 0 : 1001), 30, now));
  }
  CHECK(packed.size() == count);
  CHECK(packed.bytes() < count * 140);
}

TEST_CASE("packed versions: blocks of one or two that are as large as can be") {
  std::mt19937_64 random(5);  // NOLINT(cert-msc51-cpp): the same each time
  PackedVersions packed;
  Model model;
  for (int step = 0; step < 3000; ++step) {
    const auto left = static_cast<std::int64_t>(1 + random() % 200);
    KeptVersion made = kept(left, random() % 3 == 0 ? 10 : 4000, random() % 1000);
    if (random() % 3 == 0) {
      made.version.kind = Kind::symlink;
      made.version.size = 0;
      made.version.target = std::string(4000, 't');
    }
    if (random() % 3 == 0) {
      REQUIRE(packed.erase(made.file) == (model.erase(made.file) > 0));
    } else {
      packed.put(made);
      model[made.file] = made;
    }
    REQUIRE(packed.size() == model.size());
  }
  CHECK(read(packed, "") == model);
}

TEST_CASE("packed versions: a value") {
  PackedVersions packed;
  packed.put(kept(5, 1, 1));
  PackedVersions copy = packed;
  CHECK(copy.erase(departure_name(5)));
  CHECK_FALSE(copy.erase(departure_name(5)));
  CHECK(copy.empty());
  CHECK(packed.size() == 1);
}
