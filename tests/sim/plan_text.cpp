#include "tests/sim/plan_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using engine::Duration;

constexpr std::string_view first_line = "p2psync-plan 1";
constexpr std::size_t hosts_max = 16;
constexpr std::size_t moves_max = 10'000;
constexpr Duration time_max = 1h;
constexpr std::int64_t second_ns = 1'000'000'000;

constexpr std::array<std::string_view, 10> act_names{"write",    "remove", "remove-tree", "rename",
                                                     "metadata", "link",   "kind",        "mkdir",
                                                     "resolve",  "restore"};

constexpr std::array<std::string_view, 3> canary_names{"none", "overwritten-write",
                                                       "forgotten-commit"};

std::string to_text(Duration time) {
  return fmt::format("{}.{:09}", time.count() / second_ns, time.count() % second_ns);
}

/// The words of one line, taken one after the other; the first thing wrong is kept.
class Words {
 public:
  explicit Words(const std::string& line) {
    std::istringstream in(line.substr(0, line.find('#')));
    for (std::string word; in >> word;) {
      words_.push_back(std::move(word));
    }
  }
  [[nodiscard]] bool more() const { return next_ < words_.size(); }
  std::string word(std::string_view what) {
    if (!more()) {
      fail(fmt::format("{} is missing", what));
      return {};
    }
    return words_[next_++];
  }
  bool takes(std::string_view word) {
    const bool there = more() && words_[next_] == word;
    next_ += there ? 1 : 0;
    return there;
  }
  void expect(std::string_view name) {
    if (!takes(name)) {
      fail(fmt::format("'{}' is missing", name));
    }
  }
  template <class Number>
  Number number(std::string_view what, Number min, Number max) {
    const std::string text = word(what);
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
      fail(fmt::format("{} is '{}', not a number from {} to {}", what, text, min, max));
      return min;
    }
    return value;
  }
  Duration time(std::string_view what) {
    const std::string text = word(what);
    const std::size_t point = text.find('.');
    std::string digits = text.substr(0, point);
    std::string rest = point == std::string::npos ? "" : text.substr(point + 1);
    const bool fits = !digits.empty() && digits.size() <= 6 && rest.size() <= 9;
    rest.resize(9, '0');
    digits += rest;
    if (!fits || !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }) ||
        Duration(std::stoll(digits)) > time_max) {
      fail(fmt::format("{} is '{}', not seconds up to {}", what, text, time_max / 1s));
      return {};
    }
    return Duration(std::stoll(digits));
  }
  void fail(std::string what) { error_ = error_.empty() ? std::move(what) : error_; }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  std::vector<std::string> words_;
  std::size_t next_ = 0;
  std::string error_;
};

class Reader {
 public:
  Reader() { plan_.setup.hosts = 0; }

  void line(Words& words) {
    const std::string key = words.word("a key");
    Setup& setup = plan_.setup;
    if (key == "seed") {
      plan_.seed = words.number<std::uint64_t>("the seed", 0, ~std::uint64_t{0});
    } else if (key == "mode") {
      const std::string mode = words.word("the mode");
      setup.causal = mode == "causal";
      setup.anything_goes = mode == "anything-goes";
      if (!setup.causal && !setup.anything_goes && mode != "survivable") {
        words.fail("there is no mode " + mode);
      }
    } else if (key == "index") {
      setup.sqlite = words.takes("sqlite");
      if (!setup.sqlite) {
        words.expect("model");
      }
    } else if (key == "safety") {
      setup.safety = std::max(Duration(1), words.time("the length"));
    } else if (key == "rescan") {
      setup.rescan = std::max(Duration(2), words.time("the length"));
    } else if (key == "faults") {
      while (words.more()) {
        fault(words);
      }
    } else if (key == "max-delete") {
      setup.max_delete = words.number<unsigned>("the share", 1, 100);
    } else if (key == "past") {
      setup.past = words.number<std::size_t>("the starts before", 1, 1000);
    } else if (key == "canary") {
      canary(words);
    } else if (key == "rate") {
      rate(words);
    } else if (key == "host") {
      host(words);
    } else if (key == "move") {
      move(words);
    } else {
      words.fail("there is no key " + key);
    }
    if (words.more()) {
      words.fail("'" + words.word("") + "' is too much");
    }
  }

  std::string finish() {
    Setup& setup = plan_.setup;
    sort_moves(plan_.moves);
    if (setup.hosts < 2) {
      return "a plan has at least two hosts";
    }
    if (setup.safety == Duration{} || setup.rescan == Duration{}) {
      return "safety or rescan is missing";
    }
    if (std::ranges::any_of(plan_.moves, [&](const Move& m) { return m.host >= setup.hosts; })) {
      return "a move is of a host that is not there";
    }
    return {};
  }
  Plan take() { return std::move(plan_); }

 private:
  void fault(Words& words) {
    const std::string id = words.word("a fault");
    if (const auto found = fault_by_id(id)) {
      plan_.setup.faults.set(static_cast<std::size_t>(*found));
    } else {
      words.fail("there is no fault " + id);
    }
  }

  void canary(Words& words) {
    const std::string name = words.word("the canary");
    const auto* const found = std::ranges::find(canary_names, name);
    if (found == canary_names.end()) {
      words.fail("there is no canary " + name);
      return;
    }
    plan_.setup.canary = static_cast<Canary>(found - canary_names.begin());
  }

  void rate(Words& words) {
    const std::string id = words.word("the rate's name");
    const auto table = rate_table();
    const auto found = std::ranges::find(table, id, &RateInfo::id);
    if (found == table.end()) {
      words.fail("there is no rate " + id);
      return;
    }
    const std::uint64_t min = found->fault == Fault::count ? 1 : 0;
    plan_.setup.*found->value = words.number<std::uint64_t>(id, min, found->max);
  }

  void host(Words& words) {
    Setup& setup = plan_.setup;
    words.expect("n" + std::to_string(++setup.hosts));
    if (setup.hosts > hosts_max) {
      words.fail("too many hosts");
    }
    constexpr std::int64_t far = 10'000'000'000;
    words.expect("clock");
    setup.clock_offset_s.push_back(words.number<std::int64_t>("the clock's offset", -far, far));
    words.expect("grain");
    setup.grain_ns.push_back(words.number<std::int64_t>("the grain", 1, 60 * second_ns));
    setup.exchange.push_back(words.takes("exchange"));
    if (!setup.exchange.back()) {
      words.expect("no-exchange");
    }
  }

  void move(Words& words) {
    Move move;
    move.at = words.time("the time");
    const std::string host = words.word("the host");
    Words number(host.starts_with('n') ? host.substr(1) : "");
    move.host = number.number<std::size_t>("the host", 1, hosts_max) - 1;
    if (!number.error().empty()) {
      words.fail("'" + host + "' is no host");
    }
    const std::string what = words.word("what happens");
    if (what != "user") {
      move.what = Move::What::strike;
      const auto found = fault_by_id(what);
      move.fault = found.value_or(Fault::crash);
      if (!found) {
        words.fail("there is no fault " + what);
      }
    }
    words.expect("seed");
    move.seed = words.number<std::uint64_t>("the seed", 0, ~std::uint64_t{0});
    if (words.takes("call")) {
      move.call = words.number<std::uint32_t>("the call", 1, 1'000'000);
    }
    if (can_strike(move) == (move.what == Move::What::strike)) {
      act(words, move);
    } else {
      words.fail(what + " does not strike there");
    }
    if (plan_.moves.size() >= moves_max) {
      words.fail("too many moves");
      return;
    }
    plan_.moves.push_back(std::move(move));
  }

  /// Some faults strike at calls only, some never at calls, some are no strikes but rates.
  static bool can_strike(const Move& move) {
    switch (move.fault) {
      case Fault::crash_in_call:
      case Fault::crash_in_recovery:
      case Fault::power_cut_in_call:
      case Fault::power_cut_in_recovery:
      case Fault::disk_error:
      case Fault::disk_sync_fails:
      case Fault::user_in_call: return move.call > 0;
      case Fault::user_holds_open: return true;
      case Fault::net_reset:
      case Fault::net_cut:
      case Fault::net_isolate:
      case Fault::net_halves:
      case Fault::net_one_way:
      case Fault::net_half_open:
      case Fault::net_stranger:
      case Fault::crash:
      case Fault::power_cut:
      case Fault::pause:
      case Fault::user_pauses:
      case Fault::clock_step:
      case Fault::index_lost:
      case Fault::index_old:
      case Fault::index_corrupt:
      case Fault::index_foreign:
      case Fault::machine_restored:
      case Fault::disk_full:
      case Fault::disk_read_only:
      case Fault::disk_denied:
      case Fault::disk_rot:
      case Fault::watch_overflow: return move.call == 0;
      default: return false;
    }
  }

  static void act(Words& words, Move& move) {
    const bool of_user = move.what == Move::What::user || move.fault == Fault::user_in_call;
    if (!words.more() || !of_user) {
      return;
    }
    const std::string name = words.word("the act");
    const auto* const found = std::ranges::find(act_names, name);
    if (found == act_names.end()) {
      words.fail("there is no act " + name);
      return;
    }
    Act& act = move.act.emplace();
    act.what = static_cast<Act::What>(found - act_names.begin());
    act.name = words.word("the name");
    if (act.what == Act::What::rename) {
      act.to = words.word("the new name");
    }
  }

  Plan plan_;
};

}  // namespace

std::string to_text(const Act& act) {
  std::string text(act_names.at(static_cast<std::size_t>(act.what)));
  text += " " + act.name;
  return act.to.empty() ? text : text + " " + act.to;
}

std::string to_text(const Move& move) {
  const std::string_view what = move.what == Move::What::user ? "user" : info(move.fault).id;
  std::string text =
      fmt::format("move {} n{} {} seed {}", to_text(move.at), move.host + 1, what, move.seed);
  if (move.call > 0) {
    text += fmt::format(" call {}", move.call);
  }
  return move.act ? text + " " + to_text(*move.act) : text;
}

std::string to_text(const Plan& plan) {
  const Setup& setup = plan.setup;
  std::string text = fmt::format(
      "{}\nseed {}\nmode {}\nindex {}\nsafety {}\nrescan {}\nfaults", first_line, plan.seed,
      setup.causal          ? "causal"
      : setup.anything_goes ? "anything-goes"
                            : "survivable",
      setup.sqlite ? "sqlite" : "model", to_text(setup.safety), to_text(setup.rescan));
  for (const FaultInfo& fault : fault_table()) {
    if (setup.faults.test(static_cast<std::size_t>(fault.fault))) {
      text += fmt::format(" {}", fault.id);
    }
  }
  text += '\n';
  if (setup.max_delete > 0) {
    text += fmt::format("max-delete {}\n", setup.max_delete);
  }
  if (setup.past > 0) {
    text += fmt::format("past {}\n", setup.past);
  }
  if (setup.canary != Canary::none) {
    text += fmt::format("canary {}\n", canary_names.at(static_cast<std::size_t>(setup.canary)));
  }
  for (const RateInfo& rate : rate_table()) {
    if (setup.*rate.value != 0) {
      text += fmt::format("rate {} {}\n", rate.id, setup.*rate.value);
    }
  }
  for (std::size_t i = 0; i < setup.hosts; ++i) {
    text += fmt::format("host n{} clock {} grain {} {}\n", i + 1, setup.clock_offset_s.at(i),
                        setup.grain_ns.at(i), setup.exchange.at(i) ? "exchange" : "no-exchange");
  }
  for (const Move& move : plan.moves) {
    text += to_text(move) + "\n";
  }
  return text;
}

Result<Plan> plan_from_text(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::size_t number = 1;
  const auto wrong = [&](const std::string& what) {
    return std::unexpected(Error{ErrorCode::invalid, what, "line " + std::to_string(number), 0});
  };
  if (!std::getline(lines, line) || line != first_line) {
    return wrong("the first line is not '" + std::string(first_line) + "'");
  }
  Reader reader;
  while (std::getline(lines, line)) {
    ++number;
    Words words(line);
    if (!words.more()) {
      continue;
    }
    reader.line(words);
    if (!words.error().empty()) {
      return wrong(words.error());
    }
  }
  if (const std::string missing = reader.finish(); !missing.empty()) {
    return wrong(missing);
  }
  return reader.take();
}

}  // namespace p2psync::sim
