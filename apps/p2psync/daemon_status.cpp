// What the daemon says of itself and of the node: `status --json`, for the page too.
#include <algorithm>
#include <utility>

#include "apps/p2psync/daemon.h"
#include "apps/p2psync/status_document.h"

namespace p2psync::app {

using Clock = std::chrono::steady_clock;

Json Daemon::status() const {
  const engine::Instant now = Clock::now();
  engine::Status status = node_.status();
  status.still_open = disk_.still_open();
  DaemonStatus daemon{.folder = folder_.path,
                      .started = started_,
                      .now = now,
                      .wall_now = std::chrono::system_clock::now(),
                      .sent_bytes = transport_->sent_bytes() + lan_->sent_bytes(),
                      .received_bytes = transport_->received_bytes() + lan_->received_bytes(),
                      .bytes_per_s = rate_.bytes_per_s(now),
                      .seconds_left = rate_.seconds_left(now, status.pending_bytes),
                      .paused = folder_.paused,
                      .broken = phase_ == Phase::broken || index_.problem().has_value(),
                      .problems = transport_->problems(),
                      .found_at = lan_->places(),
                      .troubles = {}};
  for (const Member& member : config_.members) {
    if (std::string text = transport_->trouble_with(member.node); !text.empty()) {
      daemon.troubles.emplace(member.node, std::move(text));
    }
  }
  if (broken_) {
    daemon.problems.push_back(*broken_);
  }
  if (auto problem = lan_->problem()) {
    daemon.problems.push_back(std::move(*problem));
  }
  if (const std::optional<Error>& problem = index_.problem()) {
    daemon.problems.push_back({"",
                               problem->code == ErrorCode::no_space
                                   ? "the disk is full, and there is no room for the index: "
                                     "nothing is synchronised until there is, and then this goes "
                                     "on by itself"
                                   : problem->message(),
                               index_.problem_since()});
  }
  if (!watch_.uncovered().empty()) {
    daemon.problems.push_back({"", watch_.uncovered(), watch_.uncovered_since()});
  }
  if (phase_ == Phase::broken) {
    for (engine::PeerStatus& peer : status.peers) {
      peer.connected = peer.in_sync = false;
    }
  }
  return status_document(config_, status, daemon);
}

}  // namespace p2psync::app
