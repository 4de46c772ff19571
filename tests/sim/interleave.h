#pragma once
// The interleavings: every history of a few acts on a few nodes, played on production engine/.
//
// Enumerated. Users of 3 nodes do up to N acts; between any two of them, and after the last, any
// node may hear from any other, in any order and as often as there is news. All of it is played,
// not a sample: a state is left out only if it was met before, or if two steps that concern
// different nodes give it in the other order. No symmetry is used (names and ties depend on node
// ids).
//   files     a, b: write with an mtime above or below all that its writer has heard of; delete;
//             rename one onto the other; edit, delete, and rename onto its path a conflict copy
//   modes     the same with chmod, and young mtimes only
//   kinds     a, a/b: write, mkdir, symlink, each also in the place of another kind; delete
//   late      files, but contents arrive one by one, in any order, after the entries    N - 1 acts
//   restart   files, with one restart anywhere, also after a batch was laid and before its
//             results were recorded                                                     N - 1 acts
//   collect   files, with tombstones collected wherever all members hold them           N - 1 acts
//   equal     files that may have the same bytes as another's, and siblings that say the same
//             collapse as soon as a node may, or later
// What is real: Replica, entry, layout, plan and Reconciler, and Gossip at both ends of each
// exchange. What is ideal: a look, a batch and an exchange take no time (interleave_node.h).
//
// Proved within that bound, in every state of every node, by sets of true events and never by
// vectors (users' base = what their disk showed; see tests/sim/oracle.h):
//   - the disk holds exactly the live contents of what the node has heard of, each once, at the
//   path
//     or at a conflict name of it; the path itself is vacant only if users set all aside
//   - the siblings of an entry are exactly the live events; a knowledge covers another exactly if
//     that node has heard every event of the other
//   - nodes that have heard of the same events have equal roots and, once contents are there, equal
//     disks: so all orders of closing a state end alike, and each of them is walked
//   - no live content leaves a disk by an exchange, not even while others are on their way
//   - every step of every plan finds the disk as it expects, and the disk comes to rest
// Not covered: acts between a look and an apply, messages that arrive late or twice, lost indexes.
// Those are the random seeds' part.
//
// One allowance: a copy renamed onto its own path may stay listed beside its successor. Both have
// the same bytes and stand under one name.
//
// The tester is tested: with a deletion that takes the copies too, a merge that forgets what the
// sender has seen, an exchange that leaves an entry out, and a collapse of what others have not
// shown, the search must fail.
//
// Cost, of one core's time: N = 3 takes 26 s and 325 MB, of which `equal` takes 18 s and nearly all
// of the memory; N = 4 some minutes and 170 MB, and for `equal` 8 GB. Each further act costs about
// fifty times as much.
#include <cstddef>
#include <string>

namespace CLI {
class App;
}

namespace p2psync::sim {

struct InterleaveOptions {
  bool wanted = false;
  std::size_t operations = 3;
  std::size_t nodes = 3;
  std::size_t paths = 2;
  std::string scene;  ///< only this one; empty: all, and the planted mistakes
};

void add_interleave_options(CLI::App& app, InterleaveOptions& options);

/// Prints counts, and for each scene that fails the shortest history that leads there. Returns the
/// program's exit code.
[[nodiscard]] int run_interleavings(const InterleaveOptions& options);

}  // namespace p2psync::sim
