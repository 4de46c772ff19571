#include "net/discovery.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "net/announce_pace.h"
#include "net/announcement.h"
#include "net/multicast.h"

namespace p2psync::net {
namespace {

using asio::ip::tcp;
using asio::ip::udp;
using Clock = std::chrono::steady_clock;
using Level = engine::Note::Level;

constexpr auto token = asio::experimental::as_tuple(asio::use_awaitable);

/// Links come in crowds: a container is several.
constexpr std::chrono::milliseconds settle_time{100};
/// After the quick part of a start it is worth a line in the log who is missing.
constexpr std::chrono::seconds patience{5};
/// Texts of different troubles that are remembered, so that each is said once.
constexpr std::size_t troubles_max = 64;

}  // namespace

class Discovery::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(asio::io_context& io, DiscoveryOptions options, DiscoveryEvents events)
      : io_(io),
        options_(std::move(options)),
        events_(std::move(events)),
        pace_(std::random_device{}()),
        news_(std::make_shared<InterfaceNews>(io)),
        wake_(io),
        settling_(io) {
    self_ = member_tag(options_.cluster, options_.self);
    for (const KeyId& member : options_.members) {
      members_.emplace(member_tag(options_.cluster, member), member.node());
    }
    members_.erase(self_);
  }

  void start() {
    if (news_->open()) {
      asio::co_spawn(io_,
                     InterfaceNews::run(news_,
                                        [weak = weak_from_this()] {
                                          if (const auto self = weak.lock()) {
                                            self->interfaces_changed();
                                          }
                                        }),
                     asio::detached);
    } else {
      log(Level::warn, "the kernel does not tell when interfaces change: looking now and then");
    }
    asio::co_spawn(io_, tend(shared_from_this()), asio::detached);
  }
  void stop();
  void reconsider() { wake_.cancel(); }

  [[nodiscard]] std::string trouble() const;

  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;

 private:
  using Channel = std::shared_ptr<MulticastSocket>;

  static asio::awaitable<void> tend(std::shared_ptr<Core> self);
  static asio::awaitable<void> listen(std::shared_ptr<Core> self, Channel channel);
  static asio::awaitable<void> settle(std::shared_ptr<Core> self);
  void judge(const MulticastSocket& channel, std::span<const std::uint8_t> datagram,
             const udp::endpoint& from);
  void announce(AnnouncePace::Kind kind);
  void interfaces_changed();
  /// It is on another network: it says so even if it misses nobody.
  void moved() {
    pace_.hurry(Clock::now());
    pace_.asked(Clock::now());
  }
  /// True if there are others than before.
  bool follow_interfaces();
  Channel open(const Interface& interface, Way way);
  void say_who_is_missing(const std::vector<std::string>& names);
  void once(Level level, const std::string& text);
  void log(Level level, const std::string& text) const {
    if (!stopped_ && events_.log) {
      events_.log(level, text);
    }
  }

  asio::io_context& io_;
  DiscoveryOptions options_;
  DiscoveryEvents events_;
  AnnouncePace pace_;
  MemberTag self_{};
  std::map<MemberTag, engine::NodeId> members_;
  std::shared_ptr<InterfaceNews> news_;
  std::vector<Channel> channels_;
  std::vector<Interface> interfaces_;  ///< as last read
  bool looked_ = false;                ///< they were read at all
  asio::steady_timer wake_;
  asio::steady_timer settling_;
  bool settles_ = false;
  std::set<std::string> said_;
  std::string last_error_;
  std::optional<Instant> missing_since_;
  bool missed_ = false;  ///< it was said who is missing
  bool stopped_ = false;
};

void Discovery::Core::stop() {
  stopped_ = true;
  wake_.cancel();
  settling_.cancel();
  news_->stop();
  for (const Channel& channel : channels_) {
    channel->close();
  }
}

asio::awaitable<void> Discovery::Core::tend(std::shared_ptr<Core> self) {
  self->follow_interfaces();
  self->pace_.hurry(Clock::now());
  while (!self->stopped_) {
    const std::vector<std::string> missing = self->events_.missing();
    self->pace_.missing(Clock::now(), !missing.empty());
    if (const auto kind = self->pace_.take(Clock::now())) {
      self->announce(*kind);
    }
    self->say_who_is_missing(missing);
    self->wake_.expires_at(self->pace_.due());
    co_await self->wake_.async_wait(token);
  }
}

void Discovery::Core::announce(AnnouncePace::Kind kind) {
  if (follow_interfaces()) {
    moved();
  }
  for (const Channel& channel : channels_) {
    const auto port = channel->port_among(options_.places);
    if (!port) {
      continue;  // nobody there could dial this node
    }
    const auto datagram = encode_announcement({kind == AnnouncePace::Kind::asks, *port, self_});
    if (const auto sent = channel->send(datagram)) {
      sent_bytes += datagram.size();
    } else {
      // An IPv6 address of an interface that has just come is not ready for a second or two.
      const bool soon = sent.error().error_number == EADDRNOTAVAIL;
      once(soon ? Level::debug : Level::warn, sent.error().message());
    }
  }
}

asio::awaitable<void> Discovery::Core::listen(std::shared_ptr<Core> self, Channel channel) {
  std::array<std::uint8_t, announcement_bytes + 1> datagram{};  // one more shows what is too long
  while (!self->stopped_ && channel->socket().is_open()) {
    const Instant now = Clock::now();
    if (const Instant ready = channel->judged.ready_at(now); ready > now) {
      channel->pause.expires_at(ready);
      co_await channel->pause.async_wait(token);
      continue;
    }
    udp::endpoint from;
    const auto [error, bytes] =
        co_await channel->socket().async_receive_from(asio::buffer(datagram), from, token);
    channel->judged.spend(1);
    if (!error && !self->stopped_) {
      self->received_bytes += bytes;
      self->judge(*channel, std::span(datagram).first(bytes), from);
    } else if (!self->stopped_ && channel->socket().is_open()) {
      self->once(Level::warn, "listen on " + channel->text() + ": " + error.message());
    }
  }
}

void Discovery::Core::judge(const MulticastSocket& channel, std::span<const std::uint8_t> datagram,
                            const udp::endpoint& from) {
  const auto announcement = decode_announcement(datagram);
  if (!announcement) {
    return;
  }
  const auto member = members_.find(announcement->member);
  if (member == members_.end() || !on_link(channel.interface(), from.address())) {
    return;
  }
  if (events_.heard) {
    events_.heard(member->second, tcp::endpoint(from.address(), announcement->port));
  }
  if (announcement->asks && !stopped_) {
    pace_.asked(Clock::now());
    wake_.cancel();
  }
}

void Discovery::Core::interfaces_changed() {
  if (!stopped_ && !settles_) {
    settles_ = true;
    asio::co_spawn(io_, settle(shared_from_this()), asio::detached);
  }
}

asio::awaitable<void> Discovery::Core::settle(std::shared_ptr<Core> self) {
  self->settling_.expires_after(settle_time);
  co_await self->settling_.async_wait(token);
  self->settles_ = false;
  if (!self->stopped_ && self->follow_interfaces()) {
    self->moved();
    self->wake_.cancel();
  }
}

bool Discovery::Core::follow_interfaces() {
  auto interfaces = multicast_interfaces(options_.interfaces);
  if (interfaces == interfaces_ && !channels_.empty()) {
    return false;
  }
  std::vector<Channel> kept;
  for (const Channel& channel : channels_) {
    if (std::ranges::find(interfaces, channel->interface()) != interfaces.end()) {
      kept.push_back(channel);
    } else {
      channel->close();
    }
  }
  const bool changed = interfaces != interfaces_ || !std::exchange(looked_, true);
  channels_ = std::move(kept);
  interfaces_ = std::move(interfaces);
  for (const Interface& interface : interfaces_) {
    for (const Way way : ways_on(interface)) {
      const bool open_already = std::ranges::any_of(channels_, [&](const Channel& channel) {
        return channel->interface() == interface && channel->way() == way;
      });
      if (open_already) {
        continue;
      }
      if (Channel channel = open(interface, way)) {
        channels_.push_back(std::move(channel));
      }
    }
  }
  if (changed && !channels_.empty()) {
    std::vector<std::string> where;
    std::ranges::transform(channels_, std::back_inserter(where), &MulticastSocket::text);
    log(Level::info, fmt::format("looking for members on the LAN, UDP port {}: {}",
                                 options_.udp_port, fmt::join(where, ", ")));
  } else if (changed) {
    log(Level::warn, trouble());
  }
  return changed;
}

Discovery::Core::Channel Discovery::Core::open(const Interface& interface, Way way) {
  auto channel = MulticastSocket::open(io_, interface, way, options_.udp_port);
  if (!channel) {
    last_error_ = channel.error().message();
    once(Level::warn, last_error_);
    return nullptr;
  }
  asio::co_spawn(io_, listen(shared_from_this(), *channel), asio::detached);
  return *channel;
}

void Discovery::Core::say_who_is_missing(const std::vector<std::string>& names) {
  const Instant now = Clock::now();
  if (names.empty()) {
    missing_since_.reset();
    missed_ = false;
    return;
  }
  missing_since_ = missing_since_.value_or(now);
  if (now - *missing_since_ >= patience && !missed_ && !channels_.empty()) {
    missed_ = true;
    log(Level::info,
        fmt::format("not found on the LAN so far: {} (they have no address here; what they say "
                    "reaches this node only on its own network, by UDP multicast or broadcast)",
                    fmt::join(names, ", ")));
  }
}

std::string Discovery::Core::trouble() const {
  if (!channels_.empty()) {
    return "";
  }
  return "members without an address cannot be found: " +
         (interfaces_.empty() || last_error_.empty() ? "no network interface can multicast"
                                                     : last_error_);
}

void Discovery::Core::once(Level level, const std::string& text) {
  if (said_.size() < troubles_max && said_.insert(text).second) {
    log(level, text);
  }
}

// --- Outside

Discovery::Discovery(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Discovery::~Discovery() {
  core_->stop();
}

std::unique_ptr<Discovery> Discovery::start(asio::io_context& io, DiscoveryOptions options,
                                            DiscoveryEvents events) {
  auto core = std::make_shared<Core>(io, std::move(options), std::move(events));
  core->start();
  return std::unique_ptr<Discovery>(new Discovery(std::move(core)));
}

void Discovery::reconsider() {
  core_->reconsider();
}
void Discovery::stop() {
  core_->stop();
}
std::string Discovery::trouble() const {
  return core_->trouble();
}
std::uint64_t Discovery::sent_bytes() const {
  return core_->sent_bytes;
}
std::uint64_t Discovery::received_bytes() const {
  return core_->received_bytes;
}

}  // namespace p2psync::net
