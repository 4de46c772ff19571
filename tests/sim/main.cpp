// p2psync-sim: runs seeds of the simulation.
//
//   p2psync-sim [--seeds N] [--start S] [--jobs J] [--json] [--coverage] [--without FAULT]...
//   p2psync-sim --replay SEED | --plan FILE [--draw] [--trace [--path PATH]]
//   p2psync-sim --shrink SEED | --shrink-plan FILE [--out FILE]
//   p2psync-sim --plans DIR | --canary
//   p2psync-sim --faults
//   p2psync-sim --interleavings [--operations N]
//   p2psync-sim --crash-points [--jobs J] [--scenario NAME [--call RUN]]
//   p2psync-sim --bench [--seeds N] [--start S]
//   p2psync-sim --scale [--nodes-max N] [--out FILE.svg]
// The last line of a run is `N passed, M failed`.
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "tests/sim/bench.h"
#include "tests/sim/crash_points.h"
#include "tests/sim/interleave.h"
#include "tests/sim/plan_text.h"
#include "tests/sim/runner.h"
#include "tests/sim/scale.h"
#include "tests/sim/tools.h"

namespace {

using namespace p2psync::sim;

int list_faults() {
  for (const FaultInfo& fault : fault_table()) {
    fmt::print("{:24} {}{}\n", fault.id, fault.what,
               fault.survivable ? "" : " (seeds where anything goes)");
  }
  return 0;
}

/// Cells of fault x phase that can be hit; `.` for those that cannot. Returns how many are empty.
int print_coverage(const Totals& totals) {
  int empty = 0;
  int reachable = 0;
  fmt::print("{:24}", "fault x phase");
  for (std::size_t phase = 0; phase < phase_count; ++phase) {
    fmt::print(" {:>9}", name_of(static_cast<Phase>(phase)));
  }
  fmt::print("\n");
  for (const FaultInfo& fault : fault_table()) {
    fmt::print("{:24}", fault.id);
    for (std::size_t phase = 0; phase < phase_count; ++phase) {
      const std::uint64_t count = totals.faults.at(fault.fault, static_cast<Phase>(phase));
      const bool can = ((fault.reachable >> phase) & 1U) != 0;
      reachable += can ? 1 : 0;
      empty += can && count == 0 ? 1 : 0;
      fmt::print(" {:>9}", count > 0 ? fmt::format("{}", count) : can ? "NONE" : ".");
    }
    fmt::print("\n");
  }
  int silent = 0;
  for (std::size_t point = 0; point < point_count; ++point) {
    const std::uint64_t count = totals.sometimes.of(static_cast<Point>(point));
    silent += count == 0 ? 1 : 0;
    fmt::print("{:>12}  {}\n", count, name_of(static_cast<Point>(point)));
  }
  for (const auto& [act, count] : totals.user_acts) {
    fmt::print("{:>12}  a user {}\n", count, act);
  }
  fmt::print("{} of {} cells of fault x phase hit, {} of {} sometimes points\n", reachable - empty,
             reachable, point_count - static_cast<std::size_t>(silent), point_count);
  return empty + silent;
}

void print_json(const Totals& totals, double took) {
  std::string faults;
  for (const FaultInfo& fault : fault_table()) {
    faults += fmt::format("{}\"{}\": {}", faults.empty() ? "" : ", ", fault.id,
                          totals.faults.of(fault.fault));
  }
  fmt::print(
      "{{\"passed\": {}, \"failed\": {}, \"events\": {}, \"seconds\": {:.3f}, "
      "\"simulated_seconds\": {:.3f}, \"trace_hash\": \"{:016x}\", \"faults\": {{{}}}}}\n",
      totals.passed, totals.failed, totals.events, took,
      static_cast<double>(totals.simulated_ms) / 1000, totals.trace_hash, faults);
}

int run(const RunOptions& options, bool json, bool coverage) {
  const auto begin = std::chrono::steady_clock::now();
  const Totals totals = run_seeds(options);
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (json) {
    print_json(totals, took);
    return totals.failed == 0 ? 0 : 1;
  }
  int missing = 0;
  if (coverage) {
    missing = print_coverage(totals);
  }
  const auto seeds = static_cast<double>(totals.passed + totals.failed);
  const double core_s = took * static_cast<double>(options.jobs);
  fmt::print("{} events, {:.0f} simulated hours, at most {:.1f} s to rest; trace {:016x}\n",
             totals.events, static_cast<double>(totals.simulated_ms) / 3.6e6,
             static_cast<double>(totals.to_rest_ms_max) / 1000, totals.trace_hash);
  fmt::print(
      "a core: {:.1f} seeds and {:.0f} events a second, simulated to real time {:.0f} to 1\n",
      seeds / core_s, static_cast<double>(totals.events) / core_s,
      static_cast<double>(totals.simulated_ms) / 1000 / core_s);
  fmt::print("{} passed, {} failed\n", totals.passed,
             totals.failed + static_cast<std::uint64_t>(missing));
  return totals.failed == 0 && missing == 0 ? 0 : 1;
}

/// False, and said on stderr, if there is no such fault.
bool switch_off(const std::vector<std::string>& ids, PlanOptions& plan) {
  for (const std::string& id : ids) {
    const auto fault = fault_by_id(id);
    if (!fault) {
      fmt::print(stderr, "p2psync-sim: there is no fault {} (--faults lists them)\n", id);
      return false;
    }
    plan.without.set(static_cast<std::size_t>(*fault));
  }
  return true;
}

/// Some contents have half a MiB and are copied often: each would be a mapping of its own, which
/// the kernel fills with zeros first.
void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  CLI::App app(
      "Runs p2psync's engine and storage on a simulated network, clock and disks, one seed after "
      "the other.");
  RunOptions options;
  Telling telling;
  std::uint64_t seed = 0;
  bool json = false;
  bool coverage = false;
  bool faults = false;
  bool bench = false;
  std::vector<std::string> without;
  app.add_option("--seeds", options.seeds, "how many seeds")->capture_default_str();
  app.add_option("--start", options.start, "the first one")->capture_default_str();
  app.add_option("--jobs", options.jobs, "processes")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  app.add_flag("--json", json, "print the result as one JSON document");
  app.add_flag("--coverage", coverage,
               "print which fault struck in which phase and which rare moments came; a cell or a "
               "moment that never came is a failure");
  app.add_flag("--twice", options.twice, "run each seed twice and compare the traces");
  app.add_flag("--fail-fast", options.fail_fast, "stop at the first seed that fails");
  app.add_option("--without", without, "switch a fault off (see --faults)");
  app.add_option("--except", options.except, "leave these seeds out");
  auto* replay_option = app.add_option("--replay", seed, "run this one seed");
  ToolOptions tools;
  add_tool_options(app, tools);
  app.add_flag("--trace", telling.trace, "with --replay or --plan: print every step");
  app.add_option("--path", telling.path,
                 "with --trace: show this path's record wherever it changes");
  app.add_flag("--faults", faults, "list the faults and end");
  app.add_flag("--bench", bench, "run the seeds several times, on one core, and print the speed");
  bool scale = false;
  std::size_t nodes_max = 1000;
  app.add_flag(
      "--scale", scale,
      "how many rounds until a change is on 2 to 1,000 nodes, as a table and (--out) a plot");
  app.add_option("--nodes-max", nodes_max, "with --scale: the most")->capture_default_str();
  InterleaveOptions interleave;
  add_interleave_options(app, interleave);
  CrashPointOptions crash_points;
  add_crash_point_options(app, crash_points);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!switch_off(without, options.plan)) {
    return 2;
  }
  if (interleave.wanted) {
    return run_interleavings(interleave);
  }
  if (crash_points.wanted) {
    crash_points.jobs = options.jobs;
    return run_crash_points(crash_points);
  }
  if (faults) {
    return list_faults();
  }
  if (replay_option->count() > 0) {
    const std::string how = fmt::format("p2psync-sim --replay {} --trace", seed);
    return replay(draw_plan(seed, options.plan), how, telling, tools.draw);
  }
  if (scale) {
    return run_scale(tools.out, nodes_max);
  }
  if (tools.wanted()) {
    return run_tool(tools, options.plan, telling);
  }
  if (bench) {
    return run_bench(options);
  }
  options.progress = !json && ::isatty(2) == 1;
  return run(options, json, coverage);
}
