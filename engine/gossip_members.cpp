// The part of gossip that says what the other members are known to have.
#include <algorithm>

#include "engine/gossip.h"
#include "engine/neighbours.h"

namespace p2psync::engine {

std::string other_protocol(std::uint64_t theirs) {
  return "it speaks protocol " + std::to_string(theirs) + ", this node " +
         std::to_string(protocol_version) + ": its program is " +
         (theirs < protocol_version ? "older" : "newer") + " than this node's";
}

bool Gossip::all_agree(const Actor& actor, std::uint64_t sequence) const {
  return std::ranges::all_of(peers_,
                             [&](const auto& peer) { return agrees(peer.first, actor, sequence); });
}

bool Gossip::agrees(NodeId member, const Actor& actor, std::uint64_t sequence) const {
  const auto stated = stated_.find(member);
  return stated != stated_.end() && replica_.known(stated->second).at(actor) == sequence &&
         stated->second.at(ended(actor.node)) == replica_.endings().lengths().at(ended(actor.node));
}

VersionVector Gossip::shown_by_all() const {
  VersionVector lowest = replica_.own_row().held;
  for (const auto& [id, peer] : peers_) {
    const auto held = held_when_equal_.find(id);
    if (held == held_when_equal_.end()) {
      return {};
    }
    lowest = replica_.endings().meet(lowest, held->second);
  }
  return lowest;
}

/// It has to be heard: so that all know that all have it, that an incarnation is over, or that
/// siblings which say the same can collapse.
bool Gossip::is_behind(NodeId peer) const {
  const auto held = held_when_equal_.find(peer);
  const bool holds_alike = held != held_when_equal_.end() &&
                           replica_.known(held->second).covers(replica_.own_row().held);
  return !in_sync(peer) || (replica_.any_alike() && !holds_alike) ||
         std::ranges::any_of(replica_.past(), [&](const auto& past) {
           return !agrees(peer, past.first, past.second);
         });
}

/// It speaks of events of this very incarnation that this node has not had. Taken in, that would
/// hide as many of its next events from everybody who believes it.
bool Gossip::overclaims(const Message& message) const {
  const Dot own = replica_.newest_own();
  const auto beyond = [&own](const VersionVector& vector) {
    return vector.at(own.actor) > own.sequence;
  };
  if (const auto* vectors = std::get_if<Vectors>(&message)) {
    return beyond(vectors->knowledge) || std::ranges::any_of(vectors->rows, beyond, &HeldRow::held);
  }
  if (const auto* entries = std::get_if<Entries>(&message)) {
    return beyond(entries->knowledge) ||
           std::ranges::any_of(entries->ranges,
                               [&own](const SequenceRange& range) {
                                 return range.actor == own.actor && range.to > own.sequence;
                               }) ||
           std::ranges::any_of(entries->entries, [&beyond](const PathEntry& item) {
             return beyond(item.entry.context);
           });
  }
  if (const auto* ranges = std::get_if<Ranges>(&message)) {
    return beyond(ranges->knowledge);
  }
  const auto* held = std::get_if<Held>(&message);
  return held != nullptr && beyond(held->row.held);
}

/// Who said it lies, or has it from one who does, or this whole machine was set back to an earlier
/// moment. From now on this node's events are of an incarnation of which nobody can have spoken.
void Gossip::renew(NodeId liar, std::vector<Output>& out) {
  const std::string name = std::ranges::lower_bound(members_, liar, {}, &MemberName::id)->name;
  out.push_back(Note{Note::Level::warn,
                     name + " speaks of events of this node that it has not had; its next ones are "
                            "numbered anew"});
  out.push_back(Disconnect{liar, "it speaks of events of this node that it has not had"});
  replica_.renew(std::max<std::uint64_t>(1, random_.next()));
}

bool Gossip::connected(NodeId id) const {
  const auto peer = peers_.find(id);
  return peer != peers_.end() && peer->second.greeted;
}

bool Gossip::in_sync(NodeId id) const {
  const auto place = peers_.find(id);
  return place != peers_.end() && place->second.greeted && place->second.settled && settled_ &&
         place->second.root == replica_.index().summary().fingerprint;
}

bool Gossip::in_sync_by_hearsay(NodeId member) const {
  const auto row = replica_.rows().find(member);
  return Neighbours::wanted_of(members_.size()) != 0 && !connected(member) &&
         row != replica_.rows().end() &&
         replica_.known(row->second.held).covers(replica_.knowledge());
}

}  // namespace p2psync::engine
