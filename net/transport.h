#pragma once
// The members' connections: one live TLS connection for each pair, dialled from both sides, and
// messages through it.
//
// Every member dials every other whose address it knows, so both at once is usual. Of a pair, the
// node with the smaller id decides which connection it is:
//
//   the larger   -> ready (8 bytes: its token)   on every connection of the pair, after TLS
//   the smaller  -> welcome                      on the chosen one; closes the others
//
// The larger node draws a new token whenever it is welcomed. So a `ready` with the token of the
// connection that is up crossed with its welcome and is superfluous, while one with another token
// says that the larger node has lost that connection (or was restarted), and the new one replaces
// it. The first that is ready wins; nothing flaps. `welcome` also tells a client that the server
// took its certificate, which TLS 1.3 does not.
//
// A node that is paused has no connections. To who dials it, it says `paused` after TLS instead of
// its part of the above, and the other closes.
//
// Who has sent nothing for `beat_after` sends an empty `beat`, and who has heard nothing for
// `silence_max` gives the peer up. So time-outs do not rest on what the engine sends, nor on how
// fast the other end reads: with a download limit an answer would wait behind all that came before.
//
// Threads: everything on the io_context's one thread, callbacks too. Callbacks come from
// io_context::run only, never from within a call of this class. They may call it, stop() included.
// The io_context must outlive the Transport. Errors: start() returns those of the configuration and
// of listening; later ones concern a connection, which is closed, logged and dialled again.
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/message.h"
#include "engine/output.h"
#include "engine/status.h"
#include "net/tls.h"

namespace p2psync::net {

struct Member {
  KeyId id;
  std::string name;
  std::string address;  ///< "host:port", looked up again at each try; "": only where hints say
};

struct TransportTiming {
  /// For each address of a name. Within one attempt TCP asks ever more rarely.
  std::chrono::nanoseconds connect_max = std::chrono::seconds(3);
  /// For each place that was heard of: it is near, or it is not there.
  std::chrono::nanoseconds hint_connect_max = std::chrono::milliseconds(1500);
  std::chrono::nanoseconds handshake_max = std::chrono::seconds(5);  ///< TLS, ready and welcome
  std::chrono::nanoseconds retry_min = std::chrono::milliseconds(100);
  /// The longest pause in the first minute.
  std::chrono::nanoseconds retry_soon = std::chrono::seconds(1);
  std::chrono::nanoseconds retry_max = std::chrono::seconds(10);  ///< after ten minutes
  /// The shortest between two attempts that a hint can bring about.
  std::chrono::nanoseconds hint_pause = std::chrono::seconds(1);
  std::chrono::nanoseconds beat_after = std::chrono::seconds(10);
  std::chrono::nanoseconds silence_max = std::chrono::seconds(30);
  /// Of what waits for it, a peer has to take progress_bytes_min in that time.
  std::chrono::nanoseconds progress_max = std::chrono::seconds(30);
};

struct TransportOptions {
  std::vector<Member> members;      ///< the node itself may be among them
  std::vector<std::string> listen;  ///< "host:port"; ":port" is every interface; port 0 is any
  std::uint64_t upload_limit = 0;   ///< bytes a second of data messages, 0 = none
  std::uint64_t download_limit = 0;
  TransportTiming timing;
  /// How many a node wants connections with, 0 for all. None: as the number of members demands.
  std::optional<std::size_t> neighbours = std::nullopt;
};

struct TransportEvents {
  std::function<void(engine::NodeId)> up;
  /// After every up, and before the next up of that member.
  std::function<void(engine::NodeId, const std::string& reason)> down;
  std::function<void(engine::NodeId, engine::Message)> received;
  /// Data was refused (see send), and now half of its room is free. May be empty.
  std::function<void(engine::NodeId)> drained;
  std::function<void(engine::Note::Level, const std::string&)> log;
};

inline constexpr std::size_t data_queue_bytes_max = 8 * 1024 * 1024;
inline constexpr std::size_t control_queue_bytes_max = 24 * 1024 * 1024;
/// 1 KiB a second. Who takes less keeps memory here for what others could have had.
inline constexpr std::uint64_t progress_bytes_min = 30 * 1024;
inline constexpr std::size_t half_open_max = 64;
/// Nodes of a demo share an address, and so do containers behind one.
inline constexpr std::size_t half_open_per_address_max = 16;

class Transport {
 public:
  /// Listens on all addresses (or fails, with the address and the reason) and begins to dial.
  [[nodiscard]] static Result<std::unique_ptr<Transport>> start(asio::io_context& io,
                                                                const PrivateKey& key,
                                                                TransportOptions options,
                                                                TransportEvents events);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// False if it will not be sent: no connection, or data while data_queue_bytes_max are waiting
  /// already (`drained` tells when to go on). Control is always taken, but a peer for whom
  /// control_queue_bytes_max are waiting is disconnected, and so is one for whom a message is too
  /// large. Of what was taken all arrives, or the connection goes: control in order, data too, but
  /// for small messages, which may overtake large ones.
  bool send(engine::NodeId peer, const engine::Message& message, engine::Priority priority);
  /// The same for control that is a frame already.
  bool tell(engine::NodeId peer, std::vector<std::uint8_t> frame);
  /// Closes the connection, if there is one; `down` follows, and the member is dialled again later.
  void disconnect(engine::NodeId peer, std::string reason);
  /// Dials this member here, now and whenever it is lost: for what finds members on the LAN.
  void hint(engine::NodeId peer, const asio::ip::tcp::endpoint& where);
  /// Closes all connections and has none, whoever dials, until it is called with false.
  void pause(bool on);
  /// Closes everything. No callback comes any more. Work of the io_context ends by itself.
  void stop();

  [[nodiscard]] bool connected(engine::NodeId peer) const;
  /// It is not connected, and should be.
  [[nodiscard]] bool wanted(engine::NodeId peer) const;
  /// Where a connected peer is: where it listens if that was heard, else the connection's other
  /// end. "" if it is not connected.
  [[nodiscard]] std::string place_of(engine::NodeId peer) const;
  /// Why it is not connected, or that it was cut off: one line for people, or "".
  [[nodiscard]] std::string trouble_with(engine::NodeId peer) const;
  /// Waiting to be sent, both priorities.
  [[nodiscard]] std::size_t queued_bytes(engine::NodeId peer) const;
  /// "127.0.0.1:7744", with the ports that were chosen.
  [[nodiscard]] std::vector<std::string> listening() const;
  /// The same; who listens on every interface has 0.0.0.0 and [::].
  [[nodiscard]] std::vector<asio::ip::tcp::endpoint> places() const;
  /// What is wrong with members just now (twins.h).
  [[nodiscard]] std::vector<engine::Problem> problems() const;
  /// What crossed the sockets since the start: TLS records, handshakes of strangers too.
  [[nodiscard]] std::uint64_t sent_bytes() const;
  [[nodiscard]] std::uint64_t received_bytes() const;

 private:
  class Core;
  explicit Transport(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace p2psync::net
