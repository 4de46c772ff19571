#pragma once
// What the index has on record of a name, as `verify` compares it with the disk: of a running node
// by way of its control socket, of a stopped one from the index itself. Pure.
#include <optional>

#include "apps/p2psync/json.h"
#include "engine/record.h"

namespace p2psync::app {

struct Recorded {
  engine::Path name;
  engine::Seen seen;
};

[[nodiscard]] engine::Seen seen_of(const engine::Shown& shown);
[[nodiscard]] Json recorded_document(const Recorded& recorded);
/// Nothing unless it is what recorded_document writes.
[[nodiscard]] std::optional<Recorded> recorded_in(const Json& document);

}  // namespace p2psync::app
