#pragma once
// Pieces: the chunks of a content that is on its way, or of one section of it, who has which of
// them, and which is asked for next.
//
// Several nodes that fetch the same content tell each other what they have of it. So that whoever
// has all sends each piece once, they share it out without a word: node `index` of `of` asks a
// whole source for the pieces of its own share, in order, and gets the others from its fellows. Who
// is ready with its share goes on backwards, into the end of the share before it, so that it and
// the slower node that is busy there meet once. Only when somebody has, or has been asked for, each
// piece is a whole source asked for one that a fellow has too. From fellows the rarest come first.
//
// Source: Cohen, Incentives Build Robustness in BitTorrent, 2003 (rarest first); Legout et al.,
// Rarest First and Choke Algorithms Are Enough, 2006; Mundinger, Weber, Weiss, Optimal Scheduling
// of Peer-to-Peer File Dissemination, 2008 (size / rate is within reach: each byte leaves the
// source once).
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "engine/message.h"

namespace p2psync::engine {

class Pieces {
 public:
  enum class State : std::uint8_t { missing, asked, writing, written };

  Pieces() = default;
  /// The first is at `from` in the content.
  explicit Pieces(std::span<const Chunk> chunks, std::uint64_t from = 0);
  /// This node is number `index`, from 0, of `of` that fetch it.
  void share(std::size_t index, std::size_t of);

  [[nodiscard]] std::size_t size() const { return pieces_.size(); }
  [[nodiscard]] std::uint64_t from() const { return pieces_.empty() ? 0 : pieces_.front().offset; }
  /// Where they end in the content.
  [[nodiscard]] std::uint64_t to() const {
    return pieces_.empty() ? 0 : pieces_.back().offset + pieces_.back().chunk.length;
  }
  [[nodiscard]] std::size_t missing() const { return missing_; }  ///< to be asked for
  [[nodiscard]] std::size_t unwritten() const { return unwritten_; }
  [[nodiscard]] std::uint64_t offset(std::size_t piece) const { return pieces_[piece].offset; }
  [[nodiscard]] const Chunk& chunk(std::size_t piece) const { return pieces_[piece].chunk; }
  [[nodiscard]] State state(std::size_t piece) const { return pieces_[piece].state; }
  /// The piece that begins there.
  [[nodiscard]] std::optional<std::size_t> at(std::uint64_t offset) const;

  void set(std::size_t piece, State state);
  /// Another place of the same chunk, a third one after that, and so on, back to the first. Only
  /// one of them need be asked for.
  [[nodiscard]] std::size_t next_twin(std::size_t piece) const { return pieces_[piece].next_twin; }

  /// What a fellow tells, in addition to what it told before. Chunks that are not there are
  /// ignored.
  void has(NodeId fellow, std::span<const ChunkRange> chunks);
  /// It has not got this one after all.
  void has_not(NodeId fellow, std::size_t piece);
  /// It is gone, or begins anew.
  void forget(NodeId fellow);
  [[nodiscard]] bool has(NodeId fellow, std::size_t piece) const;

  /// The next to ask a fellow for, of those it has.
  [[nodiscard]] std::optional<std::size_t> next_of(NodeId fellow);
  /// The next to ask somebody for who has them all. `any`: also one that a fellow has.
  [[nodiscard]] std::optional<std::size_t> next_of_whole(bool any);

  /// What is written, and of that what is new since the last call.
  [[nodiscard]] std::vector<ChunkRange> written() const;
  [[nodiscard]] std::vector<ChunkRange> take_news();

 private:
  struct Piece {
    std::uint64_t offset = 0;
    Chunk chunk;
    State state = State::missing;
    std::uint16_t fellows = 0;  ///< how many have it
    std::uint32_t next_twin = 0;
  };
  struct Fellow {
    std::vector<bool> has;
    std::deque<std::uint32_t> offered;  ///< at least those of `has` that are missing here
  };

  [[nodiscard]] bool wanted(std::size_t piece, bool any) const {
    return pieces_[piece].state == State::missing && (any || pieces_[piece].fellows == 0);
  }
  void look_again() { ahead_ = behind_ = anywhere_ = 0; }

  std::vector<Piece> pieces_;
  std::map<NodeId, Fellow> fellows_;
  std::vector<std::uint32_t> news_;
  std::size_t missing_ = 0;
  std::size_t unwritten_ = 0;
  std::size_t begin_ = 0;  ///< of the share
  std::size_t end_ = 0;
  // So many have been looked at: of the share forwards, of all others backwards, of all.
  std::size_t ahead_ = 0;
  std::size_t behind_ = 0;
  std::size_t anywhere_ = 0;
};

}  // namespace p2psync::engine
