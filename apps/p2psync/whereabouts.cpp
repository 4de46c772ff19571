#include "apps/p2psync/whereabouts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "apps/p2psync/quantity.h"
#include "apps/p2psync/version_document.h"
#include "engine/ignore.h"

namespace p2psync::app {
namespace {

using engine::NodeId;
using engine::PastVersion;
using engine::VersionVector;

const VersionVector* held_by(const engine::Replica& replica, NodeId member) {
  const auto row = replica.rows().find(member);
  return row == replica.rows().end() ? nullptr : &row->second.held;
}

/// Of each member in turn: whether it holds something, and if not, what is known of that.
template <class Holds>
void add_holders(Json::Object& document, const Answering& to, const Holds& holds) {
  const engine::Status status = to.node.status();
  const NodeId self = to.node.replica().own_row().member;
  Json::Array having;
  Json::Array lacking;
  for (const Member& member : to.config.members) {
    if (holds(member.node)) {
      having.emplace_back(member.name);
      continue;
    }
    const auto peer = std::ranges::find(status.peers, member.node, &engine::PeerStatus::peer);
    const bool connected = peer != status.peers.end() && peer->connected;
    const std::string trouble = connected ? "" : to.trouble(member.node);
    lacking.emplace_back(
        Json::Object{{"node", member.name},
                     {"why", member.node == self ? "this node: see why"
                             : connected         ? "connected, and has not said that it has it"
                             : trouble.empty()   ? "not connected"
                                                 : "not connected: " + trouble}});
  }
  document.emplace_back("held_by", std::move(having));
  document.emplace_back("lacking", std::move(lacking));
}

/// What keeps this disk from showing what the entry wants, in words; nothing if nothing does.
std::optional<std::string> why_not_shown(const Answering& to, const std::string& path,
                                         const engine::History& history) {
  const engine::Replica& replica = to.node.replica();
  if (replica.ignores(path, replica.record(path))) {
    return "it is ignored";
  }
  if (engine::laid_out(replica, path)) {
    return std::nullopt;
  }
  if (to.paused) {
    return "this node is paused";
  }
  const engine::Status status = to.node.status();
  for (const engine::Problem& problem : status.problems) {
    if (problem.path == path || engine::is_below(path, problem.path)) {
      return problem.path.empty() ? problem.message : problem.path + ": " + problem.message;
    }
  }
  const bool all_here = std::ranges::all_of(history.versions, [](const PastVersion& past) {
    return past.here || past.state == PastVersion::State::kept ||
           past.state == PastVersion::State::deleted;
  });
  if (all_here) {
    return "its bytes are here and wait to be laid";
  }
  const bool somebody = std::ranges::any_of(status.peers, [&](const engine::PeerStatus& peer) {
    const VersionVector* held = held_by(replica, peer.peer);
    return peer.connected && held != nullptr &&
           std::ranges::any_of(history.versions, [&](const PastVersion& past) {
             return !past.here && std::ranges::any_of(past.dots, [&](const engine::Dot& dot) {
               return replica.known(*held).covers(dot);
             });
           });
  });
  if (!somebody) {
    return "no member that is connected has its bytes";
  }
  for (const engine::Incoming& incoming : status.incoming) {
    if (incoming.path == path) {
      return fmt::format("it is on its way: {} of {} are here", size_text(incoming.done_bytes),
                         size_text(incoming.bytes));
    }
  }
  return "its bytes wait for their turn";
}

Json to_json(const VersionVector& vector) {
  Json::Array items;
  for (const auto& [actor, sequence] : vector.items()) {
    items.emplace_back(fmt::format("{:x} {:x} {:x}", actor.node, actor.incarnation, sequence));
  }
  return items;
}

std::optional<VersionVector> vector_in(const Json& items) {
  VersionVector vector;
  for (const Json& item : items.items()) {
    std::uint64_t numbers[3] = {};
    const char* at = item.text().data();
    const char* const end = at + item.text().size();
    for (std::uint64_t& number : numbers) {
      while (at != end && *at == ' ') {
        ++at;
      }
      const auto [rest, error] = std::from_chars(at, end, number, 16);
      if (error != std::errc()) {
        return std::nullopt;
      }
      at = rest;
    }
    vector.add({{numbers[0], numbers[1]}, numbers[2]});
  }
  return vector;
}

}  // namespace

/// The rule that decides about a path, or null.
Json rule_document(const engine::Replica& replica, const std::string& path, bool directory) {
  const auto rule = replica.rule_for(path, directory);
  if (!rule) {
    return {};
  }
  Json::Object stands;
  add_path(stands, "file", engine::child_of(rule->directory, engine::ignore_file));
  stands.emplace_back("line", rule->line);
  add_path(stands, "rule", rule->text);
  return stands;
}

Json explain(const Json& request, const Answering& to) {
  const engine::Replica& replica = to.node.replica();
  const std::string path = path_in(request, "path");
  const engine::Record& record = replica.record(path);
  const auto history = engine::history(replica, path);
  Json::Object document;
  add_path(document, "path", path);
  const bool directory = request["directory"].boolean();
  const bool ignored = history ? replica.ignores(path, record) : replica.ignores(path, directory);
  document.emplace_back("ignored_by", ignored ? rule_document(replica, path, directory) : Json());
  if (!history) {
    if (!ignored) {
      return Json::Object{{"error", fmt::format("nothing is known of \"{}\"", path)}};
    }
    document.emplace_back("why", "it is ignored, and no other member has told of it");
    document.emplace_back("versions", Json::Array());
    return Json::Object{{"explain", std::move(document)}};
  }
  const auto why = why_not_shown(to, path, *history);
  document.emplace_back("why", why ? Json(*why) : Json());
  Json::Array versions;
  for (const PastVersion& past : history->versions) {
    if (past.dots.empty()) {
      continue;
    }
    Json::Object version = version_document(past, *history, to.config);
    add_holders(version, to, [&](NodeId member) {
      const VersionVector* held = held_by(replica, member);
      return held != nullptr && std::ranges::any_of(past.dots, [&](const engine::Dot& dot) {
               return replica.known(*held).covers(dot);
             });
    });
    versions.emplace_back(std::move(version));
  }
  document.emplace_back("versions", std::move(versions));
  return Json::Object{{"explain", std::move(document)}};
}

Json wait(const Json& request, const Answering& to) {
  const engine::Replica& replica = to.node.replica();
  std::optional<VersionVector> until;
  if (const Json& given = request["until"]; !given.is_null()) {
    until = vector_in(given);
  } else if (request["paths"].items().empty()) {
    until = replica.knowledge();
  } else {
    until.emplace();
    for (const Json& item : request["paths"].items()) {
      const std::string path = path_in(item, "path");
      const VersionVector events = engine::events_at(replica, path);
      if (events.empty()) {
        return Json::Object{{"error", fmt::format("nothing is known of \"{}\"", path)}};
      }
      until->join(events);
    }
  }
  if (!until) {
    return Json::Object{{"error", "unknown request"}};
  }
  Json::Object document;
  add_holders(document, to, [&](NodeId member) {
    const VersionVector* held = held_by(replica, member);
    return held != nullptr && replica.known(*held).covers(*until);
  });
  const Json told(document);
  const auto wanted = request["nodes"].is_null()
                          ? to.config.members.size()
                          : static_cast<std::size_t>(request["nodes"].integer());
  document.emplace_back("done", told["held_by"].items().size() >= wanted);
  document.emplace_back("until", to_json(*until));
  return document;
}

}  // namespace p2psync::app
