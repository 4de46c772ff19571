#include "net/listener.h"

#include <algorithm>
#include <asio/experimental/as_tuple.hpp>
#include <asio/ip/v6_only.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>

#include "net/address.h"
#include "net/lookup.h"
#include "net/transport.h"

namespace p2psync::net {
namespace {

using asio::ip::tcp;

constexpr auto token = asio::experimental::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds pause_after_failure{200};

Result<std::shared_ptr<Listener>> listen_on(asio::io_context& io, const tcp::endpoint& endpoint,
                                            bool both_families) {
  tcp::acceptor acceptor(io);
  asio::error_code error;
  const auto attempt = [&error](auto&& step) {
    if (!error) {
      step();
    }
  };
  attempt([&] { acceptor.open(endpoint.protocol(), error); });
  attempt([&] { acceptor.set_option(tcp::acceptor::reuse_address(true), error); });
  if (endpoint.address().is_v6()) {
    attempt([&] { acceptor.set_option(asio::ip::v6_only(!both_families), error); });
  }
  attempt([&] { acceptor.bind(endpoint, error); });
  attempt([&] { acceptor.listen(asio::socket_base::max_listen_connections, error); });
  if (error) {
    const std::string object = Address{endpoint.address().to_string(), endpoint.port()}.text();
    return std::unexpected(system_error("listen on", object, error.value()));
  }
  return std::make_shared<Listener>(std::move(acceptor));
}

}  // namespace

Result<std::vector<std::shared_ptr<Listener>>> Listener::open(asio::io_context& io,
                                                              const std::string& text) {
  const auto address = parse_address(text, HostPart::optional);
  if (!address) {
    return std::unexpected(address.error());
  }
  std::vector<std::shared_ptr<Listener>> listeners;
  if (address->host.empty()) {
    auto both = listen_on(io, tcp::endpoint(tcp::v6(), address->port), true);
    if (!both && both.error().error_number == EAFNOSUPPORT) {  // a kernel without IPv6
      both = listen_on(io, tcp::endpoint(tcp::v4(), address->port), false);
    }
    if (!both) {
      return std::unexpected(both.error());
    }
    listeners.push_back(std::move(*both));
    return listeners;
  }
  const auto endpoints = look_up_blocking(*address, true);
  if (!endpoints) {
    return std::unexpected(endpoints.error());
  }
  for (const tcp::endpoint& endpoint : *endpoints) {
    auto listener = listen_on(io, endpoint, false);
    if (!listener) {
      return std::unexpected(listener.error());
    }
    listeners.push_back(std::move(*listener));
  }
  return listeners;
}

Listener::Listener(tcp::acceptor acceptor)
    : acceptor_(std::move(acceptor)), pause_(acceptor_.get_executor()) {
  local_ = acceptor_.local_endpoint();
  address_ = Address{local_.address().to_string(), local_.port()}.text();
  if (local_.address().is_v6()) {
    asio::ip::v6_only only;
    acceptor_.get_option(only);
    takes_ipv4_too_ = !only.value() && local_.address().is_unspecified();
  }
}

asio::awaitable<void> Listener::run(std::shared_ptr<ListenerHost> host,
                                    std::shared_ptr<Listener> self) {
  while (!self->stopped_) {
    auto [error, socket] = co_await self->acceptor_.async_accept(token);
    if (self->stopped_) {
      break;
    }
    if (!error) {
      host->accepted(std::move(socket));
    } else if (error != asio::error::connection_aborted) {
      host->accepting_failed("accept on " + self->address_ + ": " + error.message());
      self->pause_.expires_after(pause_after_failure);
      co_await self->pause_.async_wait(token);
    }
  }
}

void Listener::stop() {
  stopped_ = true;
  asio::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
}

void HalfOpen::enter(const std::shared_ptr<Connection>& connection) {
  const auto address = connection->remote().address();
  const auto same = [&](const auto& other) { return other->remote().address() == address; };
  auto victim = oldest_first_.end();
  if (std::ranges::count_if(oldest_first_, same) >=
      static_cast<std::ptrdiff_t>(half_open_per_address_max)) {
    victim = std::ranges::find_if(oldest_first_, same);
  } else if (oldest_first_.size() >= half_open_max) {
    victim = oldest_first_.begin();
  }
  if (victim != oldest_first_.end()) {
    (*victim)->close("too many connections that have not said who they are");
    oldest_first_.erase(victim);
  }
  oldest_first_.push_back(connection);
}

void HalfOpen::leave(const Connection* connection) {
  std::erase_if(oldest_first_, [&](const auto& other) { return other.get() == connection; });
}

}  // namespace p2psync::net
