#pragma once
// Outbox: the engine's messages on their way to the transport; those that wait for the index as
// frames, which are small and of known size.
//
// A message leaves when everything that was persisted before it is durable; what a peer was told it
// may build upon. Those that tell nothing (engine/told.h) leave at once, after the Hello. Messages
// for a connection that is gone meanwhile are dropped with it: the engine has heard of that and
// begins anew on the next one.
//
// A disk may be slow and a peer may not read, so what waits here has a limit, and who goes on
// asking beyond that is given up: of what is not yet on record unrecorded_bytes_max; of data that
// the transport has no room for waiting_bytes_max, since a member has no more than
// engine::Window::bytes_max asked for at a time. On the io_context's thread.
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/p2psync/index_writer.h"
#include "engine/output.h"
#include "engine/window.h"

namespace p2psync::app {

class Outbox {
 public:
  /// For each peer, beyond what the transport has (net::data_queue_bytes_max).
  static constexpr std::size_t waiting_bytes_max = 2 * engine::Window::bytes_max;
  /// For each peer, in memory. A stream of entries has some 2 MiB under way.
  static constexpr std::size_t unrecorded_bytes_max = std::size_t{16} << 20;

  using Frame = std::vector<std::uint8_t>;

  /// Gives control to the transport, which always takes it, or has no connection.
  using Tell = std::function<void(engine::NodeId, Frame)>;

  /// Gives data to the transport; false if it has no room for it or no connection.
  using Transmit = std::function<bool(const engine::Send&)>;

  /// Ends the connection with a peer for whom too much waits.
  using GiveUp = std::function<void(engine::NodeId, const std::string& reason)>;

  Outbox(
      IndexWriter& index, Tell tell, Transmit transmit,
      GiveUp give_up = [](engine::NodeId, const std::string&) {})
      : index_(index),
        tell_(std::move(tell)),
        transmit_(std::move(transmit)),
        give_up_(std::move(give_up)) {}

  void send(engine::Send message);
  /// The transport has room again.
  void drained(engine::NodeId peer);
  void up(engine::NodeId peer);
  void down(engine::NodeId peer);

 private:
  struct Waiting {
    std::uint64_t change = 0;  ///< the last that is to be durable before
    bool hello = false;
    Frame frame;                         ///< of control
    std::optional<engine::Send> data{};  ///< else
    [[nodiscard]] std::size_t bytes() const;
  };
  struct Connection {
    std::uint64_t number = 0;  ///< of this peer's connections; 0: none
    bool greeted = false;      ///< the Hello has left
    std::deque<Waiting> unrecorded;
    std::size_t unrecorded_bytes = 0;
    std::deque<engine::Send> data;
    std::size_t data_bytes = 0;
  };
  void recorded(engine::NodeId id, std::uint64_t connection, std::uint64_t change);
  void leave(engine::NodeId id, Waiting waiting);

  IndexWriter& index_;
  Tell tell_;
  Transmit transmit_;
  GiveUp give_up_;
  std::map<engine::NodeId, Connection> peers_;
  std::uint64_t connections_ = 0;
};

}  // namespace p2psync::app
