// What users say of deletions that their node holds (engine/brake.h): sooner or later they confirm
// or undo them, whichever node it is and also when all faults are over.
#include <string>

#include "engine/path.h"
#include "engine/replica.h"
#include "tests/sim/world.h"

namespace p2psync::sim {

using namespace std::chrono_literals;
using namespace engine;

void World::judge_deletions_soon(Host& host) {
  later(1s + Duration(verdicts_.below(8'000'000'000)), [this, &host] {
    if (host.running() && host.paused_until() <= now_ && host.node().status().held_deletions > 0) {
      report_.sometimes.hit(Point::deletions_held);
      judge_deletions(host);
    }
    judge_deletions_soon(host);
  });
}

void World::judge_deletions(Host& host) {
  if (striking_ && verdicts_.chance(30)) {
    return;  // sleeps on it
  }
  std::vector<std::pair<Path, TreeNode>> gone;
  const Tree tree = host.disk().tree();
  bool all_known = true;
  host.node().replica().index().for_each("", "", [&](const Path&, const Record& record) {
    for (const Shown& shown : record.shown) {
      const Version& version = shown.version;
      if (version.kind == Kind::directory) {
        continue;
      }
      const auto bytes = written_.find(version.content);
      const bool link = version.kind == Kind::symlink;
      all_known = all_known && (link || bytes != written_.end());
      if (!all_known) {
        continue;
      }
      const TreeNode was{version.kind, false, version.mode, version.mtime,
                         link ? version.target : bytes->second};
      // Also where a user has written something else since, and the node has not seen that yet.
      if (const auto there = tree.find(shown.name); there == tree.end() || there->second != was) {
        gone.push_back({shown.name, was});
      }
    }
    return true;
  });
  const bool undo = all_known && verdicts_.chance(40);
  if (undo) {
    // What a user deleted may stand again, and need not: another one may have confirmed it.
    for (const auto& [name, node] : gone) {
      oracle_.may_appear(name, node);
    }
  }
  note(host.name() + (undo ? " user undoes what is held" : " user confirms what is held"));
  report_.sometimes.hit(undo ? Point::deletions_undone : Point::deletions_confirmed);
  host.input(ConfirmDeletes{undo});
}

}  // namespace p2psync::sim
