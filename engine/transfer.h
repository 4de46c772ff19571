#pragma once
// Transfer: which contents this node lacks, whom to ask for which block, and serving what others
// ask for.
//
// A content is wanted by its hash for as long as some path needs it, smallest contents first. One
// of several chunks goes through these stages:
//
//   opening    storage looks what is here: the lists of sections and of chunks, what was written
//              before a cut or a restart
//   naming     a list that is not here is fetched, as a difference to one of the old version's
//   opening    storage checks it, and takes from the old version whatever chunks it can
//   fetching   the other chunks of this section come from every connected peer that has them, all
//              of them or some (pieces.h); storage checks each against its hash before it writes
//              it, so a wrong one has one culprit. Then the next section is opened
//   finishing  all is written
//
// A peer that says it has not got a content is not asked again for a while. Bounds: what is asked
// of each peer and not answered (window.h), contents in progress, bytes in memory. What a silent
// peer was asked for is asked for elsewhere after a while, soon if nothing else is left to do.
//
// A large content that the disk refuses, most likely since there is no room for it, waits by itself
// and is tried again; when a small one is refused the disk is full, and nothing is asked for for a
// while.
//
// A content that nobody here can send, as its node died while others heard of it, gives its place
// up for one that was not tried yet, and is tried again behind all others, or when a peer that may
// have it comes up or has grown.
#include <array>
#include <bit>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/node.h"
#include "engine/output.h"
#include "engine/pieces.h"
#include "engine/reconcile.h"
#include "engine/secret_hash.h"
#include "engine/status.h"
#include "engine/window.h"

namespace p2psync::engine {

/// Bytes asked for, or here and not yet written: what a node may have to hold in memory.
inline constexpr std::uint64_t outstanding_max = 16 * 1024 * 1024;
/// What fellows are told of the chunks that have come waits so long for more.
inline constexpr Duration have_interval = std::chrono::milliseconds(50);
inline constexpr std::size_t have_ranges_max = 16 * 1024;  ///< in one message
/// Contents that nobody could send are tried again in turns; opening a large one reads what is here
/// of it.
inline constexpr Duration turn_small = std::chrono::seconds(10);
inline constexpr Duration turn_large = std::chrono::minutes(10);
/// What sent bytes that are not what they should be is not asked for a content so long.
inline constexpr Duration mismatch_for = std::chrono::seconds(10);
/// So often those that wait for a peer to have them are looked through, if any has grown.
inline constexpr Duration look_through_interval = std::chrono::seconds(2);

class Transfer {
 public:
  /// Whether the peer holds this version, as far as is known.
  using Likely = std::function<bool(NodeId, const Need&)>;
  using Bases = std::function<std::vector<Base>(const Need&, const Path&)>;

  /// Contents of at most `chunk_max` bytes are one chunk.
  /// `secret`: of this node, for hash tables.
  Transfer(NodeId self, std::uint32_t chunk_max, std::uint64_t secret,
           const FetchesMax& fetches_max = {})
      : self_(self),
        chunk_max_(chunk_max),
        fetches_max_(fetches_max),
        wants_(0, SecretHash{secret}),
        needs_(0, SecretHash{secret}),
        at_disk_(0, SecretHash{secret}) {}

  /// What a path needs now; replaces what it needed before.
  void set_needs(const Path& path, const std::vector<Need>& needs);

  /// It is here: nobody is asked for it, until a path that needed it needs it once more. Says which
  /// these are.
  [[nodiscard]] std::vector<Path> abandon(const Hash& content);

  void peer_up(NodeId peer) {
    peers_[peer];
    any_grew_ = true;
  }
  void peer_down(NodeId peer);
  /// The peer may have more now than when it said it had not.
  void peer_grew(NodeId peer);

  /// Asks for as much as the bounds allow. `bases(need, path)`: what is here that may be like what
  /// comes, the likeliest first.
  void next(Instant now, const Likely& likely, const Bases& bases, std::vector<Output>& out);

  /// False: it was not asked for (late or invented) and is ignored.
  bool on_block(Instant now, NodeId peer, Block block, std::vector<Output>& out);
  void on_have(NodeId peer, const Have& have, std::vector<Output>& out);
  /// Whether these bytes are here, of a content that is not yet all here.
  [[nodiscard]] bool has(const Get& get) const;

  struct Outcome {
    std::vector<Path> paths;     ///< that need this content, which is complete
    std::vector<NodeId> blamed;  ///< who served bytes that are not what their hash says
    bool stale = false;          ///< of an attempt that was given up: it says nothing of the next
  };
  [[nodiscard]] Outcome on(Instant now, StageOpened opened, std::vector<Output>& out);
  [[nodiscard]] Outcome on(Instant now, const StageWritten& written, std::vector<Output>& out);

  /// The contents that each of these said it has not got when it was last asked, and the paths that
  /// need them.
  [[nodiscard]] std::vector<std::pair<Hash, Path>> nowhere(const std::set<NodeId>& members) const;

  /// What is on its way and what waits for its turn, of each the largest first; incoming_max.
  [[nodiscard]] std::vector<Incoming> incoming() const;
  /// A path that needs this content; null if none does any more.
  [[nodiscard]] const Path* needed_by(const Hash& content) const;

  /// Something was asked for, or is being written.
  [[nodiscard]] bool coming() const { return outstanding_ > 0; }
  [[nodiscard]] std::uint64_t pending_bytes() const { return pending_bytes_; }
  [[nodiscard]] std::uint64_t pending_files() const { return wants_.size(); }
  [[nodiscard]] std::optional<Instant> wake_at() const;
  /// While what has come waits to be laid: nothing more is asked for.
  void hold(bool held) { held_ = held; }
  /// What was needed for contents that are here now.
  void give_memory_back() {
    free_if_empty(wants_);
    free_if_empty(needs_);
    free_if_empty(at_disk_);
  }

 private:
  /// Small contents pass large ones. Those of one chunk and about one size come as they were asked
  /// for, which is in path order: what stands together is read, written and laid together.
  struct Key {
    bool large = false;
    std::uint32_t round = 0;  ///< so often nobody could send it
    std::uint64_t rank = 0;   ///< of its size, see rank_of()
    std::uint64_t turn = 0;   ///< each has its own
    auto operator<=>(const Key&) const = default;
  };
  enum class Stage : std::uint8_t { waiting, refused, opening, naming, fetching, finishing };
  /// What there is to know of a content once its turn has come. While a large tree comes in, nearly
  /// all wait.
  struct Fetch {
    std::vector<Base> bases;  ///< what is here and may be like it
    ListOf wanted;            ///< while it is named
    bool naming_asked = false;
    std::vector<std::uint8_t> list;  ///< of that, what has come
    std::set<NodeId> named_by;       ///< who served it
    std::uint64_t from = 0;          ///< all before it is there
    Pieces pieces;                   ///< none before they are known
    bool shared = false;             ///< a part of them is this node's to fetch
    std::set<NodeId> told;           ///< who is told which pieces are here
    std::optional<Instant> tell_at;  ///< what has come since they were told last
    Instant told_at;
    std::set<std::uint64_t> asked;            ///< requests
    std::map<std::uint64_t, NodeId> writing;  ///< who served the piece at this offset
    std::uint64_t outstanding = 0;            ///< bytes of both
    std::map<NodeId, Instant> lacking;        ///< who is not asked again, until when
    std::set<NodeId> served_by;               ///< who had what it was not known to have
    std::set<NodeId> denied;                  ///< who said that it has not got it
    Instant again_at;                         ///< the disk refused it: not before
  };
  struct Want {
    Need need;
    Key key;
    std::set<Path> paths;
    std::uint64_t left = 0;        ///< bytes not yet written
    std::unique_ptr<Fetch> fetch;  ///< null: it has waited ever since it was first needed
    Stage stage = Stage::waiting;
    [[nodiscard]] bool wants_asking() const {
      return (stage == Stage::naming && !fetch->naming_asked) ||
             (fetch != nullptr && fetch->pieces.missing() > 0);
    }
  };
  struct Asked {
    NodeId peer = 0;
    Want* want = nullptr;
    std::optional<std::size_t> piece;  ///< nothing: a list
    Instant since;
  };
  /// Of one chunk: within a factor of 16.
  [[nodiscard]] std::uint64_t rank_of(std::uint64_t size) const {
    return size > chunk_max_ ? size : static_cast<std::uint64_t>(std::bit_width(size)) / 4;
  }
  [[nodiscard]] static bool large(const Want& want) { return want.key.large; }
  void add(const Need& need, const Path& path);
  void set_round(Want& want, std::uint32_t round);
  void open_waiting(Instant now, bool large, const Bases& bases, std::vector<Output>& out);
  [[nodiscard]] bool has_room(bool large) const;
  /// For one of this round. False: all in progress can go on, or have their turn.
  bool make_room(Instant now, bool large, std::uint32_t round);
  [[nodiscard]] bool is_stuck(const Want& want) const;
  void look_through(Instant now, const Likely& likely);
  void open(Want& want, const Bases& bases, std::vector<Output>& out);
  /// As if it had just come to be needed.
  Want& wait_anew(Want& want);
  /// From the beginning, with what is on the disk by then.
  Want& begin_anew(Want& want);
  /// By the disk.
  void refused(Instant now, Want& want);
  void try_refused(Instant now, const Bases& bases, std::vector<Output>& out);
  void open_stage(Want& want, const Bases& bases, std::vector<Output>& out);
  void open_section(Want& want, Bytes list, std::vector<Output>& out);
  void set_pieces(Want& want, std::span<const Chunk> chunks, const std::vector<bool>& there);
  void section_written(Want& want, std::vector<Output>& out);
  void written(Want& want, std::size_t piece);
  void on_list(Want& want, NodeId peer, const Bytes& bytes, std::vector<Output>& out);
  /// False when nobody can be asked for anything more of this content.
  bool ask(Instant now, Want& want, const Likely& likely, std::vector<Output>& out);
  bool ask_for_list(Instant now, Want& want, const Likely& likely, std::vector<Output>& out);
  bool ask_for_pieces(Instant now, Want& want, const Likely& likely, std::vector<Output>& out);
  Get& send_get(Instant now, NodeId peer, Want& want, std::optional<std::size_t> piece,
                std::vector<Output>& out);
  /// What storage is asked for and has not answered; it answers in order.
  struct AtDisk {
    std::size_t all = 0;
    std::size_t stale = 0;  ///< the first of them: asked for by attempts that were given up
  };
  template <class Work>
  void to_disk(Work work, std::vector<Output>& out) {
    ++at_disk_[work.content].all;
    out.push_back(std::move(work));
  }
  /// Whether the answer that has come now is one of those.
  [[nodiscard]] bool is_stale(const Hash& content);
  [[nodiscard]] Outcome complete(Want& want, std::uint64_t offset, std::vector<Output>& out);
  [[nodiscard]] static std::uint64_t bytes_of(const Asked& asked);
  void unask(std::uint64_t request);
  void answered(std::map<std::uint64_t, Asked>::iterator place);
  static void for_twins(const Pieces& pieces, std::size_t piece,
                        const std::function<void(std::size_t)>& act);
  void write(Want& want, NodeId peer, std::size_t piece, const Bytes& bytes,
             std::vector<Output>& out);
  /// There is something of it to ask for.
  void to_ask(Want& want) { asking_[want.key] = &want; }
  void done_with(Want& want, std::size_t piece);
  void avoid(Want& want, NodeId peer, Instant until);
  void tell(Instant now, const Likely& likely, std::vector<Output>& out);
  void tell_news(Want& want, std::vector<Output>& out);
  static void tell_all(Want& want, NodeId peer, bool anew, std::vector<Output>& out);
  [[nodiscard]] bool any_open() const;
  [[nodiscard]] const Want* find(const Hash& content) const;
  [[nodiscard]] Want* find(const Hash& content);
  void drop(Want& want);
  void take_back_late(Instant now, const Likely& likely);
  [[nodiscard]] bool elsewhere(const Want& want, const Asked& asked, const Likely& likely) const;

  NodeId self_;
  std::uint32_t chunk_max_;
  FetchesMax fetches_max_;
  std::uint64_t last_turn_ = 0;
  bool any_grew_ = false;  ///< a peer: what waits for one may have come within reach
  Instant look_through_at_{};
  std::array<Instant, 2> turn_ends_{};  ///< of the small and the large that were tried before
  std::unordered_map<Hash, Want, SecretHash> wants_;
  std::map<Key, Want*> waiting_;   ///< exactly those of that stage
  std::map<Key, Want*> active_;    ///< exactly the others
  std::map<Key, Want*> asking_;    ///< at least those with something to ask for
  std::map<Key, Want*> troubled_;  ///< somebody is, or was, not to be asked
  std::map<Key, Want*> swarms_;    ///< exactly the large ones whose pieces are known
  std::map<Key, Want*> refused_;   ///< exactly those of that stage
  std::size_t large_active_ = 0;
  std::unordered_map<Path, std::vector<Hash>, SecretHash> needs_;
  std::map<NodeId, Window> peers_;
  std::map<std::uint64_t, Asked> asked_;
  std::uint64_t last_request_ = 0;
  std::uint64_t pending_bytes_ = 0;
  std::uint64_t outstanding_ = 0;
  std::unordered_map<Hash, AtDisk, SecretHash> at_disk_;
  std::vector<Hash> orphaned_;  ///< no path needed them a moment ago; another may by now
  std::vector<Hash> unwanted_;
  Instant paused_until_{};  ///< the disk is full
  bool held_ = false;
  std::optional<Instant> check_at_;  ///< whether any answer is late
};

}  // namespace p2psync::engine
