#include "engine/transfer.h"

#include <algorithm>

namespace p2psync::engine {
namespace {

constexpr Duration lacking_for = std::chrono::seconds(2);
constexpr Duration mismatch_for = std::chrono::seconds(10);

std::size_t block_count(std::uint64_t size) {
  return size == 0 ? 1 : static_cast<std::size_t>((size + block_bytes - 1) / block_bytes);
}

std::uint32_t block_length(std::uint64_t size, std::size_t block) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(block_bytes, size - block * std::uint64_t{block_bytes}));
}

}  // namespace

void Transfer::set_needs(const Path& path, const std::vector<Need>& needs) {
  const auto before = needs_.find(path);
  if (needs.empty() && before == needs_.end()) {
    return;
  }
  std::vector<Hash> hashes;
  for (const Need& need : needs) {
    const Key key{need.size, need.content};
    const auto [place, fresh] = wants_.try_emplace(key);
    if (fresh) {
      place->second.need = need;
      sizes_[need.content] = need.size;
      pending_bytes_ += need.size;
    }
    place->second.paths.insert(path);
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
          unwanted_.push_back(old);
          drop({want->need.size, old});
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

Transfer::Want* Transfer::find(const Hash& content) {
  const auto size = sizes_.find(content);
  return size == sizes_.end() ? nullptr : &wants_.at({size->second, content});
}

void Transfer::drop(const Key key) {
  const auto want = wants_.find(key);
  if (want == wants_.end()) {
    return;
  }
  std::erase_if(asked_, [&](const auto& item) {
    const bool ours = item.second.content == key.second;
    if (ours) {
      --peers_[item.second.peer].requests;
    }
    return ours;
  });
  if (active_.erase(key) > 0 && block_count(key.first) > 1) {
    --large_active_;
  }
  pending_bytes_ -= key.first;
  sizes_.erase(key.second);
  wants_.erase(want);
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
  for (const Key& key : active_) {
    wants_.at(key).denied.erase(peer);
  }
  peers_.erase(peer);
}

void Transfer::unask(std::uint64_t request) {
  const auto place = asked_.find(request);
  const Asked asked = place->second;
  asked_.erase(place);
  if (const auto peer = peers_.find(asked.peer); peer != peers_.end()) {
    --peer->second.requests;
  }
  if (Want* want = find(asked.content); want->blocks[asked.block] == BlockState::asked) {
    want->blocks[asked.block] = BlockState::missing;
    ++want->missing;
    want->next_block = std::min(want->next_block, asked.block);
  }
}

void Transfer::peer_grew(NodeId peer) {
  for (const Key& key : active_) {
    wants_.at(key).lacking.erase(peer);
    wants_.at(key).denied.erase(peer);
  }
}

std::vector<std::pair<Hash, Path>> Transfer::nowhere(const std::set<NodeId>& members) const {
  std::vector<std::pair<Hash, Path>> list;
  for (const Key& key : active_) {
    const Want& want = wants_.at(key);
    if (std::ranges::includes(want.denied, members)) {
      for (const Path& path : want.paths) {
        list.emplace_back(key.second, path);
      }
    }
  }
  return list;
}

void Transfer::take_back_late(Instant now) {
  std::vector<std::uint64_t> late;
  for (const auto& [request, asked] : asked_) {
    if (now - asked.since > patience) {
      late.push_back(request);
    }
  }
  for (const std::uint64_t request : late) {
    const Asked asked = asked_.at(request);
    unask(request);
    find(asked.content)->lacking[asked.peer] = now + patience;
  }
}

void Transfer::open(const Key& key, Want& want, std::vector<Output>& out) {
  active_.insert(key);
  const std::size_t blocks = block_count(key.first);
  want.blocks.assign(blocks, BlockState::missing);
  want.missing = blocks;
  want.unwritten = blocks;
  want.next_block = 0;
  if (key.first == 0) {
    want.stage = Want::Stage::finishing;
    want.missing = 0;
    want.blocks[0] = BlockState::writing;
    out.push_back(
        WriteBlock{key.second, 0, 0, std::make_shared<const std::vector<std::uint8_t>>(), true});
  } else if (blocks == 1) {
    want.stage = Want::Stage::fetching;
  } else {
    ++large_active_;
    want.stage = Want::Stage::opening;
    out.push_back(OpenStage{key.second, key.first});
  }
}

void Transfer::next(Instant now, const std::function<bool(NodeId, const Need&)>& likely,
                    std::vector<Output>& out) {
  for (const Hash& hash : std::exchange(unwanted_, {})) {
    if (!sizes_.contains(hash)) {
      out.push_back(DropStage{hash});
    }
  }
  take_back_late(now);
  if (now < paused_until_) {
    return;
  }
  paused_until_ = {};
  for (auto& [key, want] : wants_) {
    const std::size_t room = large_active_ < large_fetches_max ? fetches_max : fetches_max - 1;
    if (active_.size() >= room) {
      break;
    }
    if (want.stage == Want::Stage::waiting &&
        (block_count(key.first) == 1 || large_active_ < large_fetches_max)) {
      open(key, want, out);
    } else if (want.stage == Want::Stage::waiting) {
      break;  // all that follow are as large
    }
  }
  for (const Key& key : active_) {
    Want& want = wants_.at(key);
    if (want.stage == Want::Stage::fetching) {
      std::erase_if(want.lacking, [now](const auto& item) { return item.second <= now; });
      while (want.missing > 0 && ask(now, want, likely, out)) {
      }
    }
  }
}

std::optional<NodeId> Transfer::choose(const Want& want,
                                       const std::function<bool(NodeId, const Need&)>& likely) {
  std::optional<NodeId> best;
  std::pair<bool, std::size_t> best_rank;
  for (const auto& [id, peer] : peers_) {
    if (peer.requests >= requests_a_peer_max) {
      continue;
    }
    if (want.lacking.contains(id)) {
      continue;
    }
    const std::pair<bool, std::size_t> rank{!likely(id, want.need), peer.requests};
    if (!best || rank < best_rank) {
      best = id;
      best_rank = rank;
    }
  }
  return best;
}

bool Transfer::ask(Instant now, Want& want, const std::function<bool(NodeId, const Need&)>& likely,
                   std::vector<Output>& out) {
  const std::optional<NodeId> peer = choose(want, likely);
  if (!peer) {
    return false;
  }
  while (want.blocks[want.next_block] != BlockState::missing) {
    ++want.next_block;
  }
  const std::size_t block = want.next_block;
  want.blocks[block] = BlockState::asked;
  --want.missing;
  ++peers_[*peer].requests;
  asked_[++last_request_] = {*peer, want.need.content, block, now};
  out.push_back(Send{*peer,
                     Get{last_request_, want.need.content, block * std::uint64_t{block_bytes},
                         block_length(want.need.size, block)},
                     Priority::control});
  return true;
}

void Transfer::on(const StageOpened& opened) {
  Want* wanted = find(opened.content);
  if (wanted == nullptr || wanted->stage != Want::Stage::opening) {
    return;
  }
  Want& want = *wanted;
  want.stage = Want::Stage::fetching;
  for (std::size_t i = 0; i < want.blocks.size() && i < opened.blocks.size(); ++i) {
    // The last block is always fetched: writing it is what has the whole checked.
    if (opened.blocks[i] && i + 1 < want.blocks.size()) {
      want.blocks[i] = BlockState::written;
      --want.missing;
      --want.unwritten;
    }
  }
}

bool Transfer::on_block(Instant now, NodeId peer, Block block, std::vector<Output>& out) {
  const auto place = asked_.find(block.request);
  if (place == asked_.end() || place->second.peer != peer) {
    return false;
  }
  const Asked asked = place->second;
  Want& want = *find(asked.content);
  const bool good =
      block.bytes != nullptr && block.bytes->size() == block_length(want.need.size, asked.block);
  if (!good) {
    unask(block.request);
    want.lacking[peer] = now + lacking_for;
    if (block.bytes == nullptr) {
      want.denied.insert(peer);
    }
    return true;
  }
  want.denied.erase(peer);
  asked_.erase(place);
  --peers_[peer].requests;
  want.blocks[asked.block] = BlockState::writing;
  want.served_by.insert(peer);
  --want.unwritten;
  const bool last = want.unwritten == 0;
  if (last) {
    want.stage = Want::Stage::finishing;
  }
  out.push_back(WriteBlock{asked.content, want.need.size, asked.block * std::uint64_t{block_bytes},
                           std::move(block.bytes), last});
  return true;
}

Transfer::Outcome Transfer::on(Instant now, const StageWritten& written) {
  Outcome outcome;
  Want* wanted = find(written.content);
  if (wanted == nullptr) {
    return outcome;
  }
  Want& want = *wanted;
  const Key key{want.need.size, written.content};
  if (written.state == StageState::incomplete) {
    return outcome;
  }
  outcome.paths.assign(want.paths.begin(), want.paths.end());
  if (written.state == StageState::complete) {
    outcome.complete = true;
    drop(key);
    return outcome;
  }
  outcome.error = written.error;
  // Begin anew, from what is on disk by then. Whoever served a content that is not what its hash
  // says waits.
  std::map<NodeId, Instant> lacking = std::move(want.lacking);
  if (written.state == StageState::mismatch) {
    outcome.blamed.assign(want.served_by.begin(), want.served_by.end());
    for (const NodeId peer : want.served_by) {
      lacking[peer] = now + mismatch_for;
    }
  }
  Need need = want.need;
  std::set<Path> paths = std::move(want.paths);
  drop(key);
  Want again;
  again.need = std::move(need);
  again.paths = std::move(paths);
  again.lacking = std::move(lacking);
  sizes_[key.second] = key.first;
  pending_bytes_ += key.first;
  wants_.emplace(key, std::move(again));
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
  if (!asked_.empty()) {
    sooner(asked_.begin()->second.since + patience + std::chrono::milliseconds(1));
  }
  if (paused_until_ != Instant{}) {
    sooner(paused_until_);
    return earliest;  // whoever lacks what, nothing is asked for before
  }
  for (const Key& key : active_) {
    const Want& want = wants_.at(key);
    if (want.missing > 0) {
      for (const auto& [peer, until] : want.lacking) {
        sooner(until);
      }
    }
  }
  return earliest;
}

}  // namespace p2psync::engine
