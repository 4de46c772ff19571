#include "tests/sim/invariants.h"

#include <algorithm>

#include "engine/replica.h"

namespace p2psync::sim {
namespace {

using namespace engine;

std::string text_of(const Dot& dot) {
  return std::to_string(dot.actor.node) + "." + std::to_string(dot.actor.incarnation) + "." +
         std::to_string(dot.sequence);
}

std::string text_of(const VersionVector& vector) {
  std::string text;
  for (const auto& [actor, sequence] : vector.items()) {
    text += text_of(Dot{actor, sequence}) + " ";
  }
  return text;
}

std::uint64_t events_of(NodeId node, const VersionVector& vector) {
  std::uint64_t sum = 0;
  for (const auto& [actor, sequence] : vector.items()) {
    sum += actor.node == node ? sequence : 0;
  }
  return sum;
}

bool knows_nothing_beyond(const Replica& replica) {
  bool none = true;
  replica.index().for_each("", "", [&](const Path&, const Record& record) {
    none = replica.known().covers(record.entry.context);
    return none;
  });
  return none;
}

}  // namespace

void Invariants::committing(NodeId host, const IndexModel& index, const Change& change) {
  Endings endings = index.endings();
  for (const ListedEnding& listed : change.endings) {
    endings.add(listed.node, listed.ending);
  }
  const VersionVector knowledge = change.knowledge.value_or(index.knowledge());
  if (change.knowledge) {
    const std::uint64_t minted = events_of(host, endings.in_terms_of(knowledge, {}));
    if (minted > acts_[host] && !rolled_back_.contains(host)) {
      report_("#8 no phantom versions", "node " + std::to_string(host) + " minted " +
                                            std::to_string(minted) + " events for " +
                                            std::to_string(acts_[host]) + " acts of its users");
      rolled_back_.insert(host);  // once is enough
    }
  }
  for (const auto& [path, record] : change.records) {
    if (!record) {
      continue;
    }
    for (const auto& [dot, version] : record->entry.versions) {
      const std::uint64_t mark = recognition(version);
      const auto [known, fresh] = recognitions_.emplace(dot, mark);
      if (!fresh && known->second != mark) {
        report_("#7 dots are unique", text_of(dot) + " of " + path + " names two versions");
      }
    }
    const auto before = index.records().find(path);
    if (before != index.records().end()) {
      // Of incarnations that are over, what everybody has seen may be forgotten.
      VersionVector was = before->second.entry.context;
      was.drop_if([&](const Actor& actor, std::uint64_t sequence) {
        return endings.has_ended(knowledge, {actor, sequence});
      });
      const VersionVector& is = record->entry.context;
      const bool collected = is.empty() && record->entry.versions.empty();
      if (!is.covers(was) && !collected) {
        report_("#9 versions are monotonic", path + " on node " + std::to_string(host) + " had " +
                                                 text_of(was) + "and has " + text_of(is));
      }
    }
    for (const Shown& shown : record->shown) {
      for (const Dot& dot : shown.dots) {
        if (!record->entry.context.covers(dot) && !endings.has_ended(knowledge, dot) &&
            !rolled_back_.contains(host)) {
          report_("#10 causality", shown.name + " shows " + text_of(dot) + ", which its entry on " +
                                       std::to_string(host) + " does not know");
        }
      }
    }
  }
}

void Invariants::stepped(NodeId host, const Node& node) {
  const Replica& replica = node.replica();
  VersionVector& last = last_knowledge_[host];
  if (replica.knowledge() == last || !knows_nothing_beyond(replica)) {
    return;
  }
  last = replica.knowledge();
  const Fingerprint root = replica.index().summary().fingerprint;
  const auto [known, fresh] = roots_.emplace(last.items(), root);
  // A node with an older index has events again that others have collected: until repair tells.
  if (!fresh && known->second != root && rolled_back_.empty()) {
    report_("#1 strong convergence",
            "node " + std::to_string(host) +
                " knows what another knew and has other versions: " + text_of(last));
  }
}

void Invariants::says_in_sync(NodeId host, const Node& node) {
  const Replica& replica = node.replica();
  replica.index().for_each("", "", [&](const Path& path, const Record& record) {
    std::vector<Place> places = replica.layout(path);
    std::ranges::sort(places, {}, &Place::name);
    const bool equal =
        std::ranges::equal(places, record.shown, [](const Place& place, const Shown& shown) {
          return place.name == shown.name && looks_like(place.version, shown.version);
        });
    if (!equal) {
      report_("#27 honest status", "node " + std::to_string(host) +
                                       " says that it is in sync, but " + path +
                                       " does not show what its entry wants");
    }
    return equal;
  });
}

}  // namespace p2psync::sim
