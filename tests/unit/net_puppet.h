#pragma once
// A member's connection driven by hand: what a peer may do that a Transport never does.
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <functional>
#include <memory>
#include <stdexcept>

#include "net/connection.h"

namespace p2psync::net {

class Puppet {
 public:
  /// Dials the node with id `node`; `spoil` changes the TLS context first. It reads no more than so
  /// many bytes a second, 0 for as many as come.
  Puppet(asio::io_context& io, const PrivateKey& key, const KeyId& node,
         const asio::ip::tcp::endpoint& where, const std::function<void(SSL_CTX*)>& spoil = {},
         std::uint64_t read_bytes_per_s = 0)
      : self_(key.id().node()), node_(node.node()), allowed_{node} {
    auto made = make_context(key, allowed_);
    if (!made) {
      throw std::runtime_error(made.error().message());
    }
    if (spoil) {
      spoil(made->get());
    }
    context_ = std::move(*made);
    asio::ip::tcp::socket socket(io);
    socket.connect(where);
    connection = std::make_shared<Connection>(std::move(socket), context_.get(),
                                              std::make_shared<Traffic>(0, read_bytes_per_s),
                                              Origin::dialled);
  }
  template <class Node>
  Puppet(asio::io_context& io, const PrivateKey& key, const Node& node,
         const std::function<void(SSL_CTX*)>& spoil = {})
      : Puppet(io, key, node.key().id(), node.endpoint(), spoil) {}
  ~Puppet() { connection->close("the test is over"); }
  Puppet(const Puppet&) = delete;
  Puppet& operator=(const Puppet&) = delete;

  /// TLS, then ready or welcome as it should be; reads on while `reads`.
  void behave(asio::io_context& io) {
    asio::co_spawn(io, live(this, connection, io.get_executor()), asio::detached);
  }
  /// Raw bytes, in a frame or not.
  void say(std::vector<std::uint8_t> bytes) {
    connection->push({std::move(bytes)}, engine::Priority::control);
  }
  void resume(asio::io_context& io) {
    reads = true;
    asio::co_spawn(io, read(this, connection), asio::detached);
  }

  std::shared_ptr<Connection> connection;
  bool shaken = false;  ///< the handshake succeeded
  bool open = false;    ///< ready and welcome were said
  bool reads = true;
  bool over = false;
  bool opens = true;  ///< false: says nothing after the handshake
  std::size_t frames = 0;

 private:
  static asio::awaitable<void> live(Puppet* self, std::shared_ptr<Connection> connection,
                                    asio::any_io_executor executor) {
    const auto key = co_await connection->shake_hands();
    if (!key) {
      self->over = true;
      co_return;
    }
    self->shaken = true;
    asio::co_spawn(executor, Connection::write_loop(connection), asio::detached);
    if (self->opens && self->self_ > self->node_) {
      self->say(make_frame(FrameKind::ready, std::vector<std::uint8_t>(ready_body_bytes, 1)));
    }
    const auto frame = co_await connection->next_awaited();
    if (frame && self->opens) {
      self->open = true;
      if (frame->kind == FrameKind::ready) {
        self->say(make_frame(FrameKind::welcome, {}));
      }
    }
    co_await read(self, connection);
  }
  static asio::awaitable<void> read(Puppet* self, std::shared_ptr<Connection> connection) {
    while (self->reads) {
      if (!co_await connection->next_awaited()) {
        self->over = true;
        co_return;
      }
      ++self->frames;
      connection->greet();
    }
  }

  engine::NodeId self_;
  engine::NodeId node_;
  AllowedKeys allowed_;
  Context context_{nullptr, &SSL_CTX_free};
};

}  // namespace p2psync::net
