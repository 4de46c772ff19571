#include "apps/p2psync/lan.h"

#include <algorithm>

#include "apps/p2psync/log.h"

namespace p2psync::app {

Lan::Lan(asio::io_context& io, const Config& config, net::Transport& transport)
    : config_(config), transport_(transport), started_(std::chrono::steady_clock::now()) {
  if (std::ranges::all_of(config_.members,
                          [](const Member& one) { return one.address.has_value(); })) {
    return;
  }
  net::DiscoveryOptions options;
  options.cluster = config_.cluster;
  for (const Member& member : config_.members) {
    const auto id = net::KeyId::parse(member.key_id);
    invariant(id.has_value(), "the configuration's ids were judged");
    options.members.push_back(*id);
  }
  options.self = options.members[config_.self];
  options.places = transport_.places();
  net::DiscoveryEvents events;
  events.heard = [this](engine::NodeId node, const asio::ip::tcp::endpoint& where) {
    const auto member = std::ranges::find(config_.members, node, &Member::node);
    if (!member->address) {
      transport_.hint(node, where);
    }
  };
  events.missing = [this] { return missing(); };
  events.log = [](engine::Note::Level level, const std::string& text) { log_note(level, text); };
  discovery_ = net::Discovery::start(io, std::move(options), std::move(events));
}

void Lan::reconsider() {
  if (discovery_) {
    discovery_->reconsider();
  }
}

void Lan::stop() {
  if (discovery_) {
    discovery_->stop();
  }
}

std::vector<std::string> Lan::missing() const {
  std::vector<std::string> names;
  for (const Member& member : config_.members) {
    if (member.node != config_.me().node && !member.address && transport_.wanted(member.node)) {
      names.push_back(member.name);
    }
  }
  return names;
}

std::map<engine::NodeId, std::string> Lan::places() const {
  std::map<engine::NodeId, std::string> places;
  for (const Member& member : config_.members) {
    if (!member.address) {
      places.emplace(member.node, transport_.place_of(member.node));
    }
  }
  return places;
}

std::optional<engine::Problem> Lan::problem() const {
  const std::string trouble = discovery_ ? discovery_->trouble() : "";
  if (trouble.empty() || missing().empty()) {
    return std::nullopt;
  }
  return engine::Problem{"", trouble, started_};
}

std::uint64_t Lan::sent_bytes() const {
  return discovery_ ? discovery_->sent_bytes() : 0;
}
std::uint64_t Lan::received_bytes() const {
  return discovery_ ? discovery_->received_bytes() : 0;
}

}  // namespace p2psync::app
