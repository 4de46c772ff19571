#include "tests/sim/tools.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/sim/canary.h"
#include "tests/sim/draw.h"
#include "tests/sim/plan_text.h"
#include "tests/sim/runner.h"
#include "tests/sim/shrink.h"

namespace p2psync::sim {
namespace {

std::optional<Plan> read_plan(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in) {
    fmt::print(stderr, "p2psync-sim: {} cannot be read\n", file);
    return std::nullopt;
  }
  auto plan = plan_from_text(text);
  if (!plan) {
    fmt::print(stderr, "p2psync-sim: {}, {}: {}\n", file, plan.error().object,
               plan.error().operation);
    return std::nullopt;
  }
  return std::move(*plan);
}

/// For people who open the file.
std::string with_heading(const Shrunk& shrunk, const std::string& from) {
  const auto first =
      std::ranges::find(shrunk.trial.violations, shrunk.invariant, &Violation::invariant);
  std::string text = to_text(shrunk.plan);
  text.insert(text.find('\n') + 1,
              fmt::format("# {}: {}\n#   {}\n", from, shrunk.invariant, first->text));
  return text;
}

int shrink_and_tell(const Plan& plan, const std::string& from, const ToolOptions& tools) {
  ShrinkOptions options;
  options.events_max = tools.events_millions * 1'000'000;
  options.progress = ::isatty(2) == 1;
  const Shrunk shrunk = shrink(plan, options);
  if (options.progress) {
    fmt::print(stderr, "\n");
  }
  if (shrunk.invariant.empty()) {
    fmt::print("{} does not fail\n", from);
    return 1;
  }
  const std::string text = with_heading(shrunk, from);
  fmt::print("{}", text);
  fmt::print("{} steps on {} hosts instead of {} on {}, after {} runs of {} events\n",
             steps_of(shrunk.plan), shrunk.plan.setup.hosts, steps_of(plan), plan.setup.hosts,
             shrunk.trials, shrunk.events);
  for (const Violation& violation : shrunk.trial.violations) {
    fmt::print("  {}: {}\n", violation.invariant, violation.text);
  }
  if (tools.out.empty()) {
    fmt::print("  replay: put the plan into a file (--out FILE); p2psync-sim --plan FILE\n");
    return 0;
  }
  std::ofstream out(tools.out, std::ios::binary);
  out << text;
  out.close();
  if (!out) {
    fmt::print(stderr, "p2psync-sim: {} cannot be written\n", tools.out);
    return 1;
  }
  fmt::print("  replay: p2psync-sim --plan {} --trace\n", tools.out);
  return 0;
}

/// Each in a process of its own: one that aborts is one that fails.
int replay_all(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; entry != end && !error;
       entry.increment(error)) {
    if (entry->path().extension() == ".plan") {
      files.push_back(entry->path().string());
    }
  }
  if (error) {
    fmt::print(stderr, "p2psync-sim: {}: {}\n", directory, error.message());
    return 2;
  }
  if (files.empty()) {
    fmt::print(stderr, "p2psync-sim: there is no plan in {}\n", directory);
    return 2;
  }
  std::ranges::sort(files);
  std::size_t failed = 0;
  for (const std::string& file : files) {
    const std::optional<Plan> plan = read_plan(file);
    if (!plan) {
      ++failed;
      continue;
    }
    Report report;
    report.seed = plan->seed;
    const Trial trial = try_plan(*plan, Telling{}.events_max);
    report.events = trial.events;
    report.violations = trial.violations;
    if (!report.violations.empty()) {
      ++failed;
      print_failure(report, fmt::format("p2psync-sim --plan {} --trace", file));
    }
  }
  fmt::print("{} passed, {} failed\n", files.size() - failed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace

void add_tool_options(CLI::App& app, ToolOptions& options) {
  app.add_option("--plan", options.plan, "replay the plan in this file");
  app.add_option("--plans", options.plans, "replay all plans (*.plan) in this directory");
  app.add_flag("--canary", options.canary,
               "plant bugs in the simulator itself; succeeds only if each is reported, and the "
               "plan that shows it is brought to at most 20 steps");
  app.add_flag("--draw", options.draw,
               "with --replay or --plan: draw what happened, a column a host, time going down; "
               "w3 is what the third write wrote");
  app.add_option("--shrink", options.seed,
                 "bring a seed that fails to a small plan that violates the same invariant");
  app.add_option("--shrink-plan", options.shrink_plan, "the same with a plan in a file");
  app.add_option("--out", options.out, "with --shrink: write the plan to this file");
  app.add_option("--shrink-events", options.events_millions,
                 "with --shrink: stop after so many million events of all runs together")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
}

int replay(const Plan& plan, const std::string& how, Telling telling, bool draw) {
  Drawing drawing(plan);
  telling.listener = draw ? &drawing : nullptr;
  if (telling.trace) {
    fmt::print("{}\n", describe(plan.setup));
  }
  const Report report = run_plan(plan, telling);
  if (!report.violations.empty()) {
    print_failure(report, how);
  }
  fmt::print("{} events, {} s simulated, trace {:016x}\n", report.events,
             report.simulated / std::chrono::seconds(1), report.trace_hash);
  fmt::print("{} passed, {} failed\n", report.violations.empty() ? 1 : 0,
             report.violations.empty() ? 0 : 1);
  return report.violations.empty() ? 0 : 1;
}

int run_tool(const ToolOptions& tools, const PlanOptions& options, const Telling& telling) {
  if (tools.canary) {
    return run_canaries();
  }
  if (!tools.plans.empty()) {
    return replay_all(tools.plans);
  }
  if (tools.seed) {
    const std::string from = fmt::format("seed {}", *tools.seed);
    return shrink_and_tell(draw_plan(*tools.seed, options), from, tools);
  }
  const std::string& file = tools.plan.empty() ? tools.shrink_plan : tools.plan;
  const std::optional<Plan> plan = read_plan(file);
  if (!plan) {
    return 2;
  }
  if (tools.plan.empty()) {
    return shrink_and_tell(*plan, file, tools);
  }
  return replay(*plan, fmt::format("p2psync-sim --plan {} --trace", file), telling, tools.draw);
}

}  // namespace p2psync::sim
