#pragma once
// Versions as JSON: what `log`, `conflicts` and `explain` tell of one.
#include <string_view>

#include "apps/p2psync/config.h"
#include "apps/p2psync/json.h"
#include "engine/history.h"

namespace p2psync::app {

/// Of nanoseconds since 1970, in RFC 3339.
[[nodiscard]] Json time_of(std::int64_t ns);
[[nodiscard]] std::string_view kind_name(engine::Kind kind);
/// `history`: that it stands in.
[[nodiscard]] Json::Object version_document(const engine::PastVersion& past,
                                            const engine::History& history, const Config& config);

}  // namespace p2psync::app
