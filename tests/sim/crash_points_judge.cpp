// What must hold in the small world of the crash points.
#include <algorithm>

#include "engine/path.h"
#include "engine/replica.h"
#include "storage/hash.h"
#include "tests/sim/crash_points_world.h"

namespace p2psync::sim {
namespace {

using namespace engine;

/// Whether a name that shows `node` shows the version, with mode and time.
bool shows(const TreeNode& node, const Version& version) {
  if (node.kind != version.kind || node.special) {
    return false;
  }
  switch (node.kind) {
    case Kind::directory: return node.mode == version.mode;
    case Kind::symlink: return node.bytes == version.target && node.mtime == version.mtime;
    case Kind::file: break;
  }
  return node.mode == version.mode && node.mtime == version.mtime &&
         node.bytes.size() == version.size && content_of(node.bytes) == version.content;
}

}  // namespace

// --- What names have shown

void NameHistory::add(const Tree& tree) {
  for (const auto& [name, node] : tree) {
    States& states = names_[name];
    if (states.empty() || states.back() != node) {
      if (states.empty()) {
        states.emplace_back();
      }
      states.emplace_back(node);
    }
  }
  for (auto& [name, states] : names_) {
    if (states.back() && !tree.contains(name)) {
      states.emplace_back();
    }
  }
}

void NameHistory::cut_back(const Tree& tree) {
  for (auto& [name, states] : names_) {
    const auto found = tree.find(name);
    const std::optional<TreeNode> now =
        found == tree.end() ? std::nullopt : std::optional(found->second);
    const auto last = std::ranges::find(states.rbegin(), states.rend(), now);
    if (last != states.rend()) {
      states.erase(last.base(), states.end());
    }
  }
}

std::vector<std::string> NameHistory::ahead(const IndexModel& index, const Tree& tree) const {
  std::map<std::string, const Version*> shown;
  for (const auto& [path, record] : index.records()) {
    for (const Shown& one : record.shown) {
      shown[one.name] = &one.version;
    }
  }
  std::vector<std::string> names;
  for (const auto& [name, states] : names_) {
    const auto says = shown.find(name);
    const auto indexed = std::ranges::find_if(states, [&](const std::optional<TreeNode>& state) {
      return says == shown.end() ? !state : state && shows(*state, *says->second);
    });
    const auto found = tree.find(name);
    const std::optional<TreeNode> now =
        found == tree.end() ? std::nullopt : std::optional(found->second);
    const auto last = std::ranges::find(states.rbegin(), states.rend(), now);
    // `last.base()` is one behind it.
    if (indexed != states.end() && last != states.rend() && last.base() <= indexed) {
      names.push_back(name);
    }
  }
  return names;
}

// --- At rest

void CrashWorld::tell_states() {
  for (const auto& [id, host] : hosts_) {
    violation("#16 bounded convergence", host->state_text());
  }
}

void CrashWorld::judge() {
  const Tree tree = subject().disk().tree();
  for (const std::string& wrong : oracle_.judge(tree)) {
    violation("#2, #3 Held = Live", wrong);
  }
  for (const auto& [id, host] : hosts_) {
    invariants_.says_in_sync(id, host->node());
    if (host->disk().tree() != tree) {
      violation("#1 convergence", host->name() + " shows another tree than n1");
    }
  }
  judge_records();
}

/// What the index says is shown, is.
void CrashWorld::judge_records() {
  const Tree tree = subject().disk().tree();
  for (const auto& [path, record] : subject().index().records()) {
    for (const Shown& shown : record.shown) {
      const auto found = tree.find(shown.name);
      if (found == tree.end() || !shows(found->second, shown.version)) {
        violation("#27 honest status", shown.name + " is not what the index says it shows");
      }
    }
  }
}

void CrashWorld::judge_leftovers() {
  for (const auto& [path, node] : subject().disk().tree(storage::staging_directory)) {
    const std::string_view name = engine::name_of(path);
    if (!name.starts_with("batch-log") && !name.starts_with("intent-")) {
      violation("#18 bounded disk", path + " is left");
    }
  }
}

}  // namespace p2psync::sim
