// The network of the simulation: links of pairs, and what becomes of messages on them.
#include "net/wire.h"

#include <algorithm>

#include "tests/sim/world.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

constexpr Duration dial_interval = 100ms;
/// How long a connection lives on which one end hears nothing.
constexpr Duration keepalive_patience = 15s;
constexpr std::size_t old_frames_max = 8;

Phase phase_of(const Message& message) {
  if (std::holds_alternative<Hello>(message) || std::holds_alternative<Tick>(message)) {
    return Phase::summarise;
  }
  if (std::holds_alternative<Get>(message)) {
    return Phase::request;
  }
  return std::holds_alternative<Block>(message) ? Phase::serve : Phase::diff;
}

/// Another byte somewhere in a block.
Message corrupted(const Message& message, Random& random) {
  Message other = message;
  auto& block = std::get<Block>(other);
  std::vector<std::uint8_t> bytes(block.bytes->begin(), block.bytes->end());
  bytes.at(random.below(bytes.size())) ^= 0x20;
  block.bytes = Bytes::of(std::move(bytes));
  return other;
}

}  // namespace

void World::dial() {
  for (auto a = hosts_.begin(); a != hosts_.end(); ++a) {
    for (auto b = std::next(a); b != hosts_.end(); ++b) {
      connect(link(a->first, b->first), a->first, b->first);
    }
  }
  later(dial_interval, [this] { dial(); });
}

void World::connect(Link& wire, NodeId a, NodeId b) {
  const auto muted = [&](NodeId end) {
    const auto until = wire.mute_until.find(end);
    return until != wire.mute_until.end() && until->second > now_;
  };
  const auto ready = [&](NodeId id) {
    const Host& host = *hosts_.at(id);
    return host.running() && std::max(host.paused_until() + 1ms, host.held_until()) <= now_;
  };
  if (wire.up || wire.cut_until > now_ || muted(a) || muted(b) || !ready(a) || !ready(b)) {
    return;
  }
  notice_late(wire, a, b);
  notice_late(wire, b, a);
  wire.up = true;
  ++wire.epoch;
  ++wire.connected;
  wire.last.clear();
  hosts_.at(a)->tell(PeerUp{b});
  hosts_.at(b)->tell(PeerUp{a});
}

/// An end that has not noticed yet that the connection is gone does so now.
void World::notice_late(Link& wire, NodeId end, NodeId other) {
  if (wire.late_until.erase(end) > 0) {
    hosts_.at(end)->tell(PeerDown{other});
  }
}

void World::drop(NodeId a, NodeId b, NodeId late) {
  Link& wire = link(a, b);
  if (!wire.up) {
    return;
  }
  wire.up = false;
  for (const auto& [end, other] : {std::pair(a, b), std::pair(b, a)}) {
    if (end != late) {
      hosts_.at(end)->tell(PeerDown{other});
      continue;
    }
    wire.late_until[end] = now_ + keepalive_patience;
    later(keepalive_patience, [this, &wire, end, other] {
      const auto until = wire.late_until.find(end);
      if (until != wire.late_until.end() && until->second <= now_) {
        notice_late(wire, end, other);
      }
    });
  }
}

void World::drop_all(const Host& host) {
  for (const auto& [id, other] : hosts_) {
    if (id != host.id()) {
      drop(host.id(), id);
    }
  }
}

void World::disconnect(NodeId from, NodeId to, const std::string& reason) {
  // What no honest peer sends may come out of repetitions and of lost indexes; never otherwise.
  if (!in_play(Fault::net_replay) && !in_play(Fault::net_stranger) && !plan_.setup.anything_goes) {
    violation("#17 progress",
              "n" + std::to_string(from) + " disconnects n" + std::to_string(to) + ": " + reason);
  }
  later(1ns, [this, from, to] { drop(from, to); });
}

void World::deliver(NodeId from, NodeId to, const Message& message) {
  Link& wire = link(from, to);
  if (!wire.up) {
    return;
  }
  ++report_.events;
  const Phase phase = phase_of(message);
  const Setup& setup = plan_.setup;
  if (const auto until = wire.mute_until.find(from);
      until != wire.mute_until.end() && until->second > now_) {
    count(Fault::net_one_way, phase);
    lost(from, to, message);
    return;
  }
  const auto* block = std::get_if<Block>(&message);
  const bool has_bytes = block != nullptr && block->bytes && !block->bytes->empty();
  blocks_ += has_bytes ? 1 : 0;
  const bool spoil = has_bytes && network_.below(1000) < setup.corrupt_permille;
  std::vector<std::uint8_t> frame =
      net::encode_message(spoil ? corrupted(message, network_) : message);
  if (spoil) {
    count(Fault::net_corrupt_block, phase);
  }
  Duration extra{};
  if (network_.below(1000) < setup.tail_permille) {
    count(Fault::net_tail, phase);
    extra += Duration(network_.below(8'000'000'000));
  }
  if (block != nullptr && setup.late_content_s > 0) {
    count(Fault::net_late_content, phase);
    extra += Duration(network_.below(setup.late_content_s * 1'000'000'000));
  }
  if (network_.below(100) < setup.loss) {
    count(Fault::net_loss, phase);
    lost(from, to, message);
    return;
  }
  if (setup.replay_permille > 0) {
    if (!wire.old.empty() && network_.below(1000) < setup.replay_permille) {
      const auto [sender, again] = wire.old[network_.below(wire.old.size())];
      count(Fault::net_replay, phase);
      send_frame(sender, sender == from ? to : from, again,
                 Duration(network_.below(20'000'000'000)), true);
    }
    if (wire.old.size() == old_frames_max) {
      wire.old.erase(wire.old.begin());
    }
    wire.old.emplace_back(from, frame);
  }
  if (network_.below(100) < setup.duplicate) {
    count(Fault::net_duplicate, phase);
    send_frame(from, to, frame, extra, false);
  }
  if (in_play(Fault::net_reorder) && striking_) {
    count(Fault::net_reorder, phase);
  }
  if (setup.slow_bytes_per_s > 0) {
    count(Fault::net_slow, phase);
  }
  send_frame(from, to, std::move(frame), extra, false);
}

void World::send_frame(NodeId from, NodeId to, std::vector<std::uint8_t> frame, Duration extra,
                       bool any_epoch) {
  Link& wire = link(from, to);
  const Setup& setup = plan_.setup;
  Instant at = now_ + 50us + Duration(network_.below(setup.delay_us_max * 1000)) + extra;
  Instant& last = wire.last[to];
  if (setup.slow_bytes_per_s > 0) {
    const auto took = Duration(frame.size() * 1'000'000'000 / setup.slow_bytes_per_s);
    at = std::max(at, last) + took;
    last = at;
  } else if (!(in_play(Fault::net_reorder) && striking_) && !any_epoch) {
    at = std::max(at, last + 1ns);
    last = at;
  }
  later(at - now_,
        [this, from, to, sent = now_, epoch = wire.epoch, any_epoch, frame = std::move(frame)] {
          const Link& then = link(from, to);
          const bool too_old = any_epoch ? !striking_ : then.epoch != epoch;
          if (!then.up || too_old) {
            return;
          }
          Result<Message> message = net::decode_message(frame);
          if (!message) {
            violation("#21 integrity", "a message does not decode: " + message.error().message());
            return;
          }
          if (telling_.listener != nullptr) {
            telling_.listener->arrived(now_, sent, from, to, *message);
          }
          hosts_.at(to)->tell(Received{from, std::move(*message)});
        });
}

}  // namespace p2psync::sim
