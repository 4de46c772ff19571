// A node that is paused goes on looking at its folder, records what users do there, and answers
// commands. It has no connections (net/transport.h), and what the engine wants to lay is held back;
// names in that batch are looked at when it ends, as always (engine/scan.h).
#include <utility>

#include "apps/p2psync/daemon.h"
#include "apps/p2psync/log.h"

namespace p2psync::app {

Json Daemon::pause(bool on) {
  const bool changed = folder_.paused != on;
  if (changed) {
    if (const auto recorded = record_paused(folder_, on); !recorded) {
      return Json::Object{{"error", recorded.error().message()}};
    }
    log_note(engine::Note::Level::info, on ? "paused" : "resumed");
    transport_->pause(on);
    lan_->reconsider();
    if (auto held = std::exchange(held_, std::nullopt)) {
      disk_.perform(std::move(*held));
    }
    control_.changed();
  }
  return Json::Object{{"paused", on}, {"changed", changed}};
}

}  // namespace p2psync::app
