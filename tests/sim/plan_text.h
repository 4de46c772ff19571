#pragma once
// Plans as text files, so that a find stays when the drawing of seeds changes.
//
// One fact a line, words divided by blanks; empty lines, and what follows a `#`, are for people.
//
//   p2psync-plan 1                  the first line: what this is, and its version
//   seed 411                        of what is drawn while it runs: delays, job times, restarts
//   mode survivable                 or anything-goes, causal
//   index model                     or sqlite
//   safety 12.500000000             seconds of the phase in which users act and faults strike
//   rescan 10.000000000             seconds between full scans
//   faults net.loss crash           those in play; what is not named is forgiven nothing
//   canary overwritten-write        or forgotten-commit: a bug planted here; or no such line
//   rate loss 3                     rate_table() has the names; what is left out is 0
//   host n1 clock 0 grain 1 exchange       seconds off, ns of a timestamp; or no-exchange
//   move 3.250000000 n2 user seed 12       a user's act, drawn when it comes to it
//   move 3.250000000 n2 user seed 12 write d/b        or remove, remove-tree, rename FROM TO,
//                                   metadata, link, kind, mkdir
//   move 4.000000000 n1 net.cut seed 7     a fault strikes
//   move 4.000000000 n1 user.in-call seed 7 call 9 remove a       before that call, from then on
//
// Moves may stand in any order of time. Names have no blanks. Two to 16 hosts, n1 first.
#include <string>

#include "engine/error.h"
#include "tests/sim/plan.h"

namespace p2psync::sim {

[[nodiscard]] std::string to_text(const Plan& plan);
[[nodiscard]] std::string to_text(const Move& move);
[[nodiscard]] std::string to_text(const Act& act);
/// The error's object is "line N"; its operation says what is wrong there.
[[nodiscard]] Result<Plan> plan_from_text(const std::string& text);

}  // namespace p2psync::sim
