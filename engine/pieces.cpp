#include "engine/pieces.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "engine/error.h"

namespace p2psync::engine {
namespace {

/// Among so many that a fellow offers, the rarest is taken.
constexpr std::size_t lookahead = 16;

std::vector<ChunkRange> ranges_of(std::span<const std::uint32_t> ascending) {
  std::vector<ChunkRange> ranges;
  for (const std::uint32_t piece : ascending) {
    if (ranges.empty() || ranges.back().end != piece) {
      ranges.push_back({piece, piece});
    }
    ++ranges.back().end;
  }
  return ranges;
}

}  // namespace

Pieces::Pieces(std::span<const Chunk> chunks, std::uint64_t from)
    : missing_(chunks.size()), unwritten_(chunks.size()), end_(chunks.size()) {
  pieces_.reserve(chunks.size());
  for (const Chunk& chunk : chunks) {
    pieces_.push_back({from, chunk});
    from += chunk.length;
  }
  if (chunks.size() < 2) {
    return;  // no twins
  }
  std::vector<std::uint32_t> order(pieces_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, {}, [this](std::uint32_t piece) {
    return std::tie(pieces_[piece].chunk.hash, pieces_[piece].offset);
  });
  for (std::size_t begin = 0, i = 0; i < order.size(); ++i) {
    const bool last =
        i + 1 == order.size() || pieces_[order[i + 1]].chunk != pieces_[order[i]].chunk;
    pieces_[order[i]].next_twin = order[last ? begin : i + 1];
    begin = last ? i + 1 : begin;
  }
}

void Pieces::share(std::size_t index, std::size_t of) {
  begin_ = size() * index / of;
  end_ = size() * (index + 1) / of;
  look_again();
}

std::optional<std::size_t> Pieces::at(std::uint64_t offset) const {
  const auto place = std::ranges::lower_bound(pieces_, offset, {}, &Piece::offset);
  if (place == pieces_.end() || place->offset != offset) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(place - pieces_.begin());
}

void Pieces::set(std::size_t index, State state) {
  Piece& piece = pieces_[index];
  if (piece.state == state) {
    return;
  }
  invariant(piece.state != State::written, "a written piece stays");
  missing_ -= piece.state == State::missing ? 1U : 0U;
  missing_ += state == State::missing ? 1U : 0U;
  piece.state = state;
  if (state == State::missing) {
    look_again();
    for (auto& [id, fellow] : fellows_) {
      if (fellow.has[index]) {
        fellow.offered.push_front(static_cast<std::uint32_t>(index));
      }
    }
  } else if (state == State::written) {
    --unwritten_;
    news_.push_back(static_cast<std::uint32_t>(index));
  }
}

void Pieces::has(NodeId id, std::span<const ChunkRange> chunks) {
  Fellow& fellow = fellows_[id];
  fellow.has.resize(pieces_.size());
  for (const ChunkRange& range : chunks) {
    const std::size_t end = std::min<std::size_t>(range.end, pieces_.size());
    for (std::size_t i = range.begin; i < end; ++i) {
      if (!fellow.has[i]) {
        fellow.has[i] = true;
        ++pieces_[i].fellows;
        if (pieces_[i].state == State::missing) {
          fellow.offered.push_back(static_cast<std::uint32_t>(i));
        }
      }
    }
  }
}

bool Pieces::has(NodeId id, std::size_t piece) const {
  const auto fellow = fellows_.find(id);
  return fellow != fellows_.end() && fellow->second.has[piece];
}

void Pieces::has_not(NodeId id, std::size_t piece) {
  const auto fellow = fellows_.find(id);
  if (fellow != fellows_.end() && fellow->second.has[piece]) {
    fellow->second.has[piece] = false;
    --pieces_[piece].fellows;
    look_again();
  }
}

void Pieces::forget(NodeId id) {
  const auto fellow = fellows_.find(id);
  if (fellow == fellows_.end()) {
    return;
  }
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    pieces_[i].fellows -= fellow->second.has[i] ? 1U : 0U;
  }
  fellows_.erase(fellow);
  look_again();
}

std::optional<std::size_t> Pieces::next_of(NodeId id) {
  const auto place = fellows_.find(id);
  if (place == fellows_.end()) {
    return std::nullopt;
  }
  Fellow& fellow = place->second;
  const auto gone = [&](std::uint32_t piece) {
    return pieces_[piece].state != State::missing || !fellow.has[piece];
  };
  while (!fellow.offered.empty() && gone(fellow.offered.front())) {
    fellow.offered.pop_front();
  }
  std::optional<std::size_t> best;
  const std::size_t count = std::min(fellow.offered.size(), lookahead);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t piece = fellow.offered[i];
    if (!gone(piece) && (!best || pieces_[piece].fellows < pieces_[*best].fellows)) {
      best = piece;
    }
  }
  return best;
}

std::optional<std::size_t> Pieces::next_of_whole(bool any) {
  for (; begin_ + ahead_ < end_; ++ahead_) {
    if (wanted(begin_ + ahead_, false)) {
      return begin_ + ahead_;
    }
  }
  for (const std::size_t others = size() - (end_ - begin_); behind_ < others; ++behind_) {
    const std::size_t piece = (begin_ + size() - 1 - behind_) % size();
    if (wanted(piece, false)) {
      return piece;
    }
  }
  for (; any && anywhere_ < size(); ++anywhere_) {
    const std::size_t piece = (begin_ + anywhere_) % size();
    if (wanted(piece, true)) {
      return piece;
    }
  }
  return std::nullopt;
}

std::vector<ChunkRange> Pieces::written() const {
  std::vector<std::uint32_t> list;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    if (pieces_[i].state == State::written) {
      list.push_back(static_cast<std::uint32_t>(i));
    }
  }
  return ranges_of(list);
}

std::vector<ChunkRange> Pieces::take_news() {
  std::ranges::sort(news_);
  return ranges_of(std::exchange(news_, {}));
}

}  // namespace p2psync::engine
