#include "apps/p2psync/http_server.h"

#include <microhttpd.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "apps/p2psync/http_guard.h"
#include "storage/descriptor.h"

namespace p2psync::app {
namespace {

/// What a stream is asked for at once.
constexpr std::size_t stream_block_bytes = 16384;

/// Nothing from elsewhere is ever loaded or sent to, no text in a page is a script, and no other
/// site may show it in a frame.
constexpr const char* page_policy =
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The first of the host's addresses that can be bound.
Result<storage::Descriptor> bound_socket(const Address& address) {
  const auto failed = [&](int number) {
    return std::unexpected(system_error("listen for HTTP on", address.text(), number));
  };
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  if (::getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(), port.c_str(), &hints,
                    &found) != 0) {
    return failed(EADDRNOTAVAIL);
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, ::freeaddrinfo);
  int number = EADDRNOTAVAIL;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    storage::Descriptor socket(
        ::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    if (socket && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        ::bind(socket.get(), at->ai_addr, at->ai_addrlen) == 0 &&
        ::listen(socket.get(), HttpServer::connections_max) == 0) {
      return socket;
    }
    number = errno;
  }
  return failed(number);
}

std::string header_of(MHD_Connection* connection, const char* name) {
  const char* value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string query_of(MHD_Connection* connection, const char* key) {
  const char* value = nullptr;
  std::size_t size = 0;
  const bool there = MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, key,
                                                   std::strlen(key), &value, &size) == MHD_YES;
  return there && value != nullptr ? std::string(value, size) : std::string();
}

bool is_json(std::string_view type) {
  return type.substr(0, type.find(';')) == "application/json";
}

}  // namespace

void HttpStream::push(std::string_view text) {
  if (over_) {
    return;
  }
  over_ = waiting_.size() + text.size() > waiting_bytes_max;
  waiting_ += text;
  if (wake_) {
    std::exchange(wake_, nullptr)();
  }
}

/// One request, from its headers to the end of its answer.
struct HttpServer::Exchange {
  MHD_Connection* connection;  ///< null: it is over
  HttpRequest request;
  bool handed = false;  ///< to the handler
  bool suspended = false;
  bool too_long = false;
  std::optional<HttpAnswer> answer;
};

/// What is on its way to somebody.
struct HttpServer::Sending {
  HttpServer& server;
  MHD_Connection* connection;
  HttpAnswer answer;
};

struct HttpServer::Glue {
  using Held = std::shared_ptr<Exchange>;

  static std::optional<HttpAnswer> refusal(HttpServer& server, MHD_Connection* connection,
                                           std::string_view verb) {
    const bool post = verb == MHD_HTTP_METHOD_POST;
    if (!post && verb != MHD_HTTP_METHOD_GET && verb != MHD_HTTP_METHOD_HEAD) {
      return HttpAnswer{.status = MHD_HTTP_METHOD_NOT_ALLOWED, .body = "only GET, HEAD and POST\n"};
    }
    const std::string host = header_of(connection, "Host");
    if (!is_own_host(host, server.names_)) {
      return HttpAnswer{.status = MHD_HTTP_MISDIRECTED_REQUEST,
                        .body = "this node is not known by the name that was asked for\n"};
    }
    const AskingPage page{
        host, header_of(connection, "Origin"), header_of(connection, "Sec-Fetch-Site"),
        header_of(connection, "Sec-Fetch-Mode"), header_of(connection, "Sec-Fetch-Dest")};
    if (!is_own_page(page, !post)) {
      return HttpAnswer{.status = MHD_HTTP_FORBIDDEN,
                        .body = "only this node's own pages may ask\n"};
    }
    if (post && !is_json(header_of(connection, "Content-Type"))) {
      return HttpAnswer{.status = MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, .body = "only JSON\n"};
    }
    return std::nullopt;
  }

  static MHD_Response* response_of(HttpServer& server, MHD_Connection* connection,
                                   HttpAnswer answer) {
    auto sending = std::make_unique<Sending>(server, connection, std::move(answer));
    Sending& what = *sending;
    if (what.answer.stream) {
      MHD_Response* stream = MHD_create_response_from_callback(
          MHD_SIZE_UNKNOWN, stream_block_bytes, &Glue::read_stream, &what, &Glue::sent);
      return stream == nullptr ? nullptr : (static_cast<void>(sending.release()), stream);
    }
    server.answers_bytes_ += what.answer.body.size();
    MHD_Response* response = MHD_create_response_from_buffer_with_free_callback_cls(
        what.answer.body.size(), what.answer.body.data(), &Glue::sent, &what);
    if (response == nullptr) {
      server.answers_bytes_ -= what.answer.body.size();
      return nullptr;
    }
    static_cast<void>(sending.release());
    return response;
  }

  static MHD_Result send(HttpServer& server, MHD_Connection* connection, HttpAnswer answer) {
    if (server.answers_bytes_ + answer.body.size() > answers_bytes_max) {
      answer = {.status = MHD_HTTP_SERVICE_UNAVAILABLE, .body = "too much at once\n"};
    }
    const unsigned status = answer.status;
    const std::string type = answer.type;
    const std::string policy = answer.policy.empty() ? page_policy : answer.policy;
    MHD_Response* response = response_of(server, connection, std::move(answer));
    if (response == nullptr) {
      return MHD_NO;
    }
    for (const auto& [name, value] :
         {std::pair("Content-Type", type.c_str()), std::pair("Cache-Control", "no-store"),
          std::pair("X-Content-Type-Options", "nosniff"),
          std::pair("Referrer-Policy", "no-referrer"),
          std::pair("Cross-Origin-Resource-Policy", "same-origin"),
          std::pair("Content-Security-Policy", policy.c_str())}) {
      MHD_add_response_header(response, name, value);
    }
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
      MHD_add_response_header(response, "Allow", "GET, HEAD, POST");
    }
    const MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
  }

  static void sent(void* self) {
    const std::unique_ptr<Sending> sending(static_cast<Sending*>(self));
    if (sending->answer.stream) {
      sending->answer.stream->over_ = true;
      sending->answer.stream->wake_ = nullptr;
    } else {
      sending->server.answers_bytes_ -= sending->answer.body.size();
    }
  }

  static ssize_t read_stream(void* self, std::uint64_t /*position*/, char* into, std::size_t most) {
    const Sending& sending = *static_cast<Sending*>(self);
    HttpStream& stream = *sending.answer.stream;
    if (stream.over_) {
      return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (stream.waiting_.empty()) {
      stream.wake_ = [&server = sending.server, connection = sending.connection] {
        server.resume(connection);
      };
      sending.server.suspend(sending.connection);
      return 0;
    }
    const std::size_t size = std::min(most, stream.waiting_.size());
    std::memcpy(into, stream.waiting_.data(), size);
    stream.waiting_.erase(0, size);
    return static_cast<ssize_t>(size);
  }

  static void hand_over(HttpServer& server, const Held& exchange) {
    exchange->handed = true;
    if (exchange->too_long) {
      exchange->answer = {.status = MHD_HTTP_CONTENT_TOO_LARGE, .body = "too long\n"};
      return;
    }
    server.handler_(exchange->request, [&server, exchange](HttpAnswer answer) {
      if (exchange->connection == nullptr || exchange->answer) {
        return;
      }
      exchange->answer = std::move(answer);
      if (std::exchange(exchange->suspended, false)) {
        server.resume(exchange->connection);
      }
    });
  }

  static MHD_Result on_request(void* self, MHD_Connection* connection, const char* url,
                               const char* method, const char* /*version*/, const char* upload,
                               std::size_t* upload_size, void** request) {
    auto& server = *static_cast<HttpServer*>(self);
    if (*request == nullptr) {  // only the headers are there
      if (auto refused = refusal(server, connection, method)) {
        return send(server, connection, std::move(*refused));
      }
      auto exchange = std::make_shared<Exchange>(connection);
      exchange->request.post = std::string_view(method) == MHD_HTTP_METHOD_POST;
      exchange->request.path = url;
      exchange->request.query = [connection](const char* key) { return query_of(connection, key); };
      exchange->request.header = [connection](const char* name) {
        return header_of(connection, name);
      };
      *request = new Held(std::move(exchange));
      return MHD_YES;
    }
    const Held exchange = *static_cast<Held*>(*request);
    if (*upload_size > 0) {
      std::string& body = exchange->request.body;
      if (!exchange->request.post) {
        return MHD_NO;
      }
      exchange->too_long = exchange->too_long || body.size() + *upload_size > body_bytes_max;
      if (!exchange->too_long) {
        body.append(upload, *upload_size);
      }
      *upload_size = 0;
      return MHD_YES;
    }
    if (!exchange->handed) {
      hand_over(server, exchange);
    }
    if (exchange->answer) {
      return send(server, connection, std::move(*exchange->answer));
    }
    exchange->suspended = true;
    server.suspend(connection);
    return MHD_YES;
  }

  static void on_completed(void* /*self*/, MHD_Connection* /*connection*/, void** request,
                           MHD_RequestTerminationCode /*how*/) {
    if (*request != nullptr) {
      const std::unique_ptr<Held> exchange(static_cast<Held*>(std::exchange(*request, nullptr)));
      (*exchange)->connection = nullptr;
    }
  }
};

HttpServer::HttpServer(asio::io_context& context, std::set<std::string> names, Handler handler)
    : names_(std::move(names)), handler_(std::move(handler)), events_(context), timeout_(context) {}

HttpServer::~HttpServer() {
  stop();
}

Result<void> HttpServer::listen(const Address& address) {
  auto socket = bound_socket(address);
  if (!socket) {
    return std::unexpected(socket.error());
  }
  library_ = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, &Glue::on_request, this,
      MHD_OPTION_LISTEN_SOCKET, socket->get(), MHD_OPTION_CONNECTION_LIMIT, connections_max,
      MHD_OPTION_CONNECTION_TIMEOUT, static_cast<unsigned>(step_time_max.count()),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, request_bytes_max, MHD_OPTION_NOTIFY_COMPLETED,
      &Glue::on_completed, nullptr, MHD_OPTION_END);
  const MHD_DaemonInfo* info =
      library_ == nullptr ? nullptr : MHD_get_daemon_info(library_, MHD_DAEMON_INFO_EPOLL_FD);
  if (info == nullptr) {
    return std::unexpected(system_error("listen for HTTP on", address.text(), errno));
  }
  socket->release();  // the library closes it
  events_.assign(::dup(info->epoll_fd));
  wait();
  return {};
}

void HttpServer::stop() {
  if (library_ != nullptr) {
    asio::error_code ignored;
    events_.close(ignored);
    timeout_.cancel();
    while (!suspended_.empty()) {  // the library does not stop with any
      resume(*suspended_.begin());
    }
    MHD_stop_daemon(std::exchange(library_, nullptr));
  }
}

void HttpServer::suspend(MHD_Connection* connection) {
  suspended_.insert(connection);
  MHD_suspend_connection(connection);
}

/// The library goes on with it when it runs next, and nothing wakes it for that.
void HttpServer::resume(MHD_Connection* connection) {
  if (suspended_.erase(connection) > 0) {
    MHD_resume_connection(connection);
    run_after(std::chrono::milliseconds(0));
  }
}

void HttpServer::wait() {
  events_.async_wait(asio::posix::stream_descriptor::wait_read, [this](asio::error_code error) {
    if (!error && library_ != nullptr) {  // it may have been stopped since this was on its way
      run();
      wait();
    }
  });
}

void HttpServer::run() {
  MHD_run(library_);
  MHD_UNSIGNED_LONG_LONG ms = 0;
  if (MHD_get_timeout(library_, &ms) == MHD_YES) {
    run_after(std::chrono::milliseconds(ms));
  }
}

/// When a connection has had its time the library closes it.
void HttpServer::run_after(std::chrono::milliseconds time) {
  timeout_.expires_after(time);
  timeout_.async_wait([this](asio::error_code error) {
    if (!error && library_ != nullptr) {
      run();
    }
  });
}

}  // namespace p2psync::app
