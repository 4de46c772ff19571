#pragma once
// Who has what: the answers of `explain` and of `wait`, out of what members say that they hold.
//
// A member holds a version when it knows, has committed, and shows on its disk what was done there
// (or ignores it). Of the others that is what they last said, so it is true or is not yet known.
#include "apps/p2psync/answers.h"

namespace p2psync::app {

/// The rule that decides about a path: {"file", "line", "rule"}, or null.
[[nodiscard]] Json rule_document(const engine::Replica& replica, const std::string& path,
                                 bool directory);

/// {"explain": {"path", "ignored_by", "why", "versions": [as of log, and "held_by", "lacking":
/// [{"node", "why"}]]}}. "why": what keeps this disk from showing what it should; null
/// if nothing does.
[[nodiscard]] Json explain(const Json& request, const Answering& to);

/// {"done", "until", "held_by", "lacking"}: whether "nodes" members (all if that is null) hold what
/// was done at "paths" (anywhere if there are none) up to now. With the "until" of an earlier
/// answer it is up to then.
[[nodiscard]] Json wait(const Json& request, const Answering& to);

}  // namespace p2psync::app
