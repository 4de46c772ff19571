#pragma once
// Gossip: what is told to whom, and when. See message.h for the exchanges.
//
// Tick: every interval (slower while nothing happens) fingerprints are compared with one random
// peer. Difference: vectors are exchanged; whose knowledge is behind gets every entry with events
// above it, as a stream of Entries without gaps; only the last message of a stream lets the
// receiver's knowledge grow. Push: a change of this node's own is streamed at once to as many as
// push_peers_max peers; what was news from others is passed on after a moment to peers that have
// not reported it by then. Repair: with equal knowledge and unequal roots, ranges are compared,
// down to the entries.
//
// Source: Demers et al., Epidemic Algorithms for Replicated Database Maintenance, 1987; Meyer,
// Range-Based Set Reconciliation, 2023; van Renesse et al., Efficient Reconciliation and Flow
// Control for Anti-Entropy Protocols (Scuttlebutt), 2008: events of an actor in order and without
// gaps.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/output.h"
#include "engine/quota.h"
#include "engine/random.h"
#include "engine/replica.h"

namespace p2psync::engine {

inline constexpr std::size_t entries_bytes_max = 192 * 1024;  ///< about, in one message
inline constexpr std::uint64_t entries_window = 8;  ///< messages not yet taken in by the peer
inline constexpr Duration stream_patience = std::chrono::seconds(10);
inline constexpr std::size_t repair_leaf = 32;     ///< who has no more in a range lists them
inline constexpr std::size_t repair_reach = 4096;  ///< unless the other side has more than this
inline constexpr std::size_t repair_split = 16;
inline constexpr std::size_t ranges_bytes_max = 192 * 1024;  ///< about, in one message
inline constexpr std::size_t endings_max = 4096;             ///< of one node's, in one message
inline constexpr std::size_t endings_unasked = 2;     ///< of each list, in the first word to a peer
inline constexpr std::size_t endings_spelt_max = 64;  ///< who lacks more is told the list first
inline constexpr int idle_factor_max = 10;            ///< ticks slow down to this many intervals

/// What it takes in a message, not counting what is shared with other entries there.
[[nodiscard]] std::size_t bytes_about(const PathEntry& entry);

/// Why there is no talking with a program that speaks another protocol, for its user.
[[nodiscard]] std::string other_protocol(std::uint64_t theirs);

class Gossip {
 public:
  Gossip(const NodeOptions& options, Replica& replica);

  void start(Instant now);
  void peer_up(Instant now, NodeId peer, std::vector<Output>& out);
  void peer_down(NodeId peer);
  /// All but Get and Block. A message that a peer may not send is answered with Disconnect.
  void on(Instant now, NodeId peer, Message message, std::vector<Output>& out);
  /// `settled`: this node holds all that it knows.
  void next(Instant now, bool settled, std::vector<Output>& out);

  /// An incarnation of this node has ended: peers are told.
  void list_grew(Instant now);
  [[nodiscard]] Instant wake_at() const;
  /// Said hello and not yet gone.
  [[nodiscard]] bool connected(NodeId peer) const;
  [[nodiscard]] bool in_sync(NodeId peer) const;
  /// In a large cluster most members are no neighbours: what they hold is what others tell of them.
  [[nodiscard]] bool in_sync_by_hearsay(NodeId member) const;
  /// Every other member has said since this start that it knows as much of this actor, and as many
  /// endings of its node, as this node. Since the start: an older word may be from before an index
  /// that was put back, and the list could then get two continuations.
  [[nodiscard]] bool all_agree(const Actor& actor, std::uint64_t sequence) const;
  /// What every other member held at some moment since this start when all that it knew was known
  /// here, too: an event that one of them makes later, or of which this node has not heard, is by
  /// somebody who showed all this. Nothing while one has not been heard.
  [[nodiscard]] VersionVector shown_by_all() const;
  [[nodiscard]] std::vector<PeerStatus> peers() const;
  /// Peers whose row grew since the last call: they may have contents that they had not.
  [[nodiscard]] std::vector<NodeId> take_grown() { return std::exchange(grown_, {}); }
  [[nodiscard]] std::vector<NodeId> take_greeted() { return std::exchange(greeted_, {}); }

 private:
  struct Stream {
    std::uint64_t id = 0;
    VersionVector base;  ///< what the peer knew when it began
    VersionVector done;  ///< how far each actor has been sent
    std::uint64_t sent = 0, taken = 0;
    Instant progress;  ///< without any for stream_patience it is given up; ticks begin another
  };
  struct Incoming {
    std::uint64_t id = 0;
    std::uint64_t next = 0;  ///< all messages before this index have been taken in
  };
  struct Peer {
    bool up = false;
    bool greeted = false;
    std::string version;
    std::vector<std::string> differences;
    bool listed = false;     ///< it has said how long its lists are
    bool told = false;       ///< it has said what it knows, and that was understood
    VersionVector believed;  ///< what it knows, at least
    VersionVector lists;     ///< the lengths of its lists of endings, at least
    std::optional<Stream> stream;
    Incoming incoming;
    std::optional<Fingerprint> root;
    bool settled = false;
    std::optional<Instant> last_exchange, repaired, vectors_sent;
    std::optional<Duration> round_trip;
    std::uint64_t echo = 0;
    Instant echo_sent;
  };

  void on_hello(Instant now, NodeId id, Peer& peer, Hello hello, std::vector<Output>& out);
  void on_tick(Instant now, NodeId id, Peer& peer, const Tick& tick, std::vector<Output>& out);
  void on_vectors(Instant now, NodeId id, Peer& peer, const Vectors& vectors,
                  std::vector<Output>& out);
  void on_entries(NodeId id, Peer& peer, const Entries& entries, std::vector<Output>& out);
  void begin_repair(NodeId id, std::vector<Output>& out);
  void on_ranges(NodeId id, const Ranges& ranges, std::vector<Output>& out);
  void on_row(NodeId id, const HeldRow& row);
  void send_tick(Instant now, NodeId id, Peer& peer, bool answer, std::uint64_t echo,
                 std::vector<Output>& out);
  /// `asked`: what it answers, whose rows need not be said again.
  void send_vectors(Instant now, NodeId id, Peer& peer, const Vectors* asked,
                    std::vector<Output>& out);
  void begin_stream(Instant now, NodeId id, Peer& peer, std::vector<Output>& out);
  void pump(Instant now, NodeId id, Peer& peer, std::vector<Output>& out);
  bool fill(Stream& stream, const VersionVector& all, Entries& message) const;
  void believe(Peer& peer, const VersionVector& knowledge) const;
  [[nodiscard]] std::vector<ToldEndings> tell_endings(const Peer& peer) const;
  [[nodiscard]] std::uint64_t lacking(const Peer& peer) const;
  [[nodiscard]] bool row_is_news() const;
  [[nodiscard]] bool overclaims(const Message& message) const;
  void renew(NodeId liar, std::vector<Output>& out);
  [[nodiscard]] bool agrees(NodeId member, const Actor& actor, std::uint64_t sequence) const;
  [[nodiscard]] bool is_behind(NodeId peer) const;
  void push(Instant now, std::vector<Output>& out);
  void announce(Instant now, bool settled, std::vector<Output>& out);
  [[nodiscard]] std::vector<std::string> list_differences(const Hello& hello) const;
  [[nodiscard]] std::vector<NodeId> shuffled_peers();
  void send_hello(NodeId id, bool answer, std::vector<Output>& out) const;
  void happening(Instant now);

  const NodeOptions options_;
  std::vector<MemberName> members_;  ///< ascending
  Replica& replica_;
  Quota quota_;
  Random random_;
  std::map<NodeId, Peer> peers_;
  std::map<NodeId, VersionVector> stated_;           ///< what each has said that it knows, last
  std::map<NodeId, VersionVector> held_when_equal_;  ///< by each, when its knowledge was ours
  std::vector<NodeId> grown_;
  std::vector<NodeId> greeted_;
  Instant tick_at_{};
  int idle_factor_ = 1;
  bool settled_ = false;
  std::uint64_t own_pushed_ = 0;       ///< own events up to here have been pushed
  std::optional<Instant> forward_at_;  ///< news of others is passed on then
  Fingerprint announced_root_;
  bool announced_settled_ = false;
  std::optional<VersionVector> announced_held_;
  Instant announced_at_{};
};

}  // namespace p2psync::engine
