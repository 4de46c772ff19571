#pragma once
// Transfer: which contents this node lacks, whom to ask for which block, and serving what others
// ask for.
//
// A content is wanted by its hash for as long as some path needs it. It is fetched in blocks of
// block_bytes, smallest contents first, from every connected peer that may have it, several at a
// time; what was written before a cut or a restart is not asked for again. The whole is checked
// against its hash by storage before anybody sees it. A peer that says it has not got it is not
// asked again for a while.
//
// Bounds: blocks and bytes outstanding at each peer, contents in progress. A silent peer's blocks
// are asked for elsewhere after `patience`.
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "engine/output.h"
#include "engine/reconcile.h"

namespace p2psync::engine {

inline constexpr std::size_t requests_a_peer_max = 64;
inline constexpr std::size_t fetches_max = 512;      ///< contents in progress
inline constexpr std::size_t large_fetches_max = 4;  ///< of those, with more than one block
inline constexpr Duration patience = std::chrono::seconds(20);

class Transfer {
 public:
  /// What a path needs now; replaces what it needed before.
  void set_needs(const Path& path, const std::vector<Need>& needs);

  void peer_up(NodeId peer) { peers_[peer]; }
  void peer_down(NodeId peer);
  /// The peer may have more now than when it said it had not.
  void peer_grew(NodeId peer);

  /// Asks for as much as the bounds allow. `likely(peer, need)`: the peer holds this version.
  void next(Instant now, const std::function<bool(NodeId, const Need&)>& likely,
            std::vector<Output>& out);

  void on(const StageOpened& opened);
  /// False: it was not asked for (late or invented) and is ignored.
  bool on_block(Instant now, NodeId peer, Block block, std::vector<Output>& out);
  struct Outcome {
    bool complete = false;
    std::vector<Path> paths;  ///< that need this content
    std::optional<Error> error;
    std::vector<NodeId> blamed;  ///< who served blocks of a content whose hash did not match
  };
  [[nodiscard]] Outcome on(Instant now, const StageWritten& written);

  /// The contents that each of these said it has not got when it was last asked, and the paths that
  /// need them.
  [[nodiscard]] std::vector<std::pair<Hash, Path>> nowhere(const std::set<NodeId>& members) const;

  [[nodiscard]] std::uint64_t pending_bytes() const { return pending_bytes_; }
  [[nodiscard]] std::uint64_t pending_files() const { return wants_.size(); }
  [[nodiscard]] std::optional<Instant> wake_at() const;
  /// Disk full: nothing is asked for until then.
  void pause(Instant until) { paused_until_ = until; }

 private:
  enum class BlockState : std::uint8_t { missing, asked, writing, written };
  struct Want {
    Need need;
    std::set<Path> paths;
    enum class Stage : std::uint8_t {
      waiting,
      opening,
      fetching,
      finishing
    } stage = Stage::waiting;
    std::vector<BlockState> blocks;
    std::size_t missing = 0;    ///< blocks to ask for
    std::size_t unwritten = 0;  ///< blocks not yet written
    std::size_t next_block = 0;
    std::set<NodeId> served_by;
    std::map<NodeId, Instant> lacking;  ///< who is not asked again, until when
    std::set<NodeId> denied;            ///< who said that it has not got it
  };
  struct Asked {
    NodeId peer = 0;
    Hash content;
    std::size_t block = 0;
    Instant since;
  };
  struct Peer {
    std::size_t requests = 0;
  };
  using Key = std::pair<std::uint64_t, Hash>;  ///< size first: small contents pass large ones

  void open(const Key& key, Want& want, std::vector<Output>& out);
  /// False when nobody can be asked for anything more of this content.
  bool ask(Instant now, Want& want, const std::function<bool(NodeId, const Need&)>& likely,
           std::vector<Output>& out);
  std::optional<NodeId> choose(const Want& want,
                               const std::function<bool(NodeId, const Need&)>& likely);
  void unask(std::uint64_t request);
  [[nodiscard]] Want* find(const Hash& content);
  void drop(Key key);
  void take_back_late(Instant now);

  std::map<Hash, std::uint64_t> sizes_;  ///< exactly of what is in wants_
  std::map<Key, Want> wants_;
  std::set<Key> active_;
  std::size_t large_active_ = 0;
  std::map<Path, std::vector<Hash>> needs_;
  std::map<NodeId, Peer> peers_;
  std::map<std::uint64_t, Asked> asked_;
  std::uint64_t last_request_ = 0;
  std::uint64_t pending_bytes_ = 0;
  std::vector<Hash> unwanted_;
  Instant paused_until_{};
};

}  // namespace p2psync::engine
