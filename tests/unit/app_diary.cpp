#include <doctest/doctest.h>

#include "apps/p2psync/page/day.h"
#include "apps/p2psync/page/diary.h"

using namespace p2psync::app;
using namespace std::chrono_literals;

namespace {

const Diary::Time start{std::chrono::sys_days(std::chrono::year(2026) / 1 / 2) + 3h};

Json peer(const char* name, bool connected) {
  return Json::Object{{"name", name}, {"connected", connected}, {"in_sync", connected}};
}

struct Shown {
  bool two = true;
  Json::Array errors = {};
  Json::Array copies = {};
  std::int64_t bytes = 0;
};

Json status(const Shown& shown) {
  return Json::Object{{"peers", Json::Array{peer("node2", shown.two), peer("node3", true)}},
                      {"errors", shown.errors},
                      {"conflicts", static_cast<std::int64_t>(shown.copies.size())},
                      {"pending", Json::Object{{"files", 0}}},
                      {"sent_bytes", shown.bytes},
                      {"received_bytes", 0}};
}

Json copy(const std::string& name) {
  return Json::Object{{"copy", name}};
}

Json error(const char* path, const char* message) {
  return Json::Object{{"path", path}, {"message", message}};
}

void look(Diary& diary, Diary::Time now, const Shown& shown) {
  diary.look(now, status(shown), [&] { return Json(shown.copies); });
}

/// The newest first, without their times; and forgets nothing.
std::string told(const Diary& diary, std::size_t most) {
  std::string out;
  const Json happenings = diary.happenings(most);
  for (const Json& happening : happenings.items()) {
    out += happening["kind"].text() + ": " + happening["text"].text() + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("diary: members that come and go") {
  Diary diary;
  look(diary, start, {.two = false});
  CHECK(told(diary, 9) == "good: node3 is connected\ngood: this node was started\n");
  look(diary, start + 1s, {});
  look(diary, start + 2s, {});
  look(diary, start + 3s, {.two = false});
  CHECK(told(diary, 2) == "bad: node2 was lost\ngood: node2 is connected\n");
  CHECK(diary.happenings(1).items()[0]["time"].text() == "2026-01-02T03:00:03Z");
}

TEST_CASE("diary: errors and conflicts that come and go, and many at once as a number") {
  Diary diary;
  look(diary, start, {.copies = {copy("old.conflict-node2")}});
  CHECK(!told(diary, 9).contains("conflict"));  // it was there before
  look(diary, start + 1s,
       {.errors = {error("a", "denied")},
        .copies = {copy("old.conflict-node2"), copy("b.conflict-node3")}});
  CHECK(told(diary, 2) == "busy: the conflict copy b.conflict-node3 came\nbad: a: denied\n");
  look(diary, start + 2s, {.copies = {copy("b.conflict-node3")}});
  CHECK(told(diary, 2) ==
        "good: the conflict copy old.conflict-node2 went\ngood: over: a: denied\n");
  Shown many;
  for (int i = 0; i < 5; ++i) {
    many.copies.push_back(copy("x" + std::to_string(i)));
    many.errors.push_back(error("y", std::to_string(i).c_str()));
  }
  look(diary, start + 3s, many);
  CHECK(told(diary, 3) ==
        "busy: 5 conflict copies came\n"
        "good: the conflict copy b.conflict-node3 went\nbad: 5 errors came\n");
}

TEST_CASE("diary: what is laid is told when it is over, or a minute has gone") {
  Diary diary;
  look(diary, start, {});
  diary.laid(3);
  look(diary, start + 1s, {});
  diary.laid(2);
  look(diary, start + 2s, {});
  CHECK(!told(diary, 9).contains("laid"));
  look(diary, start + 3s, {});
  CHECK(told(diary, 1) == "good: 5 changes of other members were laid here\n");
  for (int second = 10; second <= 70; ++second) {
    diary.laid(1);
    look(diary, start + std::chrono::seconds(second), {});
  }
  CHECK(told(diary, 1) == "good: 61 changes of other members were laid here\n");
}

TEST_CASE("diary: it keeps so many happenings, and a day") {
  Diary diary;
  for (int i = 0; i < 300; ++i) {
    look(diary, start + std::chrono::seconds(i), {.two = i % 2 == 0});
  }
  CHECK(diary.happenings(1000).items().size() == Diary::happenings_max);
  for (std::size_t i = 0; i < 2 * Diary::samples_max; ++i) {
    look(diary, start + Diary::sample_time * i, {});
  }
  CHECK(diary.day().items().size() == Diary::samples_max);
  look(diary, start + 30 * 24h, {});
  CHECK(diary.day().items().size() == 1);  // nobody looked for a month
  look(diary, start, {});                  // a clock that went back
  CHECK(diary.day().items().size() == 1);
}

TEST_CASE("diary: a sample has what changed and moved, and the worst of who was in sync") {
  Diary diary;
  look(diary, start, {.bytes = 1000});
  diary.laid(4);
  diary.made(2);
  look(diary, start + 10s, {.two = false, .bytes = 1500});
  look(diary, start + 20s, {.bytes = 1700});
  look(diary, start + 6min, {.bytes = 1750});
  const Json day = diary.day();
  REQUIRE(day.items().size() == 2);
  CHECK(day.items()[0]["changes"].integer() == 6);
  CHECK(day.items()[0]["bytes"].integer() == 1700);
  CHECK(day.items()[0]["in_sync"].integer() == 2);
  CHECK(day.items()[1]["bytes"].integer() == 50);
  CHECK(day.items()[1]["in_sync"].integer() == 3);
  CHECK(day.items()[1]["members"].integer() == 3);
  const std::string chart = day_chart(day);
  CHECK(chart.contains(
      "6 changes, 1.7 KiB moved; all members in sync for 50 % of the last 10 minutes."));
  CHECK(day_chart(Json::Array{}) == "");
}
