#include "net/transport_core.h"

#include <array>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <random>

#include "engine/gossip.h"
#include "net/wire.h"

namespace p2psync::net {
namespace {

using asio::ip::tcp;
using engine::NodeId;
using engine::Priority;
using Clock = std::chrono::steady_clock;
using Level = engine::Note::Level;

constexpr const char* is_paused = "it is paused";

std::vector<std::uint8_t> ready_frame(std::uint64_t pair_token) {
  std::array<std::uint8_t, ready_body_bytes> body{};
  for (std::size_t i = 0; i < body.size(); ++i) {
    body[i] = static_cast<std::uint8_t>(pair_token >> (8 * (body.size() - 1 - i)));
  }
  return make_frame(FrameKind::ready, body);
}

/// Nothing if it is another frame, or not whole.
std::optional<std::uint64_t> token_of(const Frame& frame) {
  if (frame.kind != FrameKind::ready || frame.body.size() != ready_body_bytes) {
    return std::nullopt;
  }
  std::uint64_t pair_token = 0;
  for (const std::uint8_t byte : frame.body) {
    pair_token = pair_token << 8U | byte;
  }
  return pair_token;
}

}  // namespace

std::uint64_t random_number() {
  std::random_device device;
  return std::uint64_t{device()} << 32U | device();
}

void Transport::Core::accepted(tcp::socket socket) {
  asio::co_spawn(io_, receive(shared_from_this(), std::move(socket)), asio::detached);
}

asio::awaitable<void> Transport::Core::receive(std::shared_ptr<Core> self, tcp::socket socket) {
  auto connection = std::make_shared<Connection>(std::move(socket), self->context_.get(),
                                                 self->traffic_, Origin::accepted);
  self->half_open_.enter(connection);
  const Meeting meeting = co_await live(self, connection, std::nullopt);
  if (meeting.outcome == Meeting::Outcome::refused && !self->stopped_) {
    self->gated_log("refused a connection from " + connection->remote_text() + ": " +
                    meeting.reason);
  }
}

asio::awaitable<Meeting> Transport::Core::meet(tcp::socket socket, NodeId expected) {
  auto connection =
      std::make_shared<Connection>(std::move(socket), context_.get(), traffic_, Origin::dialled);
  co_return co_await live(shared_from_this(), std::move(connection), expected);
}

asio::awaitable<Meeting> Transport::Core::live(std::shared_ptr<Core> self,
                                               std::shared_ptr<Connection> connection,
                                               std::optional<NodeId> expected) {
  Opened opened;
  self->connections_.insert(connection);
  if (self->stopped_) {
    connection->close("this node stops");
  }
  try {
    opened = co_await open(self, connection, expected);
    self->half_open_.leave(connection.get());
    if (opened.peer != nullptr) {
      self->begin(opened, connection);
      while (const auto frame = co_await connection->next_awaited()) {
        self->deliver(*opened.peer, *connection, *frame);
      }
    }
  } catch (const std::exception& exception) {
    connection->close(exception.what());
  }
  self->half_open_.leave(connection.get());
  self->connections_.erase(connection);
  if (opened.peer != nullptr) {
    self->end(*opened.peer, connection, connection->reason());
  }
  co_return Meeting{opened.outcome, connection->reason()};
}

asio::awaitable<Transport::Core::Opened> Transport::Core::open(
    std::shared_ptr<Core> self, std::shared_ptr<Connection> connection,
    std::optional<NodeId> expected) {
  asio::steady_timer limit(self->io_, self->options_.timing.handshake_max);
  limit.async_wait([weak = std::weak_ptr(connection)](const asio::error_code& cancelled) {
    const auto late = weak.lock();
    if (!cancelled && late) {
      late->close("it did not say in time who it is");
    }
  });
  const auto key = co_await connection->shake_hands();
  if (!key) {
    co_return Opened{};
  }
  Peer* peer = self->find(key->node());
  if (peer == nullptr || peer->id != *key) {
    connection->close("the key with id " + key->hex() + " is not another member's");
    co_return Opened{};
  }
  if (expected && *expected != key->node()) {
    connection->close("it is " + peer->name + " that answers there");
    co_return Opened{};
  }
  asio::co_spawn(self->io_, Connection::write_loop(connection), asio::detached);
  if (self->paused_) {
    co_return co_await decline(connection);
  }
  auto opened = co_await (self->self_.node() > key->node() ? ask(peer, connection)
                                                           : choose(peer, connection));
  if (opened.peer == nullptr && connection->ended_by_peer()) {
    opened.outcome = Meeting::Outcome::superfluous;
  }
  co_return opened;
}

asio::awaitable<Transport::Core::Opened> Transport::Core::decline(
    std::shared_ptr<Connection> connection) {
  connection->push({make_frame(FrameKind::paused, {})}, Priority::control);
  while (co_await connection->next_awaited()) {
  }
  co_return Opened{.outcome = Meeting::Outcome::superfluous};
}

asio::awaitable<Transport::Core::Opened> Transport::Core::ask(
    Peer* peer, std::shared_ptr<Connection> connection) {
  if (connection->origin() == Origin::dialled && peer->current != nullptr) {
    connection->close("superfluous");
    co_return Opened{.outcome = Meeting::Outcome::superfluous};
  }
  connection->push({ready_frame(peer->pair_token)}, Priority::control);
  const auto frame = co_await connection->next_awaited();
  if (!frame) {
    co_return Opened{};
  }
  if (frame->kind != FrameKind::welcome) {
    connection->close(frame->kind == FrameKind::paused ? is_paused
                                                       : "it did not begin with a welcome");
    co_return Opened{};
  }
  co_return Opened{peer, Meeting::Outcome::up, random_number()};
}

asio::awaitable<Transport::Core::Opened> Transport::Core::choose(
    Peer* peer, std::shared_ptr<Connection> connection) {
  const auto frame = co_await connection->next_awaited();
  if (!frame) {
    co_return Opened{};
  }
  const auto pair_token = token_of(*frame);
  if (!pair_token) {
    connection->close(frame->kind == FrameKind::paused ? is_paused
                                                       : "it did not begin with a ready");
    co_return Opened{};
  }
  // We would not have dialled with a connection up, so it came up meanwhile; and one that was ready
  // with the token of the one that is up did not know of it.
  if (peer->current != nullptr &&
      (connection->origin() == Origin::dialled || *pair_token == peer->pair_token)) {
    connection->close("superfluous");
    co_return Opened{.outcome = Meeting::Outcome::superfluous};
  }
  connection->push({make_frame(FrameKind::welcome, {})}, Priority::control);
  co_return Opened{peer, Meeting::Outcome::up, *pair_token};
}

void Transport::Core::begin(const Opened& opened, const std::shared_ptr<Connection>& connection) {
  Peer& peer = *opened.peer;
  if (const auto old = peer.current; old != nullptr) {
    const std::string reason = "replaced by a newer connection";
    end(peer, old, reason);
    old->close(reason);
    const bool known = peer.twins.seen(Clock::now());
    peer.twins.replaced(Clock::now(), old->remote_text(), connection->remote_text());
    if (!known && peer.twins.seen(Clock::now())) {
      log(Level::warn, peer.twins.text(peer.name));
    }
  }
  const NodeId node = peer.id.node();
  peer.current = connection;
  peer.pair_token = opened.pair_token;
  peer.up_since = Clock::now();
  peer.refused_data = false;
  peer.last_trouble.clear();
  peer.trouble.connected();
  if (connection->origin() == Origin::dialled) {
    peer.dialer->met(connection->remote());
  }
  connection->on_progress([weak = weak_from_this(), node] {
    if (const auto self = weak.lock()) {
      self->progress(node);
    }
  });
  tending_.cancel();  // it is one more to be tended
  log(Level::info, "connected with " + peer.name + " at " + connection->remote_text());
  if (!stopped_ && events_.up) {
    events_.up(node);
  }
}

void Transport::Core::end(Peer& peer, const std::shared_ptr<Connection>& connection,
                          const std::string& reason) {
  if (peer.current != connection) {
    return;  // replaced
  }
  peer.current = nullptr;
  if (connection->was_cut_off()) {
    peer.trouble.cut_off(Clock::now(), reason);
  } else {
    peer.trouble.down(reason);
  }
  peer.dialer->lost(Clock::now() - peer.up_since);
  log(Level::info, "lost " + peer.name + " at " + connection->remote_text() + ": " + reason);
  if (!stopped_ && events_.down) {
    events_.down(peer.id.node(), reason);
  }
}

void Transport::Core::deliver(const Peer& peer, Connection& connection, const Frame& frame) {
  switch (frame.kind) {
    case FrameKind::beat: return;  // it was heard, and that is all
    case FrameKind::ready:
    case FrameKind::welcome:
    case FrameKind::paused: connection.cut_off("a ready or welcome out of place"); return;
    default: break;
  }
  auto message = decode_message(frame);
  if (!message) {
    const auto protocol =
        frame.kind == FrameKind::hello ? protocol_of(frame.body) : std::optional<std::uint64_t>();
    connection.cut_off(protocol && *protocol != engine::protocol_version
                           ? engine::other_protocol(*protocol)
                           : message.error().message());
    return;
  }
  if (!connection.greeted()) {
    if (frame.kind != FrameKind::hello) {
      connection.cut_off("it did not begin with Hello");
      return;
    }
    connection.greet();
  }
  if (!stopped_ && events_.received) {
    events_.received(peer.id.node(), std::move(*message));
  }
}

}  // namespace p2psync::net
