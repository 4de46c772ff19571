#include "tests/sim/interleave.h"

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <vector>

#include "tests/sim/interleave_search.h"

namespace p2psync::sim {
namespace {

constexpr std::size_t planted_operations = 3;  ///< enough for each of them to show

std::vector<Scene> scenes_of(const InterleaveOptions& options) {
  Scene files;
  files.name = "files";
  files.operations = options.operations;
  files.nodes = options.nodes;
  files.paths = {"a", "b"};
  files.paths.resize(options.paths);
  std::vector<Scene> scenes(7, files);
  scenes[1].name = "modes";
  scenes[1].modes = true;
  scenes[1].old_times = false;
  scenes[2].name = "kinds";
  scenes[2].kinds = true;
  scenes[2].old_times = scenes[2].renames = false;
  if (options.paths > 1) {
    scenes[2].paths = {"a", "a/b"};
  }
  scenes[3].name = "late";
  scenes[3].late = true;
  scenes[4].name = "restart";
  scenes[4].restarts = 1;
  scenes[5].name = "collect";
  scenes[5].collect = true;
  scenes[6].name = "equal";
  scenes[6].equal = true;
  scenes[6].old_times = false;
  for (std::size_t i = 3; i < 6; ++i) {
    --scenes[i].operations;  // what else can happen in them costs as much as an act
  }
  return scenes;
}

std::vector<Scene> planted_of(const InterleaveOptions& options) {
  std::vector<Scene> scenes(4, scenes_of(options).front());
  scenes[0].name = "a deletion that takes the copies too";
  scenes[0].planted = Planted::greedy_delete;
  scenes[1].name = "a merge that forgets what the sender has seen";
  scenes[1].planted = Planted::blind_merge;
  scenes[2].name = "an exchange that leaves an entry out";
  scenes[2].planted = Planted::skipped_entry;
  scenes[3].name = "a collapse of what others have not shown";
  scenes[3].equal = true;
  scenes[3].planted = Planted::hasty_collapse;
  for (Scene& scene : scenes) {
    scene.operations = planted_operations;
  }
  return scenes;
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

rusage used() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage;
}

Findings play(const Scene& scene) {
  const double begin = seconds_of(used().ru_utime);
  Findings found = Search(scene).run();
  const rusage end = used();
  std::printf(
      "%-8s %zu nodes, %zu acts: %llu states, %llu transitions, %llu histories, %llu closings,\n"
      "         %llu states of a node by %llu steps, %llu moved a copy to another conflict name,\n"
      "         %.1f s, at most %ld MB\n",
      scene.name.c_str(), scene.nodes, scene.operations,
      static_cast<unsigned long long>(found.states),
      static_cast<unsigned long long>(found.transitions),
      static_cast<unsigned long long>(found.histories),
      static_cast<unsigned long long>(found.closings),
      static_cast<unsigned long long>(found.node_states),
      static_cast<unsigned long long>(found.node_steps),
      static_cast<unsigned long long>(found.renamed), seconds_of(end.ru_utime) - begin,
      end.ru_maxrss / 1024);
  if (!found.failure.empty()) {
    std::printf("FAILED: %s", found.failure.c_str());
  }
  std::fflush(stdout);
  return found;
}

}  // namespace

void add_interleave_options(CLI::App& app, InterleaveOptions& options) {
  CLI::Option* wanted = app.add_flag(
      "--interleavings", options.wanted,
      "instead of seeds, play every history of a few acts on a few nodes (tests/sim/interleave.h)");
  app.add_option("--operations", options.operations, "with --interleavings: acts")
      ->capture_default_str()
      ->check(CLI::Range(1, static_cast<int>(acts_a_node_max)))
      ->needs(wanted);
  app.add_option("--nodes", options.nodes, "with --interleavings: nodes")
      ->capture_default_str()
      ->check(CLI::Range(2, 3))
      ->needs(wanted);
  app.add_option("--paths", options.paths, "with --interleavings: paths")
      ->capture_default_str()
      ->check(CLI::Range(1, 2))
      ->needs(wanted);
  app.add_option("--scene", options.scene, "with --interleavings: only this one")
      ->check(CLI::IsMember({"files", "modes", "kinds", "late", "restart", "collect", "equal"}))
      ->needs(wanted);
}

int run_interleavings(const InterleaveOptions& options) {
  int passed = 0;
  int failed = 0;
  for (const Scene& scene : scenes_of(options)) {
    if (options.scene.empty() || scene.name == options.scene) {
      ++(play(scene).failure.empty() ? passed : failed);
    }
  }
  if (options.scene.empty() && options.paths > 1) {
    for (const Scene& scene : planted_of(options)) {
      const bool found = !Search(scene).run().failure.empty();
      std::printf("planted: %s: %s\n", scene.name.c_str(), found ? "found" : "NOT FOUND");
      ++(found ? passed : failed);
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace p2psync::sim
