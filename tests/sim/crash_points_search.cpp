#include "tests/sim/crash_points_search.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>

#include "engine/codec.h"
#include "engine/path.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

/// A path, a look or a content that failed is tried again after at most 30 s.
constexpr Duration rest_limit = 100s;
/// Without failing calls nothing has to be tried again.
constexpr Duration recovery_limit = 20s;
constexpr Duration fault_lasts = 5s;

struct Errno {
  std::string_view name;
  int number;
};
constexpr std::array<Errno, crash_errnos> errnos{Errno{"EIO", EIO}, Errno{"ENOSPC", ENOSPC},
                                                 Errno{"EACCES", EACCES}};

template <class T>
void add(std::string& digest, const T& value) {
  const std::vector<std::uint8_t> bytes = encode(value);
  digest += std::to_string(bytes.size()) + ":";
  digest.append(bytes.begin(), bytes.end());
}

void add(std::string& digest, const IndexModel& index) {
  const Loaded loaded = index.load();
  for (const auto& [path, record] : index.records()) {
    digest += path + '\0';
    add(digest, record);
  }
  add(digest, loaded.knowledge);
  for (const HeldRow& row : loaded.rows) {
    add(digest, row);
  }
  for (const KeptVersion& kept : loaded.kept) {
    add(digest, kept);
  }
  digest += fmt::format("{} {} {}", loaded.applied, index.epoch, index.scanned);
}

/// All of a state but the subject's disk.
std::string digest_of(const CrashState& state) {
  std::string digest =
      fmt::format("{} {};", state.acts, state.unsynced.size() + (state.doubtful ? 100 : 0));
  for (const auto& [id, host] : state.hosts) {
    add(digest, host.index);
    for (const IndexModel& index : host.unconfirmed) {
      add(digest, index);
    }
    if (id != subject_id) {
      host.disk.append_to(digest);
    }
  }
  return digest;
}

std::string text_of(const CrashPoint& point) {
  switch (point.where) {
    case CrashPoint::Where::before: return fmt::format("{}b", point.call);
    case CrashPoint::Where::after: return fmt::format("{}a", point.call);
    case CrashPoint::Where::step: break;
  }
  return fmt::format("{}s{}", point.call, point.step);
}

std::set<std::string> kept_contents(Host& host) {
  std::set<std::string> contents;
  for (const auto& [name, node] : host.disk().tree(storage::versions_directory)) {
    contents.insert(Oracle::key(node));
  }
  return contents;
}

std::string describe(const TreeNode& node) {
  const char* kind = node.kind == Kind::directory ? "directory"
                     : node.kind == Kind::symlink ? "link to"
                                                  : "file";
  return fmt::format("{} {} (mode {:o}, mtime {})", kind, node.bytes.substr(0, 30), node.mode,
                     node.mtime / 1'000'000'000);
}

void compare(CrashWorld& world, const Tree& tree, const Tree& expected) {
  for (const auto& [name, node] : expected) {
    const auto found = tree.find(name);
    if (found == tree.end()) {
      world.violation("#2 no lost update", name + " is not there: " + describe(node));
    } else if (found->second != node) {
      world.violation("#1 convergence",
                      name + " is " + describe(found->second) + ", not " + describe(node));
    }
  }
  for (const auto& [name, node] : tree) {
    if (!expected.contains(name)) {
      world.violation("#3 no resurrection", name + " should not be there: " + describe(node));
    }
  }
}

}  // namespace

CrashCounts& CrashCounts::operator+=(const CrashCounts& other) {
  calls += other.calls;
  calls_crashed += other.calls_crashed;
  calls_failed += other.calls_failed;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    Level& level = levels.at(i);
    const Level& more = other.levels.at(i);
    level.points += more.points;
    level.images += more.images;
    level.legal += more.legal;
    level.incomplete += more.incomplete;
    level.uncounted += more.uncounted;
    level.played += more.played;
  }
  failing_runs += other.failing_runs;
  runs += other.runs;
  failures += other.failures;
  rest_ms_max = std::max(rest_ms_max, other.rest_ms_max);
  recovery_calls_max = std::max(recovery_calls_max, other.recovery_calls_max);
  operations.insert(other.operations.begin(), other.operations.end());
  return *this;
}

CrashSearch::CrashSearch(const CrashScene& scene, const CrashPointOptions& options)
    : scene_(scene), options_(options) {}

CrashCounts CrashSearch::run() {
  prepare();
  undisturbed(false);
  if (scene_.during) {
    undisturbed(true);
  }
  if (counts_.failures > 0) {
    return counts_;
  }
  const bool fails = options_.call.contains(":E");
  if (options_.call.empty() || !fails) {
    explore(begin_, 0, "", true);
  }
  if (options_.call.empty() || fails) {
    fail_calls();
  }
  return counts_;
}

void CrashSearch::prepare() {
  CrashWorld world(scene_);
  world.start();
  scene_.before(world);
  bool rested = world.come_to_rest(rest_limit);
  world.cut_off_subject(true);
  if (scene_.asleep) {
    world.subject().stop();
  }
  scene_.meanwhile(world);
  world.run_for(20s);
  world.sync_disks();
  if (!rested || !world.violations().empty()) {
    world.violation("the scene", "it cannot be set");
    report(world, "");
  }
  begin_ = world.freeze();
}

void CrashSearch::undisturbed(bool with_user) {
  CrashWorld world(scene_, begin_);
  std::vector<std::string> operations;
  std::uint64_t last = 0;
  world.probe = [&](const CrashPoint& point) {
    if (point.where == CrashPoint::Where::before && point.call != last) {
      last = point.call;
      operations.push_back(point.operation);
    }
  };
  world.start();
  if (with_user) {
    world.expect_user();
  }
  const bool rested = world.come_to_rest(rest_limit);
  world.probe = {};
  expected_.at(world.acts()) = world.subject().disk().tree();
  kept_.at(world.acts()) = kept_contents(world.subject());
  world.judge_leftovers();
  judge(world, rested);
  if (with_user && world.acts() == 0) {
    world.violation("the scene", "its user never acts");
  }
  report(world, "");
  operations_ = std::move(operations);
  counts_.calls = operations_.size();
  counts_.operations = {operations_.begin(), operations_.end()};
}

// --- Crashes

bool CrashSearch::wanted(const std::string& trail) const {
  return options_.call.empty() || options_.call == trail;
}

/// Whether the run that was asked for is this one, or goes on from it.
bool CrashSearch::leads_there(const std::string& trail) const {
  return trail.empty() || wanted(trail) || options_.call.starts_with(trail + ":") ||
         options_.call.starts_with(trail + "/");
}

void CrashSearch::explore(const CrashState& state, std::size_t depth, const std::string& trail,
                          bool deeper) {
  CrashWorld world(scene_, state, !options_.call.empty());
  Cursor cursor;
  if (deeper) {
    world.probe = [&](const CrashPoint& point) { end_at(world, point, depth, trail, cursor); };
  }
  ++counts_.runs;
  world.start();
  if (depth == 0 && scene_.during) {
    world.expect_user();
  }
  const bool rested = world.come_to_rest(depth == 0 ? rest_limit : recovery_limit);
  world.probe = {};
  if (depth == 0) {
    return;  // undisturbed() has judged it
  }
  judge(world, rested);
  world.judge_leftovers();
  counts_.recovery_calls_max = std::max(counts_.recovery_calls_max, world.calls());
  if (wanted(trail)) {
    report(world, trail);
  }
}

void CrashSearch::end_at(CrashWorld& world, const CrashPoint& point, std::size_t depth,
                         const std::string& trail, Cursor& cursor) {
  const std::string here = trail + (trail.empty() ? "" : "/") + text_of(point);
  if (!leads_there(here)) {
    return;
  }
  CrashCounts::Level& level = counts_.levels.at(depth);
  ++level.points;
  counts_.operations.insert(point.operation);
  if (depth == 0 && point.where == CrashPoint::Where::before) {
    ++counts_.calls_crashed;
  }
  std::vector<std::uint64_t> mark = world.mark();
  if (mark != cursor.mark) {
    cursor.mark = std::move(mark);
    CrashState state = world.freeze();
    const Disk cached = state.hosts.at(subject_id).disk;
    const auto cap = depth == 0 ? options_.cap : options_.cap_deeper;
    Disk::PowerCuts cuts = cached.power_cuts(cap, options_.count_max);
    cursor.images = cuts.images.size();
    cursor.legal = cuts.total;
    cursor.incomplete = cuts.total > cuts.images.size();
    cursor.uncounted = cuts.total >= options_.count_max;
    const std::string others = digest_of(state);
    const bool deeper = depth + 1 < std::min(options_.depth, scene_.depth_max);
    if (is_new(others, cached, deeper ? depth + 1 : 0) || !options_.call.empty()) {
      ++level.played;
      end_as(state, cached, depth, here + ":kill", deeper);
    }
    const Tree tree = world.subject().disk().tree();
    for (std::size_t cut = 0; cut < cuts.images.size(); ++cut) {
      // The extreme ones: nothing persists, all does.
      const bool extreme = cut < options_.cap_deeper || cut + 1 == cuts.images.size();
      if (is_new(others, cuts.images[cut], deeper && extreme ? depth + 1 : 0) ||
          !options_.call.empty()) {
        ++level.played;
        state.before_cut = tree;
        end_as(state, cuts.images[cut], depth, here + fmt::format(":cut{}", cut),
               deeper && (extreme || !options_.call.empty()));
      }
    }
  }
  if (!options_.call.empty()) {
    world.trace_no_more();
  }
  level.images += cursor.images;
  level.legal += cursor.legal;
  level.incomplete += cursor.incomplete ? 1 : 0;
  level.uncounted += cursor.uncounted ? 1 : 0;
}

void CrashSearch::end_as(const CrashState& state, const Disk& left, std::size_t depth,
                         const std::string& trail, bool deeper) {
  if (!leads_there(trail)) {
    return;
  }
  CrashState next = state;
  next.hosts.at(subject_id).disk = left;
  explore(next, depth + 1, trail, deeper);
}

/// With no more crashes to come than before it is not new. `depth`: of those; 0: none will come.
bool CrashSearch::is_new(const std::string& world, const Disk& left, std::size_t depth) {
  std::string digest = world;
  left.append_to(digest);
  const XXH128_hash_t hash = XXH3_128bits(digest.data(), digest.size());
  const std::size_t more = depth == 0 ? 1 : 1 + options_.depth - depth;
  std::size_t& before = played_[{hash.low64, hash.high64}];
  if (before >= more) {
    return false;
  }
  before = more;
  return true;
}

// --- Failing calls

void CrashSearch::fail_calls() {
  for (std::uint64_t call = 1; call <= operations_.size(); ++call) {
    ++counts_.calls_failed;
    for (const Errno& error : errnos) {
      for (const bool good : {false, true}) {
        const std::string trail = fmt::format("{}:{}{}", call, error.name, good ? ":good" : "");
        if (leads_there(trail)) {
          fail_call(call, operations_[call - 1], error.number, good, trail);
        }
      }
    }
  }
}

void CrashSearch::fail_call(std::uint64_t call, const std::string& operation, int number, bool good,
                            const std::string& trail) {
  CrashWorld world(scene_, begin_, !options_.call.empty());
  bool healed = false;
  world.fault = [&](std::uint64_t now, std::string_view what) {
    return !healed && (now == call || (good && now > call && what == operation)) ? number : 0;
  };
  ++counts_.failing_runs;
  ++counts_.runs;
  world.start();
  world.expect_user();
  if (good) {
    world.later(fault_lasts, [&healed] { healed = true; });
    world.run_for(fault_lasts);
  }
  const bool rested = world.come_to_rest(rest_limit);
  judge(world, rested);
  if (wanted(trail)) {
    report(world, trail);
  }
  if (rested && leads_there(trail + ":cut")) {
    // What it says that it holds, it holds: the power goes, and nothing more persists.
    CrashState state = world.freeze();
    state.before_cut = world.subject().disk().tree();
    state.hosts.at(subject_id).disk =
        std::move(state.hosts.at(subject_id).disk.power_cuts(2, 2).images.front());
    explore(state, crash_depth_max, trail + ":cut", false);
  }
}

// --- Judging

void CrashSearch::judge(CrashWorld& world, bool rested) {
  counts_.rest_ms_max =
      std::max(counts_.rest_ms_max, static_cast<std::uint64_t>(world.took() / 1ms));
  if (!rested) {
    world.violation("#13 crash anywhere recovers", "no rest in bounded time");
    world.tell_states();
    return;
  }
  world.judge();
  if (!world.doubtful()) {
    compare(world, world.subject().disk().tree(), expected_.at(world.acts()));
    for (const std::string& content : kept_.at(world.acts())) {
      if (!kept_contents(world.subject()).contains(content)) {
        world.violation("kept versions", content.substr(0, 30) + " is not kept");
      }
    }
  }
}

void CrashSearch::report(const CrashWorld& world, const std::string& trail) {
  if (world.violations().empty()) {
    return;
  }
  ++counts_.failures;
  fmt::print("{}{}{} failed:\n", scene_.name, trail.empty() ? "" : " at ", trail);
  for (const auto& violation : world.violations()) {
    fmt::print("  {}: {}\n", violation.invariant, violation.text);
  }
  fmt::print("  replay: p2psync-sim --crash-points --scenario {}{}{}\n", scene_.name,
             trail.empty() ? "" : " --call ", trail);
  std::fflush(stdout);
}

}  // namespace p2psync::sim
