#include "apps/p2psync/status_document.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace p2psync::app {
namespace {

std::string digits_of(const engine::Fingerprint& fingerprint) {
  return fmt::format("{:016x}{:016x}", fingerprint.high, fingerprint.low);
}

double milliseconds(engine::Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::string address_of(const Config& config, engine::NodeId peer, const DaemonStatus& daemon) {
  const auto member = std::ranges::find(config.members, peer, &Member::node);
  if (member != config.members.end() && member->address) {
    return member->address->text();
  }
  const auto found = daemon.found_at.find(peer);
  return found != daemon.found_at.end() ? found->second : "";
}

Json peer_document(const Config& config, const engine::PeerStatus& peer,
                   const DaemonStatus& daemon) {
  const engine::Instant now = daemon.now;
  Json::Object out{{"name", config.name_of(peer.peer)},
                   {"address", address_of(config, peer.peer, daemon)},
                   {"connected", peer.connected},
                   {"in_sync", peer.in_sync}};
  out.emplace_back("root_digest", peer.root ? Json(digits_of(*peer.root)) : Json());
  const auto age = peer.last_exchange.transform([now](engine::Instant at) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now - at);
  });
  out.emplace_back("last_exchange_ms_ago", age ? Json(std::int64_t{age->count()}) : Json());
  out.emplace_back("rtt_ms", peer.round_trip ? Json(milliseconds(*peer.round_trip)) : Json());
  out.emplace_back("version", peer.version);
  Json::Array differences;
  for (const std::string& difference : peer.list_differences) {
    differences.emplace_back(difference);
  }
  out.emplace_back("list_differences", std::move(differences));
  const auto trouble = daemon.troubles.find(peer.peer);
  out.emplace_back("trouble", trouble != daemon.troubles.end() ? Json(trouble->second) : Json());
  return out;
}

Json transfer_document(const engine::Incoming& incoming) {
  Json::Object out;
  add_path(out, "path", incoming.path);
  out.emplace_back("bytes", incoming.bytes);
  out.emplace_back("done_bytes", incoming.done_bytes);
  return out;
}

Json error_document(const engine::Problem& problem, const DaemonStatus& daemon) {
  Json::Object out;
  add_path(out, "path", problem.path);
  out.emplace_back("message", problem.message);
  const auto age =
      std::chrono::duration_cast<std::chrono::system_clock::duration>(daemon.now - problem.since);
  out.emplace_back("since", time_text(daemon.wall_now - age));
  return out;
}

}  // namespace

std::string_view state_name(engine::State state) {
  switch (state) {
    case engine::State::scanning: return "scanning";
    case engine::State::syncing: return "syncing";
    case engine::State::in_sync: return "in_sync";
    case engine::State::isolated: return "isolated";
    case engine::State::error: return "error";
  }
  return "error";
}

std::string time_text(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

Json status_document(const Config& config, const engine::Status& status,
                     const DaemonStatus& daemon) {
  Json::Object out{{"node", config.me().name},
                   {"id", config.me().key_id},
                   {"version", P2PSYNC_VERSION},
                   {"uptime_s", std::round(milliseconds(daemon.now - daemon.started)) / 1000}};
  add_path(out, "folder", daemon.folder);
  const engine::State state = daemon.broken ? engine::State::error : status.state;
  out.emplace_back(
      "state", daemon.paused && state != engine::State::error ? paused_state : state_name(state));
  out.emplace_back("files", status.files);
  out.emplace_back("directories", status.directories);
  out.emplace_back("symlinks", status.symlinks);
  out.emplace_back("bytes", status.bytes);
  out.emplace_back("conflicts", status.conflicts);
  out.emplace_back("tombstones", status.tombstones);
  out.emplace_back("skipped", status.skipped);
  out.emplace_back("held_deletions", status.held_deletions);
  out.emplace_back("root_digest", digits_of(status.root));
  out.emplace_back("still_open", status.still_open);
  // A node that is broken cannot know whether its memory of the others still holds.
  out.emplace_back("safe_to_power_off", status.safe_to_power_off && !daemon.broken);
  out.emplace_back(
      "pending",
      Json::Object{{"files", status.pending_files},
                   {"bytes", status.pending_bytes},
                   {"bytes_per_s", daemon.bytes_per_s},
                   {"seconds_left", daemon.seconds_left ? Json(*daemon.seconds_left) : Json()}});
  Json::Array transfers;
  for (const engine::Incoming& incoming : status.incoming) {
    transfers.push_back(transfer_document(incoming));
  }
  out.emplace_back("transfers", std::move(transfers));
  Json::Array holding_up;
  for (const engine::NodeId member : status.holding_up) {
    holding_up.emplace_back(config.name_of(member));
  }
  out.emplace_back("holding_up", std::move(holding_up));
  Json::Array peers;
  for (const Member& member : config.members) {  // in the order of the file
    const auto peer = std::ranges::find(status.peers, member.node, &engine::PeerStatus::peer);
    if (peer != status.peers.end()) {
      peers.push_back(peer_document(config, *peer, daemon));
    }
  }
  out.emplace_back("peers", std::move(peers));
  out.emplace_back("sent_bytes", daemon.sent_bytes);
  out.emplace_back("received_bytes", daemon.received_bytes);
  Json::Array errors;
  for (const auto* problems : {&daemon.problems, &status.problems}) {
    for (const engine::Problem& problem : *problems) {
      errors.push_back(error_document(problem, daemon));
    }
  }
  out.emplace_back("errors", std::move(errors));
  return out;
}

}  // namespace p2psync::app
