#include "net/transport.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/use_awaitable.hpp>

#include "net/transport_core.h"
#include "net/wire.h"

namespace p2psync::net {
namespace {

using asio::ip::tcp;
using engine::NodeId;
using engine::Priority;
using Clock = std::chrono::steady_clock;
using Level = engine::Note::Level;

constexpr auto token = asio::experimental::as_tuple(asio::use_awaitable);

/// A socket for both families has IPv4 addresses in the form of IPv6.
asio::ip::address plain_address(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  return address;
}

}  // namespace

// --- Starting and stopping

Transport::Core::Core(asio::io_context& io, const PrivateKey& key, TransportOptions options,
                      TransportEvents events)
    : io_(io),
      key_(key),
      self_(key.id()),
      options_(std::move(options)),
      events_(std::move(events)),
      traffic_(std::make_shared<Traffic>(options_.upload_limit, options_.download_limit)),
      tending_(io) {}

Result<void> Transport::Core::start() {
  for (const Member& member : options_.members) {
    if (member.id == self_) {
      continue;
    }
    std::optional<Address> address;
    if (!member.address.empty()) {
      auto parsed = parse_address(member.address);
      if (!parsed) {
        return std::unexpected(parsed.error());
      }
      address = std::move(*parsed);
    }
    const NodeId node = member.id.node();
    Peer peer{.id = member.id, .name = member.name, .pair_token = random_number()};
    peer.dialer = std::make_shared<Dialer>(io_.get_executor(), node, std::move(address),
                                           options_.timing, random_number());
    if (node == self_.node() || !peers_.emplace(node, std::move(peer)).second) {
      return std::unexpected(Error{ErrorCode::invalid, "add member with id", member.id.hex()});
    }
    allowed_.push_back(member.id);
  }
  std::vector<NodeId> nodes;
  for (const auto& [node, peer] : peers_) {
    nodes.push_back(node);
  }
  neighbours_.emplace(
      self_.node(), nodes,
      options_.neighbours.value_or(engine::Neighbours::wanted_of(options_.members.size())));
  auto context = make_context(key_, allowed_);
  if (!context) {
    return std::unexpected(context.error());
  }
  context_ = std::move(*context);
  for (const std::string& address : options_.listen) {
    auto listeners = Listener::open(io_, address);
    if (!listeners) {
      return std::unexpected(listeners.error());
    }
    std::ranges::move(*listeners, std::back_inserter(listeners_));
  }
  const auto self = shared_from_this();
  for (const auto& listener : listeners_) {
    asio::co_spawn(io_, Listener::run(self, listener), asio::detached);
  }
  for (const auto& [node, peer] : peers_) {
    asio::co_spawn(io_, Dialer::run(self, peer.dialer), asio::detached);
  }
  asio::co_spawn(io_, tend(self), asio::detached);
  return {};
}

void Transport::Core::pause(bool on) {
  paused_ = on;
  for (const auto& connection : connections_) {
    if (on) {
      connection->close("this node is paused");
    }
  }
  for (const auto& [node, peer] : peers_) {
    peer.dialer->reconsider();
  }
}

void Transport::Core::stop() {
  if (stopped_) {
    return;
  }
  stopped_ = true;
  tending_.cancel();
  for (const auto& listener : listeners_) {
    listener->stop();
  }
  for (const auto& [node, peer] : peers_) {
    peer.dialer->stop();
  }
  for (const auto& connection : connections_) {
    connection->close("this node stops");
  }
}

// --- What the node and the dialers ask

Peer* Transport::Core::find_open(NodeId node) {
  Peer* peer = find(node);
  const bool open =
      !stopped_ && peer != nullptr && peer->current != nullptr && !peer->current->closed();
  return open ? peer : nullptr;
}

bool Transport::Core::send(NodeId node, const engine::Message& message, Priority priority) {
  Peer* peer = find_open(node);
  if (peer == nullptr) {
    return false;
  }
  if (priority == Priority::data && peer->current->queue().data_bytes() >= data_queue_bytes_max) {
    peer->refused_data = true;
    return false;
  }
  return push(*peer, frame_of(message), priority);
}

bool Transport::Core::tell(NodeId node, std::vector<std::uint8_t> frame) {
  const Peer* peer = find_open(node);
  return peer != nullptr && push(*peer, {std::move(frame)}, Priority::control);
}

bool Transport::Core::push(const Peer& peer, OutFrame frame, Priority priority) {
  Connection& connection = *peer.current;
  if (!frame_within_limit(frame)) {
    log(Level::error, "a message for " + peer.name + " is too large: kind " +
                          std::to_string(frame.head[header_bytes - 1]) + ", " +
                          std::to_string(frame.size()) + " bytes");
    connection.close("a message for it is too large");
    return false;
  }
  if (priority == Priority::control &&
      connection.queue().control_bytes() + frame.size() > control_queue_bytes_max) {
    connection.cut_off("it does not read: too much is waiting to be sent");
    return false;
  }
  connection.push(std::move(frame), priority);
  return true;
}

void Transport::Core::progress(NodeId node) {
  Peer* peer = find(node);
  if (peer->refused_data && peer->current != nullptr &&
      peer->current->queue().data_bytes() <= data_queue_bytes_max / 2) {
    peer->refused_data = false;
    if (!stopped_ && events_.drained) {
      events_.drained(node);
    }
  }
}

void Transport::Core::disconnect(NodeId node, std::string reason) {
  const Peer* peer = find(node);
  if (peer != nullptr && peer->current != nullptr) {
    peer->current->cut_off(std::move(reason));
  }
}

void Transport::Core::hint(NodeId node, const tcp::endpoint& where) {
  if (const Peer* peer = find(node)) {
    peer->dialer->hint(where);
  }
}

bool Transport::Core::wanted(NodeId member) const {
  const auto peer = peers_.find(member);
  return !stopped_ && !paused_ && peer != peers_.end() && peer->second.current == nullptr &&
         neighbours_->wants(member, [this](NodeId other) { return out_of_reach(other); });
}

/// Another is to have its place among the neighbours.
bool Transport::Core::out_of_reach(NodeId member) const {
  const Peer& peer = peers_.at(member);
  return peer.current == nullptr && (!peer.last_trouble.empty() || !peer.dialer->has_place());
}

void Transport::Core::dialling_failed(NodeId member, const std::string& text) {
  Peer& peer = peers_.at(member);
  if (peer.current != nullptr) {
    return;  // it has come to us meanwhile
  }
  const bool news = text != peer.last_trouble;
  const bool was_in_reach = !out_of_reach(member);
  peer.last_trouble = text;
  peer.trouble.down(text);
  if (was_in_reach) {
    for (const auto& [node, other] : peers_) {
      other.dialer->reconsider();  // one of them has its place now
    }
  }
  const std::string line = "cannot reach " + peer.name + ": " + text;
  if (!news || peer.dialer->hints().empty()) {
    log(news ? Level::info : Level::debug, line);
  } else if (const auto passed = gate_.pass(Clock::now(), line)) {
    log(Level::info, *passed);  // a stranger can make it news every second
  }
}

asio::awaitable<void> Transport::Core::tend(std::shared_ptr<Core> self) {
  while (!self->stopped_) {
    Instant next = Instant::max();
    for (const auto& [node, peer] : self->peers_) {
      if (peer.current != nullptr) {
        next = std::min(next, peer.current->tend(Clock::now(), self->options_.timing));
      }
    }
    self->tending_.expires_at(next);
    co_await self->tending_.async_wait(token);
  }
}

const Connection* Transport::Core::current(NodeId node) const {
  const auto found = peers_.find(node);
  return found != peers_.end() ? found->second.current.get() : nullptr;
}

Peer* Transport::Core::find(NodeId node) {
  const auto found = peers_.find(node);
  return found != peers_.end() ? &found->second : nullptr;
}

std::vector<std::string> Transport::Core::listening() const {
  std::vector<std::string> addresses;
  addresses.reserve(listeners_.size());
  for (const auto& listener : listeners_) {
    addresses.push_back(listener->address());
  }
  return addresses;
}

std::vector<tcp::endpoint> Transport::Core::places() const {
  std::vector<tcp::endpoint> places;
  for (const auto& listener : listeners_) {
    places.push_back(listener->local());
    if (listener->takes_ipv4_too()) {
      places.emplace_back(tcp::v4(), listener->local().port());
    }
  }
  return places;
}

std::string Transport::Core::place_of(NodeId node) const {
  const Connection* connection = current(node);
  if (connection == nullptr) {
    return "";
  }
  tcp::endpoint where = connection->remote();
  for (const tcp::endpoint& place : peers_.at(node).dialer->hints().places()) {
    if (connection->origin() == Origin::accepted &&
        place.address() == plain_address(where.address())) {
      where = place;  // the port from which it came means nothing to anybody
      break;
    }
  }
  return Address{plain_address(where.address()).to_string(), where.port()}.text();
}

std::string Transport::Core::trouble_with(NodeId node) const {
  const auto found = peers_.find(node);
  return found != peers_.end() ? found->second.trouble.text(Clock::now()) : "";
}

std::vector<engine::Problem> Transport::Core::problems() const {
  std::vector<engine::Problem> list;
  for (const auto& [node, peer] : peers_) {
    if (peer.twins.seen(Clock::now())) {
      list.push_back({"", peer.twins.text(peer.name), peer.twins.since()});
    }
  }
  return list;
}

void Transport::Core::log(Level level, const std::string& text) const {
  if (!stopped_ && events_.log) {
    events_.log(level, text);
  }
}

void Transport::Core::gated_log(const std::string& text) {
  if (const auto line = gate_.pass(Clock::now(), text)) {
    log(Level::warn, *line);
  }
}

// --- Outside

Transport::Transport(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Transport::~Transport() {
  core_->stop();
}

Result<std::unique_ptr<Transport>> Transport::start(asio::io_context& io, const PrivateKey& key,
                                                    TransportOptions options,
                                                    TransportEvents events) {
  auto core = std::make_shared<Core>(io, key, std::move(options), std::move(events));
  if (auto started = core->start(); !started) {
    return std::unexpected(started.error());
  }
  return std::unique_ptr<Transport>(new Transport(std::move(core)));
}

bool Transport::send(NodeId peer, const engine::Message& message, Priority priority) {
  return core_->send(peer, message, priority);
}
bool Transport::tell(NodeId peer, std::vector<std::uint8_t> frame) {
  return core_->tell(peer, std::move(frame));
}
void Transport::disconnect(NodeId peer, std::string reason) {
  core_->disconnect(peer, std::move(reason));
}
void Transport::hint(NodeId peer, const tcp::endpoint& where) {
  core_->hint(peer, where);
}
void Transport::pause(bool on) {
  core_->pause(on);
}
void Transport::stop() {
  core_->stop();
}

bool Transport::connected(NodeId peer) const {
  const Connection* connection = core_->current(peer);
  return connection != nullptr && !connection->closed();
}
std::size_t Transport::queued_bytes(NodeId peer) const {
  const Connection* connection = core_->current(peer);
  return connection != nullptr ? connection->queue().bytes() : 0;
}
bool Transport::wanted(NodeId peer) const {
  return core_->wanted(peer);
}
std::string Transport::place_of(NodeId peer) const {
  return core_->place_of(peer);
}
std::string Transport::trouble_with(NodeId peer) const {
  return core_->trouble_with(peer);
}
std::vector<std::string> Transport::listening() const {
  return core_->listening();
}
std::vector<tcp::endpoint> Transport::places() const {
  return core_->places();
}
std::vector<engine::Problem> Transport::problems() const {
  return core_->problems();
}
std::uint64_t Transport::sent_bytes() const {
  return core_->traffic().sent_bytes;
}
std::uint64_t Transport::received_bytes() const {
  return core_->traffic().received_bytes;
}

}  // namespace p2psync::net
