#pragma once
// What goes in and out of a node, in a few words for a trace.
#include <string>

#include "engine/input.h"
#include "engine/output.h"
#include "engine/record.h"

namespace p2psync::sim {

[[nodiscard]] std::string brief(const engine::Output& output);
[[nodiscard]] std::string brief(const engine::Input& input);
/// An entry and what the disk shows of it, on one line; null: nothing.
[[nodiscard]] std::string describe(const engine::Record* record);

}  // namespace p2psync::sim
