// Which kept versions may go since there are others like them.
#include "engine/thinning.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

using namespace p2psync::engine;

namespace {

constexpr std::int64_t minute = 60'000'000'000, hour = 60 * minute, day = 24 * hour;
constexpr std::int64_t now = 20'000 * day + 15 * hour;

std::string name_at(std::int64_t at) {
  std::string name = departure_name(at);
  name.pop_back();
  return name;
}

/// One each `step` minutes over so many days, up to now.
std::map<std::string, KeptVersion> every(std::int64_t step, std::int64_t days,
                                         const Path& path = "f") {
  std::map<std::string, KeptVersion> kept;
  for (std::int64_t at = now - days * day; at <= now; at += step) {
    kept[name_at(at)] = {name_at(at), path, {}};
  }
  return kept;
}

/// Of the same, as a replica has them.
std::set<std::string> thinned(const std::map<std::string, KeptVersion>& kept, std::int64_t at) {
  PackedVersions packed;
  for (const auto& [file, version] : kept) {
    packed.put(version);
  }
  return thinned(packed, at);
}

std::map<std::string, KeptVersion> without(std::map<std::string, KeptVersion> kept,
                                           const std::set<std::string>& gone) {
  for (const std::string& file : gone) {
    CHECK(kept.erase(file) == 1);
  }
  return kept;
}

/// How many left between so many days ago and so many.
std::ptrdiff_t left_between(const std::map<std::string, KeptVersion>& kept, std::int64_t from,
                            std::int64_t to) {
  return std::ranges::count_if(kept, [&](const auto& item) {
    const std::int64_t at = left_at(item.first);
    return at >= now - from * day && at < now - to * day;
  });
}

}  // namespace

TEST_CASE("thinning: all of a day, one an hour for a week, then one a day") {
  const auto kept = every(10 * minute, 30);
  const auto left = without(kept, thinned(kept, now));
  CHECK(left_between(left, 1, 0) == 144);
  CHECK(left_between(left, 6, 1) == 5 * 24);
  CHECK(left_between(left, 30, 8) == 22);
  // The last of each: what the folder showed before it is what was shown longest in that hour.
  CHECK(left.contains(name_at(now - 2 * day - 10 * minute)));
  CHECK(!left.contains(name_at(now - 2 * day - 20 * minute)));
}

TEST_CASE("thinning: what stays today is among what stayed yesterday, and nothing goes twice") {
  auto kept = every(7 * minute, 40);
  for (int hours = 0; hours < 100; ++hours) {
    const std::int64_t then = now + hours * hour;
    kept = without(kept, thinned(kept, then));
    CHECK(thinned(kept, then).empty());
  }
}

TEST_CASE("thinning: each path for itself, and the last one of each always stays") {
  auto kept = every(13 * minute, 20, "a");
  kept.merge(every(11 * minute, 20, "b"));
  const std::string oldest = name_at(now - 100 * day);
  kept[oldest] = {oldest, "rarely", {}};
  const auto left = without(kept, thinned(kept, now));
  CHECK(left.contains(oldest));
  for (const Path path : {"a", "b"}) {
    CHECK(std::ranges::count_if(left, [&](const auto& item) { return item.second.path == path; }) >
          20 + 6 * 24);
  }
}

TEST_CASE("thinning: a clock that is behind thins nothing, and names that are none stay") {
  const auto kept = every(minute, 2);
  CHECK(thinned(kept, now - 3 * day).empty());
  CHECK(thinned({{"notes.txt", {"notes.txt", "f", {}}}}, now).empty());
}
