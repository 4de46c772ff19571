#include "apps/p2psync/outbox.h"

#include <utility>

#include "engine/told.h"
#include "net/wire.h"

namespace p2psync::app {

void Outbox::send(engine::Send message) {
  const engine::NodeId id = message.peer;
  Connection& peer = peers_[id];
  if (peer.number == 0) {
    return;
  }
  Waiting waiting{net::encode_message(message.message), message.priority,
                  std::holds_alternative<engine::Hello>(message.message), index_.given()};
  if (peer.greeted && engine::needs_no_record(message.message)) {
    transmit(id, std::move(waiting));
    return;
  }
  if (peer.unrecorded_bytes + bytes_of(waiting) > unrecorded_bytes_max) {
    give_up_(id, "it asks for more than this disk is ready for: too much is waiting to be sent");
    return;
  }
  // One call for all that waits for the same change.
  const std::uint64_t change = waiting.change;
  const bool first = peer.unrecorded.empty() || peer.unrecorded.back().change != change;
  peer.unrecorded_bytes += bytes_of(waiting);
  peer.unrecorded.push_back(std::move(waiting));
  if (first) {
    index_.when_durable([this, id, number = peer.number, change] { recorded(id, number, change); });
  }
}

/// With what the containers and the allocator take for each: floods are of small messages.
std::size_t Outbox::bytes_of(const Waiting& waiting) {
  return sizeof(waiting) + 16 + waiting.frame.size();
}

void Outbox::recorded(engine::NodeId id, std::uint64_t connection, std::uint64_t change) {
  Connection& peer = peers_[id];
  while (peer.number == connection && !peer.unrecorded.empty() &&
         peer.unrecorded.front().change <= change) {
    Waiting waiting = std::move(peer.unrecorded.front());
    peer.unrecorded.pop_front();
    peer.unrecorded_bytes -= bytes_of(waiting);
    transmit(id, std::move(waiting));
  }
}

void Outbox::transmit(engine::NodeId id, Waiting waiting) {
  Connection& peer = peers_[id];
  peer.greeted = peer.greeted || waiting.hello;
  const bool data = waiting.priority == engine::Priority::data;
  if ((!data || peer.data.empty()) && transmit_(id, waiting.frame, waiting.priority)) {
    return;
  }
  if (!data) {
    return;  // the connection is gone
  }
  if (peer.data_bytes > waiting_bytes_max) {
    give_up_(id, "it asks for more than it reads");
    return;
  }
  peer.data_bytes += waiting.frame.size();
  peer.data.push_back(std::move(waiting.frame));
}

void Outbox::drained(engine::NodeId peer) {
  Connection& connection = peers_[peer];
  std::deque<Frame>& data = connection.data;
  while (!data.empty()) {
    const std::size_t bytes = data.front().size();
    if (!transmit_(peer, data.front(), engine::Priority::data)) {
      return;
    }
    connection.data_bytes -= bytes;
    data.pop_front();
  }
}

void Outbox::up(engine::NodeId peer) {
  peers_[peer] = {.number = ++connections_};
}

void Outbox::down(engine::NodeId peer) {
  peers_[peer] = {};
}

}  // namespace p2psync::app
