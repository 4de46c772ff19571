#pragma once
// Every crash point and every failing call of the scenes of an apply.
//
// A scene (crash_points_scenes.h) is played once from the start of the subject until all hosts are
// at rest. At every instant of it (before and after each system call, and after each step of the
// node) the subject is ended: killed, or with a power cut for each legal subset of what was not
// synced that persists, up to a cap (beyond it: nothing, everything, and a sample). Each of these
// states goes on from a new start to rest, is judged, and is crashed again at every instant of its
// recovery, in the same way, down to a depth. States that are equal, disk, index, peers and all
// that users did, go on equally and are played once.
//
// Then the scene is played again for each of its calls and each errno, with that call failing once,
// and with it and every later one of its kind failing until the disk is healed; then once more the
// power goes, with nothing persisting.
//
// Judged, each time: no visible name ever shows half-written bytes (#11), the index is never ahead
// of the disk (#12), no event comes into being that no user made (#8), versions are monotonic (#9);
// it comes to rest in bounded time (#13), with the tree that the scene has when nothing goes wrong,
// on every host (#1, #2, #3), nothing left in `.p2psync/tmp`, and what was displaced still kept.
// Where a user's act was not synced, the oracle of the seeds judges instead of that tree.
//
// A run is named by where the subject was ended, e.g. `17b:kill/4a:cut3`: killed before its 17th
// call, and in the recovery the power went after the 4th, leaving the third image; `9s2` is after
// the second step that follows the 9th call. `17:EIO` and `17:EIO:good` are failing calls.
#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace p2psync::sim {

struct CrashPointOptions {
  bool wanted = false;
  std::uint64_t jobs = 1;
  std::uint64_t cap = 12;  ///< images at one instant
  /// The same while recovering. Of what a power cut left, that many images and the last are crashed
  /// again, and all that a kill left.
  std::uint64_t cap_deeper = 2;
  std::uint64_t depth = 2;         ///< crashes in a row
  std::uint64_t count_max = 4096;  ///< how far legal images are counted
  std::string scene;               ///< only this one
  std::string call;                ///< only this one
};

void add_crash_point_options(CLI::App& app, CrashPointOptions& options);

/// Prints what was covered and every failure. Returns the program's exit code.
[[nodiscard]] int run_crash_points(const CrashPointOptions& options);

}  // namespace p2psync::sim
