#include "apps/p2psync/status_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>
#include <vector>

#include "apps/p2psync/quantity.h"
#include "apps/p2psync/table.h"
#include "engine/status.h"

namespace p2psync::app {
namespace {

constexpr std::size_t transfers_shown_max = 10;
constexpr std::size_t path_columns_max = 40;
/// No table is the place for more.
constexpr std::int64_t seconds_shown_max = std::int64_t{1000} * 24 * 3600;

std::string milliseconds_text(const Json& value) {
  return value.is_null() ? "-"
                         : duration_text(std::chrono::nanoseconds(
                               static_cast<std::int64_t>(value.number() * 1e6)));
}

Colour colour_of(std::string_view state) {
  return state == "in_sync" ? Colour::good : state == "error" ? Colour::bad : Colour::busy;
}

/// The end of it, which tells names apart, in at most so many columns.
std::string shortened(const std::string& text, std::size_t columns_max) {
  std::size_t left = columns(text);
  std::size_t begin = 0;
  for (; left > columns_max || (begin > 0 && left == columns_max); --left) {
    for (++begin; begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80;
         ++begin) {
    }
  }
  return begin == 0 ? text : "\u2026" + text.substr(begin);
}

std::string bytes_text(std::int64_t bytes) {
  return size_text(static_cast<std::uint64_t>(bytes));
}

std::int64_t percent(std::int64_t done, std::int64_t all) {
  return all <= 0 ? 0
                  : static_cast<std::int64_t>(static_cast<double>(done) * 100 /
                                              static_cast<double>(all));
}

std::string progress_bar(std::int64_t done, std::int64_t all) {
  constexpr std::int64_t width = 24;
  const auto filled = std::clamp<std::int64_t>(percent(done, all) * width / 100, 0, width);
  return fmt::format("[{:#<{}}{:.<{}}]", "", filled, "", width - filled);
}

std::string pending_text(const Json& pending, const TableStyle& style) {
  const std::int64_t files = pending["files"].integer();
  const std::int64_t bytes = pending["bytes"].integer();
  if (files == 0) {
    return "nothing";
  }
  std::string text = fmt::format("{}, {}", counted(files, "file", "files"), bytes_text(bytes));
  if (const Json& left = pending["seconds_left"]; !left.is_null()) {
    text += fmt::format(
        ", {}/s, {} left", bytes_text(pending["bytes_per_s"].integer()),
        duration_text(std::chrono::seconds(std::min(left.integer(), seconds_shown_max))));
  }
  if (style.colour && style.most_bytes > 0) {
    const std::int64_t done =
        std::clamp<std::int64_t>(style.most_bytes - bytes, 0, style.most_bytes);
    text += fmt::format("  {} {}%", progress_bar(done, style.most_bytes),
                        percent(done, style.most_bytes));
  }
  return text;
}

void add_facts(Table& table, const Json& status, const TableStyle& style) {
  const std::string& state = status["state"].text();
  table.fact("node",
             fmt::format("{}  {}", table.painted(printable(status["node"].text()), Colour::bold),
                         table.painted(state, colour_of(state))));
  table.fact("folder", printable(status["folder"].text()));
  table.fact("holds",
             fmt::format("{}, {}, {}, {}", counted(status["files"].integer(), "file", "files"),
                         counted(status["directories"].integer(), "directory", "directories"),
                         counted(status["symlinks"].integer(), "symlink", "symlinks"),
                         bytes_text(status["bytes"].integer())));
  const std::int64_t conflicts = status["conflicts"].integer();
  table.fact("conflicts", table.painted(counted(conflicts, "copy", "copies"),
                                        conflicts == 0 ? Colour::none : Colour::busy));
  table.fact("pending", pending_text(status["pending"], style));
  table.fact("traffic",
             fmt::format("{} sent, {} received", bytes_text(status["sent_bytes"].integer()),
                         bytes_text(status["received_bytes"].integer())));
  table.fact("digest", status["root_digest"].text());
  std::string power = status["safe_to_power_off"].boolean()
                          ? "another member holds all that is here"
                          : "no other member holds all that is here yet";
  if (const std::int64_t open = status["still_open"].integer(); open > 0) {
    power += fmt::format("; {} still open", counted(open, "replaced file", "replaced files"));
  }
  table.fact("safety", power);
  if (const std::int64_t skipped = status["skipped"].integer(); skipped > 0) {
    table.fact("skipped",
               fmt::format("{} (never synchronised)", counted(skipped, "name", "names")));
  }
}

/// In the order of the document: in progress before waiting, large before small.
void add_transfers(Table& table, const Json& status, const TableStyle& style) {
  const auto& transfers = status["transfers"].items();
  if (transfers.empty()) {
    return;
  }
  using Cell = Table::Cell;
  std::vector<std::vector<Cell>> rows{{{"coming in", Colour::faint}, {"here", Colour::faint}}};
  if (style.colour) {
    rows[0].emplace_back();
  }
  rows[0].push_back({"of", Colour::faint});
  const std::size_t shown = std::min(transfers.size(), transfers_shown_max);
  for (const Json& transfer : transfers | std::views::take(shown)) {
    const std::int64_t bytes = transfer["bytes"].integer();
    const std::int64_t done = transfer["done_bytes"].integer();
    rows.push_back({{shortened(printable(transfer["path"].text()), path_columns_max)},
                    {fmt::format("{}%", percent(done, bytes))}});
    if (style.colour) {
      rows.back().push_back({progress_bar(done, bytes), Colour::busy});
    }
    rows.back().push_back({bytes_text(bytes)});
  }
  table.line("");
  table.rows(rows);
  // A document that lists as many as it may does not know how many more there are.
  const std::int64_t all = transfers.size() < engine::incoming_max
                               ? static_cast<std::int64_t>(transfers.size())
                               : status["pending"]["files"].integer();
  if (const auto more = all - static_cast<std::int64_t>(shown); more > 0) {
    table.line(fmt::format("and {} more", more));
  }
}

void add_peers(Table& table, const Json& status) {
  using Cell = Table::Cell;
  std::vector<std::vector<Cell>> rows{{{"peer", Colour::faint},
                                       {"address", Colour::faint},
                                       {"connection", Colour::faint},
                                       {"in sync", Colour::faint},
                                       {"round trip", Colour::faint},
                                       {"last exchange", Colour::faint}}};
  for (const Json& peer : status["peers"].items()) {
    const bool connected = peer["connected"].boolean();
    const bool in_sync = peer["in_sync"].boolean();
    const std::string& address = peer["address"].text();
    const std::string last = milliseconds_text(peer["last_exchange_ms_ago"]);
    rows.push_back({{printable(peer["name"].text()), Colour::bold},
                    {address.empty() ? "-" : printable(address)},
                    {connected ? "up" : "down", connected ? Colour::good : Colour::bad},
                    {in_sync ? "yes" : "no", in_sync ? Colour::good : Colour::busy},
                    {connected ? milliseconds_text(peer["rtt_ms"]) : "-"},
                    {last == "-" ? "never" : last + " ago"}});
  }
  if (rows.size() > 1) {
    table.line("");
    table.rows(rows);
  }
}

void add_troubles(Table& table, const Json& status) {
  bool first = true;
  for (const Json& peer : status["peers"].items()) {
    if (!peer["trouble"].is_null()) {
      if (std::exchange(first, false)) {
        table.line("");
      }
      table.line(
          fmt::format("{}: {}", printable(peer["name"].text()), printable(peer["trouble"].text())));
    }
  }
  for (const Json& peer : status["peers"].items()) {
    const auto& differences = peer["list_differences"].items();
    if (differences.empty()) {
      continue;
    }
    table.line("");
    table.line(
        table.painted(fmt::format("the member list of {} differs:", printable(peer["name"].text())),
                      Colour::busy));
    for (const Json& difference : differences) {
      table.line("  " + printable(difference.text()));
    }
  }
  if (const auto& errors = status["errors"].items(); !errors.empty()) {
    table.line("");
    table.line(table.painted(
        counted(static_cast<std::int64_t>(errors.size()), "problem:", "problems:"), Colour::bad));
    for (const Json& error : errors) {
      const std::string path = printable(error["path"].text());
      table.line(fmt::format("  {}{}{} (since {})", path, path.empty() ? "" : ": ",
                             printable(error["message"].text()), error["since"].text()));
    }
  }
}

}  // namespace

std::string status_table(const Json& status, const TableStyle& style) {
  Table table(style.colour);
  add_facts(table, status, style);
  add_transfers(table, status, style);
  add_peers(table, status);
  add_troubles(table, status);
  return table.take();
}

}  // namespace p2psync::app
