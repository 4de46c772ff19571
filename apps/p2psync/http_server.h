#pragma once
// HttpServer: answers GET over HTTP/1.1, for `[http] listen`: libmicrohttpd on the daemon's
// io_context and its one thread.
//
// The library's epoll descriptor is waited for like any socket, so nobody asking costs nothing. It
// reads requests and writes answers; what they say is the handler's. Only GET and HEAD are known,
// bodies are not read. A page of some other site that the browser was led to (DNS rebinding) is
// refused by its Host header before the handler is asked: what a node tells, it tells to who asked
// for it by an address, by `localhost` or by a name of the configuration.
// Limits: 64 connections, 10 s for each of their steps, 32 KiB of memory for a request.
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

struct MHD_Daemon;

namespace p2psync::app {

struct HttpRequest {
  std::string path;                                   ///< decoded, without the query
  std::function<std::string(const char* key)> query;  ///< "" where it is absent
};
struct HttpAnswer {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  using Handler = std::function<HttpAnswer(const HttpRequest&)>;

  static constexpr unsigned connections_max = 64;
  static constexpr std::chrono::seconds step_time_max{10};
  static constexpr std::size_t request_bytes_max = 32 * 1024;

  /// `names`: the host names by which it may be asked, besides addresses and `localhost`.
  HttpServer(asio::io_context& context, std::set<std::string> names, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] Result<void> listen(const Address& address);
  void stop();

  /// What a Host header may say. "" (HTTP/1.0) is nobody's page.
  [[nodiscard]] static bool is_own_host(std::string_view header,
                                        const std::set<std::string>& names);

 private:
  struct Glue;  // what the library calls
  void wait();
  void run();

  std::set<std::string> names_;
  Handler handler_;
  MHD_Daemon* library_ = nullptr;
  asio::posix::stream_descriptor events_;
  asio::steady_timer timeout_;
};

}  // namespace p2psync::app
