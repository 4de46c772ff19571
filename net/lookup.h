#pragma once
// One look-up of a host name, in a thread of its own.
//
// Asio's resolver has one thread for all look-ups, and its end waits for it: a name server that
// does not answer would hold up the other members' names and the end of the program. Here each
// look-up has its thread, which is left behind when nobody wants the answer any more.
#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <memory>
#include <vector>

#include "engine/error.h"
#include "net/address.h"

namespace p2psync::net {

using Endpoints = std::vector<asio::ip::tcp::endpoint>;

/// Blocking; `not_found` with the resolver's own words. `passive`: to listen on.
[[nodiscard]] Result<Endpoints> look_up_blocking(const Address& address, bool passive);

class Lookup {
 public:
  explicit Lookup(const asio::any_io_executor& executor);
  ~Lookup() { abandon(); }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  /// Once. Addresses that are numbers need no thread.
  static asio::awaitable<Result<Endpoints>> run(std::shared_ptr<Lookup> self, Address address);
  /// run() returns at once, with an error.
  void abandon();

 private:
  struct Waiting;
  struct Door;
  std::shared_ptr<Waiting> waiting_;  ///< only touched on the io thread
  std::shared_ptr<Door> door_;        ///< what the thread has
};

}  // namespace p2psync::net
