#pragma once
// Dials one member whenever it is not connected: name looked up anew and all its addresses tried at
// each attempt, then a pause that doubles up to retry_longest, with jitter, and starts over after a
// connection that lasted. A hint of where the member is brings the next attempt forward, up to
// hint_pause after the end of the last one and no further, whoever gives how many.
#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "net/address.h"
#include "net/hints.h"
#include "net/lookup.h"
#include "net/token_bucket.h"
#include "net/transport.h"

namespace p2psync::net {

/// What came of a connection, once it is over.
struct Meeting {
  enum class Outcome : std::uint8_t {
    refused,      ///< no handshake, or not with whom it should be
    superfluous,  ///< the pair has another connection
    up,           ///< it was the pair's connection for a while
  };
  Outcome outcome = Outcome::refused;
  std::string reason;
};

/// The pause before the next attempt adds little to what the member was away already. When a
/// network is mended, both its ends dial, and nothing tells them when that is.
[[nodiscard]] std::chrono::nanoseconds retry_longest(std::chrono::nanoseconds away,
                                                     const TransportTiming& timing);

class DialerHost {
 public:
  virtual ~DialerHost() = default;
  /// It is not connected.
  [[nodiscard]] virtual bool wanted(engine::NodeId member) const = 0;
  /// The whole life of a connection.
  virtual asio::awaitable<Meeting> meet(asio::ip::tcp::socket socket, engine::NodeId expected) = 0;
  virtual void dialling_failed(engine::NodeId member, const std::string& text) = 0;
};

class Dialer {
 public:
  Dialer(const asio::any_io_executor& executor, engine::NodeId member,
         std::optional<Address> address, const TransportTiming& timing, std::uint64_t seed);

  static asio::awaitable<void> run(std::shared_ptr<DialerHost> host, std::shared_ptr<Dialer> self);
  /// The connection with the member is over, whoever dialled it.
  void lost(std::chrono::nanoseconds lasted);
  /// What wanted() says may have changed.
  void reconsider() { wake_.cancel(); }
  /// There is somewhere to look for it.
  [[nodiscard]] bool has_place() const { return address_ || !hints_.empty(); }
  /// It may also be here.
  void hint(const asio::ip::tcp::endpoint& where);
  /// It is here: that was dialled, and the member answered.
  void met(const asio::ip::tcp::endpoint& where);
  /// Where others say, or have shown, that it is.
  [[nodiscard]] const Hints& hints() const { return hints_; }
  void stop();

 private:
  static asio::awaitable<void> attempt(std::shared_ptr<DialerHost> host,
                                       std::shared_ptr<Dialer> self);
  /// Connected, or the reason why not.
  static asio::awaitable<std::optional<std::string>> connect(std::shared_ptr<Dialer> self,
                                                             asio::ip::tcp::endpoint where,
                                                             std::chrono::nanoseconds within);
  /// The next attempt comes a little later than the last one did.
  void put_off();

  asio::any_io_executor executor_;
  engine::NodeId member_;
  std::optional<Address> address_;
  Hints hints_;
  bool hinted_ = false;  ///< since the last attempt began
  TransportTiming timing_;
  std::minstd_rand jitter_;
  std::chrono::nanoseconds delay_{0};
  Instant not_before_{};
  Instant tried_at_{};  ///< when the last attempt ended
  Instant lost_at_;     ///< or the start
  asio::steady_timer wake_;
  std::shared_ptr<Lookup> lookup_;
  std::shared_ptr<asio::ip::tcp::socket> socket_;  ///< while it connects
  bool stopped_ = false;
};

}  // namespace p2psync::net
