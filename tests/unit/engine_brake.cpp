// Masses of deletions that somebody has to confirm.
#include "engine/brake.h"

#include <doctest/doctest.h>

using namespace p2psync::engine;

namespace {

constexpr Duration moment = std::chrono::milliseconds(900);
static_assert(moment < brake_pause);

NodeOptions alone() {
  NodeOptions options;
  options.self = 1;
  options.members = {{1, "alpha"}};
  return options;
}

Path file(int number) {
  return "f" + std::to_string(100 + number);
}

Seen with_content(int number, Kind kind = Kind::file) {
  Seen seen;
  seen.signature = {kind, 0644, static_cast<std::uint64_t>(number), 5, 10, 11};
  if (kind != Kind::directory) {
    seen.content.bytes[0] = static_cast<std::uint8_t>(number);
    seen.content.bytes[1] = 1;
  }
  return seen;
}

/// A brake on a replica that shows so many files.
struct Braked {
  explicit Braked(int files, unsigned percent = 50, bool on = false) : brake(replica, {percent}) {
    for (int i = 0; i < files; ++i) {
      replica.observe(file(i), with_content(i));
    }
    replica.set_braked(on);
    brake.next(now, true);
  }
  void gone(int from, int to) {
    for (int i = from; i < to; ++i) {
      brake.gone(now, file(i));
    }
    brake.next(now, true);
  }
  void after(Duration time) {
    now += time;
    brake.next(now, true);
  }
  [[nodiscard]] std::uint64_t told() const { return replica.tombstones(); }

  Replica replica{alone(), {}};
  Brake brake;
  Instant now{std::chrono::hours(1)};
};

}  // namespace

TEST_CASE("brake: more than the share, and not just a handful, is held") {
  struct Case {
    int files;
    int gone;
    unsigned percent;
    bool held;
  };
  for (const auto& [files, gone, percent, held] :
       {Case{100, 51, 50, true}, Case{100, 50, 50, false}, Case{100, 99, 99, false},
        Case{100, 100, 99, true}, Case{100, 100, 100, false}, Case{100, 10, 9, true},
        Case{100, 9, 1, false}, Case{9, 9, 50, false}, Case{10, 10, 50, true},
        Case{19, 10, 50, true}, Case{20, 10, 50, false}, Case{100, 100, 0, false}}) {
    CAPTURE(files);
    CAPTURE(gone);
    CAPTURE(percent);
    Braked node(files, percent);
    node.gone(0, gone);
    CHECK(node.told() == (percent == 0 ? static_cast<std::uint64_t>(gone) : 0));
    node.after(brake_pause);
    CHECK(node.told() == static_cast<std::uint64_t>(held ? 0 : gone));
    CHECK(node.brake.held_files() == static_cast<std::uint64_t>(held ? gone : 0));
    CHECK(node.brake.problem().has_value() == held);
    CHECK(node.replica.braked() == held);
    CHECK(!node.brake.gathering());
  }
}

TEST_CASE("brake: a burst in pieces is one") {
  Braked node(100);
  for (int i = 0; i < 60; ++i) {
    node.gone(i, i + 1);
    node.after(moment);
    CHECK(node.told() == 0);
  }
  node.after(brake_pause);
  CHECK(node.brake.held_files() == 60);
  CHECK(node.told() == 0);
}

TEST_CASE("brake: what goes while something is held is held too, however little") {
  Braked node(100);
  node.gone(0, 60);
  node.after(brake_pause);
  node.gone(60, 61);
  node.after(brake_pause);
  CHECK(node.brake.held_files() == 61);
  CHECK(node.told() == 0);
}

TEST_CASE("brake: of a burst that takes longer, what is told counts against the rest") {
  Braked node(250, 60);
  const Instant begin = node.now;
  for (int i = 0; i < 250; ++i) {
    node.gone(i, i + 1);
    node.after(moment);
    CHECK((node.told() > 0) == (node.now >= begin + brake_gather_max));
  }
  const std::uint64_t told = node.told();
  CHECK(told < 150);
  node.after(brake_pause);
  CHECK(node.told() == told);
  CHECK(node.brake.held_files() == 250 - told);
}

TEST_CASE("brake: several bursts count together for a while") {
  Braked node(100);
  node.gone(0, 30);
  node.after(brake_pause);
  CHECK(node.told() == 30);
  SUBCASE("soon") {
    node.gone(30, 51);
    node.after(brake_pause);
    CHECK(node.told() == 30);
    CHECK(node.brake.held_files() == 21);
  }
  SUBCASE("later") {
    node.after(brake_window);
    node.gone(30, 51);
    node.after(brake_pause);
    CHECK(node.told() == 51);
  }
}

TEST_CASE("brake: a first scan is one burst, and nothing is judged before it is over") {
  Braked node(0);
  Brake brake(node.replica, {50});
  for (int i = 0; i < 100; ++i) {
    node.replica.observe(file(i), with_content(i));
  }
  for (int i = 0; i < 60; ++i) {
    brake.gone(node.now, file(i));
    node.now += std::chrono::seconds(5);
    brake.next(node.now, false);
    CHECK(!brake.wake_at());
  }
  CHECK(node.told() == 0);
  brake.next(node.now, true);
  CHECK(node.told() == 0);
  CHECK(brake.held_files() == 60);
}

TEST_CASE("brake: a rename is no deletion, whichever of its names is seen first") {
  Braked node(100);
  const auto appears = [&](int number) {
    const Path name = "new" + std::to_string(number);
    node.brake.seen(name, with_content(number));
    node.replica.observe(name, with_content(number));
  };
  SUBCASE("the new one") {
    for (int i = 0; i < 100; ++i) {
      appears(i);
    }
    node.gone(0, 100);
    CHECK(node.told() == 100);  // at once
  }
  SUBCASE("the old one") {
    node.gone(0, 100);
    node.after(moment);
    for (int i = 0; i < 100; ++i) {
      appears(i);
    }
    node.after(brake_pause);
    CHECK(node.told() == 100);
  }
  SUBCASE("the old one, long before") {
    node.gone(0, 100);
    node.after(brake_pause);
    CHECK(node.brake.held_files() == 100);
    for (int i = 0; i < 100; ++i) {
      appears(i);
    }
    node.after(moment);
    CHECK(node.told() == 100);
  }
  CHECK(!node.brake.holding());
  CHECK(!node.replica.braked());
}

TEST_CASE(
    "brake: content that was elsewhere before, or is new after all is quiet, excuses nothing") {
  Braked node(100);
  node.replica.observe("old copy", with_content(7));
  node.brake.seen("new", with_content(8));
  node.after(moment);
  node.gone(0, 100);
  node.after(brake_pause);
  CHECK(node.brake.held_files() == 100);
}

TEST_CASE("brake: what comes back is released by itself, and the last one ends it") {
  Braked node(100);
  node.gone(0, 60);
  node.after(brake_pause);
  for (int i = 0; i < 60; ++i) {
    CHECK(node.brake.has(file(i)));
    node.brake.seen(file(i), with_content(i));
    CHECK(!node.brake.has(file(i)));
    node.after(moment);
    // The rest is not a mass any more, and is held all the same.
    CHECK(node.told() == 0);
    CHECK(node.replica.braked() == (i < 59));
  }
  node.gone(0, 1);
  node.after(brake_pause);
  CHECK(node.told() == 1);
}

TEST_CASE("brake: it is on after a start as before, for whatever is still gone") {
  Braked node(100, 50, true);
  SUBCASE("little") {
    Brake again(node.replica, {50});
    again.gone(node.now, file(1));
    again.next(node.now, true);
    again.next(node.now + brake_pause, true);
    CHECK(again.held_files() == 0);  // the first one found nothing missing, and it was off
    CHECK(node.told() == 1);
  }
  SUBCASE("some") {
    node.replica.set_braked(true);
    Brake again(node.replica, {50});
    again.gone(node.now, file(1));
    again.next(node.now, true);
    again.next(node.now + brake_pause, true);
    CHECK(again.held_files() == 1);
    CHECK(node.told() == 0);
  }
}

TEST_CASE("brake: what is confirmed is told after one more look, unless that finds it") {
  Braked node(100);
  node.gone(0, 60);
  node.after(brake_pause);
  const auto names = node.brake.confirm();
  CHECK(names.size() == 60);
  CHECK(node.told() == 0);
  CHECK(!node.brake.holding());
  node.brake.seen(file(3), with_content(3));
  node.gone(0, 3);
  node.gone(4, 60);
  CHECK(node.told() == 59);
  CHECK(node.replica.shown(file(3)) != nullptr);
  // And from then on it is judged anew.
  node.gone(60, 70);
  node.after(brake_pause);
  CHECK(node.told() == 69);
  CHECK(node.brake.confirm().empty());
}

TEST_CASE("brake: undone, the disk shows it no more and everybody has it still") {
  Braked node(100);
  node.gone(0, 60);
  node.after(brake_pause);
  node.brake.undo();
  CHECK(node.told() == 0);
  CHECK(!node.brake.holding());
  CHECK(!node.replica.braked());
  CHECK(node.replica.shown(file(0)) == nullptr);
  CHECK(node.replica.record(file(0)).entry.live());
  CHECK(node.replica.shown(file(60)) != nullptr);
}

TEST_CASE("brake: directories go with the files, count nothing, and do not stay alone") {
  Braked node(0);
  node.replica.observe("d", with_content(200, Kind::directory));
  node.replica.observe("d/f", with_content(1));
  for (int i = 0; i < 50; ++i) {
    node.replica.observe("e" + std::to_string(i), with_content(i + 1, Kind::directory));
  }
  for (int i = 0; i < 50; ++i) {
    node.brake.gone(node.now, "e" + std::to_string(i));
  }
  node.after(brake_pause);
  CHECK(node.told() == 50);
  node.replica.set_braked(true);
  node.brake.gone(node.now, "d");
  node.brake.gone(node.now, "d/f");
  node.after(brake_pause);
  CHECK(node.brake.held_files() == 1);
  CHECK(node.brake.has("d"));
  node.brake.seen("d/f", with_content(1));
  node.after(moment);
  CHECK(!node.brake.has("d"));
  CHECK(node.told() == 51);
}

TEST_CASE("brake: bytes that are held are not to be had") {
  Braked node(100);
  Version version;
  version.content = with_content(7).content;
  CHECK(node.replica.available(version));
  node.gone(0, 60);
  node.after(brake_pause);
  CHECK(!node.replica.available(version));
  static_cast<void>(node.replica.take_appeared());
  node.brake.seen(file(7), with_content(7));
  CHECK(node.replica.available(version));
  CHECK(node.replica.take_appeared() == std::vector{version.content});
}

TEST_CASE(
    "brake: names in a few directories are looked at now and then, and all when one is back") {
  Braked node(0);
  for (int i = 0; i < 200; ++i) {
    node.replica.observe("d" + std::to_string(i / 2) + "/" + file(i), with_content(i));
  }
  CHECK(node.brake.probe(node.now).names.empty());
  for (int i = 0; i < 200; ++i) {
    node.brake.gone(node.now, "d" + std::to_string(i / 2) + "/" + file(i));
  }
  node.after(brake_pause);
  REQUIRE(node.brake.held_files() == 200);
  CHECK(node.brake.probe(node.now).names.empty());
  node.after(brake_probe_interval);
  REQUIRE(node.brake.wake_at());
  CHECK(*node.brake.wake_at() == node.now);
  const Brake::Probe first = node.brake.probe(node.now);
  CHECK(first.names.size() == brake_probes_max);
  CHECK(!first.everything);
  CHECK(node.brake.probe(node.now).names.empty());
  // One that was not looked at changes nothing: whoever put it back was seen.
  node.brake.seen("d0/" + file(1), with_content(1));
  node.after(brake_probe_interval);
  CHECK(!node.brake.probe(node.now).everything);
  node.brake.seen("d1/" + file(2), with_content(2));
  node.after(brake_probe_interval);
  const Brake::Probe next = node.brake.probe(node.now);
  CHECK(next.everything);
  CHECK(std::ranges::find(next.names, "d1/" + file(3)) != next.names.end());
  node.brake.undo();
  node.after(brake_probe_interval);
  CHECK(node.brake.probe(node.now).names.empty());
}
