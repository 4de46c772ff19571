// p2psync-sim: the production engine, storage and message codec on a simulated network, clock and
// disks.
//
//   p2psync-sim [--seeds N] [--start S] [--jobs J] [--json]
//   p2psync-sim --replay SEED [--trace [--path PATH]]
// Each seed is run twice and must give the same trace. The last line is `N passed, M failed`.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace {

using p2psync::sim::Report;
using p2psync::sim::run_seed;

/// Which faults are in play beyond those of every run.
bool index_losses = false;

struct Totals {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  std::uint64_t events = 0;
  std::map<std::string, std::uint64_t> counters;
};

void print_failure(const Report& report) {
  std::printf("seed %llu failed (%zu nodes, %llu events):\n",
              static_cast<unsigned long long>(report.seed), report.nodes,
              static_cast<unsigned long long>(report.events));
  for (const std::string& violation : report.violations) {
    std::printf("  %s\n", violation.c_str());
  }
  std::printf("  replay: p2psync-sim --replay %llu --trace%s\n",
              static_cast<unsigned long long>(report.seed), index_losses ? " --lose-indexes" : "");
  std::fflush(stdout);
}

/// One worker: every jobs-th seed. Failures go to stdout, the sums to the pipe.
Totals run(std::uint64_t start, std::uint64_t seeds, std::uint64_t job, std::uint64_t jobs,
           bool progress) {
  Totals totals;
  for (std::uint64_t i = job; i < seeds; i += jobs) {
    const Report report = run_seed(start + i, index_losses, false);
    totals.events += report.events;
    for (const auto& [name, count] : report.counters) {
      totals.counters[name] += count;
    }
    if (report.violations.empty()) {
      ++totals.passed;
    } else {
      ++totals.failed;
      print_failure(report);
    }
    if (progress && (totals.passed + totals.failed) % 50 == 0) {
      std::fprintf(stderr, "\r%llu of %llu seeds",
                   static_cast<unsigned long long>((i + jobs) < seeds ? i + jobs : seeds),
                   static_cast<unsigned long long>(seeds));
    }
  }
  return totals;
}

void write_totals(int fd, const Totals& totals) {
  std::string text = "passed " + std::to_string(totals.passed) + "\nfailed " +
                     std::to_string(totals.failed) + "\nevents " + std::to_string(totals.events) +
                     "\n";
  for (const auto& [name, count] : totals.counters) {
    text += "counter " + std::to_string(count) + " " + name + "\n";
  }
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n <= 0) {
      return;
    }
    done += static_cast<std::size_t>(n);
  }
}

void add_totals(const std::string& text, Totals& totals) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t blank = line.find(' ');
    const std::string key = line.substr(0, blank);
    char* rest = nullptr;
    const std::uint64_t value = std::strtoull(line.c_str() + blank + 1, &rest, 10);
    if (key == "passed") {
      totals.passed += value;
    } else if (key == "failed") {
      totals.failed += value;
    } else if (key == "events") {
      totals.events += value;
    } else if (key == "counter") {
      totals.counters[rest + 1] += value;
    }
  }
}

Totals run_all(std::uint64_t start, std::uint64_t seeds, std::uint64_t jobs, bool progress) {
  std::vector<std::pair<pid_t, int>> workers;
  for (std::uint64_t job = 0; job < jobs; ++job) {
    int ends[2];
    if (::pipe(ends) != 0) {
      std::perror("pipe");
      std::exit(1);
    }
    std::fflush(stdout);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(ends[0]);
      write_totals(ends[1], run(start, seeds, job, jobs, progress && job == 0));
      std::fflush(stdout);
      ::_exit(0);
    }
    ::close(ends[1]);
    workers.emplace_back(pid, ends[0]);
  }
  Totals totals;
  for (const auto& [pid, fd] : workers) {
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(n));
    }
    ::close(fd);
    int status = 0;
    ::waitpid(pid, &status, 0);
    add_totals(text, totals);
    if (status != 0 || text.empty()) {
      std::printf("a worker died: run with --jobs 1 to see where\n");
      ++totals.failed;
    }
  }
  return totals;
}

int replay(std::uint64_t seed, bool trace, const std::string& watched) {
  const Report report = run_seed(seed, index_losses, trace, watched);
  if (!report.violations.empty()) {
    print_failure(report);
  }
  std::printf("%d passed, %d failed\n", report.violations.empty() ? 1 : 0,
              report.violations.empty() ? 0 : 1);
  return report.violations.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Runs p2psync's engine and storage on a simulated network, clock and disks, one seed after "
      "the other.");
  std::uint64_t seeds = 100;
  std::uint64_t start = 1;
  std::uint64_t jobs = 2;
  std::uint64_t seed = 0;
  bool json = false;
  bool trace = false;
  std::string watched;
  app.add_option("--seeds", seeds, "how many seeds")->capture_default_str();
  app.add_option("--start", start, "the first one")->capture_default_str();
  app.add_option("--jobs", jobs, "processes")->capture_default_str()->check(CLI::Range(1, 256));
  app.add_flag("--json", json, "print the result as one JSON document");
  auto* replay_option = app.add_option("--replay", seed, "run this one seed");
  app.add_flag("--trace", trace, "with --replay: print every step")->needs(replay_option);
  app.add_option("--path", watched, "with --trace: show this path's record wherever it changes");
  app.add_flag(
      "--lose-indexes", index_losses,
      "nodes also lose their index; a version whose only bytes the user had overwritten by then "
      "stays announced for ever, so some seeds do not come to rest");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (replay_option->count() > 0) {
    return replay(seed, trace, watched);
  }
  const auto begin = std::chrono::steady_clock::now();
  const Totals totals = run_all(start, seeds, jobs, !json && ::isatty(2) == 1);
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (json) {
    std::string counters;
    for (const auto& [name, count] : totals.counters) {
      counters += (counters.empty() ? "" : ", ") + ("\"" + name + "\": ") + std::to_string(count);
    }
    std::printf(
        "{\"passed\": %llu, \"failed\": %llu, \"events\": %llu, \"seconds\": %.3f, \"counters\": "
        "{%s}}\n",
        static_cast<unsigned long long>(totals.passed),
        static_cast<unsigned long long>(totals.failed),
        static_cast<unsigned long long>(totals.events), took, counters.c_str());
  } else {
    for (const auto& [name, count] : totals.counters) {
      std::printf("%12llu  %s\n", static_cast<unsigned long long>(count), name.c_str());
    }
    std::printf("%llu events, %.1f seeds a second (each run twice)\n",
                static_cast<unsigned long long>(totals.events),
                static_cast<double>(totals.passed + totals.failed) / took);
    std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(totals.passed),
                static_cast<unsigned long long>(totals.failed));
  }
  return totals.failed == 0 ? 0 : 1;
}
