#include "tests/sim/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/random.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using engine::Duration;
using engine::Random;

constexpr std::uint64_t in_play_percent = 35;
constexpr std::uint64_t brake_percent = 20;
constexpr std::uint64_t past_percent = 20;
/// Beyond what is told unasked, and what is spelt out (gossip.h).
constexpr std::uint64_t past_max = 80;

/// Draws what a seed has of each fault.
class Draft {
 public:
  Draft(std::uint64_t seed, const PlanOptions& options) : random_(seed * 2 + 1) {
    plan_.seed = seed;
    draw_setup(options);
    draw_rates();
    draw_machines();
    draw_users();
    draw_strikes();
    draw_brake();
    draw_past();
    sort_moves(plan_.moves);
  }
  Plan take() { return std::move(plan_); }

 private:
  [[nodiscard]] bool in_play(Fault fault) const {
    return plan_.setup.faults.test(static_cast<std::size_t>(fault));
  }
  std::uint64_t rate(Fault fault, std::uint64_t max) {
    const std::uint64_t value = 1 + random_.below(max);
    return in_play(fault) ? value : 0;
  }
  Duration some_time() {
    return Duration(random_.below(static_cast<std::uint64_t>(plan_.setup.safety.count())));
  }
  std::size_t some_host() { return random_.below(plan_.setup.hosts); }

  void draw_setup(const PlanOptions& options) {
    Setup& setup = plan_.setup;
    setup.hosts = random_.chance(10) ? 2 : 3 + random_.below(4);
    setup.anything_goes = plan_.seed % 8 == 7 && !options.survivable_only;
    setup.causal = plan_.seed % 16 == 3;
    setup.sqlite = random_.chance(15);
    static constexpr std::array<Duration, 4> lengths{20s, 40s, 120s, 300s};
    setup.safety = lengths.at(random_.below(lengths.size()));
    setup.rescan = random_.chance(50) ? Duration(10s) : Duration(60s);
    for (const FaultInfo& fault : fault_table()) {
      const bool drawn = random_.chance(in_play_percent);
      const auto at = static_cast<std::size_t>(fault.fault);
      const bool allowed = fault.survivable || setup.anything_goes;
      setup.faults.set(at, drawn && allowed && !options.without.test(at));
    }
  }

  void draw_rates() {
    Setup& setup = plan_.setup;
    setup.delay_us_max = random_.chance(60) ? 2000 : 1000 + random_.below(200'000);
    setup.loss = rate(Fault::net_loss, 10);
    setup.duplicate = rate(Fault::net_duplicate, 20);
    setup.tail_permille = rate(Fault::net_tail, 20);
    setup.slow_bytes_per_s = in_play(Fault::net_slow) ? 20'000 + random_.below(200'000) : 0;
    setup.late_content_s = rate(Fault::net_late_content, 10);
    setup.replay_permille = rate(Fault::net_replay, 30);
    setup.corrupt_permille = rate(Fault::net_corrupt_block, 100);
    setup.watch_lost = rate(Fault::watch_lost, 100);
    setup.watch_late = rate(Fault::watch_late, 100);
  }

  void draw_machines() {
    Setup& setup = plan_.setup;
    for (std::size_t i = 0; i < setup.hosts; ++i) {
      const auto skew = static_cast<std::int64_t>(random_.below(200'000)) - 100'000;
      const std::int64_t far = random_.chance(50) ? -1'700'000'000 : 2'590'000'000;
      const bool is_far = random_.chance(40);
      setup.clock_offset_s.push_back(in_play(Fault::clock_far) && is_far ? far
                                     : in_play(Fault::clock_skew)        ? skew
                                                                         : 0);
      static constexpr std::array<std::int64_t, 4> grains{1'000, 4'000'000, 1'000'000'000,
                                                          2'000'000'000};
      const std::int64_t grain = grains.at(random_.below(grains.size()));
      setup.grain_ns.push_back(in_play(Fault::disk_grain) ? grain : 1);
      setup.exchange.push_back(!(in_play(Fault::disk_no_exchange) && i == 0));
    }
  }

  void draw_users() {
    const std::uint64_t acts = 10 + random_.below(plan_.setup.causal ? 20 : 70);
    for (std::uint64_t i = 0; i < acts; ++i) {
      plan_.moves.push_back(
          {Move::What::user, Fault::count, some_time(), some_host(), 0, random_.next(), {}});
    }
  }

  void add(Fault fault, std::uint64_t count_max, std::uint32_t calls_max) {
    const std::uint64_t count = 1 + random_.below(count_max);
    for (std::uint64_t i = 0; i < count; ++i) {
      Move move{Move::What::strike, fault, some_time(), some_host(), 0, random_.next(), {}};
      move.call = calls_max == 0 ? 0 : 1 + static_cast<std::uint32_t>(random_.below(calls_max));
      if (in_play(fault)) {
        plan_.moves.push_back(move);
      }
    }
  }

  void draw_strikes() {
    for (const Fault fault : {Fault::net_reset, Fault::net_cut, Fault::net_isolate,
                              Fault::net_halves, Fault::net_one_way, Fault::net_half_open}) {
      add(fault, 4, 0);
    }
    add(Fault::net_stranger, 4, 0);
    add(Fault::crash, 3, 0);
    add(Fault::crash_in_call, 4, 60);
    add(Fault::crash_in_recovery, 2, 20);
    add(Fault::power_cut, 2, 0);
    add(Fault::power_cut_in_call, 3, 60);
    add(Fault::power_cut_in_recovery, 2, 20);
    add(Fault::pause, 2, 0);
    add(Fault::clock_step, 3, 0);
    for (const Fault fault : {Fault::index_lost, Fault::index_old, Fault::index_corrupt,
                              Fault::index_foreign, Fault::machine_restored, Fault::disk_rot}) {
      add(fault, 1, 0);
    }
    add(Fault::disk_error, 12, 60);
    add(Fault::disk_full, 2, 0);
    add(Fault::disk_read_only, 2, 0);
    add(Fault::disk_denied, 3, 0);
    add(Fault::disk_sync_fails, 4, 30);
    add(Fault::watch_overflow, 3, 0);
    // Each causes further calls: without a bound they would feed themselves.
    add(Fault::user_in_call, 30, 40);
    add(Fault::user_holds_open, 4, 30);
    add(Fault::user_pauses, 2, 0);
  }

  /// From a stream of its own: seeds without it are what they were.
  void draw_brake() {
    Random random(plan_.seed * 16 + 9);
    const auto percent = static_cast<unsigned>(5 + random.below(60));
    plan_.setup.max_delete = random.chance(brake_percent) ? percent : 0;
  }

  void draw_past() {
    Random random(plan_.seed * 16 + 12);
    const std::size_t past = 1 + random.below(past_max);
    plan_.setup.past = random.chance(past_percent) ? past : 0;
  }

  Random random_;
  Plan plan_;
};

}  // namespace

Plan draw_plan(std::uint64_t seed, const PlanOptions& options) {
  return Draft(seed, options).take();
}

void sort_moves(std::vector<Move>& moves) {
  std::ranges::sort(moves, {}, [](const Move& move) { return std::pair(move.at, move.seed); });
}

std::span<const RateInfo> rate_table() {
  static constexpr std::array<RateInfo, 10> table{{
      {"delay-us", Fault::count, &Setup::delay_us_max, 10'000'000},
      {"loss", Fault::net_loss, &Setup::loss, 100},
      {"duplicate", Fault::net_duplicate, &Setup::duplicate, 100},
      {"tail-permille", Fault::net_tail, &Setup::tail_permille, 1000},
      {"slow-bytes-per-s", Fault::net_slow, &Setup::slow_bytes_per_s, 1'000'000'000},
      {"late-content-s", Fault::net_late_content, &Setup::late_content_s, 3600},
      {"replay-permille", Fault::net_replay, &Setup::replay_permille, 1000},
      {"corrupt-permille", Fault::net_corrupt_block, &Setup::corrupt_permille, 1000},
      {"watch-lost", Fault::watch_lost, &Setup::watch_lost, 100},
      {"watch-late", Fault::watch_late, &Setup::watch_late, 100},
  }};
  return table;
}

std::string describe(const Setup& setup) {
  std::string text =
      fmt::format("{} hosts, {} s of safety phase, index {}{}{}", setup.hosts, setup.safety / 1s,
                  setup.sqlite ? "in SQLite" : "modelled", setup.causal ? ", causal" : "",
                  setup.anything_goes ? ", anything goes" : "");
  if (setup.max_delete > 0) {
    text += fmt::format(", brake at {} %", setup.max_delete);
  }
  if (setup.past > 0) {
    text += fmt::format(", up to {} starts before", setup.past);
  }
  for (const FaultInfo& fault : fault_table()) {
    if (setup.faults.test(static_cast<std::size_t>(fault.fault))) {
      text += fmt::format(" {}", fault.id);
    }
  }
  return text;
}

}  // namespace p2psync::sim
