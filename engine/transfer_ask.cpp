// The part of transfer that says whom to ask for what, and what fellows are told.
#include <algorithm>

#include "engine/transfer.h"

namespace p2psync::engine {
namespace {

constexpr Duration check_interval = std::chrono::seconds(1);

}  // namespace

bool Transfer::ask(Instant now, Want& want, const Likely& likely, std::vector<Output>& out) {
  return want.stage == Want::Stage::naming ? ask_for_manifest(now, want, likely, out)
                                           : ask_for_pieces(now, want, likely, out);
}

bool Transfer::ask_for_manifest(Instant now, Want& want, const Likely& likely,
                                std::vector<Output>& out) {
  std::optional<NodeId> best;
  std::pair<bool, std::uint64_t> best_rank;
  for (const auto& [id, peer] : peers_) {
    if (peer.open() && !want.lacking.contains(id)) {
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
  want.naming_asked = true;
  Get& get = send_get(now, *best, want, std::nullopt, out);
  get.offset = want.manifest.size();
  get.length = block_bytes;
  get.manifest_against = want.base;
  return true;
}

/// One of each peer. Fellows first: what they have need not be asked of those who have all.
bool Transfer::ask_for_pieces(Instant now, Want& want, const Likely& likely,
                              std::vector<Output>& out) {
  bool any = false;
  const auto ask_each = [&](auto&& next_of) {
    for (const auto& [id, peer] : peers_) {
      if (!peer.open() || want.lacking.contains(id) || outstanding_ >= outstanding_max) {
        continue;
      }
      if (const std::optional<std::size_t> piece = next_of(id)) {
        send_get(now, id, want, piece, out);
        any = true;
      }
    }
  };
  ask_each([&](NodeId id) { return want.pieces.next_of(id); });
  const bool fellows_busy = !any;
  bool whole = false;
  ask_each([&](NodeId id) {
    if (!likely(id, want.need) && !want.served_by.contains(id)) {
      return std::optional<std::size_t>();
    }
    whole = true;
    return want.pieces.next_of_whole(fellows_busy);
  });
  if (!any && !whole && want.asked.empty()) {  // who is not known to have any may have it still
    ask_each([&](NodeId) { return want.pieces.next_of_whole(true); });
  }
  return any;
}

Get& Transfer::send_get(Instant now, NodeId peer, Want& want, std::optional<std::size_t> piece,
                        std::vector<Output>& out) {
  const Asked& asked = asked_[++last_request_] = {peer, want.need.content, piece, now};
  want.asked.insert(last_request_);
  peers_[peer].asked(bytes_of(asked));
  Get get{last_request_, want.need.content};
  if (piece) {
    for_twins(want.pieces, *piece, [&](std::size_t twin) {
      if (want.pieces.state(twin) == Pieces::State::missing) {
        want.pieces.set(twin, Pieces::State::asked);
      }
    });
    get.offset = want.pieces.offset(*piece);
    get.length = want.pieces.chunk(*piece).length;
    want.outstanding += get.length;
    outstanding_ += get.length;
  }
  out.push_back(Send{peer, get, Priority::control});
  return std::get<Get>(std::get<Send>(out.back()).message);
}

bool Transfer::elsewhere(const Want& want, const Asked& asked, const Likely& likely) const {
  return std::ranges::any_of(peers_, [&](const auto& peer) {
    return peer.first != asked.peer && peer.second.open() && !want.lacking.contains(peer.first) &&
           (likely(peer.first, want.need) ||
            (asked.piece && want.pieces.has(peer.first, *asked.piece)));
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
      const Want& want = *find(asked.content);
      if (!want.wants_asking() && elsewhere(want, asked, likely)) {
        late.push_back(request);
      }
    }
  }
  std::set<NodeId> slow;
  for (const std::uint64_t request : late) {
    const Asked asked = asked_.at(request);
    unask(request);
    avoid(*find(asked.content), asked.peer, now + Window::patience_min);
    slow.insert(asked.peer);
  }
  for (const NodeId peer : slow) {
    peers_.at(peer).late();
  }
}

// --- Who is not asked

void Transfer::avoid(Want& want, NodeId peer, Instant until) {
  want.lacking[peer] = until;
  troubled_[want.key] = &want;
}

void Transfer::peer_grew(NodeId peer) {
  for (const auto& [key, want] : troubled_) {
    want->lacking.erase(peer);
    want->denied.erase(peer);
  }
}

std::vector<std::pair<Hash, Path>> Transfer::nowhere(const std::set<NodeId>& members) const {
  std::vector<std::pair<Hash, Path>> list;
  for (const auto& [key, want] : troubled_) {
    if (std::ranges::includes(want->denied, members)) {
      for (const Path& path : want->paths) {
        list.emplace_back(key.content, path);
      }
    }
  }
  return list;
}

// --- Fellows

/// Only who is not known to hold all of it may want to know.
void Transfer::tell(Instant now, const Likely& likely, std::vector<Output>& out) {
  for (const auto& [key, want] : swarms_) {
    std::erase_if(want->told, [&](NodeId id) { return likely(id, want->need); });
    if (want->tell_at && now >= *want->tell_at) {
      tell_news(*want, out);
      want->tell_at.reset();
      want->told_at = now;
    }
    for (const auto& [id, peer] : peers_) {
      if (!want->told.contains(id) && !likely(id, want->need)) {
        want->told.insert(id);
        tell_all(*want, id, true, out);
      }
    }
    if (!std::exchange(want->shared, true)) {
      const auto before = std::distance(want->told.begin(), want->told.lower_bound(self_));
      want->pieces.share(static_cast<std::size_t>(before), want->told.size() + 1);
    }
  }
}

void Transfer::tell_news(Want& want, std::vector<Output>& out) {
  if (want.pieces.size() == 1) {
    return;  // it has no fellows
  }
  const std::vector<ChunkRange> news = want.pieces.take_news();
  if (news.empty()) {
    return;
  }
  for (const NodeId id : want.told) {
    out.push_back(Send{id, Have{want.need.content, news}, Priority::control});
  }
}

void Transfer::tell_all(Want& want, NodeId peer, bool anew, std::vector<Output>& out) {
  const std::vector<ChunkRange> all = want.pieces.written();
  auto from = all.begin();
  do {
    const auto count = std::min<std::ptrdiff_t>(have_ranges_max, all.end() - from);
    out.push_back(Send{peer,
                       Have{want.need.content, {from, from + count}, std::exchange(anew, false)},
                       Priority::control});
    from += count;
  } while (from != all.end());
}

void Transfer::on_have(NodeId peer, const Have& have, std::vector<Output>& out) {
  Want* want = find(have.content);
  if (want == nullptr || !swarms_.contains(want->key) || !peers_.contains(peer)) {
    return;  // it is asked again when this node begins to fetch it
  }
  if (have.anew) {
    want->pieces.forget(peer);
    if (want->told.contains(peer)) {
      tell_all(*want, peer, false, out);
    }
  }
  want->pieces.has(peer, have.chunks);
  if (!have.chunks.empty() && want->denied.erase(peer) > 0) {
    want->lacking.erase(peer);
  }
  to_ask(*want);
}

bool Transfer::has(const Get& get) const {
  const Want* want = find(get.content);
  if (want == nullptr || !swarms_.contains(want->key)) {
    return false;
  }
  const std::optional<std::size_t> piece = want->pieces.at(get.offset);
  return get.manifest_against || (piece && want->pieces.chunk(*piece).length == get.length &&
                                  want->pieces.state(*piece) == Pieces::State::written);
}

}  // namespace p2psync::engine
