#include "tests/sim/shrink.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using engine::Duration;

constexpr std::uint64_t usual_delay_us = 2000;
/// How many other run seeds a smaller plan is given, round by round.
constexpr std::array<std::uint64_t, 4> seeds_tried{0, 3, 12, 40};

std::size_t at(Fault fault) {
  return static_cast<std::size_t>(fault);
}

Plan without_fault(Plan plan, Fault fault) {
  Setup& setup = plan.setup;
  setup.faults.reset(at(fault));
  for (const RateInfo& rate : rate_table()) {
    if (rate.fault == fault) {
      setup.*rate.value = 0;
    }
  }
  if (fault == Fault::clock_skew || fault == Fault::clock_far) {
    std::ranges::fill(setup.clock_offset_s, 0);
  } else if (fault == Fault::disk_grain) {
    std::ranges::fill(setup.grain_ns, 1);
  } else if (fault == Fault::disk_no_exchange) {
    setup.exchange.assign(setup.hosts, true);
  }
  std::erase_if(plan.moves, [fault](const Move& move) {
    return move.what == Move::What::strike && move.fault == fault;
  });
  return plan;
}

Plan without_moves(Plan plan, std::size_t begin, std::size_t count) {
  const auto first = plan.moves.begin() + static_cast<std::ptrdiff_t>(begin);
  plan.moves.erase(first, first + static_cast<std::ptrdiff_t>(count));
  return plan;
}

Plan without_host(Plan plan, std::size_t host) {
  Setup& setup = plan.setup;
  const auto place = static_cast<std::ptrdiff_t>(host);
  --setup.hosts;
  setup.clock_offset_s.erase(setup.clock_offset_s.begin() + place);
  setup.grain_ns.erase(setup.grain_ns.begin() + place);
  setup.exchange.erase(setup.exchange.begin() + place);
  std::erase_if(plan.moves, [host](const Move& move) { return move.host == host; });
  for (Move& move : plan.moves) {
    move.host -= move.host > host ? 1 : 0;
  }
  return plan;
}

/// All that comes after a gap comes earlier by this much.
Plan sooner(Plan plan, std::size_t from, Duration by) {
  for (std::size_t i = from; i < plan.moves.size(); ++i) {
    plan.moves[i].at -= by;
  }
  plan.setup.safety -= by;
  return plan;
}

class Shrinker {
 public:
  Shrinker(const Plan& plan, const ShrinkOptions& options) : options_(options) {
    best_.plan = plan;
  }

  Shrunk run() {
    best_.trial = play(best_.plan, options_.events_max);
    if (best_.trial.violations.empty()) {
      return std::move(best_);
    }
    best_.invariant = best_.trial.violations.front().invariant;
    // A smaller plan that runs much longer is no better.
    trial_events_max_ = std::max<std::uint64_t>(100'000, 4 * best_.trial.events);
    attempt(best_.trial.fixed, 0);
    for (const std::uint64_t seeds : seeds_tried) {
      for (bool smaller = true; smaller && spent_ < options_.events_max;) {
        smaller = round(seeds);
      }
    }
    best_.events = spent_;
    return std::move(best_);
  }

 private:
  Trial play(const Plan& plan, std::uint64_t events_max) {
    Trial trial = try_plan(plan, events_max);
    ++best_.trials;
    spent_ += trial.events;
    return trial;
  }

  /// True, and it is the best, if it fails in the same way with its run seed or one of some others.
  bool attempt(Plan plan, std::uint64_t seeds) {
    const std::uint64_t own = plan.seed;
    for (std::uint64_t i = 0; i <= seeds && spent_ < options_.events_max; ++i) {
      plan.seed = i == 0 ? own : i;
      Trial trial = play(plan, trial_events_max_);
      if (trial.violates(best_.invariant)) {
        best_.plan = std::move(plan);
        best_.trial = std::move(trial);
        tell();
        return true;
      }
    }
    return false;
  }

  void tell() const {
    if (options_.progress) {
      std::fprintf(stderr, "\r%zu steps, %zu hosts after %llu runs  ", steps_of(best_.plan),
                   best_.plan.setup.hosts, static_cast<unsigned long long>(best_.trials));
    }
  }

  /// True if something went.
  bool round(std::uint64_t seeds) {
    bool smaller = false;
    if (best_.trial.fixed.moves.size() < best_.plan.moves.size()) {
      smaller |= attempt(best_.trial.fixed, seeds);
    }
    smaller |= drop_faults(seeds);
    smaller |= drop_moves(seeds);
    smaller |= drop_hosts(seeds);
    smaller |= drop_rates(seeds);
    smaller |= make_plain(seeds);
    smaller |= shorten(seeds);
    return smaller;
  }

  bool drop_faults(std::uint64_t seeds) {
    bool smaller = false;
    for (const FaultInfo& fault : fault_table()) {
      if (best_.plan.setup.faults.test(at(fault.fault))) {
        smaller |= attempt(without_fault(best_.plan, fault.fault), seeds);
      }
    }
    return smaller;
  }

  /// In halves, quarters and so on, the last first: what came late has often no part in it.
  bool drop_moves(std::uint64_t seeds) {
    bool smaller = false;
    for (std::size_t size = std::max<std::size_t>(1, best_.plan.moves.size() / 2);; size /= 2) {
      for (std::size_t end = best_.plan.moves.size(); end > 0;) {
        const std::size_t begin = end > size ? end - size : 0;
        smaller |= attempt(without_moves(best_.plan, begin, end - begin), seeds);
        end = std::min(begin, best_.plan.moves.size());
      }
      if (size <= 1) {
        return smaller;
      }
    }
  }

  bool drop_hosts(std::uint64_t seeds) {
    bool smaller = false;
    for (std::size_t host = best_.plan.setup.hosts; host-- > 0;) {
      if (best_.plan.setup.hosts > 2) {
        smaller |= attempt(without_host(best_.plan, host), seeds);
      }
    }
    return smaller;
  }

  bool drop_rates(std::uint64_t seeds) {
    bool smaller = false;
    for (const RateInfo& rate : rate_table()) {
      Plan plan = best_.plan;
      const std::uint64_t usual = rate.fault == Fault::count ? usual_delay_us : 0;
      if (plan.setup.*rate.value > usual) {
        plan.setup.*rate.value = usual;
        smaller |= attempt(std::move(plan), seeds);
      }
    }
    for (std::size_t host = 0; host < best_.plan.setup.hosts; ++host) {
      Plan plan = best_.plan;
      Setup& setup = plan.setup;
      const std::size_t before = steps_of(plan);
      setup.clock_offset_s.at(host) = 0;
      setup.grain_ns.at(host) = 1;
      setup.exchange.at(host) = true;
      if (steps_of(plan) < before) {
        smaller |= attempt(std::move(plan), seeds);
      }
    }
    return smaller;
  }

  /// The index modelled, no brake, a full scan rarely, users between calls at a plain time.
  bool make_plain(std::uint64_t seeds) {
    bool smaller = false;
    if (best_.plan.setup.sqlite) {
      Plan plan = best_.plan;
      plan.setup.sqlite = false;
      smaller |= attempt(std::move(plan), seeds);
    }
    if (best_.plan.setup.max_delete > 0) {
      Plan plan = best_.plan;
      plan.setup.max_delete = 0;
      smaller |= attempt(std::move(plan), seeds);
    }
    if (best_.plan.setup.rescan < 60s) {
      Plan plan = best_.plan;
      plan.setup.rescan = 60s;
      smaller |= attempt(std::move(plan), seeds);
    }
    for (std::size_t i = 0; i < best_.plan.moves.size(); ++i) {
      Plan plan = best_.plan;
      Move& move = plan.moves[i];
      if (move.fault == Fault::user_in_call && move.act) {
        move.what = Move::What::user;
        move.fault = Fault::count;
        move.call = 0;
        smaller |= attempt(std::move(plan), seeds);
      }
    }
    return smaller;
  }

  /// Waits between moves, and after the last, are halved as long as that goes.
  bool shorten(std::uint64_t seeds) {
    constexpr Duration worth = 500ms;
    bool smaller = false;
    const auto halve = [&](std::size_t from, const auto& gap) {
      while (gap() > worth && attempt(sooner(best_.plan, from, gap() / 2), seeds)) {
        smaller = true;
      }
    };
    halve(best_.plan.moves.size(), [&] {
      const Duration last = best_.plan.moves.empty() ? Duration{} : best_.plan.moves.back().at;
      return best_.plan.setup.safety - last;
    });
    for (std::size_t i = best_.plan.moves.size(); i-- > 0;) {
      halve(i, [&] {
        return best_.plan.moves[i].at - (i == 0 ? Duration{} : best_.plan.moves[i - 1].at);
      });
    }
    return smaller;
  }

  ShrinkOptions options_;
  Shrunk best_;
  std::uint64_t spent_ = 0;
  std::uint64_t trial_events_max_ = 0;
};

}  // namespace

std::size_t steps_of(const Plan& plan) {
  const Setup& setup = plan.setup;
  std::size_t steps = plan.moves.size();
  for (const RateInfo& rate : rate_table()) {
    steps += setup.*rate.value > (rate.fault == Fault::count ? usual_delay_us : 0) ? 1 : 0;
  }
  for (std::size_t host = 0; host < setup.hosts; ++host) {
    steps += setup.clock_offset_s.at(host) != 0 ? 1 : 0;
    steps += setup.grain_ns.at(host) != 1 ? 1 : 0;
    steps += setup.exchange.at(host) ? 0 : 1;
  }
  return steps;
}

Shrunk shrink(const Plan& plan, const ShrinkOptions& options) {
  return Shrinker(plan, options).run();
}

}  // namespace p2psync::sim
