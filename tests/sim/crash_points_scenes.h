#pragma once
// The scenes of the crash points: what stands on the disks, what is on its way to the subject, and
// who interferes.
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tests/sim/crash_points_world.h"

namespace p2psync::sim {

struct CrashScene {
  /// A user acts before the n-th call of the subject like this one.
  struct During {
    std::string_view operation;
    std::string_view path;  ///< how it begins
    std::uint64_t nth = 1;
    void (*act)(CrashWorld&) = nullptr;
  };
  std::string_view name;
  /// Everybody is connected and comes to rest afterwards.
  void (*before)(CrashWorld&) = nullptr;
  /// The subject does not hear of it before its start, at which the search begins.
  void (*meanwhile)(CrashWorld&) = nullptr;
  std::optional<During> during = std::nullopt;
  /// The subject does not run meanwhile: its start finds what its users did.
  bool asleep = false;
  std::uint64_t hosts = 2;
  bool exchange = true;
  bool sqlite = false;
  /// The first so many calls that need room find none.
  std::uint64_t full_calls = 0;
  std::optional<storage::Lease> lease = std::nullopt;
  /// Deeper than that would take too long.
  std::uint64_t depth_max = 9;
};

[[nodiscard]] std::span<const CrashScene> crash_scenes();

}  // namespace p2psync::sim
