#include "engine/transfer.h"

#include <algorithm>

namespace p2psync::engine {
namespace {

constexpr Duration lacking_for = std::chrono::seconds(2);

}  // namespace

void Transfer::set_needs(const Path& path, const std::vector<Need>& needs) {
  const auto before = needs_.find(path);
  if (needs.empty() && before == needs_.end()) {
    return;
  }
  std::vector<Hash> hashes;
  for (const Need& need : needs) {
    add(need, path);
    hashes.push_back(need.content);
  }
  if (before != needs_.end()) {
    for (const Hash& old : before->second) {
      if (std::ranges::find(hashes, old) != hashes.end()) {
        continue;
      }
      if (Want* want = find(old)) {
        want->paths.erase(path);
        if (want->paths.empty()) {
          orphaned_.push_back(old);
        }
      }
    }
  }
  if (hashes.empty()) {
    needs_.erase(path);
  } else {
    needs_[path] = std::move(hashes);
  }
}

void Transfer::add(const Need& need, const Path& path) {
  const auto [place, fresh] = wants_.try_emplace(need.content);
  Want* const want = &place->second;
  if (fresh) {
    want->need = need;
    want->key = {need.size > chunk_max_, 0, rank_of(need.size), ++last_turn_};
    want->left = need.size;
    pending_bytes_ += need.size;
    waiting_.emplace_hint(waiting_.end(), want->key, want);
  } else if (want->need.size != need.size) {
    return;  // one of the two entries lies
  }
  want->paths.insert(path);
}

const Transfer::Want* Transfer::find(const Hash& content) const {
  const auto place = wants_.find(content);
  return place == wants_.end() ? nullptr : &place->second;
}

Transfer::Want* Transfer::find(const Hash& content) {
  return const_cast<Want*>(std::as_const(*this).find(content));
}

void Transfer::drop(Want& want) {
  const Key key = want.key;
  if (want.stage == Stage::waiting) {
    waiting_.erase(key);
  } else {
    active_.erase(key);
    large_active_ -= large(want) ? 1 : 0;
  }
  if (want.fetch != nullptr) {
    for (const std::uint64_t request : want.fetch->asked) {
      const auto asked = asked_.find(request);
      peers_[asked->second.peer].taken_back(bytes_of(asked->second));
      asked_.erase(asked);
    }
    outstanding_ -= want.fetch->outstanding;
    swarms_.erase(key);
    troubled_.erase(key);
    refused_.erase(key);
    asking_.erase(key);
  }
  pending_bytes_ -= want.left;
  if (const auto at_disk = at_disk_.find(want.need.content); at_disk != at_disk_.end()) {
    at_disk->second.stale = at_disk->second.all;
  }
  wants_.erase(Hash(want.need.content));
}

bool Transfer::is_stale(const Hash& content) {
  const auto place = at_disk_.find(content);
  if (place == at_disk_.end()) {
    return false;
  }
  AtDisk& at_disk = place->second;
  const bool stale = at_disk.stale > 0;
  at_disk.stale -= stale ? 1 : 0;
  if (--at_disk.all == 0) {
    at_disk_.erase(place);
  }
  return stale;
}

std::vector<Path> Transfer::abandon(const Hash& content) {
  Want* want = find(content);
  if (want == nullptr) {
    return {};
  }
  std::vector<Path> paths(want->paths.begin(), want->paths.end());
  for (const Path& path : paths) {
    const auto needs = needs_.find(path);
    std::erase(needs->second, content);
    if (needs->second.empty()) {
      needs_.erase(needs);
    }
  }
  unwanted_.push_back(content);
  drop(*want);
  return paths;
}

void Transfer::peer_down(NodeId peer) {
  std::vector<std::uint64_t> gone;
  for (const auto& [request, asked] : asked_) {
    if (asked.peer == peer) {
      gone.push_back(request);
    }
  }
  for (const std::uint64_t request : gone) {
    unask(request);
  }
  for (const auto& [key, want] : troubled_) {
    want->fetch->denied.erase(peer);
  }
  for (const auto& [key, want] : swarms_) {
    want->fetch->pieces.forget(peer);
    want->fetch->told.erase(peer);
  }
  peers_.erase(peer);
}

std::uint64_t Transfer::bytes_of(const Asked& asked) {
  return asked.piece ? asked.want->fetch->pieces.chunk(*asked.piece).length : 0;
}

void Transfer::unask(std::uint64_t request) {
  const auto place = asked_.find(request);
  const Asked asked = place->second;
  peers_[asked.peer].taken_back(bytes_of(asked));
  answered(place);
  Want& want = *asked.want;
  Fetch& fetch = *want.fetch;
  if (asked.piece) {
    done_with(want, *asked.piece);
    for_twins(fetch.pieces, *asked.piece, [&](std::size_t twin) {
      if (fetch.pieces.state(twin) == Pieces::State::asked) {
        fetch.pieces.set(twin, Pieces::State::missing);
      }
    });
  } else {
    fetch.naming_asked = false;
  }
  to_ask(want);
}

void Transfer::answered(std::map<std::uint64_t, Asked>::iterator place) {
  place->second.want->fetch->asked.erase(place->first);
  asked_.erase(place);
}

void Transfer::for_twins(const Pieces& pieces, std::size_t piece,
                         const std::function<void(std::size_t)>& act) {
  std::size_t twin = piece;
  do {
    act(twin);
    twin = pieces.next_twin(twin);
  } while (twin != piece);
}

/// Its bytes are neither on their way nor in the disk's queue any more.
void Transfer::done_with(Want& want, std::size_t piece) {
  want.fetch->outstanding -= want.fetch->pieces.chunk(piece).length;
  outstanding_ -= want.fetch->pieces.chunk(piece).length;
}

void Transfer::open(Want& want, const Bases& bases, std::vector<Output>& out) {
  const auto& [content, size, dots, mode] = want.need;
  active_.emplace(want.key, &want);
  if (want.fetch == nullptr) {
    want.fetch = std::make_unique<Fetch>();
  }
  if (!large(want)) {
    const Chunk whole{static_cast<std::uint32_t>(size), content};
    set_pieces(want, {&whole, 1}, {false});
    if (size == 0) {  // nobody need be asked
      want.fetch->pieces.set(0, Pieces::State::writing);
      want.stage = Stage::finishing;
      to_disk(WriteBlock{content, 0, 0, content, Bytes::of({}), true, mode}, out);
    }
    return;
  }
  ++large_active_;
  open_stage(want, bases, out);
}

Transfer::Want& Transfer::wait_anew(Want& want) {
  const Need need = want.need;
  const std::set<Path> paths = std::move(want.paths);
  drop(want);
  for (const Path& path : paths) {
    add(need, path);
  }
  return *find(need.content);
}

Transfer::Want& Transfer::begin_anew(Want& want) {
  auto fetch = std::make_unique<Fetch>();
  fetch->lacking = std::move(want.fetch->lacking);
  fetch->denied = std::move(want.fetch->denied);
  const bool troubled = troubled_.contains(want.key);
  Want& fresh = wait_anew(want);
  fresh.fetch = std::move(fetch);
  if (troubled) {
    troubled_[fresh.key] = &fresh;
  }
  return fresh;
}

void Transfer::written(Want& want, std::size_t piece) {
  want.fetch->pieces.set(piece, Pieces::State::written);
  want.left -= want.fetch->pieces.chunk(piece).length;
  pending_bytes_ -= want.fetch->pieces.chunk(piece).length;
}

void Transfer::next(Instant now, const Likely& likely, const Bases& bases,
                    std::vector<Output>& out) {
  for (const Hash& content : std::exchange(orphaned_, {})) {
    Want* const want = find(content);
    if (want != nullptr && want->paths.empty()) {
      unwanted_.push_back(content);
      drop(*want);
    }
  }
  for (const Hash& hash : std::exchange(unwanted_, {})) {
    if (!wants_.contains(hash)) {
      out.push_back(DropStage{hash});
    }
  }
  take_back_late(now, likely);
  tell(now, likely, out);
  if (now < paused_until_) {
    return;
  }
  paused_until_ = {};
  look_through(now, likely);
  try_refused(now, bases, out);
  for (const auto& [key, want] : troubled_) {
    std::erase_if(want->fetch->lacking, [now](const auto& item) { return item.second <= now; });
  }
  if (!held_) {
    open_waiting(now, false, bases, out);
    // Large ones begin when no small one waits that was not tried yet.
    if (waiting_.empty() || waiting_.begin()->first.large || waiting_.begin()->first.round > 0) {
      open_waiting(now, true, bases, out);
    }
  }
  for (auto place = asking_.begin(); place != asking_.end();) {
    if (held_ || outstanding_ >= outstanding_max || !any_open()) {
      break;
    }
    Want& want = *place->second;
    while (want.wants_asking() && outstanding_ < outstanding_max && ask(now, want, likely, out)) {
    }
    place = want.wants_asking() ? std::next(place) : asking_.erase(place);
  }
}

bool Transfer::any_open() const {
  return std::ranges::any_of(peers_, [](const auto& peer) { return peer.second.open(); });
}

bool Transfer::on_block(Instant now, NodeId peer, Block block, std::vector<Output>& out) {
  const auto place = asked_.find(block.request);
  if (place == asked_.end() || place->second.peer != peer) {
    return false;
  }
  const Asked asked = place->second;
  Want& want = *asked.want;
  Fetch& fetch = *want.fetch;
  const bool good =
      block.bytes != nullptr &&
      (!asked.piece || block.bytes->size() == fetch.pieces.chunk(*asked.piece).length);
  if (!good) {
    unask(block.request);
    if (asked.piece) {
      fetch.pieces.has_not(peer, *asked.piece);
    }
    avoid(want, peer, now + lacking_for);
    fetch.served_by.erase(peer);
    if (block.bytes == nullptr) {
      fetch.denied.insert(peer);
    }
    return true;
  }
  fetch.denied.erase(peer);
  if (asked.piece && !fetch.pieces.has(peer, *asked.piece)) {
    fetch.served_by.insert(peer);
  }
  peers_[peer].answered(bytes_of(asked), now - asked.since);
  answered(place);
  if (!asked.piece) {
    on_list(want, peer, block.bytes, out);
    return true;
  }
  done_with(want, *asked.piece);
  for_twins(fetch.pieces, *asked.piece, [&](std::size_t twin) {
    const Pieces::State state = fetch.pieces.state(twin);
    if (state == Pieces::State::asked || state == Pieces::State::missing) {
      write(want, peer, twin, block.bytes, out);
    }
  });
  return true;
}

void Transfer::write(Want& want, NodeId peer, std::size_t piece, const Bytes& bytes,
                     std::vector<Output>& out) {
  Fetch& fetch = *want.fetch;
  const Chunk& chunk = fetch.pieces.chunk(piece);
  fetch.pieces.set(piece, Pieces::State::writing);
  fetch.outstanding += chunk.length;
  outstanding_ += chunk.length;
  fetch.writing[fetch.pieces.offset(piece)] = peer;
  const bool last = fetch.pieces.unwritten() == 1 && fetch.pieces.to() == want.need.size;
  if (last) {
    want.stage = Stage::finishing;
  }
  to_disk(WriteBlock{want.need.content, want.need.size, fetch.pieces.offset(piece), chunk.hash,
                     bytes, last, want.need.mode},
          out);
}

Transfer::Outcome Transfer::complete(Want& want, std::uint64_t offset, std::vector<Output>& out) {
  if (const std::optional<std::size_t> piece = want.fetch->pieces.at(offset);
      piece && want.fetch->pieces.state(*piece) == Pieces::State::writing) {
    written(want, *piece);
  }
  tell_news(want, out);
  Outcome outcome;
  outcome.paths.assign(want.paths.begin(), want.paths.end());
  drop(want);
  return outcome;
}

Transfer::Outcome Transfer::on(Instant now, const StageWritten& written, std::vector<Output>& out) {
  Outcome outcome;
  outcome.stale = is_stale(written.content);
  Want* wanted = outcome.stale ? nullptr : find(written.content);
  if (wanted == nullptr || wanted->stage == Stage::waiting) {
    return outcome;
  }
  Want& want = *wanted;
  Fetch& fetch = *want.fetch;
  if (written.state == StageState::complete) {
    return complete(want, written.offset, out);
  }
  const auto server = fetch.writing.find(written.offset);
  if (server == fetch.writing.end()) {
    if (written.state == StageState::failed) {
      refused(now, want);
    } else if (written.state == StageState::mismatch) {
      begin_anew(want);
    }
    return outcome;  // of an earlier attempt
  }
  const auto peer = server->second;
  fetch.writing.erase(server);
  const std::size_t piece = *fetch.pieces.at(written.offset);
  done_with(want, piece);
  switch (written.state) {
    case StageState::complete: break;
    case StageState::incomplete:
      this->written(want, piece);
      fetch.tell_at = fetch.tell_at.value_or(std::max(now, fetch.told_at + have_interval));
      if (fetch.pieces.unwritten() == 0) {
        section_written(want, out);
      }
      break;
    case StageState::mismatch:
      outcome.blamed.push_back(peer);
      avoid(want, peer, now + mismatch_for);
      fetch.pieces.has_not(peer, piece);
      fetch.pieces.set(piece, Pieces::State::missing);
      to_ask(want);
      want.stage = Stage::fetching;
      break;
    case StageState::failed: refused(now, want);
  }
  return outcome;
}

}  // namespace p2psync::engine
