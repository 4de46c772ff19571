// Moments as people write them.
#include "apps/p2psync/moment.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <string>

using namespace p2psync::app;

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t now = 1'767'322'984 * second;  // 2026-01-02T03:03:04Z

/// The zone of this machine, for as long as it lives.
class Zone {
 public:
  explicit Zone(const char* name) {
    if (const char* before = std::getenv("TZ")) {
      before_ = before;
    }
    ::setenv("TZ", name, 1);
    ::tzset();
  }
  ~Zone() {
    before_.empty() ? ::unsetenv("TZ") : ::setenv("TZ", before_.c_str(), 1);
    ::tzset();
  }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;

 private:
  std::string before_;
};

}  // namespace

TEST_CASE("moment: what it means") {
  const Zone zone("XXX-2");  // two hours east
  const struct {
    const char* text;
    std::int64_t moment;
  } cases[] = {
      {"2026-01-02T03:03:04Z", now},
      {"2026-01-02t03:03:04z", now},
      {"2026-01-02 03:03:04Z", now},
      {"2026-01-02T04:03:04+01:00", now},
      {"2026-01-01T22:33:04-04:30", now},
      {"2026-01-02T03:03:03.25Z", now - 750'000'000},
      {"2026-01-02T03:03:03.999999999Z", now - 1},
      {"2026-01-02T03:03Z", now - 4 * second},
      {"2026-01-02 05:03", now - 4 * second},
      {"2026-01-02T05:03:04", now},
      {"1970-01-01T00:00:00Z", 0},
      {"2024-02-29T00:00:00Z", 1'709'164'800 * second},
      {"0", now},
      {"90s", now - 90 * second},
      {"1.5h", now - 5400 * second},
      {"2d", now - 2 * 86400 * second},
  };
  for (const auto& [text, moment] : cases) {
    CAPTURE(text);
    const auto parsed = parse_moment(text, now);
    REQUIRE(parsed.has_value());
    CHECK(*parsed == moment);
  }
}

TEST_CASE("moment: what is none is told") {
  for (const std::string text : {"",
                                 "x",
                                 "-2h",
                                 "12",
                                 "2026",
                                 "2026-01-02",
                                 "2026-1-2 03:04",
                                 "2026-02-30T00:00:00Z",
                                 "2026-13-01T00:00:00Z",
                                 "2026-01-02T24:00:00Z",
                                 "2026-01-02T03:60:00Z",
                                 "2026-01-02T03:04:05X",
                                 "2026-01-02T03:04:05Zx",
                                 "2026-01-02T03:04:05+1",
                                 "2026-01-02T03:04:05+25:00",
                                 "2026-01-02T03:04:05.Z",
                                 "2026-01-02T03:04:05.1234567890Z",
                                 "2026-01-02T03:04:61Z",
                                 "2026-01-02T03",
                                 "1969-12-31T23:59:59Z",
                                 "9999-01-01T00:00:00Z"}) {
    CAPTURE(text);
    const auto parsed = parse_moment(text, now);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().starts_with("must be a time such as "));
  }
  CHECK(parse_moment("2026-01-02T03:03:04.1Z", now).error() == "is in the future");
  CHECK(parse_moment("2200-01-01 00:00", now).error() == "is in the future");
}
