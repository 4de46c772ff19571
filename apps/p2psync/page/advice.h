#pragma once
// What a person can do about an error or about a member that does not answer: docs/operation.md in
// a line. Pure.
#include <string_view>

namespace p2psync::app {

/// Of a message in `errors` or in a peer's `trouble`; "" where nothing more can be said.
[[nodiscard]] std::string_view advice_for(std::string_view message);

}  // namespace p2psync::app
