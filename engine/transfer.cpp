#include "engine/transfer.h"

#include <algorithm>

namespace p2psync::engine {
namespace {

constexpr Duration lacking_for = std::chrono::seconds(2);
constexpr Duration mismatch_for = std::chrono::seconds(10);
/// Of 16 million chunks.
constexpr std::size_t manifest_bytes_max = std::size_t{40} << 24;

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
          orphaned_.push_back(want->key);
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
  Want*& want = by_content_[need.content];
  if (want == nullptr) {
    const Key key{rank_of(need.size), ++last_turn_, need.size, need.content};
    want = &wants_[key];
    want->need = need;
    want->key = key;
    want->left = need.size;
    pending_bytes_ += need.size;
    waiting_[key] = want;
  } else if (want->need.size != need.size) {
    return;  // one of the two entries lies
  }
  want->paths.insert(path);
}

Transfer::Want* Transfer::find(const Hash& content) const {
  const auto place = by_content_.find(content);
  return place == by_content_.end() ? nullptr : place->second;
}

void Transfer::drop(const Key key) {
  const auto want = wants_.find(key);
  if (want == wants_.end()) {
    return;
  }
  for (const std::uint64_t request : want->second.asked) {
    const auto asked = asked_.find(request);
    peers_[asked->second.peer].taken_back(bytes_of(asked->second));
    asked_.erase(asked);
  }
  outstanding_ -= want->second.outstanding;
  swarms_.erase(key);
  troubled_.erase(key);
  waiting_.erase(key);
  asking_.erase(key);
  if (active_.erase(key) > 0 && large(key)) {
    --large_active_;
  }
  pending_bytes_ -= want->second.left;
  if (const auto at_disk = at_disk_.find(key.content); at_disk != at_disk_.end()) {
    at_disk->second.stale = at_disk->second.all;
  }
  by_content_.erase(key.content);
  wants_.erase(want);
}

template <class Work>
void Transfer::to_disk(Work work, std::vector<Output>& out) {
  ++at_disk_[work.content].all;
  out.push_back(std::move(work));
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
  const Want* want = find(content);
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
  drop(want->key);
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
    want->denied.erase(peer);
  }
  for (const auto& [key, want] : swarms_) {
    want->pieces.forget(peer);
    want->told.erase(peer);
  }
  peers_.erase(peer);
}

std::uint64_t Transfer::bytes_of(const Asked& asked) const {
  return asked.piece ? find(asked.content)->pieces.chunk(*asked.piece).length : 0;
}

void Transfer::unask(std::uint64_t request) {
  const auto place = asked_.find(request);
  const Asked asked = place->second;
  peers_[asked.peer].taken_back(bytes_of(asked));
  answered(place);
  Want& want = *find(asked.content);
  if (asked.piece) {
    done_with(want, *asked.piece);
    for_twins(want.pieces, *asked.piece, [&](std::size_t twin) {
      if (want.pieces.state(twin) == Pieces::State::asked) {
        want.pieces.set(twin, Pieces::State::missing);
      }
    });
  } else {
    want.naming_asked = false;
  }
  to_ask(want);
}

void Transfer::answered(std::map<std::uint64_t, Asked>::iterator place) {
  find(place->second.content)->asked.erase(place->first);
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
  want.outstanding -= want.pieces.chunk(piece).length;
  outstanding_ -= want.pieces.chunk(piece).length;
}

void Transfer::open(const Key& key, Want& want, const Bases& bases, std::vector<Output>& out) {
  active_.insert(key);
  if (!large(key)) {
    const Chunk whole{static_cast<std::uint32_t>(key.size), key.content};
    set_pieces(want, {&whole, 1}, {false});
    if (key.size == 0) {  // nobody need be asked
      want.pieces.set(0, Pieces::State::writing);
      want.stage = Want::Stage::finishing;
      to_disk(WriteBlock{key.content, 0, 0, key.content,
                         std::make_shared<const std::vector<std::uint8_t>>(), true},
              out);
    }
    return;
  }
  ++large_active_;
  want.stage = Want::Stage::opening;
  want.bases = bases(want.need, *want.paths.begin());
  to_disk(OpenStage{key.content, key.size, want.bases, nullptr, {}}, out);
}

void Transfer::begin_anew(const Key key, Want& want) {
  Want again;
  again.need = std::move(want.need);
  again.paths = std::move(want.paths);
  again.lacking = std::move(want.lacking);
  again.denied = std::move(want.denied);
  const bool troubled = troubled_.contains(key);
  drop(key);
  for (const Path& path : again.paths) {
    add(again.need, path);
  }
  Want& fresh = *find(again.need.content);
  fresh.lacking = std::move(again.lacking);
  fresh.denied = std::move(again.denied);
  if (troubled) {
    troubled_[fresh.key] = &fresh;
  }
}

void Transfer::set_pieces(Want& want, std::span<const Chunk> chunks,
                          const std::vector<bool>& there) {
  want.stage = Want::Stage::fetching;
  want.manifest = {};
  want.pieces = Pieces(chunks);
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (there[i]) {
      written(want, i);
    }
  }
  std::ignore = want.pieces.take_news();
  if (chunks.size() > 1) {
    swarms_[want.key] = &want;
  }
  to_ask(want);
}

void Transfer::written(Want& want, std::size_t piece) {
  want.pieces.set(piece, Pieces::State::written);
  want.left -= want.pieces.chunk(piece).length;
  pending_bytes_ -= want.pieces.chunk(piece).length;
}

void Transfer::next(Instant now, const Likely& likely, const Bases& bases,
                    std::vector<Output>& out) {
  for (const Key& key : std::exchange(orphaned_, {})) {
    const auto want = wants_.find(key);
    if (want != wants_.end() && want->second.paths.empty()) {
      unwanted_.push_back(key.content);
      drop(key);
    }
  }
  for (const Hash& hash : std::exchange(unwanted_, {})) {
    if (!by_content_.contains(hash)) {
      out.push_back(DropStage{hash});
    }
  }
  take_back_late(now, likely);
  tell(now, likely, out);
  if (now < paused_until_) {
    return;
  }
  paused_until_ = {};
  while (!waiting_.empty()) {
    const auto [key, want] = *waiting_.begin();
    const std::size_t room = large_active_ < large_fetches_max ? fetches_max : fetches_max - 1;
    if (active_.size() >= room || (large(key) && large_active_ >= large_fetches_max)) {
      break;  // all that follow are as large
    }
    waiting_.erase(waiting_.begin());
    open(key, *want, bases, out);
  }
  for (const auto& [key, want] : troubled_) {
    std::erase_if(want->lacking, [now](const auto& item) { return item.second <= now; });
  }
  for (auto place = asking_.begin(); place != asking_.end();) {
    if (outstanding_ >= outstanding_max || !any_open()) {
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
  Want& want = *find(asked.content);
  const bool good = block.bytes != nullptr &&
                    (!asked.piece || block.bytes->size() == want.pieces.chunk(*asked.piece).length);
  if (!good) {
    unask(block.request);
    if (asked.piece) {
      want.pieces.has_not(peer, *asked.piece);
    }
    avoid(want, peer, now + lacking_for);
    want.served_by.erase(peer);
    if (block.bytes == nullptr) {
      want.denied.insert(peer);
    }
    return true;
  }
  want.denied.erase(peer);
  if (asked.piece && !want.pieces.has(peer, *asked.piece)) {
    want.served_by.insert(peer);
  }
  peers_[peer].answered(bytes_of(asked), now - asked.since);
  answered(place);
  if (!asked.piece) {
    on_manifest(want, peer, block.bytes, out);
    return true;
  }
  done_with(want, *asked.piece);
  for_twins(want.pieces, *asked.piece, [&](std::size_t twin) {
    const Pieces::State state = want.pieces.state(twin);
    if (state == Pieces::State::asked || state == Pieces::State::missing) {
      write(want, peer, twin, block.bytes, out);
    }
  });
  return true;
}

void Transfer::write(Want& want, NodeId peer, std::size_t piece, const Bytes& bytes,
                     std::vector<Output>& out) {
  const Chunk& chunk = want.pieces.chunk(piece);
  want.pieces.set(piece, Pieces::State::writing);
  want.outstanding += chunk.length;
  outstanding_ += chunk.length;
  want.writing[want.pieces.offset(piece)] = peer;
  const bool last = want.pieces.unwritten() == 1;
  if (last) {
    want.stage = Want::Stage::finishing;
  }
  to_disk(WriteBlock{want.need.content, want.need.size, want.pieces.offset(piece), chunk.hash,
                     bytes, last, want.need.mode},
          out);
}

void Transfer::on_manifest(Want& want, NodeId peer, const Bytes& bytes, std::vector<Output>& out) {
  want.naming_asked = false;
  to_ask(want);
  want.named_by.insert(peer);
  want.manifest.insert(want.manifest.end(), bytes->begin(), bytes->end());
  const bool whole = bytes->size() < block_bytes;
  // More than that it cannot be, whatever it is a difference to.
  const bool absurd = want.manifest.size() > manifest_bytes_max;
  if (whole || absurd) {
    want.stage = Want::Stage::opening;
    to_disk(OpenStage{want.need.content, want.need.size, want.bases,
                      std::make_shared<const std::vector<std::uint8_t>>(
                          std::exchange(want.manifest, {})),
                      want.base},
            out);
  }
}

Transfer::Outcome Transfer::on(Instant now, StageOpened opened, std::vector<Output>& out) {
  Outcome outcome;
  outcome.stale = is_stale(opened.content);
  Want* wanted = outcome.stale ? nullptr : find(opened.content);
  if (wanted == nullptr || wanted->stage != Want::Stage::opening) {
    return outcome;
  }
  Want& want = *wanted;
  switch (opened.state) {
    case StageState::failed: begin_anew(want.key, want); break;
    case StageState::complete: return complete(want, 0, out);
    case StageState::mismatch:
      for (const NodeId peer : std::exchange(want.named_by, {})) {
        outcome.blamed.push_back(peer);
        avoid(want, peer, now + mismatch_for);
      }
      want.base = {};  // should it be this node's copy that is wrong
      want.stage = Want::Stage::naming;
      to_ask(want);
      break;
    case StageState::incomplete:
      if (opened.chunks.empty()) {
        want.base = opened.base.value_or(Hash{});
        want.stage = Want::Stage::naming;
        to_ask(want);
      } else {
        set_pieces(want, opened.chunks, opened.there);
      }
  }
  return outcome;
}

Transfer::Outcome Transfer::complete(Want& want, std::uint64_t offset, std::vector<Output>& out) {
  if (const std::optional<std::size_t> piece = want.pieces.at(offset);
      piece && want.pieces.state(*piece) == Pieces::State::writing) {
    written(want, *piece);
  }
  tell_news(want, out);
  Outcome outcome;
  outcome.paths.assign(want.paths.begin(), want.paths.end());
  drop(want.key);
  return outcome;
}

Transfer::Outcome Transfer::on(Instant now, const StageWritten& written, std::vector<Output>& out) {
  Outcome outcome;
  outcome.stale = is_stale(written.content);
  Want* wanted = outcome.stale ? nullptr : find(written.content);
  if (wanted == nullptr) {
    return outcome;
  }
  Want& want = *wanted;
  const Key key = want.key;
  if (written.state == StageState::complete) {
    return complete(want, written.offset, out);
  }
  const auto server = want.writing.find(written.offset);
  if (server == want.writing.end()) {
    if (written.state != StageState::incomplete) {
      begin_anew(key, want);
    }
    return outcome;  // of an earlier attempt
  }
  const auto peer = server->second;
  want.writing.erase(server);
  const std::size_t piece = *want.pieces.at(written.offset);
  done_with(want, piece);
  switch (written.state) {
    case StageState::complete: break;
    case StageState::incomplete:
      this->written(want, piece);
      want.tell_at = want.tell_at.value_or(std::max(now, want.told_at + have_interval));
      if (want.pieces.unwritten() == 0) {
        want.stage = Want::Stage::finishing;
        to_disk(WriteBlock{written.content, want.need.size, want.need.size, {}, nullptr, true},
                out);
      }
      break;
    case StageState::mismatch:
      outcome.blamed.push_back(peer);
      avoid(want, peer, now + mismatch_for);
      want.pieces.has_not(peer, piece);
      want.pieces.set(piece, Pieces::State::missing);
      to_ask(want);
      want.stage = Want::Stage::fetching;
      break;
    case StageState::failed: begin_anew(key, want);
  }
  return outcome;
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
    if (want->tell_at) {
      sooner(*want->tell_at);
    }
  }
  if (paused_until_ != Instant{}) {
    sooner(paused_until_);
    return earliest;  // whoever lacks what, nothing is asked for before
  }
  for (const auto& [key, want] : troubled_) {
    if (want->wants_asking()) {
      for (const auto& [peer, until] : want->lacking) {
        sooner(until);
      }
    }
  }
  return earliest;
}

}  // namespace p2psync::engine
