#include "engine/gossip.h"

#include <algorithm>
#include <utility>

namespace p2psync::engine {
namespace {

constexpr Duration forward_after = std::chrono::milliseconds(200);
constexpr Duration announce_pause = std::chrono::milliseconds(30);
constexpr Duration vectors_pause = std::chrono::milliseconds(30);

void disconnect(NodeId peer, std::string reason, std::vector<Output>& out) {
  out.push_back(Disconnect{peer, std::move(reason)});
}

}  // namespace

std::size_t bytes_about(const PathEntry& item) {
  const auto& [path, entry] = item;
  std::size_t bytes = path.size() + 24 * entry.context.items().size() + 64;
  for (const Sibling& sibling : entry.versions) {
    bytes += 160 + sibling.version.target.size();
  }
  return bytes + 96 * entry.deletions.size();
}

Gossip::Gossip(const NodeOptions& options, Replica& replica)
    : options_(options), members_(options.members), replica_(replica), random_(options.seed) {
  std::ranges::sort(members_);
  for (const MemberName& member : options.members) {
    if (member.id != options.self) {
      peers_[member.id];
    }
  }
}

void Gossip::start(Instant now) {
  tick_at_ = now;
}

void Gossip::peer_up(Instant now, NodeId id, std::vector<Output>& out) {
  const auto place = peers_.find(id);
  if (place == peers_.end()) {
    disconnect(id, "not a member", out);
    return;
  }
  place->second = Peer();
  place->second.up = true;
  send_hello(id, false, out);
  happening(now);
}

void Gossip::send_hello(NodeId id, bool answer, std::vector<Output>& out) const {
  Hello hello{protocol_version, options_.cluster, options_.version, members_, answer};
  out.push_back(Send{id, std::move(hello), Priority::control});
}

void Gossip::peer_down(NodeId id) {
  if (const auto place = peers_.find(id); place != peers_.end()) {
    Peer gone;
    gone.last_exchange = place->second.last_exchange;
    gone.differences = std::move(place->second.differences);
    gone.version = std::move(place->second.version);
    place->second = std::move(gone);
  }
}

void Gossip::happening(Instant now) {
  idle_factor_ = 1;
  tick_at_ = std::min(tick_at_, now + options_.gossip_interval);
}

void Gossip::on(Instant now, NodeId id, Message message, std::vector<Output>& out) {
  const auto place = peers_.find(id);
  if (place == peers_.end() || !place->second.up) {
    return;  // what was in flight when the connection went
  }
  Peer& peer = place->second;
  if (!peer.greeted && !std::holds_alternative<Hello>(message)) {
    return;  // nothing counts before the hello
  }
  if (overclaims(message)) {
    renew(id, out);
    return;
  }
  if (quota_.refuses(replica_, message)) {
    disconnect(id, "it speaks of more incarnations of nodes than members can tell each other of",
               out);
    return;
  }
  if (auto* hello = std::get_if<Hello>(&message)) {
    on_hello(now, id, peer, std::move(*hello), out);
  } else if (const auto* tick = std::get_if<Tick>(&message)) {
    on_tick(now, id, peer, *tick, out);
  } else if (const auto* vectors = std::get_if<Vectors>(&message)) {
    on_vectors(now, id, peer, *vectors, out);
  } else if (const auto* entries = std::get_if<Entries>(&message)) {
    on_entries(id, peer, *entries, out);
    happening(now);
    forward_at_ = forward_at_.value_or(now + forward_after);
  } else if (const auto* ranges = std::get_if<Ranges>(&message)) {
    on_ranges(id, *ranges, out);
  } else if (const auto* held = std::get_if<Held>(&message)) {
    if (held->row.member == id) {
      on_row(id, held->row);
      if (!replica_.endings().explains(held->row.held)) {
        send_vectors(now, id, peer, nullptr, out);
      }
    }
  } else if (const auto* taken = std::get_if<Taken>(&message)) {
    if (peer.stream && taken->stream == peer.stream->id && taken->count > peer.stream->taken) {
      peer.stream->taken = std::min(taken->count, peer.stream->sent);
      peer.stream->progress = now;
      pump(now, id, peer, out);
    }
  }
}

void Gossip::on_hello(Instant now, NodeId id, Peer& peer, Hello hello, std::vector<Output>& out) {
  if (peer.greeted) {
    if (!hello.answer) {
      send_hello(id, true, out);  // ours was lost: the other side cannot go on without it
    }
    return;
  }
  if (hello.protocol != protocol_version) {
    disconnect(id, other_protocol(hello.protocol), out);
    return;
  }
  if (hello.cluster != options_.cluster) {
    disconnect(id, "it belongs to the cluster \"" + hello.cluster + "\"", out);
    return;
  }
  peer.greeted = true;
  peer.differences = list_differences(hello);
  peer.version = std::move(hello.version);
  for (const std::string& difference : peer.differences) {
    out.push_back(Note{Note::Level::warn, "member lists differ: " + difference});
  }
  greeted_.push_back(id);
  // The smaller id asks: one exchange at once, not two.
  if (options_.self < id) {
    send_vectors(now, id, peer, nullptr, out);
    send_tick(now, id, peer, false, random_.next(), out);
  }
}

std::vector<std::string> Gossip::list_differences(const Hello& hello) const {
  std::vector<std::string> differences;
  if (hello.members == members_) {
    return differences;
  }
  std::map<NodeId, std::pair<std::string, std::string>> both;
  for (const MemberName& member : options_.members) {
    both[member.id].first = member.name;
  }
  for (const MemberName& member : hello.members) {
    both[member.id].second = member.name;
  }
  for (const auto& [id, names] : both) {
    if (names.first.empty()) {
      differences.push_back(names.second + " is a member there and not here");
    } else if (names.second.empty()) {
      differences.push_back(names.first + " is a member here and not there");
    } else if (names.first != names.second) {
      differences.push_back(names.first + " is called " + names.second + " there");
    }
  }
  return differences;
}

void Gossip::send_tick(Instant now, NodeId id, Peer& peer, bool answer, std::uint64_t echo,
                       std::vector<Output>& out) {
  const Summary summary = replica_.index().summary();
  if (!answer) {
    peer.echo = echo;
    peer.echo_sent = now;
  }
  out.push_back(Send{id,
                     Tick{summary.fingerprint, summary.live, replica_.matrix_fingerprint(),
                          settled_, answer, echo},
                     Priority::control});
}

void Gossip::on_tick(Instant now, NodeId id, Peer& peer, const Tick& tick,
                     std::vector<Output>& out) {
  peer.root = tick.root;
  peer.settled = tick.settled;
  peer.last_exchange = now;
  if (tick.answer) {
    if (tick.echo == peer.echo) {
      peer.round_trip = now - peer.echo_sent;
    }
  } else {
    send_tick(now, id, peer, true, tick.echo, out);
  }
  const bool equal = tick.root == replica_.index().summary().fingerprint &&
                     tick.matrix == replica_.matrix_fingerprint();
  if (equal) {
    stated_[id] = replica_.knowledge();
    if (const auto row = replica_.rows().find(id); row != replica_.rows().end()) {
      held_when_equal_[id] = row->second.held;
    }
    believe(peer, replica_.knowledge());
  } else if (!tick.answer) {
    happening(now);
    // Not again what has just gone out, with a hello or in answer to one: the two sides would both
    // begin a repair.
    if (!peer.vectors_sent || now - *peer.vectors_sent > vectors_pause) {
      send_vectors(now, id, peer, nullptr, out);
    }
  }
}

/// It knows this, and perhaps more.
void Gossip::believe(Peer& peer, const VersionVector& knowledge) const {
  peer.believed.join(knowledge);
  replica_.endings().fold(peer.believed);
}

/// Of each list what the peer lacks; before it has said how long its own are, the last few.
std::vector<ToldEndings> Gossip::tell_endings(const Peer& peer) const {
  const Endings& endings = replica_.endings();
  std::vector<ToldEndings> all;
  for (const auto& [actor, length] : endings.lengths().items()) {
    const std::uint64_t from = peer.listed
                                   ? std::min(peer.lists.at(actor), length)
                                   : length - std::min<std::uint64_t>(length, endings_unasked);
    const auto news = endings.of(actor.node).subspan(from);
    ToldEndings told{actor.node, length, from, {}, 0};
    const auto some = news.first(std::min(news.size(), endings_max));
    told.endings.assign(some.begin(), some.end());
    told.mark = endings.mark(actor.node, from + told.endings.size());
    all.push_back(std::move(told));
  }
  return all;
}

void Gossip::send_vectors(Instant now, NodeId id, Peer& peer, const Vectors* asked,
                          std::vector<Output>& out) {
  Vectors vectors{replica_.knowledge(),
                  {},
                  replica_.index().summary().fingerprint,
                  asked != nullptr,
                  tell_endings(peer)};
  for (const auto& [member, row] : replica_.rows()) {
    if (asked != nullptr) {
      const auto said = std::ranges::lower_bound(asked->rows, member, {}, &HeldRow::member);
      if (said != asked->rows.end() && *said == row) {
        continue;
      }
    }
    vectors.rows.push_back(row);
  }
  peer.vectors_sent = now;
  out.push_back(Send{id, std::move(vectors), Priority::control});
}

void Gossip::on_row(NodeId id, const HeldRow& row) {
  if (replica_.join_row(row)) {
    grown_.push_back(row.member);
  }
  if (row.member == id) {
    believe(peers_.at(id), row.held);
  }
}

void Gossip::on_vectors(Instant now, NodeId id, Peer& peer, const Vectors& vectors,
                        std::vector<Output>& out) {
  const Endings& endings = replica_.endings();
  const VersionVector lengths = endings.lengths();
  for (const ToldEndings& told : vectors.endings) {
    if (!replica_.take(told)) {
      // Nothing that the two say they know would mean the same to both.
      disconnect(id, "it lists other incarnations of a node as ended", out);
      return;
    }
    peer.lists.add({ended(told.node), told.length});
  }
  peer.listed = true;
  if (lengths != endings.lengths()) {
    happening(now);
  }
  for (const HeldRow& row : vectors.rows) {
    on_row(id, row);
  }
  if (!vectors.answer) {
    send_vectors(now, id, peer, &vectors, out);
  }
  if (!endings.explains(vectors.knowledge)) {
    if (lengths != endings.lengths()) {
      send_vectors(now, id, peer, nullptr, out);  // the list goes on
    }
    return;
  }
  VersionVector theirs = vectors.knowledge;
  endings.fold(theirs);
  peer.told = true;
  stated_[id] = theirs;
  if (!peer.stream) {
    peer.believed = theirs;
  }
  if (lacking(peer) > endings_spelt_max) {
    if (vectors.answer) {
      send_vectors(now, id, peer, nullptr, out);
    }
  } else if (!replica_.known(theirs).covers(replica_.knowledge())) {
    begin_stream(now, id, peer, out);
  } else if (replica_.knowledge() == theirs && !vectors.answer &&
             vectors.root != replica_.index().summary().fingerprint &&
             (!peer.repaired || now - *peer.repaired >= options_.gossip_interval)) {
    // Knowledge is equal and the trees are not. This does not happen unless an index was damaged.
    peer.repaired = now;
    begin_repair(id, out);
  }
}

/// How many endings it has not heard of.
std::uint64_t Gossip::lacking(const Peer& peer) const {
  std::uint64_t sum = 0;
  for (const auto& [actor, length] : replica_.endings().lengths().items()) {
    sum += length - std::min(length, peer.lists.at(actor));
  }
  return sum;
}

std::vector<NodeId> Gossip::shuffled_peers() {
  std::vector<NodeId> list;
  for (const auto& [id, peer] : peers_) {
    if (peer.greeted) {
      list.push_back(id);
    }
  }
  for (std::size_t i = list.size(); i > 1; --i) {
    std::swap(list[i - 1], list[random_.below(i)]);
  }
  return list;
}

void Gossip::push(Instant now, std::vector<Output>& out) {
  const std::uint64_t own = replica_.newest_own().sequence;
  const bool forward = forward_at_ && now >= *forward_at_;
  if (own == own_pushed_ && !forward) {
    return;
  }
  if (own != own_pushed_) {
    happening(now);
  }
  own_pushed_ = own;
  if (forward) {
    forward_at_.reset();
  }
  std::size_t count = 0;
  for (const NodeId id : shuffled_peers()) {
    Peer& peer = peers_.at(id);
    if (replica_.known(peer.believed).covers(replica_.knowledge())) {
      continue;
    }
    if (++count > options_.push_peers) {
      break;
    }
    if (peer.told) {
      begin_stream(now, id, peer, out);
    } else {
      send_vectors(now, id, peer, nullptr, out);  // else it would be sent the whole tree
    }
  }
}

void Gossip::list_grew(Instant now) {
  announced_held_.reset();
  happening(now);
}

bool Gossip::row_is_news() const {
  // Not where it is only written in another way.
  return !announced_held_ || !replica_.known(*announced_held_).covers(replica_.own_row().held);
}

void Gossip::announce(Instant now, bool settled, std::vector<Output>& out) {
  // Peers learn what this node holds as soon as it grows: they need it to know that everybody has a
  // change.
  settled_ = settled;
  const Fingerprint root = replica_.index().summary().fingerprint;
  const VersionVector& held = replica_.own_row().held;
  const bool row_news = row_is_news();
  const bool state_news = settled && (!announced_settled_ || announced_root_ != root);
  if ((!row_news && !state_news) || now < announced_at_ + announce_pause) {
    announced_settled_ = announced_settled_ && settled;
    return;
  }
  announced_held_ = held;
  announced_root_ = root;
  announced_settled_ = settled;
  announced_at_ = now;
  std::size_t count = 0;
  for (const NodeId id : shuffled_peers()) {
    if (++count > options_.push_peers) {
      break;
    }
    if (row_news) {
      out.push_back(Send{id, Held{replica_.own_row()}, Priority::control});
    }
    if (state_news) {
      send_tick(now, id, peers_.at(id), false, random_.next(), out);
    }
  }
}

void Gossip::next(Instant now, bool settled, std::vector<Output>& out) {
  push(now, out);
  announce(now, settled, out);
  if (now < tick_at_) {
    return;
  }
  const std::vector<NodeId> candidates = shuffled_peers();
  const Duration interval = options_.gossip_interval * idle_factor_;
  // A fifth of jitter, so that nodes started together do not tick together.
  const auto jitter = static_cast<std::int64_t>(
      random_.below(static_cast<std::uint64_t>(interval.count()) / 5 + 1));
  tick_at_ = now + interval * 9 / 10 + Duration(jitter);
  // Whom nothing has been heard of since things changed is asked first, half of the time, and as
  // long as there is one nobody slows down: else it takes minutes of idle ticks until all know.
  const auto behind =
      std::ranges::find_if(candidates, [this](NodeId peer) { return is_behind(peer); });
  const bool all_known = behind == candidates.end();
  idle_factor_ = all_known ? std::min(idle_factor_ * 2, idle_factor_max) : 1;
  for (auto& [id, peer] : peers_) {
    if (peer.up && !peer.greeted) {
      send_hello(id, false, out);
    }
  }
  if (!candidates.empty()) {
    const NodeId peer = !all_known && random_.chance(50) ? *behind : candidates.front();
    send_tick(now, peer, peers_.at(peer), false, random_.next(), out);
  }
}

Instant Gossip::wake_at() const {
  Instant earliest = tick_at_;
  if (forward_at_) {
    earliest = std::min(earliest, *forward_at_);
  }
  const Fingerprint root = replica_.index().summary().fingerprint;
  if (row_is_news() || (settled_ && (!announced_settled_ || announced_root_ != root))) {
    earliest = std::min(earliest, announced_at_ + announce_pause);
  }
  return earliest;
}

std::vector<PeerStatus> Gossip::peers() const {
  std::vector<PeerStatus> list;
  for (const auto& [id, peer] : peers_) {
    list.push_back({id, peer.greeted, in_sync(id), peer.root, peer.last_exchange, peer.round_trip,
                    peer.version, peer.differences});
  }
  return list;
}

}  // namespace p2psync::engine
