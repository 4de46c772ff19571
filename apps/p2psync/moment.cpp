#include "apps/p2psync/moment.h"

#include <chrono>
#include <ctime>
#include <optional>

namespace p2psync::app {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::size_t fraction_digits_max = 9;
// What ns since 1970 can say, with room for any offset.
constexpr int year_min = 1970;
constexpr int year_max = 2261;

constexpr const char* shape =
    "must be a time such as 2026-01-02T03:04:05Z, \"2026-01-02 03:04\" or, so long ago, 2h";

/// Takes text off the front, piece by piece; once something is missing nothing fits any more.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  [[nodiscard]] int number(std::size_t digits) {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      value = value * 10 + (next_is_digit() ? take() - '0' : fail());
    }
    return value;
  }
  [[nodiscard]] bool takes(std::string_view any_of) {
    const bool there = !text_.empty() && any_of.contains(text_.front());
    if (there) {
      text_.remove_prefix(1);
    }
    return there;
  }
  void require(char c) {
    if (!takes({&c, 1})) {
      fail();
    }
  }
  /// In ns; after a point.
  [[nodiscard]] std::int64_t fraction() {
    std::int64_t value = 0;
    std::size_t digits = 0;
    for (; next_is_digit() && digits < fraction_digits_max; ++digits) {
      value = value * 10 + (take() - '0');
    }
    if (digits == 0) {
      fail();
    }
    for (; digits < fraction_digits_max; ++digits) {
      value *= 10;
    }
    return value;
  }
  [[nodiscard]] bool all_taken() const { return good_ && text_.empty(); }
  [[nodiscard]] bool at_end() const { return text_.empty(); }

 private:
  [[nodiscard]] bool next_is_digit() const {
    return !text_.empty() && text_.front() >= '0' && text_.front() <= '9';
  }
  char take() {
    const char c = text_.front();
    text_.remove_prefix(1);
    return c;
  }
  int fail() {
    good_ = false;
    return 0;
  }
  std::string_view text_;
  bool good_ = true;
};

/// Seconds since 1970 of what a clock on this machine's wall shows.
std::optional<std::int64_t> in_local_zone(const std::chrono::year_month_day& date, int hour,
                                          int minute, int second) {
  std::tm tm{};
  tm.tm_year = int{date.year()} - 1900;
  tm.tm_mon = static_cast<int>(unsigned{date.month()}) - 1;
  tm.tm_mday = static_cast<int>(unsigned{date.day()});
  tm.tm_hour = hour;
  tm.tm_min = minute;
  tm.tm_sec = second;
  tm.tm_isdst = -1;
  const std::time_t time = ::mktime(&tm);
  return time == -1 ? std::nullopt : std::optional(std::int64_t{time});
}

Parsed<std::int64_t> parse_date(std::string_view text) {
  Reader reader(text);
  const int year = reader.number(4);
  reader.require('-');
  const int month = reader.number(2);
  reader.require('-');
  const int day = reader.number(2);
  if (!reader.takes("Tt ")) {
    return std::unexpected(shape);
  }
  const int hour = reader.number(2);
  reader.require(':');
  const int minute = reader.number(2);
  const int second = reader.takes(":") ? reader.number(2) : 0;
  const std::int64_t fraction = reader.takes(".") ? reader.fraction() : 0;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  const bool good = date.ok() && year >= year_min && year <= year_max && hour <= 23 &&
                    minute <= 59 && second <= 60;
  if (reader.all_taken()) {
    const auto local = good ? in_local_zone(date, hour, minute, second) : std::nullopt;
    return local ? Parsed<std::int64_t>(*local * second_ns + fraction) : std::unexpected(shape);
  }
  std::int64_t offset_s = 0;
  if (!reader.takes("Zz")) {
    const bool west = reader.takes("-");
    if (!west) {
      reader.require('+');
    }
    const int hours = reader.number(2);
    reader.require(':');
    const int minutes = reader.number(2);
    if (hours > 23 || minutes > 59) {
      return std::unexpected(shape);
    }
    offset_s = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
  }
  if (!good || !reader.all_taken()) {
    return std::unexpected(shape);
  }
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return (days * 86400 + hour * 3600 + minute * 60 + second - offset_s) * second_ns + fraction;
}

}  // namespace

std::int64_t this_moment() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

Parsed<std::int64_t> parse_moment(std::string_view text, std::int64_t now) {
  Parsed<std::int64_t> moment = parse_date(text);
  if (!moment) {
    if (const auto ago = parse_duration(text)) {
      moment = now - ago->count();
    }
  }
  if (moment && *moment > now) {
    return std::unexpected("is in the future");
  }
  return moment;
}

}  // namespace p2psync::app
