// The part of transfer that says what a content of many chunks consists of: section by section.
#include "engine/transfer.h"

namespace p2psync::engine {
namespace {

/// More no list has, of chunks or of sections (storage/manifest.h).
constexpr std::size_t list_bytes_max = std::size_t{4} << 20;

}  // namespace

void Transfer::open_stage(Want& want, const Bases& bases, std::vector<Output>& out) {
  want.fetch->bases = bases(want.need, *want.paths.begin());
  open_section(want, nullptr, out);
}

/// The next that is not there; `list`: what a peer has given of the one that was wanted.
void Transfer::open_section(Want& want, Bytes list, std::vector<Output>& out) {
  want.stage = Stage::opening;
  const Fetch& fetch = *want.fetch;
  to_disk(OpenStage{want.need.content, want.need.size, fetch.bases, std::move(list), fetch.wanted,
                    fetch.from},
          out);
}

void Transfer::on_list(Want& want, NodeId peer, const Bytes& bytes, std::vector<Output>& out) {
  Fetch& fetch = *want.fetch;
  fetch.naming_asked = false;
  to_ask(want);
  fetch.named_by.insert(peer);
  fetch.list.insert(fetch.list.end(), bytes->begin(), bytes->end());
  const bool whole = bytes->size() < block_bytes;
  const bool absurd = fetch.list.size() > list_bytes_max;
  if (whole || absurd) {
    open_section(want, Bytes::of(std::exchange(fetch.list, {})), out);
  }
}

Transfer::Outcome Transfer::on(Instant now, StageOpened opened, std::vector<Output>& out) {
  Outcome outcome;
  outcome.stale = is_stale(opened.content);
  Want* wanted = outcome.stale ? nullptr : find(opened.content);
  if (wanted == nullptr || wanted->stage != Stage::opening) {
    return outcome;
  }
  Want& want = *wanted;
  Fetch& fetch = *want.fetch;
  switch (opened.state) {
    case StageState::failed: refused(now, want); break;
    case StageState::complete: return complete(want, 0, out);
    case StageState::mismatch:
      for (const NodeId peer : std::exchange(fetch.named_by, {})) {
        outcome.blamed.push_back(peer);
        avoid(want, peer, now + mismatch_for);
      }
      fetch.wanted.against = {};  // should it be this node's copy that is wrong
      want.stage = Stage::naming;
      to_ask(want);
      break;
    case StageState::incomplete:
      fetch.from = opened.from;
      fetch.named_by.clear();
      if (opened.chunks.empty()) {
        fetch.wanted = opened.wanted;
        want.stage = Stage::naming;
        to_ask(want);
      } else {
        set_pieces(want, opened.chunks, opened.there);
      }
  }
  return outcome;
}

void Transfer::set_pieces(Want& want, std::span<const Chunk> chunks,
                          const std::vector<bool>& there) {
  want.stage = Stage::fetching;
  Fetch& fetch = *want.fetch;
  fetch.pieces = Pieces(chunks, fetch.from);
  fetch.told.clear();  // of this section nobody was told anything
  fetch.shared = false;
  pending_bytes_ -= want.left - (want.need.size - fetch.from);
  want.left = want.need.size - fetch.from;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (there[i]) {
      written(want, i);
    }
  }
  std::ignore = fetch.pieces.take_news();
  if (large(want)) {
    swarms_[want.key] = &want;
  }
  to_ask(want);
}

void Transfer::section_written(Want& want, std::vector<Output>& out) {
  Fetch& fetch = *want.fetch;
  if (fetch.pieces.to() == want.need.size) {
    want.stage = Stage::finishing;
    to_disk(WriteBlock{want.need.content, want.need.size, want.need.size, {}, nullptr, true}, out);
    return;
  }
  tell_news(want, out);  // before it is the news of another
  fetch.from = fetch.pieces.to();
  open_section(want, nullptr, out);
}

}  // namespace p2psync::engine
