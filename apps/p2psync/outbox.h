#pragma once
// Outbox: the engine's messages on their way to the transport.
//
// A message leaves when everything that was persisted before it is durable; what a peer was told it
// may build upon. Those that tell nothing (engine/told.h) leave at once, after the Hello. Messages
// for a connection that is gone meanwhile are dropped with it: the engine has heard of that and
// begins anew on the next one. Data that the transport has no room for waits here until it has, up
// to waiting_bytes_max: a member has no more than engine::Window::bytes_max asked for at a time, so
// for whom that much waits, that one asks on and reads nothing. On the io_context's thread.
#include <deque>
#include <functional>
#include <map>

#include "apps/p2psync/index_writer.h"
#include "engine/output.h"
#include "engine/window.h"

namespace p2psync::app {

class Outbox {
 public:
  /// For each peer, beyond what the transport has (net::data_queue_bytes_max).
  static constexpr std::size_t waiting_bytes_max = 2 * engine::Window::bytes_max;

  /// Gives a message to the transport; false if it has no room for data or no connection.
  using Transmit = std::function<bool(const engine::Send&)>;

  /// Ends the connection with a peer for whom too much waits.
  using GiveUp = std::function<void(engine::NodeId)>;

  Outbox(
      IndexWriter& index, Transmit transmit, GiveUp give_up = [](engine::NodeId) {})
      : index_(index), transmit_(std::move(transmit)), give_up_(std::move(give_up)) {}

  void send(engine::Send message);
  /// The transport has room again.
  void drained(engine::NodeId peer);
  void up(engine::NodeId peer);
  void down(engine::NodeId peer);

 private:
  struct Connection {
    std::uint64_t number = 0;  ///< of this peer's connections; 0: none
    bool greeted = false;      ///< the Hello has left
    std::deque<engine::Send> data;
    std::size_t data_bytes = 0;
  };
  void transmit(engine::Send message, std::uint64_t connection);
  void wait(Connection& peer, engine::Send message);

  IndexWriter& index_;
  Transmit transmit_;
  GiveUp give_up_;
  std::map<engine::NodeId, Connection> peers_;
  std::uint64_t connections_ = 0;
};

}  // namespace p2psync::app
