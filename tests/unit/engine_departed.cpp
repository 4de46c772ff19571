#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/departed.h"

namespace p2psync::engine {
namespace {

using Model = std::map<std::int64_t, std::pair<Path, Version>>;

Version version_of(std::uint64_t number) {
  Version version;
  version.mtime = static_cast<std::int64_t>(number);
  version.size = number;
  version.content.bytes.fill(static_cast<std::uint8_t>(number));
  version.label = "alpha";
  return version;
}

Model read(const Departed& departed, std::int64_t from) {
  Model found;
  departed.for_each_from(from, [&](const Departed::Note& note) {
    CHECK((found.empty() || found.rbegin()->first < note.left));
    found[note.left] = {Path(note.path), note.version()};
    return true;
  });
  return found;
}

TEST_CASE("departed: notes in any order are those of a map") {
  std::mt19937_64 random(7);  // NOLINT(cert-msc51-cpp): the same each time
  Departed departed;
  Model model;
  for (std::uint64_t step = 0; step < 6000; ++step) {
    if (random() % 5 == 0 && !model.empty()) {
      CHECK(departed.first() == model.begin()->first);
      departed.drop_first();
      model.erase(model.begin());
    } else {
      // Short and long ones, mostly later than what is there, and some at the instant of another.
      const std::uint64_t span = random() % 3 == 0 ? 5000 : 10;
      const auto left = static_cast<std::int64_t>(1 + step + 5000 - random() % span);
      const Path path(random() % 50 == 0 ? 4000 : 1 + random() % 30, 'p');
      departed.put(left, path, version_of(step));
      model[left] = {path, version_of(step)};
    }
    REQUIRE(departed.size() == model.size());
    REQUIRE(departed.empty() == model.empty());
    if (step % 500 == 0) {
      const auto from = static_cast<std::int64_t>(random() % (2 * step + 2));
      REQUIRE(read(departed, from) == Model(model.lower_bound(from), model.end()));
    }
  }
  CHECK(read(departed, 0) == model);
  while (!departed.empty()) {
    CHECK(departed.first() == model.begin()->first);
    departed.drop_first();
    model.erase(model.begin());
  }
  CHECK(model.empty());
  CHECK(departed.bytes() == 0);
}

TEST_CASE("departed: a visit ends when it is told to") {
  Departed departed;
  for (std::int64_t left = 1; left <= 1000; ++left) {
    departed.put(left, "a", {});
  }
  std::int64_t last = 0;
  departed.for_each_from(300, [&](const Departed::Note& note) {
    last = note.left;
    return last < 700;
  });
  CHECK(last == 700);
}

TEST_CASE("departed: notes that come in order leave full blocks behind") {
  Departed departed;
  constexpr std::size_t count = 65'536;
  for (std::size_t i = 0; i < count; ++i) {
    departed.put(static_cast<std::int64_t>(i + 1), "some/directory/file-of-a-user.txt",
                 version_of(1'700'000'000'000'000'000 + i));
  }
  CHECK(departed.bytes() / count < 125);
}

TEST_CASE("departed: a value") {
  Departed departed;
  departed.put(5, "a", version_of(1));
  Departed copy = departed;
  copy.drop_first();
  CHECK(copy.empty());
  REQUIRE(departed.size() == 1);
  CHECK(read(departed, 0) == Model{{5, {"a", version_of(1)}}});
}

}  // namespace
}  // namespace p2psync::engine
