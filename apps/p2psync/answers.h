#pragma once
// What the control socket answers of a node's knowledge of versions, and does on somebody's behalf:
// the documents of `conflicts --json` and `log --json` (interface.md), `resolve` and `restore`, and
// what `verify` compares with. Pure but for `act` and `keeps`.
#include <functional>

#include "apps/p2psync/config.h"
#include "apps/p2psync/json.h"
#include "engine/node.h"

namespace p2psync::app {

/// So many conflict copies or names come in one answer.
inline constexpr std::size_t page_max = 1000;

struct Answering {
  const Config& config;
  const engine::Node& node;
  std::function<void(engine::Input)> act;
  /// Whether this kept file is there; if not, the node knows from then on.
  std::function<bool(const std::string& file)> keeps;
  /// Why there is no connection to this member, as `status` has it; empty: that is not known.
  std::function<std::string(engine::NodeId member)> trouble;
  bool paused = false;
};

/// {"error": text}, which is for people.
[[nodiscard]] Json error_document(const std::string& text);
/// As control_socket.h describes it; {"error": "..."} for what cannot be answered or done.
[[nodiscard]] Json answer(const Json& request, const Answering& to);

}  // namespace p2psync::app
