#pragma once
// Serving: the blocks that peers ask this node for.
//
// Who asks for more than a peer may have asked for at a time is disconnected. Of what the others
// ask for, only so much is read at a time as a well-behaved peer wants (window.h): what has been
// read and has not left yet is memory that somebody else decides about. What was being read for a
// connection that has gone takes room until it is here, and then is dropped: who dials anew gains
// nothing, and never gets an answer to what the connection before it asked.
// Memory for each peer: Window::bytes_max, and requests_max requests. No clock; single thread.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "engine/disk.h"
#include "engine/message.h"
#include "engine/output.h"
#include "engine/replica.h"
#include "engine/transfer.h"

namespace p2psync::engine {

class Serving {
 public:
  /// Asked for by one peer on its connection and not sent yet, and read for it at a time.
  static constexpr std::size_t requests_max = 1024;

  Serving(const Replica& replica, const Transfer& transfer)
      : replica_(replica), transfer_(transfer) {}

  void on_get(NodeId peer, const Get& get, std::vector<Output>& out);
  void on_read(BlockRead read, std::vector<Output>& out);
  void peer_down(NodeId peer);

 private:
  struct Reading {
    std::uint64_t request = 0;
    std::uint32_t length = 0;
    bool wanted = true;  ///< false: its connection has gone
  };
  struct Asked {
    std::deque<Get> waiting;
    std::map<std::uint64_t, Reading> reading;  ///< by the number that storage has of it
    std::uint64_t reading_bytes = 0;
    std::size_t unwanted = 0;  ///< of those that are being read
  };
  void read_next(NodeId peer, Asked& asked, std::vector<Output>& out);
  void read(NodeId peer, Asked& asked, const Get& get, std::vector<Output>& out);

  const Replica& replica_;
  const Transfer& transfer_;
  std::map<NodeId, Asked> asked_;
  std::uint64_t last_ = 0;  ///< number given to storage
};

}  // namespace p2psync::engine
