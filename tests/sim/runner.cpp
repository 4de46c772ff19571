#include "tests/sim/runner.h"

#include <fmt/format.h>

#include <cstdio>
#include <sstream>

#include "tests/sim/workers.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t progress_every = 50;

/// The sums of a worker as lines, for its pipe.
std::string to_text(const Totals& totals) {
  std::string text = fmt::format("{} {} {} {} {} {}\n", totals.passed, totals.failed, totals.events,
                                 totals.simulated_ms, totals.to_rest_ms_max, totals.trace_hash);
  for (std::size_t fault = 0; fault < fault_count; ++fault) {
    for (std::size_t phase = 0; phase < phase_count; ++phase) {
      text += fmt::format("{} ",
                          totals.faults.at(static_cast<Fault>(fault), static_cast<Phase>(phase)));
    }
  }
  text += '\n';
  for (std::size_t point = 0; point < point_count; ++point) {
    text += fmt::format("{} ", totals.sometimes.of(static_cast<Point>(point)));
  }
  text += '\n';
  for (const auto& [act, count] : totals.user_acts) {
    text += fmt::format("{} {}\n", count, act);
  }
  return text;
}

Totals from_text(const std::string& text) {
  std::istringstream lines(text);
  Totals totals;
  lines >> totals.passed >> totals.failed >> totals.events >> totals.simulated_ms >>
      totals.to_rest_ms_max >> totals.trace_hash;
  std::uint64_t value = 0;
  for (std::size_t fault = 0; fault < fault_count; ++fault) {
    for (std::size_t phase = 0; phase < phase_count && lines >> value; ++phase) {
      totals.faults.add(static_cast<Fault>(fault), static_cast<Phase>(phase), value);
    }
  }
  for (std::size_t point = 0; point < point_count && lines >> value; ++point) {
    totals.sometimes.hit(static_cast<Point>(point), value);
  }
  std::string act;
  while (lines >> value && std::getline(lines >> std::ws, act)) {
    totals.user_acts[act] += value;
  }
  return totals;
}

Report run_one(std::uint64_t seed, const RunOptions& options) {
  Report report = run_seed(seed, options.plan);
  if (options.twice && run_seed(seed, options.plan).trace_hash != report.trace_hash) {
    report.violations.push_back({"#28 determinism", "two runs of the seed differ"});
  }
  return report;
}

/// One worker: every jobs-th seed. Failures go to stdout, the sums to the pipe.
Totals work(const RunOptions& options, std::uint64_t job) {
  Totals totals;
  for (std::uint64_t i = job; i < options.seeds; i += options.jobs) {
    if (options.except.contains(options.start + i)) {
      continue;
    }
    const Report report = run_one(options.start + i, options);
    totals.add(report);
    if (!report.violations.empty()) {
      print_failure(report);
      if (options.fail_fast) {
        break;
      }
    }
    if (options.progress && job == 0 && (totals.passed + totals.failed) % progress_every == 0) {
      fmt::print(stderr, "\r{} of {} seeds", i + 1, options.seeds);
    }
  }
  return totals;
}

}  // namespace

void Totals::add(const Report& report) {
  Totals one;
  one.passed = report.violations.empty() ? 1 : 0;
  one.failed = 1 - one.passed;
  one.events = report.events;
  one.simulated_ms = static_cast<std::uint64_t>(report.simulated / 1ms);
  one.to_rest_ms_max = static_cast<std::uint64_t>(report.to_rest / 1ms);
  one.trace_hash = report.trace_hash ^ (report.seed * 0x9e3779b97f4a7c15ULL);
  one.faults = report.faults;
  one.sometimes = report.sometimes;
  one.user_acts = report.user_acts;
  *this += one;
}

Totals& Totals::operator+=(const Totals& other) {
  passed += other.passed;
  failed += other.failed;
  events += other.events;
  simulated_ms += other.simulated_ms;
  to_rest_ms_max = std::max(to_rest_ms_max, other.to_rest_ms_max);
  trace_hash += other.trace_hash;
  faults += other.faults;
  sometimes += other.sometimes;
  for (const auto& [act, count] : other.user_acts) {
    user_acts[act] += count;
  }
  return *this;
}

void print_failure(const Report& report, const std::string& how) {
  fmt::print("seed {} failed ({} events):\n", report.seed, report.events);
  for (const Violation& violation : report.violations) {
    fmt::print("  {}: {}\n", violation.invariant, violation.text);
  }
  if (how.empty()) {
    fmt::print("  replay: p2psync-sim --replay {} --trace\n", report.seed);
    fmt::print("  make it small: p2psync-sim --shrink {} --out FILE\n", report.seed);
  } else {
    fmt::print("  replay: {}\n", how);
  }
  std::fflush(stdout);
}

Totals run_seeds(const RunOptions& options) {
  if (options.jobs == 1) {
    return work(options, 0);
  }
  Totals totals;
  for (const auto& text :
       in_processes(options.jobs, [&](std::uint64_t job) { return to_text(work(options, job)); })) {
    if (text) {
      totals += from_text(*text);
    } else {
      ++totals.failed;
    }
  }
  return totals;
}

}  // namespace p2psync::sim
