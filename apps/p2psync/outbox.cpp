#include "apps/p2psync/outbox.h"

#include <utility>

#include "engine/told.h"

namespace p2psync::app {
namespace {

/// Of what is in memory for it, nearly all.
std::size_t bytes_of(const engine::Send& message) {
  const auto* block = std::get_if<engine::Block>(&message.message);
  return sizeof(message) + (block != nullptr && block->bytes ? block->bytes->size() : 0);
}

}  // namespace

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
    wait(peer, std::move(message));
    return;
  }
  if (!transmit_(message) && data) {
    wait(peer, std::move(message));
  }
}

void Outbox::wait(Connection& peer, engine::Send message) {
  if (peer.data_bytes > waiting_bytes_max) {
    give_up_(message.peer);
    return;
  }
  peer.data_bytes += bytes_of(message);
  peer.data.push_back(std::move(message));
}

void Outbox::drained(engine::NodeId peer) {
  Connection& connection = peers_[peer];
  std::deque<engine::Send>& data = connection.data;
  while (!data.empty() && transmit_(data.front())) {
    connection.data_bytes -= bytes_of(data.front());
    data.pop_front();
  }
}

void Outbox::up(engine::NodeId peer) {
  peers_[peer] = {++connections_, false, {}, 0};
}

void Outbox::down(engine::NodeId peer) {
  peers_[peer] = {};
}

}  // namespace p2psync::app
