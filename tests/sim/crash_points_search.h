#pragma once
// CrashSearch: one scene through all of its crash points and failing calls. See crash_points.h.
#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/crash_points.h"
#include "tests/sim/crash_points_scenes.h"

namespace p2psync::sim {

inline constexpr std::size_t crash_depth_max = 4;
inline constexpr std::size_t crash_errnos = 3;

/// What was covered.
struct CrashCounts {
  struct Level {
    std::uint64_t points = 0;      ///< instants at which the subject was ended
    std::uint64_t images = 0;      ///< played or equal to one that was
    std::uint64_t legal = 0;       ///< images that a power cut could leave
    std::uint64_t incomplete = 0;  ///< instants with more of them than the cap
    std::uint64_t uncounted = 0;   ///< instants where counting them was given up
    std::uint64_t played = 0;      ///< states that were not equal to one before
  };
  std::uint64_t calls = 0;  ///< of the scene, undisturbed
  std::uint64_t calls_crashed = 0;
  std::uint64_t calls_failed = 0;
  std::array<Level, crash_depth_max> levels;
  std::uint64_t failing_runs = 0;
  std::uint64_t runs = 0;
  std::uint64_t failures = 0;
  std::uint64_t rest_ms_max = 0;
  std::uint64_t recovery_calls_max = 0;
  std::set<std::string, std::less<>> operations;

  CrashCounts& operator+=(const CrashCounts& other);
};

class CrashSearch {
 public:
  CrashSearch(const CrashScene& scene, const CrashPointOptions& options);
  /// Failures are printed as they come.
  [[nodiscard]] CrashCounts run();

 private:
  /// A state is played once; `mark` says that nothing has changed since the instant before.
  struct Cursor {
    std::vector<std::uint64_t> mark;
    std::uint64_t images = 0, legal = 0;
    bool incomplete = false, uncounted = false;
  };
  using Digest = std::pair<std::uint64_t, std::uint64_t>;

  void prepare();
  /// What is to come out when nothing goes wrong.
  void undisturbed(bool with_user);
  void explore(const CrashState& state, std::size_t depth, const std::string& trail, bool deeper);
  void end_at(CrashWorld& world, const CrashPoint& point, std::size_t depth,
              const std::string& trail, Cursor& cursor);
  void end_as(const CrashState& state, const Disk& left, std::size_t depth,
              const std::string& trail, bool deeper);
  [[nodiscard]] bool is_new(const std::string& world, const Disk& left, std::size_t depth);
  [[nodiscard]] bool wanted(const std::string& trail) const;
  [[nodiscard]] bool leads_there(const std::string& trail) const;
  void fail_calls();
  void fail_call(std::uint64_t call, const std::string& operation, int number, bool good,
                 const std::string& trail);
  void judge(CrashWorld& world, bool rested);
  void report(const CrashWorld& world, const std::string& trail);

  const CrashScene& scene_;
  const CrashPointOptions& options_;
  CrashCounts counts_;
  CrashState begin_;
  std::array<Tree, 2> expected_;  ///< by what the user did in the midst of it
  std::array<std::set<std::string>, 2>
      kept_;  ///< contents in `.p2psync/versions` when nothing goes wrong
  std::vector<std::string> operations_;   ///< of the undisturbed calls
  std::map<Digest, std::size_t> played_;  ///< with how many more crashes
};

}  // namespace p2psync::sim
