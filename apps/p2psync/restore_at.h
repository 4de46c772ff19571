#pragma once
// What the control socket answers of the past, and brings back of it: `restore --at`.
#include "apps/p2psync/answers.h"

namespace p2psync::app {

/// Of what is not as it was "at" (ns since 1970) at "path" or below it ("": everywhere), behind
/// "after", a page in path order:
/// {"changes": [{"path", "change", "kind", "size", "mode", "mtime", "node", "state"}], "more",
/// "last", "away": [names of members that are not connected]}.
///   change  "restore" (kind and so on are of what it was), "remove" (of what is there), "unsure",
///           "blocked" (engine/past.h)
///   state   null; of "restore" also "here", "elsewhere" (its bytes), "awaited" (they have been
///           asked for), "laying"; of "remove" also "laying"
/// With "act" what can be done is begun, for at most "timeout_s".
[[nodiscard]] Json restore_at(const Json& request, const Answering& to);

}  // namespace p2psync::app
