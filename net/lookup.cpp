#include "net/lookup.h"

#include <netdb.h>
#include <sys/socket.h>

#include <asio/experimental/as_tuple.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <cstring>
#include <mutex>
#include <thread>

namespace p2psync::net {

using asio::ip::tcp;

struct Lookup::Waiting {
  explicit Waiting(const asio::any_io_executor& executor)
      : done(executor, asio::steady_timer::time_point::max()) {}
  asio::steady_timer done;
  bool over = false;
  Result<Endpoints> result = std::unexpected(Error{ErrorCode::busy, "look up name", "(given up)"});
};

/// The thread may outlive everything else: past this door it goes only while it is open.
struct Lookup::Door {
  std::mutex mutex;
  bool open = true;
};

Result<Endpoints> look_up_blocking(const Address& address, bool passive) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = passive ? AI_PASSIVE : 0;
  addrinfo* found = nullptr;
  if (const int failure = ::getaddrinfo(address.host.c_str(), nullptr, &wanted, &found);
      failure != 0) {
    return std::unexpected(Error{ErrorCode::not_found, "look up name",
                                 address.host + " (" + ::gai_strerror(failure) + ")"});
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, &::freeaddrinfo);
  Endpoints endpoints;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    tcp::endpoint endpoint;
    if (one->ai_addrlen > endpoint.capacity()) {
      continue;
    }
    endpoint.resize(one->ai_addrlen);
    std::memcpy(endpoint.data(), one->ai_addr, one->ai_addrlen);
    endpoint.port(address.port);
    endpoints.push_back(endpoint);
  }
  return endpoints;
}

Lookup::Lookup(const asio::any_io_executor& executor)
    : waiting_(std::make_shared<Waiting>(executor)), door_(std::make_shared<Door>()) {}

void Lookup::abandon() {
  const std::scoped_lock lock(door_->mutex);
  door_->open = false;
  waiting_->over = true;
  waiting_->done.cancel();
}

asio::awaitable<Result<Endpoints>> Lookup::run(std::shared_ptr<Lookup> self, Address address) {
  asio::error_code not_numeric;
  const auto numeric = asio::ip::make_address(address.host, not_numeric);
  if (!not_numeric) {
    co_return Endpoints{tcp::endpoint(numeric, address.port)};
  }
  std::weak_ptr<Waiting> weak = self->waiting_;
  std::thread([door = self->door_, weak, address, executor = self->waiting_->done.get_executor()] {
    auto result = look_up_blocking(address, false);
    const std::scoped_lock lock(door->mutex);
    if (!door->open) {
      return;
    }
    asio::post(executor, [weak, result = std::move(result)]() mutable {
      if (const auto waiting = weak.lock()) {
        waiting->result = std::move(result);
        waiting->over = true;
        waiting->done.cancel();
      }
    });
  }).detach();
  while (!self->waiting_->over) {
    co_await self->waiting_->done.async_wait(asio::experimental::as_tuple(asio::use_awaitable));
  }
  co_return std::move(self->waiting_->result);
}

}  // namespace p2psync::net
