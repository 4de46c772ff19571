// The part of transfer that says which contents are in progress, and which wait.
#include <algorithm>

#include "engine/stuck.h"
#include "engine/transfer.h"

namespace p2psync::engine {

bool Transfer::has_room(bool large) const {
  return large ? large_active_ < fetches_max_.large
               : active_.size() - large_active_ < fetches_max_.small;
}

void Transfer::open_waiting(Instant now, bool large, const Bases& bases, std::vector<Output>& out) {
  for (;;) {
    const auto first = waiting_.lower_bound(Key{large});
    if (first == waiting_.end() || first->first.large != large) {
      return;
    }
    if (!has_room(large) && !make_room(now, large, first->first.round)) {
      return;
    }
    Want& want = *first->second;
    waiting_.erase(first);
    open(want, bases, out);
  }
}

/// What was not tried yet has a place at once. The others take turns, all in progress at a time.
bool Transfer::make_room(Instant now, bool large, std::uint32_t round) {
  Instant& turn_ends = turn_ends_[large ? 1 : 0];
  if (round > 0 && now < turn_ends) {
    return false;
  }
  std::vector<Want*> stuck;
  const auto look_at = [&](Want* want) {
    if (large == want->key.large && (round > 0 || stuck.empty()) && is_stuck(*want)) {
      stuck.push_back(want);
    }
  };
  for (const auto& [key, want] : refused_) {
    look_at(want);
  }
  for (const auto& [key, want] : troubled_) {
    if (!refused_.contains(key)) {
      look_at(want);
    }
  }
  for (Want* want : stuck) {
    const std::uint32_t last = std::max(want->key.round, round);
    set_round(wait_anew(*want), last + 1);
  }
  if (!stuck.empty()) {
    turn_ends = now + (large ? turn_large : turn_small);
  }
  return !stuck.empty();
}

/// The disk refuses it; or nothing of it is on its way, and all who are here were asked in vain.
bool Transfer::is_stuck(const Want& want) const {
  if (want.stage == Stage::refused) {
    return true;
  }
  return (want.stage == Stage::naming || want.stage == Stage::fetching) &&
         want.fetch->asked.empty() && want.fetch->writing.empty() && !peers_.empty() &&
         std::ranges::all_of(
             peers_, [&](const auto& peer) { return want.fetch->lacking.contains(peer.first); });
}

void Transfer::set_round(Want& want, std::uint32_t round) {
  waiting_.erase(want.key);
  want.key.round = round;
  waiting_.emplace(want.key, &want);
}

void Transfer::refused(Instant now, Want& want) {
  Want& fresh = begin_anew(want);
  if (!large(fresh)) {
    paused_until_ = now + full_pause;
    return;
  }
  fresh.fetch->again_at = now + full_pause;
  fresh.stage = Stage::refused;
  waiting_.erase(fresh.key);
  active_.emplace(fresh.key, &fresh);
  refused_.emplace(fresh.key, &fresh);
  ++large_active_;
}

void Transfer::try_refused(Instant now, const Bases& bases, std::vector<Output>& out) {
  for (auto place = refused_.begin(); place != refused_.end();) {
    Want& want = *place->second;
    if (want.fetch->again_at > now) {
      ++place;
    } else {
      place = refused_.erase(place);
      open_stage(want, bases, out);
    }
  }
}

/// Those that a peer has now, as far as is known, need not await their turn.
void Transfer::look_through(Instant now, const Likely& likely) {
  if (!any_grew_ || now < look_through_at_) {
    return;
  }
  any_grew_ = false;
  look_through_at_ = now + look_through_interval;
  std::vector<Want*> in_reach;
  for (const bool large : {false, true}) {
    for (auto place = waiting_.lower_bound(Key{large, 1});
         place != waiting_.end() && place->first.large == large; ++place) {
      if (std::ranges::any_of(
              peers_, [&](const auto& peer) { return likely(peer.first, place->second->need); })) {
        in_reach.push_back(place->second);
      }
    }
  }
  for (Want* want : in_reach) {
    set_round(*want, 0);
  }
}

}  // namespace p2psync::engine
