// The part of transfer that says whom to ask for what, and what fellows are told.
#include <algorithm>

#include "engine/transfer.h"

namespace p2psync::engine {
namespace {

constexpr Duration check_interval = std::chrono::seconds(1);

}  // namespace

bool Transfer::ask(Instant now, Want& want, const Likely& likely, std::vector<Output>& out) {
  return want.stage == Stage::naming ? ask_for_list(now, want, likely, out)
                                     : ask_for_pieces(now, want, likely, out);
}

bool Transfer::ask_for_list(Instant now, Want& want, const Likely& likely,
                            std::vector<Output>& out) {
  Fetch& fetch = *want.fetch;
  std::optional<NodeId> best;
  std::pair<bool, std::uint64_t> best_rank;
  for (const auto& [id, peer] : peers_) {
    if (peer.open() && !fetch.lacking.contains(id)) {
      const std::pair rank{!likely(id, want.need), peer.outstanding()};
      if (!best || rank < best_rank) {
        best = id;
        best_rank = rank;
      }
    }
  }
  if (!best) {
    return false;
  }
  fetch.naming_asked = true;
  Get& get = send_get(now, *best, want, std::nullopt, out);
  get.offset = fetch.list.size();
  get.length = block_bytes;
  get.list = fetch.wanted;
  return true;
}

/// One of each peer. Fellows first: what they have need not be asked of those who have all.
bool Transfer::ask_for_pieces(Instant now, Want& want, const Likely& likely,
                              std::vector<Output>& out) {
  Fetch& fetch = *want.fetch;
  bool any = false;
  const auto ask_each = [&](auto&& next_of) {
    for (const auto& [id, peer] : peers_) {
      const bool open = large(want) ? peer.open_for_many() : peer.open();
      if (!open || fetch.lacking.contains(id) || outstanding_ >= outstanding_max) {
        continue;
      }
      if (const std::optional<std::size_t> piece = next_of(id)) {
        send_get(now, id, want, piece, out);
        any = true;
      }
    }
  };
  ask_each([&](NodeId id) { return fetch.pieces.next_of(id); });
  const bool fellows_busy = !any;
  bool whole = false;
  ask_each([&](NodeId id) {
    if (!likely(id, want.need) && !fetch.served_by.contains(id)) {
      return std::optional<std::size_t>();
    }
    whole = true;
    return fetch.pieces.next_of_whole(fellows_busy);
  });
  if (!any && !whole && fetch.asked.empty()) {  // who is not known to have any may have it still
    ask_each([&](NodeId) { return fetch.pieces.next_of_whole(true); });
  }
  return any;
}

Get& Transfer::send_get(Instant now, NodeId peer, Want& want, std::optional<std::size_t> piece,
                        std::vector<Output>& out) {
  const Asked& asked = asked_[++last_request_] = {peer, &want, piece, now};
  want.fetch->asked.insert(last_request_);
  peers_[peer].asked(bytes_of(asked));
  Get get{last_request_, want.need.content};
  if (piece) {
    for_twins(want.fetch->pieces, *piece, [&](std::size_t twin) {
      if (want.fetch->pieces.state(twin) == Pieces::State::missing) {
        want.fetch->pieces.set(twin, Pieces::State::asked);
      }
    });
    get.offset = want.fetch->pieces.offset(*piece);
    get.length = want.fetch->pieces.chunk(*piece).length;
    want.fetch->outstanding += get.length;
    outstanding_ += get.length;
  }
  out.push_back(Send{peer, get, Priority::control});
  return std::get<Get>(std::get<Send>(out.back()).message);
}

bool Transfer::elsewhere(const Want& want, const Asked& asked, const Likely& likely) const {
  return std::ranges::any_of(peers_, [&](const auto& peer) {
    return peer.first != asked.peer && peer.second.open() &&
           !want.fetch->lacking.contains(peer.first) &&
           (likely(peer.first, want.need) ||
            (asked.piece && want.fetch->pieces.has(peer.first, *asked.piece)));
  });
}

void Transfer::take_back_late(Instant now, const Likely& likely) {
  if (asked_.empty()) {
    check_at_.reset();
    return;
  }
  if (!check_at_ || now < *check_at_) {
    check_at_ = check_at_.value_or(now + check_interval);
    return;
  }
  check_at_ = now + check_interval;
  std::vector<std::uint64_t> late;
  for (const auto& [request, asked] : asked_) {
    const Window& peer = peers_.at(asked.peer);
    const Duration waited = now - asked.since;
    if (waited > peer.patience()) {
      late.push_back(request);
    } else if (waited > peer.short_patience()) {
      if (!asked.want->wants_asking() && elsewhere(*asked.want, asked, likely)) {
        late.push_back(request);
      }
    }
  }
  std::set<NodeId> slow;
  for (const std::uint64_t request : late) {
    const Asked asked = asked_.at(request);
    unask(request);
    avoid(*asked.want, asked.peer, now + Window::patience_min);
    slow.insert(asked.peer);
  }
  for (const NodeId peer : slow) {
    peers_.at(peer).late();
  }
}

std::optional<Instant> Transfer::wake_at() const {
  if (wants_.empty() || peers_.empty()) {
    return std::nullopt;
  }
  std::optional<Instant> earliest;
  const auto sooner = [&earliest](Instant when) {
    earliest = earliest ? std::min(*earliest, when) : when;
  };
  if (check_at_) {
    sooner(*check_at_);
  }
  for (const auto& [key, want] : swarms_) {
    if (want->fetch->tell_at) {
      sooner(*want->fetch->tell_at);
    }
  }
  if (paused_until_ != Instant{}) {
    sooner(paused_until_);
    return earliest;  // whoever lacks what, nothing is asked for before
  }
  for (const auto& [key, want] : refused_) {
    sooner(want->fetch->again_at);
  }
  if (any_grew_) {
    sooner(look_through_at_);
  }
  for (const auto& [key, want] : troubled_) {
    if (want->wants_asking()) {
      for (const auto& [peer, until] : want->fetch->lacking) {
        sooner(until);
      }
    }
  }
  return earliest;
}

// --- Who is not asked

void Transfer::avoid(Want& want, NodeId peer, Instant until) {
  want.fetch->lacking[peer] = until;
  troubled_[want.key] = &want;
}

void Transfer::peer_grew(NodeId peer) {
  any_grew_ = true;
  for (const auto& [key, want] : troubled_) {
    want->fetch->lacking.erase(peer);
    want->fetch->denied.erase(peer);
  }
}

std::vector<std::pair<Hash, Path>> Transfer::nowhere(const std::set<NodeId>& members) const {
  std::vector<std::pair<Hash, Path>> list;
  for (const auto& [key, want] : troubled_) {
    if (std::ranges::includes(want->fetch->denied, members)) {
      for (const Path& path : want->paths) {
        list.emplace_back(want->need.content, path);
      }
    }
  }
  return list;
}

// --- Fellows

/// Only who is not known to hold all of it may want to know.
void Transfer::tell(Instant now, const Likely& likely, std::vector<Output>& out) {
  for (const auto& [key, want] : swarms_) {
    std::erase_if(want->fetch->told, [&](NodeId id) { return likely(id, want->need); });
    if (want->fetch->tell_at && now >= *want->fetch->tell_at) {
      tell_news(*want, out);
      want->fetch->tell_at.reset();
      want->fetch->told_at = now;
    }
    for (const auto& [id, peer] : peers_) {
      if (!want->fetch->told.contains(id) && !likely(id, want->need)) {
        want->fetch->told.insert(id);
        tell_all(*want, id, true, out);
      }
    }
    if (!std::exchange(want->fetch->shared, true)) {
      const auto before =
          std::distance(want->fetch->told.begin(), want->fetch->told.lower_bound(self_));
      want->fetch->pieces.share(static_cast<std::size_t>(before), want->fetch->told.size() + 1);
    }
  }
}

void Transfer::tell_news(Want& want, std::vector<Output>& out) {
  if (!large(want)) {
    return;  // it has no fellows
  }
  const std::vector<ChunkRange> news = want.fetch->pieces.take_news();
  if (news.empty()) {
    return;
  }
  for (const NodeId id : want.fetch->told) {
    out.push_back(
        Send{id, Have{want.need.content, want.fetch->pieces.from(), news}, Priority::control});
  }
}

void Transfer::tell_all(Want& want, NodeId peer, bool anew, std::vector<Output>& out) {
  const std::vector<ChunkRange> all = want.fetch->pieces.written();
  auto from = all.begin();
  do {
    const auto count = std::min<std::ptrdiff_t>(have_ranges_max, all.end() - from);
    out.push_back(Send{peer,
                       Have{want.need.content,
                            want.fetch->pieces.from(),
                            {from, from + count},
                            std::exchange(anew, false)},
                       Priority::control});
    from += count;
  } while (from != all.end());
}

void Transfer::on_have(NodeId peer, const Have& have, std::vector<Output>& out) {
  Want* want = find(have.content);
  if (want == nullptr || !swarms_.contains(want->key) || !peers_.contains(peer)) {
    return;  // it is asked again when this node begins to fetch it
  }
  static const std::vector<ChunkRange> all_chunks{{0, ~std::uint32_t{0}}};
  Pieces& pieces = want->fetch->pieces;
  const bool behind = have.from < pieces.from();
  if (behind && have.anew) {
    out.push_back(Send{peer, Have{have.content, have.from, all_chunks}, Priority::control});
  }
  if (behind) {
    return;
  }
  if (have.anew) {
    pieces.forget(peer);
    if (want->fetch->told.contains(peer)) {
      tell_all(*want, peer, false, out);
    }
  }
  const bool ahead = have.from > pieces.from();
  if (!ahead || have.anew) {
    pieces.has(peer, ahead ? all_chunks : have.chunks);
  }
  if (!have.chunks.empty() && want->fetch->denied.erase(peer) > 0) {
    want->fetch->lacking.erase(peer);
  }
  to_ask(*want);
}

bool Transfer::has(const Get& get) const {
  const Want* want = find(get.content);
  if (want == nullptr || !swarms_.contains(want->key)) {
    return false;
  }
  const Pieces& pieces = want->fetch->pieces;
  const std::optional<std::size_t> piece = pieces.at(get.offset);
  return get.list || get.offset < pieces.from() ||
         (piece && pieces.chunk(*piece).length == get.length &&
          pieces.state(*piece) == Pieces::State::written);
}

}  // namespace p2psync::engine
