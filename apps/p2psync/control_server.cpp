#include "apps/p2psync/control_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/read_until.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <memory>
#include <utility>

#include "apps/p2psync/control_socket.h"

namespace p2psync::app {
namespace {

constexpr std::size_t connections_max = 32;
constexpr auto request_time_max = std::chrono::seconds(5);
constexpr auto use_result = asio::experimental::as_tuple(asio::use_awaitable);

/// How soon it is noticed that nobody waits for an answer any more.
constexpr auto hang_up_interval = std::chrono::seconds(1);

bool hung_up(asio::local::stream_protocol::socket* socket) {
  char byte = 0;
  return socket != nullptr &&
         ::recv(socket->native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

std::chrono::nanoseconds limit_in(const Json& request) {
  const std::chrono::duration<double> limit(std::clamp(
      request["wait_s"].number(), 0.0, static_cast<double>(ControlServer::wait_max.count())));
  return std::chrono::duration_cast<std::chrono::nanoseconds>(limit);
}

}  // namespace

ControlServer::ControlServer(asio::io_context& context, Handler handler)
    : handler_(std::move(handler)), context_(context), file_(context), abstract_(context) {}

Result<void> ControlServer::bind(Acceptor& acceptor, const std::string& name) {
  asio::error_code error;
  acceptor.open(asio::local::stream_protocol(), error);
  if (!error) {
    acceptor.bind(asio::local::stream_protocol::endpoint(name), error);
  }
  if (!error) {
    acceptor.listen(static_cast<int>(connections_max), error);
  }
  if (error) {
    return std::unexpected(system_error("listen on", "the control socket", error.value()));
  }
  return {};
}

Result<void> ControlServer::listen(int state_directory, const std::string& canonical_folder) {
  const std::string path = control_path(state_directory);
  ::unlink(path.c_str());
  if (auto bound = bind(file_, path); !bound) {
    return bound;
  }
  // The directory's mode already keeps others out between bind and here.
  if (::chmod(path.c_str(), 0600) != 0) {
    return std::unexpected(system_error("set the mode of", "the control socket", errno));
  }
  asio::co_spawn(context_, accept(&file_), asio::detached);
  // Only for a folder that has vanished: without it (another network namespace took none, it is
  // the only user of the name) the node runs all the same.
  if (bind(abstract_, abstract_control_name(canonical_folder))) {
    asio::co_spawn(context_, accept(&abstract_), asio::detached);
  }
  return {};
}

void ControlServer::ask(Json request, std::function<void(Json)> done) {
  asio::co_spawn(context_, answer_to(std::move(done), std::move(request)), asio::detached);
}

asio::awaitable<void> ControlServer::answer_to(std::function<void(Json)> done, Json request) {
  done(co_await answer(std::move(request), nullptr));
}

void ControlServer::changed() {
  for (asio::steady_timer& timer : waiting_) {
    timer.cancel();
  }
}

void ControlServer::stop() {
  stopped_ = true;
  asio::error_code ignored;
  file_.close(ignored);
  abstract_.close(ignored);
  changed();
}

asio::awaitable<void> ControlServer::accept(Acceptor* acceptor) {
  while (!stopped_) {
    auto [error, socket] = co_await acceptor->async_accept(use_result);
    if (error == asio::error::operation_aborted || !acceptor->is_open()) {
      co_return;
    }
    if (error) {
      // Out of descriptors, most likely: others may close some.
      asio::steady_timer pause(context_, std::chrono::milliseconds(100));
      co_await pause.async_wait(use_result);
      continue;
    }
    if (connections_ < connections_max && same_user(socket.native_handle())) {
      asio::co_spawn(context_, serve(std::move(socket)), asio::detached);
    }
  }
}

asio::awaitable<void> ControlServer::serve(Socket given) {
  ++connections_;
  const auto socket = std::make_shared<Socket>(std::move(given));
  asio::steady_timer patience(context_, request_time_max);
  patience.async_wait([socket](asio::error_code error) {
    if (!error) {
      socket->close(error);
    }
  });
  std::string line;
  const auto [read_error, length] = co_await asio::async_read_until(
      *socket, asio::dynamic_buffer(line, request_bytes_max), '\n', use_result);
  patience.cancel();
  if (!read_error) {
    auto request = Json::parse(std::string_view(line).substr(0, length));
    const Json response = co_await answer(request ? std::move(*request) : Json(), socket.get());
    const std::string text = response.dump() + "\n";
    co_await asio::async_write(*socket, asio::buffer(text), use_result);
  }
  --connections_;
}

asio::awaitable<Json> ControlServer::answer(Json request, Socket* asker) {
  const std::string& command = request["command"].text();
  if (command == "resolve" || command == "restore") {
    co_return co_await act(std::move(request), asker);
  }
  if (request["look"].boolean()) {  // what stands on the disk just now counts
    handler_.look();
    co_await wait_until(handler_.looked, act_wait_max, asker);
  }
  if (command == "wait") {
    co_return co_await wait(std::move(request), asker);
  }
  if (command == "pause") {
    Json response = handler_.answer(request);
    // What was begun ends first: from then on only users change the folder.
    co_await wait_until([this] { return !handler_.laying(); }, act_wait_max, asker);
    co_return response;
  }
  if (command != "status") {
    co_return handler_.answer(request);
  }
  Json::Object response;
  if (!request["wait_s"].is_null()) {
    handler_.look();
    const bool settled = co_await wait_until(
        [this] { return handler_.settled() || handler_.paused(); }, limit_in(request), asker);
    response.emplace_back("settled", settled && !handler_.paused());
  }
  response.emplace_back("status", handler_.status());
  co_return response;
}

/// What somebody asks for by command is about what stands on the disk just now, and he wants to see
/// it there.
asio::awaitable<Json> ControlServer::act(Json request, Socket* asker) {
  handler_.look();
  co_await wait_until(handler_.looked, act_wait_max, asker);
  Json response = handler_.answer(request);
  if (response["error"].is_null()) {
    co_await wait_until(
        [this, &request] { return handler_.laid_out(request) || handler_.paused(); }, act_wait_max,
        asker);
    Json::Object told = response.members();
    told.emplace_back("laid_out", handler_.laid_out(request));
    response = told;
  }
  co_return response;
}

/// Until what stands on the disk just now is held by as many as somebody asks for.
asio::awaitable<Json> ControlServer::wait(Json request, Socket* asker) {
  const auto deadline = std::chrono::steady_clock::now() + limit_in(request);
  handler_.look();
  const bool looked = co_await wait_until(handler_.looked, limit_in(request), asker);
  Json told = handler_.answer(request);
  if (looked && told["error"].is_null()) {
    Json::Object from_now_on = request.members();
    from_now_on.emplace_back("until", told["until"]);
    request = from_now_on;
    const auto done = [&] {
      told = handler_.answer(request);
      return told["done"].boolean() || !told["error"].is_null() || handler_.paused();
    };
    co_await wait_until(done, deadline - std::chrono::steady_clock::now(), asker);
  }
  Json::Object response = told.members();
  response.emplace_back("looked", looked);
  response.emplace_back("paused", handler_.paused());
  co_return response;
}

asio::awaitable<bool> ControlServer::wait_until(std::function<bool()> done,
                                                std::chrono::nanoseconds limit, Socket* asker) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    const auto now = std::chrono::steady_clock::now();
    if (stopped_ || now >= deadline || hung_up(asker)) {
      co_return false;
    }
    const auto timer =
        waiting_.emplace(waiting_.end(), context_, std::min(deadline, now + hang_up_interval));
    co_await timer->async_wait(use_result);
    waiting_.erase(timer);
  }
  co_return true;
}

}  // namespace p2psync::app
