// The part of gossip that sends what somebody lacks, and takes in what is sent.
#include <set>

#include "engine/gossip.h"

namespace p2psync::engine {

void Gossip::begin_stream(Instant now, NodeId id, Peer& peer, std::vector<Output>& out) {
  if (peer.stream && now - peer.stream->progress > stream_patience) {
    peer.stream.reset();
  }
  if (!peer.stream) {
    peer.stream = Stream{random_.next() | 1, peer.believed, peer.believed, 0, 0, now};
  }
  pump(now, id, peer, out);
}

void Gossip::pump(Instant now, NodeId id, Peer& peer, std::vector<Output>& out) {
  while (peer.stream && peer.stream->sent < peer.stream->taken + entries_window) {
    Stream& stream = *peer.stream;
    Entries message;
    message.stream = stream.id;
    message.index = stream.sent++;
    const Endings& endings = replica_.endings();
    message.knowledge = endings.in_terms_of(replica_.knowledge(), peer.lists);
    // What the peer lacks of incarnations that are over, it learns one by one.
    const VersionVector all = endings.in_terms_of(replica_.knowledge(), stream.base);
    stream.progress = now;
    if (fill(stream, all, message)) {
      for (const auto& [actor, to] : all.items()) {
        if (const std::uint64_t from = endings.at(stream.base, actor); to > from) {
          message.ranges.push_back({actor, from, to});
        }
      }
      believe(peer, replica_.knowledge());
      peer.stream.reset();
    }
    out.push_back(Send{id, std::move(message), Priority::control});
  }
}

bool Gossip::fill(Stream& stream, const VersionVector& all, Entries& message) const {
  // All actors in turn. The stream is over only when none has anything above what was sent, in one
  // go: an entry that changed meanwhile stands above the mark of whoever changed it.
  std::size_t bytes = 0;
  std::set<std::string_view> here;
  for (const auto& [actor, newest] : all.items()) {
    bool full = false;
    replica_.for_events(actor, replica_.endings().at(stream.done, actor),
                        [&](std::uint64_t sequence, const Path& path) {
                          if (bytes >= entries_bytes_max) {
                            full = true;
                            return false;
                          }
                          if (here.insert(path).second) {
                            message.entries.push_back({path, replica_.record(path).entry});
                            bytes += bytes_about(message.entries.back());
                          }
                          stream.done.add({actor, sequence});
                          return true;
                        });
    if (full) {
      return false;
    }
  }
  return true;
}

void Gossip::on_entries(NodeId id, Peer& peer, const Entries& entries, std::vector<Output>& out) {
  for (const PathEntry& entry : entries.entries) {
    replica_.merge(entry, entries.knowledge);
  }
  if (entries.stream == 0) {
    return;
  }
  Incoming& incoming = peer.incoming;
  if (entries.index == 0) {
    incoming = {entries.stream, 0};
  }
  if (incoming.id == entries.stream && incoming.next == entries.index) {
    ++incoming.next;
    replica_.learn(entries.ranges);
    for (const SequenceRange& range : entries.ranges) {
      peer.believed.add({range.actor, range.to});
    }
    replica_.endings().fold(peer.believed);
    out.push_back(Send{id, Taken{incoming.id, incoming.next}, Priority::control});
  }
}

}  // namespace p2psync::engine
