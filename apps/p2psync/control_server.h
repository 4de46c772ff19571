#pragma once
// The control socket's server: answers questions about the running node.
//
// Lives on the daemon's io_context and its one thread. It knows nothing of the node: the handler
// does. A request that waits is looked at again whenever changed() says that something happened.
// Limits: 32 connections at once, 16 KiB and 5 s for a request.
#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <list>
#include <string>

#include "apps/p2psync/json.h"
#include "engine/error.h"

namespace p2psync::app {

class ControlServer {
 public:
  struct Handler {
    std::function<Json()> status;
    std::function<void()> look;     ///< take in now what has changed on the disk
    std::function<bool()> looked;   ///< nothing is left to be taken in
    std::function<bool()> settled;  ///< looked, and every member holds the same tree
    std::function<bool()> paused;   ///< to wait for others is in vain
    std::function<bool()> laying;   ///< something is being put in place just now
    /// Everything but `status`: answered, and done, at once.
    std::function<Json(const Json& request)> answer;
    /// The disk shows what is wanted of the path that a request is about.
    std::function<bool(const Json& request)> laid_out;
  };

  /// Longest that one may wait.
  static constexpr std::chrono::seconds wait_max = std::chrono::hours(24);
  /// Longest that an act waits for what the disk shows to be taken in before, and to be shown
  /// after; it is right without either.
  static constexpr std::chrono::seconds act_wait_max{5};

  ControlServer(asio::io_context& context, Handler handler);

  /// Binds both names (see control_socket.h). The caller holds the lock on the state directory, so
  /// a socket that is there is left over and replaced.
  [[nodiscard]] Result<void> listen(int state_directory, const std::string& canonical_folder);
  /// The same question from somebody who does not ask over the socket.
  void ask(Json request, std::function<void(Json)> done);
  /// Something happened to the node: waiting requests look again. Costs nothing when none waits.
  void changed();
  /// Takes no more questions and answers those that wait.
  void stop();

 private:
  using Socket = asio::local::stream_protocol::socket;
  using Acceptor = asio::local::stream_protocol::acceptor;

  Result<void> bind(Acceptor& acceptor, const std::string& name);
  asio::awaitable<void> accept(Acceptor* acceptor);
  asio::awaitable<void> serve(Socket socket);
  asio::awaitable<void> answer_to(std::function<void(Json)> done, Json request);
  /// `asker`: whose going ends a wait; null if that cannot be told.
  asio::awaitable<Json> answer(Json request, Socket* asker);
  asio::awaitable<Json> act(Json request, Socket* asker);
  asio::awaitable<Json> wait(Json request, Socket* asker);
  /// False: the limit, a stop, or the asker's going came first.
  asio::awaitable<bool> wait_until(std::function<bool()> done, std::chrono::nanoseconds limit,
                                   Socket* asker);

  Handler handler_;
  asio::io_context& context_;
  Acceptor file_;
  Acceptor abstract_;
  std::list<asio::steady_timer> waiting_;
  std::size_t connections_ = 0;
  bool stopped_ = false;
};

}  // namespace p2psync::app
