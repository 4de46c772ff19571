#pragma once
// HttpServer: answers over HTTP/1.1, for `[http] listen`: libmicrohttpd on the daemon's io_context
// and its one thread.
//
// The library's epoll descriptor is waited for like any socket, so nobody asking costs nothing. It
// reads requests and writes answers; what they say is the handler's, at once or later. GET, HEAD
// and POST are known; a POST brings JSON, and is the only one that may change anything. Who may not
// ask at all (http_guard.h) is refused before the handler is asked.
// Limits: 64 connections, 10 s for each of their steps, 32 KiB of memory for a request and 16 KiB
// of body, 32 MiB for all answers that have not been taken.
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "apps/p2psync/quantity.h"
#include "engine/error.h"

struct MHD_Connection;
struct MHD_Daemon;

namespace p2psync::app {

struct HttpRequest {
  bool post = false;
  std::string path;                                     ///< decoded, without the query
  std::function<std::string(const char* key)> query;    ///< "" where it is absent
  std::function<std::string(const char* name)> header;  ///< "" where it is absent
  std::string body;                                     ///< of a POST
};

/// An answer that goes on: what is pushed leaves as the other end takes it.
class HttpStream {
 public:
  /// Who does not take so much is cut off.
  static constexpr std::size_t waiting_bytes_max = std::size_t{4} << 20;

  void push(std::string_view text);
  /// Nobody takes anything any more.
  [[nodiscard]] bool over() const { return over_; }

 private:
  friend class HttpServer;
  std::string waiting_;
  std::function<void()> wake_;  ///< while the library waits for more
  bool over_ = false;
};

struct HttpAnswer {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::string policy = {};                       ///< Content-Security-Policy; "": that of the page
  std::shared_ptr<HttpStream> stream = nullptr;  ///< in place of `body`
};
/// To be called once; later calls, and those after the other end has gone, do nothing. On the
/// server's thread.
using HttpReply = std::function<void(HttpAnswer)>;

class HttpServer {
 public:
  /// What `request` has of functions may be called until the handler returns.
  using Handler = std::function<void(const HttpRequest& request, HttpReply reply)>;

  static constexpr unsigned connections_max = 64;
  static constexpr std::chrono::seconds step_time_max{10};
  static constexpr std::size_t request_bytes_max = std::size_t{32} << 10;
  static constexpr std::size_t body_bytes_max = std::size_t{16} << 10;
  static constexpr std::size_t answers_bytes_max = std::size_t{32} << 20;

  /// `names`: the host names by which it may be asked, besides addresses and `localhost`.
  HttpServer(asio::io_context& context, std::set<std::string> names, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] Result<void> listen(const Address& address);
  [[nodiscard]] bool listening() const { return library_ != nullptr; }
  void stop();

 private:
  struct Glue;  // what the library calls
  struct Exchange;
  struct Sending;
  void wait();
  void run();
  void run_after(std::chrono::milliseconds time);
  void suspend(MHD_Connection* connection);
  void resume(MHD_Connection* connection);

  std::set<std::string> names_;
  Handler handler_;
  MHD_Daemon* library_ = nullptr;
  asio::posix::stream_descriptor events_;
  asio::steady_timer timeout_;
  std::set<MHD_Connection*> suspended_;  ///< they wait for an answer, or for more of it
  std::size_t answers_bytes_ = 0;        ///< not taken yet
};

}  // namespace p2psync::app
