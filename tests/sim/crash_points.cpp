#include "tests/sim/crash_points.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>
#include <vector>

#include "tests/sim/crash_points_search.h"
#include "tests/sim/workers.h"

namespace p2psync::sim {
namespace {

/// What storage::Fs and storage::File can be asked for, in the names of SimFs.
constexpr std::array operations{"stat",
                                "list",
                                "open_read",
                                "open_write",
                                "create",
                                "read_link",
                                "make_directory",
                                "make_symlink",
                                "link",
                                "rename",
                                "unlink",
                                "remove_directory",
                                "sync_directory",
                                "sync_all",
                                "set_directory_mode",
                                "set_mtime",
                                "set_link_owner",
                                "File::stat",
                                "File::read",
                                "File::write",
                                "File::resize",
                                "File::sync",
                                "File::set_mode",
                                "File::set_mtime",
                                "File::set_owner",
                                "File::copy_from",
                                "File::try_lease",
                                "File::data_extents"};

/// The sums of a worker as a line, for its pipe.
std::string to_text(const CrashCounts& counts) {
  std::string text = fmt::format("{} {} {} {} {} {} {} {}", counts.calls, counts.calls_crashed,
                                 counts.calls_failed, counts.failing_runs, counts.runs,
                                 counts.failures, counts.rest_ms_max, counts.recovery_calls_max);
  for (const CrashCounts::Level& level : counts.levels) {
    text += fmt::format(" {} {} {} {} {} {}", level.points, level.images, level.legal,
                        level.incomplete, level.uncounted, level.played);
  }
  for (const std::string& operation : counts.operations) {
    text += " " + operation;
  }
  return text;
}

CrashCounts from_text(const std::string& text) {
  std::istringstream words(text);
  CrashCounts counts;
  words >> counts.calls >> counts.calls_crashed >> counts.calls_failed >> counts.failing_runs >>
      counts.runs >> counts.failures >> counts.rest_ms_max >> counts.recovery_calls_max;
  for (CrashCounts::Level& level : counts.levels) {
    words >> level.points >> level.images >> level.legal >> level.incomplete >> level.uncounted >>
        level.played;
  }
  for (std::string operation; words >> operation;) {
    counts.operations.insert(operation);
  }
  return counts;
}

void print_scene(const CrashScene& scene, const CrashCounts& counts) {
  const auto& first = counts.levels.at(0);
  fmt::print(
      "{:36} {:4} calls, {:4} instants, {:5} of {}{} images, {:4} states; {:5} runs, {} failed\n",
      scene.name, counts.calls, first.points, first.images, first.uncounted > 0 ? ">" : "",
      first.legal, first.played, counts.runs, counts.failures);
  std::fflush(stdout);
}

CrashCounts play(const CrashScene& scene, const CrashPointOptions& options) {
  CrashCounts counts = CrashSearch(scene, options).run();
  print_scene(scene, counts);
  return counts;
}

/// One worker: takes the next scene's number out of the queue, as long as there is one.
CrashCounts play_from(int queue, const std::vector<const CrashScene*>& scenes,
                      const CrashPointOptions& options) {
  CrashCounts all;
  for (unsigned char next = 0; ::read(queue, &next, 1) == 1;) {
    all += play(*scenes.at(next), options);
  }
  return all;
}

CrashCounts play_in_processes(const std::vector<const CrashScene*>& scenes,
                              const CrashPointOptions& options) {
  invariant(scenes.size() < 256, "a byte names a scene");
  const auto queue = open_pipe();
  std::string numbers;
  for (std::size_t i = 0; i < scenes.size(); ++i) {
    numbers.push_back(static_cast<char>(i));
  }
  invariant(write_all(queue[1], numbers), "a pipe holds some bytes");
  ::close(queue[1]);
  CrashCounts all;
  for (const auto& text : in_processes(options.jobs, [&](std::uint64_t) {
         return to_text(play_from(queue[0], scenes, options));
       })) {
    if (text) {
      all += from_text(*text);
    } else {
      ++all.failures;
    }
  }
  ::close(queue[0]);
  return all;
}

void print_totals(const CrashCounts& all, const CrashPointOptions& options, std::size_t scenes) {
  const auto percent = [](std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 100.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  };
  fmt::print(
      "{} scenes of {} system calls: {:.1f} % of the calls crashed before and after, "
      "{:.1f} % failing once and for good with {} errnos ({} runs)\n",
      scenes, all.calls, percent(all.calls_crashed, all.calls),
      percent(all.calls_failed, all.calls), crash_errnos, all.failing_runs);
  for (std::size_t depth = 0; depth < std::min(options.depth, crash_depth_max); ++depth) {
    const auto& level = all.levels.at(depth);
    fmt::print(
        "{}: {} instants, each killed and with {} of {}{} power cuts (all there are at {} "
        "instants, cap {}); {} different states\n",
        depth == 0 ? "crashes" : "crashes in the recovery", level.points, level.images,
        level.uncounted > 0 ? "more than " : "", level.legal, level.points - level.incomplete,
        depth == 0 ? options.cap : options.cap_deeper, level.played);
  }
  std::string never;
  for (const char* operation : operations) {
    if (!all.operations.contains(operation)) {
      never += std::string(never.empty() ? "" : ", ") + operation;
    }
  }
  fmt::print(
      "{} of {} kinds of system call{}; at most {:.1f} s to rest and {} calls of a "
      "recovery\n",
      all.operations.size(), operations.size(), never.empty() ? "" : " (not " + never + ")",
      static_cast<double>(all.rest_ms_max) / 1000, all.recovery_calls_max);
}

}  // namespace

void add_crash_point_options(CLI::App& app, CrashPointOptions& options) {
  CLI::Option* wanted = app.add_flag(
      "--crash-points", options.wanted,
      "instead of seeds, end a node at every instant of some scenes, and fail each system call "
      "(tests/sim/crash_points.h)");
  app.add_option("--scenario", options.scene, "with --crash-points: only this one")->needs(wanted);
  app.add_option("--call", options.call,
                 "with --scenario: only this run, as a failure names it; prints every step")
      ->needs(wanted);
  app.add_option("--cap", options.cap, "with --crash-points: power cuts played at one instant")
      ->capture_default_str()
      ->check(CLI::Range(2, 65536))
      ->needs(wanted);
  app.add_option("--cap-deeper", options.cap_deeper, "the same in a recovery")
      ->capture_default_str()
      ->check(CLI::Range(2, 65536))
      ->needs(wanted);
  app.add_option("--depth", options.depth, "with --crash-points: crashes in a row")
      ->capture_default_str()
      ->check(CLI::Range(1, static_cast<int>(crash_depth_max)))
      ->needs(wanted);
}

int run_crash_points(const CrashPointOptions& options) {
  std::vector<const CrashScene*> scenes;
  for (const CrashScene& scene : crash_scenes()) {
    if (options.scene.empty() || options.scene == scene.name) {
      scenes.push_back(&scene);
    }
  }
  if (scenes.empty() || (options.scene.empty() && !options.call.empty())) {
    fmt::print(stderr, "p2psync-sim: --scenario takes one of\n");
    for (const CrashScene& scene : crash_scenes()) {
      fmt::print(stderr, "  {}\n", scene.name);
    }
    return 2;
  }
  CrashCounts all;
  if (options.jobs > 1) {
    all = play_in_processes(scenes, options);
  } else {
    for (const CrashScene* scene : scenes) {
      all += play(*scene, options);
    }
  }
  if (options.call.empty()) {
    print_totals(all, options, scenes.size());
  }
  fmt::print("{} passed, {} failed\n", all.runs - std::min(all.runs, all.failures), all.failures);
  return all.failures == 0 ? 0 : 1;
}

}  // namespace p2psync::sim
