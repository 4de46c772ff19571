#pragma once
// What transport.h hides: the peers, and the life of a connection. Included by the transport's own
// sources only.
#include <asio/steady_timer.hpp>
#include <map>
#include <optional>
#include <set>

#include "engine/neighbours.h"
#include "net/connection.h"
#include "net/dialer.h"
#include "net/listener.h"
#include "net/log_gate.h"
#include "net/transport.h"
#include "net/trouble.h"
#include "net/twins.h"

namespace p2psync::net {

struct Peer {
  KeyId id;
  std::string name;
  std::shared_ptr<Dialer> dialer;
  std::shared_ptr<Connection> current;  ///< the pair's connection
  Instant up_since{};
  /// The larger node's: sent with the next ready. The smaller's: what `current` was ready with.
  std::uint64_t pair_token = 0;
  bool refused_data = false;
  Twins twins;
  std::string last_trouble;  ///< of dialling, so that it is logged once
  Trouble trouble;
};

/// 64 bits that nobody can guess.
[[nodiscard]] std::uint64_t random_number();

class Transport::Core : public ListenerHost,
                        public DialerHost,
                        public std::enable_shared_from_this<Core> {
 public:
  Core(asio::io_context& io, const PrivateKey& key, TransportOptions options,
       TransportEvents events);
  Result<void> start();

  bool send(engine::NodeId node, const engine::Message& message, engine::Priority priority);
  bool tell(engine::NodeId node, std::vector<std::uint8_t> frame);
  void disconnect(engine::NodeId node, std::string reason);
  void hint(engine::NodeId node, const asio::ip::tcp::endpoint& where);
  void pause(bool on);
  void stop();
  [[nodiscard]] const Connection* current(engine::NodeId node) const;
  [[nodiscard]] const Traffic& traffic() const { return *traffic_; }
  [[nodiscard]] std::vector<std::string> listening() const;
  [[nodiscard]] std::vector<asio::ip::tcp::endpoint> places() const;
  [[nodiscard]] std::string place_of(engine::NodeId node) const;
  [[nodiscard]] std::string trouble_with(engine::NodeId node) const;
  [[nodiscard]] bool wanted(engine::NodeId member) const override;
  [[nodiscard]] std::vector<engine::Problem> problems() const;

 private:
  void accepted(asio::ip::tcp::socket socket) override;
  void accepting_failed(const std::string& text) override { gated_log(text); }
  [[nodiscard]] bool out_of_reach(engine::NodeId member) const;
  asio::awaitable<Meeting> meet(asio::ip::tcp::socket socket, engine::NodeId expected) override;
  void dialling_failed(engine::NodeId member, const std::string& text) override;

  static asio::awaitable<void> receive(std::shared_ptr<Core> self, asio::ip::tcp::socket socket);
  static asio::awaitable<void> tend(std::shared_ptr<Core> self);
  /// From the handshake to the end of the connection.
  static asio::awaitable<Meeting> live(std::shared_ptr<Core> self,
                                       std::shared_ptr<Connection> connection,
                                       std::optional<engine::NodeId> expected);
  struct Opened {
    Peer* peer = nullptr;  ///< whose connection it is now, or nobody's
    Meeting::Outcome outcome = Meeting::Outcome::refused;
    std::uint64_t pair_token = 0;
  };
  /// Until both know whether this is the pair's connection.
  static asio::awaitable<Opened> open(std::shared_ptr<Core> self,
                                      std::shared_ptr<Connection> connection,
                                      std::optional<engine::NodeId> expected);
  /// What is open while this node is paused: says so, and no more.
  static asio::awaitable<Opened> decline(std::shared_ptr<Connection> connection);
  /// The larger node's part of it, and the smaller one's.
  static asio::awaitable<Opened> ask(Peer* peer, std::shared_ptr<Connection> connection);
  static asio::awaitable<Opened> choose(Peer* peer, std::shared_ptr<Connection> connection);
  void begin(const Opened& opened, const std::shared_ptr<Connection>& connection);
  void end(Peer& peer, const std::shared_ptr<Connection>& connection, const std::string& reason);
  void deliver(const Peer& peer, Connection& connection, const Frame& frame);
  void progress(engine::NodeId node);
  bool push(const Peer& peer, OutFrame frame, engine::Priority priority);

  void log(engine::Note::Level level, const std::string& text) const;
  void gated_log(const std::string& text);
  [[nodiscard]] Peer* find(engine::NodeId node);
  /// Only with a connection that is not closed.
  [[nodiscard]] Peer* find_open(engine::NodeId node);

  asio::io_context& io_;
  PrivateKey key_;
  KeyId self_;
  TransportOptions options_;
  TransportEvents events_;
  AllowedKeys allowed_;
  std::shared_ptr<Traffic> traffic_;
  Context context_{nullptr, &SSL_CTX_free};
  std::vector<std::shared_ptr<Listener>> listeners_;
  std::map<engine::NodeId, Peer> peers_;  ///< never changes after start(): Peer& stay good
  std::set<std::shared_ptr<Connection>> connections_;
  std::optional<engine::Neighbours> neighbours_;  ///< from start() on
  HalfOpen half_open_;
  LogGate gate_;
  asio::steady_timer tending_;
  bool paused_ = false;
  bool stopped_ = false;
};

}  // namespace p2psync::net
