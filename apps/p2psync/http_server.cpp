#include "apps/p2psync/http_server.h"

#include <microhttpd.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <asio/ip/address.hpp>
#include <cerrno>
#include <string_view>

#include "storage/descriptor.h"

namespace p2psync::app {
namespace {

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

std::string_view host_of(std::string_view header) {
  if (header.starts_with('[')) {
    const std::size_t end = header.find(']');
    return end == std::string_view::npos ? std::string_view() : header.substr(1, end - 1);
  }
  return header.substr(0, header.find(':'));
}

}  // namespace

struct HttpServer::Glue {
  static MHD_Result send(MHD_Connection* connection, const HttpAnswer& answer) {
    MHD_Response* response = MHD_create_response_from_buffer(
        answer.body.size(), const_cast<char*>(answer.body.data()), MHD_RESPMEM_MUST_COPY);
    if (response == nullptr) {
      return MHD_NO;
    }
    // Nothing from elsewhere is ever loaded, and no other site may show it in a frame.
    for (const auto& [name, value] :
         {std::pair("Content-Type", answer.type.c_str()), std::pair("Cache-Control", "no-store"),
          std::pair("X-Content-Type-Options", "nosniff"),
          std::pair("Referrer-Policy", "no-referrer"),
          std::pair("Content-Security-Policy",
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
                    "form-action 'none'; frame-ancestors 'none'")}) {
      MHD_add_response_header(response, name, value);
    }
    if (answer.status == MHD_HTTP_METHOD_NOT_ALLOWED) {
      MHD_add_response_header(response, "Allow", "GET, HEAD");
    }
    const MHD_Result sent = MHD_queue_response(connection, answer.status, response);
    MHD_destroy_response(response);
    return sent;
  }

  static MHD_Result on_request(void* self, MHD_Connection* connection, const char* url,
                               const char* method, const char* /*version*/, const char* /*upload*/,
                               std::size_t* upload_size, void** /*request*/) {
    const auto& server = *static_cast<HttpServer*>(self);
    if (*upload_size > 0) {
      return MHD_NO;
    }
    const std::string_view verb = method;
    if (verb != MHD_HTTP_METHOD_GET && verb != MHD_HTTP_METHOD_HEAD) {
      return send(connection, {MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n"});
    }
    const char* host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    if (!is_own_host(host == nullptr ? "" : host, server.names_)) {
      return send(connection, {MHD_HTTP_MISDIRECTED_REQUEST, "text/plain",
                               "this node is not known by the name that was asked for\n"});
    }
    const auto query = [connection](const char* key) -> std::string {
      const char* value = nullptr;
      std::size_t size = 0;
      const bool there =
          MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, key,
                                        std::string_view(key).size(), &value, &size) == MHD_YES;
      return there && value != nullptr ? std::string(value, size) : std::string();
    };
    return send(connection, server.handler_({url, query}));
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
      MHD_USE_EPOLL, 0, nullptr, nullptr, &Glue::on_request, this, MHD_OPTION_LISTEN_SOCKET,
      socket->get(), MHD_OPTION_CONNECTION_LIMIT, connections_max, MHD_OPTION_CONNECTION_TIMEOUT,
      static_cast<unsigned>(step_time_max.count()), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      request_bytes_max, MHD_OPTION_END);
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
    MHD_stop_daemon(library_);
    library_ = nullptr;
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

/// Also when a connection has had its time: the library then closes it.
void HttpServer::run() {
  MHD_run(library_);
  MHD_UNSIGNED_LONG_LONG ms = 0;
  if (MHD_get_timeout(library_, &ms) == MHD_YES) {
    timeout_.expires_after(std::chrono::milliseconds(ms));
    timeout_.async_wait([this](asio::error_code error) {
      if (!error && library_ != nullptr) {
        run();
      }
    });
  }
}

bool HttpServer::is_own_host(std::string_view header, const std::set<std::string>& names) {
  std::string host(host_of(header));
  std::ranges::transform(host, host.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  if (host.empty() || host == "localhost" || names.contains(host)) {
    return true;  // no browser leaves Host out
  }
  asio::error_code error;
  [[maybe_unused]] const auto address = asio::ip::make_address(host, error);
  return !error;
}

}  // namespace p2psync::app
