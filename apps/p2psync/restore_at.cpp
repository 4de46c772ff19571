#include "apps/p2psync/restore_at.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "apps/p2psync/moment.h"
#include "apps/p2psync/version_document.h"
#include "engine/history.h"
#include "engine/past.h"

namespace p2psync::app {
namespace {

using engine::Since;
using engine::Version;

constexpr double timeout_s_max = 86400;

std::string_view change_name(Since::Change change) {
  switch (change) {
    case Since::Change::bring: return "restore";
    case Since::Change::remove: return "remove";
    case Since::Change::unsure: return "unsure";
    case Since::Change::blocked: return "blocked";
  }
  return "unsure";
}

Json state_of(const Since& since, const Answering& to) {
  const engine::Replica& replica = to.node.replica();
  const bool bring = since.change == Since::Change::bring;
  if (!bring && since.change != Since::Change::remove) {
    return {};
  }
  if (to.node.awaits(since.path)) {
    return "awaited";
  }
  if (!engine::laid_out(replica, since.path)) {
    return "laying";
  }
  return bring ? Json(replica.available(*since.was) ? "here" : "elsewhere") : Json();
}

Json document_of(const Since& since, const Answering& to) {
  const Version& version = since.was ? *since.was : *since.now;
  const bool directory = version.kind == engine::Kind::directory;
  Json::Object out;
  add_path(out, "path", since.path);
  out.emplace_back("change", change_name(since.change));
  out.emplace_back("kind", kind_name(version.kind));
  out.emplace_back("size", version.size);
  out.emplace_back("mode", fmt::format("{:04o}", version.mode));
  out.emplace_back("mtime", directory ? Json() : time_of(version.mtime));
  out.emplace_back("node", version.label.empty() ? Json() : Json(version.label));
  out.emplace_back("state", state_of(since, to));
  return out;
}

/// Somebody may have emptied the directory of kept files: then others are asked for the bytes.
void check_kept(const Version& version, const Answering& to) {
  while (true) {
    const engine::Source source = to.node.replica().source(version);
    const auto* kept = std::get_if<engine::Kept>(&source);
    if (kept == nullptr || kept->move || to.keeps(kept->file)) {
      return;
    }
  }
}

void begin(const std::vector<Since>& changes, std::chrono::nanoseconds patience,
           const Answering& to) {
  engine::BringBack back{{}, patience};
  for (const Since& since : changes) {
    const bool bring = since.change == Since::Change::bring;
    if (bring) {
      check_kept(*since.was, to);
    }
    if (bring || since.change == Since::Change::remove) {
      back.items.push_back({since.path, since.was});
    }
  }
  if (!back.items.empty()) {
    to.act(std::move(back));
  }
}

Json away(const Answering& to) {
  Json::Array names;
  for (const engine::PeerStatus& peer : to.node.status().peers) {
    if (!peer.connected) {
      names.emplace_back(to.config.name_of(peer.peer));
    }
  }
  return names;
}

/// Nothing, or why what was then cannot be known.
std::optional<std::string> problem_with(std::int64_t at, const Answering& to) {
  if (to.config.keep_versions.count() == 0) {
    return "[versions] keep is \"0\": what was replaced or deleted is not kept";
  }
  const std::int64_t begins = engine::past_begins(to.node.replica());
  if (at < begins) {
    return fmt::format("this node's index was made at {}: it knows nothing of before",
                       time_of(begins).text());
  }
  const std::int64_t now = this_moment();
  if (at < now - to.config.keep_versions.count()) {
    return fmt::format("what left the tree before {} is not kept any more ([versions] keep)",
                       time_of(now - to.config.keep_versions.count()).text());
  }
  return std::nullopt;
}

}  // namespace

Json restore_at(const Json& request, const Answering& to) {
  const std::string path = path_in(request, "path");
  const std::int64_t at = request["at"].integer();
  if (auto problem = problem_with(at, to)) {
    return error_document(*problem);
  }
  const engine::Replica& replica = to.node.replica();
  if (!engine::has_past(replica, path)) {
    return error_document(fmt::format("nothing is known of \"{}\"", path));
  }
  const engine::SincePage page =
      engine::changed_since(replica, path, at, path_in(request, "after"));
  if (request["act"].boolean()) {
    const std::chrono::duration<double> patience(
        std::clamp(request["timeout_s"].number(), 0.0, timeout_s_max));
    begin(page.changes, std::chrono::duration_cast<std::chrono::nanoseconds>(patience), to);
  }
  Json::Array changes;
  for (const Since& since : page.changes) {
    changes.push_back(document_of(since, to));
  }
  Json::Object answer{{"changes", std::move(changes)}, {"more", page.more}, {"away", away(to)}};
  add_path(answer, "last", page.last);
  return answer;
}

}  // namespace p2psync::app
