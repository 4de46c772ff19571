#pragma once
// What goes in and out of a node, in a few words: for the log of a program at level debug and for a
// simulation's trace. One line a step, so that both can be read side by side.
//
// Contents stand as the first 8 hex digits of their hash, dots as node.incarnation.sequence with
// three digits of the first two. Cost: a string; only to be asked for where somebody reads it.
#include <span>
#include <string>

#include "engine/input.h"
#include "engine/output.h"
#include "engine/record.h"

namespace p2psync::engine {

[[nodiscard]] std::string brief(const Output& output);
[[nodiscard]] std::string brief(const Input& input);
/// What came of a step.
[[nodiscard]] std::string brief(std::span<const Output> outputs);
/// A step that a crash had cut off and that a start found to have been carried out.
[[nodiscard]] std::string brief(const Relaid& step);
/// An entry and what the disk shows of it, on one line; null: nothing.
[[nodiscard]] std::string describe(const Record* record);
/// The records of a change, one after the other.
[[nodiscard]] std::string describe(const Change& change);

}  // namespace p2psync::engine
