#include "apps/p2psync/page/day.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/p2psync/page/diary.h"
#include "apps/p2psync/page/html.h"
#include "apps/p2psync/quantity.h"

namespace p2psync::app {
namespace {

constexpr std::int64_t step = 4;  ///< units of the drawing a sample
constexpr std::int64_t bar = 3;
constexpr auto width = static_cast<std::int64_t>(Diary::samples_max) * step;
constexpr std::int64_t height = 40;

/// Bars as high as the square root of what they count: a day has one large copy and many small
/// edits.
std::int64_t height_of(std::int64_t value, std::int64_t most) {
  std::int64_t high = 0;
  while (high < height && (high + 1) * (high + 1) * most <= value * height * height) {
    ++high;
  }
  return value > 0 ? std::max<std::int64_t>(high, 2) : 0;
}

std::string lane(std::string_view name, const std::string& most, const std::string& bars) {
  return fmt::format(
      "<div class=\"lane\"><span>{}</span><span class=\"faint\">{}</span><svg viewBox=\"0 0 {} "
      "{}\" "
      "preserveAspectRatio=\"none\" aria-hidden=\"true\">{}</svg></div>",
      name, most, width, height, bars);
}

std::string lane_of(std::string_view name, const Json& day, std::string_view key, bool bytes) {
  std::int64_t most = 1;
  for (const Json& sample : day.items()) {
    most = std::max(most, sample[key].integer());
  }
  const std::int64_t last = day.items().back()["slot"].integer();
  std::string bars;
  for (const Json& sample : day.items()) {
    const std::int64_t high = height_of(sample[key].integer(), most);
    const std::int64_t x = width - (last - sample["slot"].integer() + 1) * step;
    if (high > 0) {
      bars += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>", x, height - high,
                          bar, high);
    }
  }
  return lane(name, "at most " + (bytes ? size_of(most) : std::to_string(most)) + " in 5 minutes",
              bars);
}

}  // namespace

std::string day_chart(const Json& day) {
  if (day.items().empty()) {
    return "";
  }
  const std::int64_t last = day.items().back()["slot"].integer();
  std::string agreed;
  std::int64_t changes = 0;
  std::int64_t bytes = 0;
  std::int64_t all_in_sync = 0;
  for (const Json& sample : day.items()) {
    const std::int64_t in_sync = sample["in_sync"].integer();
    const std::int64_t members = std::max<std::int64_t>(sample["members"].integer(), 1);
    changes += sample["changes"].integer();
    bytes += sample["bytes"].integer();
    all_in_sync += in_sync == members ? 1 : 0;
    const std::int64_t high = std::max<std::int64_t>(height * in_sync / members, 3);
    agreed +=
        fmt::format("<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                    in_sync == members ? "good"
                    : in_sync > 1      ? "busy"
                                       : "bad",
                    width - (last - sample["slot"].integer() + 1) * step, height - high, bar, high);
  }
  const auto samples = static_cast<std::int64_t>(day.items().size());
  constexpr std::int64_t an_hour = std::chrono::hours(1) / Diary::sample_time;
  return fmt::format("<p>{}, {} moved; all members in sync for {} % of the last {}.</p>",
                     counted(changes, "change"), size_of(bytes), 100 * all_in_sync / samples,
                     samples < an_hour ? counted(samples * Diary::sample_time.count(), "minute")
                                       : counted(samples / an_hour, "hour")) +
         "<div class=\"day\">" + lane("members in sync", "at the worst moment", agreed) +
         lane_of("changes", day, "changes", false) + lane_of("bytes moved", day, "bytes", true) +
         "<p class=\"axis faint\"><span>24 h ago</span><span>12 h ago</span><span>now</span></p>"
         "</div>";
}

}  // namespace p2psync::app
