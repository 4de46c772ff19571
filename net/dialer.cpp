#include "net/dialer.h"

#include <algorithm>
#include <asio/experimental/as_tuple.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

namespace p2psync::net {
namespace {

using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr auto token = asio::experimental::as_tuple(asio::use_awaitable);

constexpr int away_share = 60;

}  // namespace

std::chrono::nanoseconds retry_longest(std::chrono::nanoseconds away,
                                       const TransportTiming& timing) {
  return std::clamp(away / away_share, std::min(timing.retry_soon, timing.retry_max),
                    timing.retry_max);
}

Dialer::Dialer(const asio::any_io_executor& executor, engine::NodeId member,
               std::optional<Address> address, const TransportTiming& timing, std::uint64_t seed)
    : executor_(executor),
      member_(member),
      address_(std::move(address)),
      timing_(timing),
      jitter_(static_cast<std::minstd_rand::result_type>(seed)),
      lost_at_(Clock::now()),
      wake_(executor) {}

asio::awaitable<void> Dialer::run(std::shared_ptr<DialerHost> host, std::shared_ptr<Dialer> self) {
  while (!self->stopped_) {
    const Instant now = Clock::now();
    if (std::exchange(self->hinted_, false)) {
      self->not_before_ = std::min(self->not_before_, self->tried_at_ + self->timing_.hint_pause);
    }
    if (!self->has_place() || !host->wanted(self->member_)) {
      self->wake_.expires_at(Instant::max());
    } else if (now < self->not_before_) {
      self->wake_.expires_at(self->not_before_);
    } else {
      try {
        co_await attempt(host, self);
      } catch (const std::exception& exception) {  // no more threads or memory, say
        self->put_off();
        host->dialling_failed(self->member_, exception.what());
      }
      continue;
    }
    co_await self->wake_.async_wait(token);
  }
}

asio::awaitable<void> Dialer::attempt(std::shared_ptr<DialerHost> host,
                                      std::shared_ptr<Dialer> self) {
  const auto hints = self->hints_.places();
  Endpoints endpoints(hints.begin(), hints.end());
  const std::size_t hinted = endpoints.size();
  std::string trouble;
  if (const auto address = self->address_) {
    self->lookup_ = std::make_shared<Lookup>(self->executor_);
    const auto found = co_await Lookup::run(self->lookup_, *address);
    if (found) {
      endpoints.insert(endpoints.end(), found->begin(), found->end());
    } else {
      trouble = found.error().message();
    }
  }
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const tcp::endpoint endpoint = endpoints[i];
    if (self->stopped_ || !host->wanted(self->member_)) {
      co_return;
    }
    const auto within = i < hinted ? self->timing_.hint_connect_max : self->timing_.connect_max;
    const auto failure = co_await connect(self, endpoint, within);
    if (self->stopped_) {
      co_return;
    }
    if (failure) {
      trouble = *failure;
    } else {
      const Meeting meeting = co_await host->meet(std::move(*self->socket_), self->member_);
      self->socket_ = nullptr;
      if (meeting.outcome == Meeting::Outcome::up) {
        co_return;  // lost() has said when to go on
      }
      if (meeting.outcome == Meeting::Outcome::superfluous) {
        self->put_off();  // the other connection's end, or its failure to begin, wakes us
        co_return;
      }
      trouble = meeting.reason;
    }
    self->hints_.failed(endpoint);
    trouble += " (" + Address{endpoint.address().to_string(), endpoint.port()}.text() + ")";
  }
  self->put_off();
  if (!self->stopped_) {
    host->dialling_failed(self->member_, trouble);
  }
}

asio::awaitable<std::optional<std::string>> Dialer::connect(std::shared_ptr<Dialer> self,
                                                            tcp::endpoint where,
                                                            std::chrono::nanoseconds within) {
  self->socket_ = std::make_shared<tcp::socket>(self->executor_);
  asio::steady_timer limit(self->executor_, within);
  limit.async_wait([weak = std::weak_ptr(self->socket_)](const asio::error_code& cancelled) {
    const auto socket = weak.lock();
    if (!cancelled && socket) {
      asio::error_code ignored;
      socket->close(ignored);
    }
  });
  const auto [error] = co_await self->socket_->async_connect(where, token);
  limit.cancel();
  if (!self->socket_->is_open()) {
    co_return "no answer";
  }
  if (error) {
    co_return error.message();
  }
  co_return std::nullopt;
}

void Dialer::put_off() {
  const Instant now = Clock::now();
  tried_at_ = now;
  delay_ = std::clamp(2 * delay_, timing_.retry_min, retry_longest(now - lost_at_, timing_));
  // Somewhere in the second half of the delay, so that nodes that failed together do not stay so.
  std::uniform_int_distribution<std::int64_t> part(delay_.count() / 2, delay_.count());
  not_before_ = now + std::chrono::nanoseconds(part(jitter_));
}

void Dialer::lost(std::chrono::nanoseconds lasted) {
  lost_at_ = Clock::now();
  if (lasted >= timing_.retry_max) {
    delay_ = std::chrono::nanoseconds(0);
  }
  put_off();
  wake_.cancel();
}

void Dialer::hint(const tcp::endpoint& where) {
  hints_.heard(where);
  hinted_ = true;
  wake_.cancel();
}

void Dialer::met(const tcp::endpoint& where) {
  if (!address_) {
    hints_.met(where);
  }
}

void Dialer::stop() {
  stopped_ = true;
  wake_.cancel();
  if (lookup_ != nullptr) {
    lookup_->abandon();
  }
  if (socket_ != nullptr) {
    asio::error_code ignored;
    socket_->close(ignored);
  }
}

}  // namespace p2psync::net
