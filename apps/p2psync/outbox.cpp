#include "apps/p2psync/outbox.h"

#include <utility>

#include "engine/told.h"

namespace p2psync::app {

void Outbox::send(engine::Send message) {
  const Connection& peer = peers_[message.peer];
  const std::uint64_t connection = peer.number;
  if (connection == 0) {
    return;
  }
  if (peer.greeted && engine::needs_no_record(message.message)) {
    transmit(std::move(message), connection);
    return;
  }
  index_.when_durable([this, connection, message = std::move(message)]() mutable {
    transmit(std::move(message), connection);
  });
}

void Outbox::transmit(engine::Send message, std::uint64_t connection) {
  Connection& peer = peers_[message.peer];
  if (peer.number != connection) {
    return;
  }
  peer.greeted = peer.greeted || std::holds_alternative<engine::Hello>(message.message);
  const bool data = message.priority == engine::Priority::data;
  if (data && !peer.data.empty()) {
    peer.data.push_back(std::move(message));
    return;
  }
  if (!transmit_(message) && data) {
    peer.data.push_back(std::move(message));
  }
}

void Outbox::drained(engine::NodeId peer) {
  std::deque<engine::Send>& data = peers_[peer].data;
  while (!data.empty() && transmit_(data.front())) {
    data.pop_front();
  }
}

void Outbox::up(engine::NodeId peer) {
  peers_[peer] = {++connections_, false, {}};
}

void Outbox::down(engine::NodeId peer) {
  peers_[peer] = {};
}

}  // namespace p2psync::app
