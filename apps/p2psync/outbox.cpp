#include "apps/p2psync/outbox.h"

#include <utility>

#include "engine/told.h"
#include "net/wire.h"

namespace p2psync::app {
namespace {

constexpr const char* reads_less = "it asks for more than it reads";

/// Of what is in memory for it, nearly all.
std::size_t bytes_of(const engine::Send& message) {
  const auto* block = std::get_if<engine::Block>(&message.message);
  return sizeof(message) + (block != nullptr && block->bytes ? block->bytes->size() : 0);
}

}  // namespace

void Outbox::send(engine::Send message) {
  const engine::NodeId id = message.peer;
  Connection& peer = peers_[id];
  if (peer.number == 0) {
    return;
  }
  const bool passes = peer.greeted && engine::needs_no_record(message.message);
  const std::uint64_t change = index_.given();
  Waiting waiting{change, std::holds_alternative<engine::Hello>(message.message), {}};
  if (message.priority == engine::Priority::data) {
    waiting.data = std::move(message);
  } else {
    waiting.frame = net::encode_message(message.message);
  }
  if (passes) {
    leave(id, std::move(waiting));
    return;
  }
  const std::size_t bytes = waiting.bytes();
  if (peer.unrecorded_bytes + bytes > unrecorded_bytes_max) {
    give_up_(id, waiting.data ? reads_less
                              : "it asks for more than this disk is ready for: too much is waiting "
                                "to be sent");
    return;
  }
  // One call for all that waits for the same change.
  const bool first = peer.unrecorded.empty() || peer.unrecorded.back().change != change;
  peer.unrecorded_bytes += bytes;
  peer.unrecorded.push_back(std::move(waiting));
  if (first) {
    index_.when_durable([this, id, number = peer.number, change] { recorded(id, number, change); });
  }
}

/// With what the containers and the allocator take for each: floods are of small messages.
std::size_t Outbox::Waiting::bytes() const {
  return sizeof(*this) + 16 + frame.size() + (data ? bytes_of(*data) : 0);
}

void Outbox::recorded(engine::NodeId id, std::uint64_t connection, std::uint64_t change) {
  Connection& peer = peers_[id];
  while (peer.number == connection && !peer.unrecorded.empty() &&
         peer.unrecorded.front().change <= change) {
    Waiting waiting = std::move(peer.unrecorded.front());
    peer.unrecorded.pop_front();
    peer.unrecorded_bytes -= waiting.bytes();
    leave(id, std::move(waiting));
  }
}

void Outbox::leave(engine::NodeId id, Waiting waiting) {
  Connection& peer = peers_[id];
  if (!waiting.data) {
    peer.greeted = peer.greeted || waiting.hello;
    tell_(id, std::move(waiting.frame));
  } else if (!peer.data.empty() || !transmit_(*waiting.data)) {
    if (peer.data_bytes > waiting_bytes_max) {
      give_up_(id, reads_less);
      return;
    }
    peer.data_bytes += bytes_of(*waiting.data);
    peer.data.push_back(std::move(*waiting.data));
  }
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
  peers_[peer] = {.number = ++connections_};
}

void Outbox::down(engine::NodeId peer) {
  peers_[peer] = {};
}

}  // namespace p2psync::app
