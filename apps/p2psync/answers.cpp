#include "apps/p2psync/answers.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

#include "apps/p2psync/recorded.h"
#include "apps/p2psync/restore_at.h"
#include "apps/p2psync/version_document.h"
#include "apps/p2psync/whereabouts.h"
#include "engine/history.h"
#include "storage/hash.h"

namespace p2psync::app {
namespace {

using engine::PastVersion;
using engine::Version;

Json written_by(const Version& version) {
  const bool directory = version.kind == engine::Kind::directory;
  return Json::Object{{"node", version.label},
                      {"kind", kind_name(version.kind)},
                      {"size", version.size},
                      {"mtime", directory ? Json() : time_of(version.mtime)},
                      {"mtime_ns", directory ? Json() : Json(version.mtime)},
                      {"content", directory ? Json() : Json(storage::to_hex(version.content))}};
}

std::vector<engine::ConflictCopy> copies_asked_for(const Json& request,
                                                   const engine::Replica& replica) {
  const std::string copy = path_in(request, "copy");
  if (copy.empty()) {
    return engine::conflict_copies(replica, path_in(request, "after"), page_max);
  }
  const auto place = replica.copies().find(copy);
  if (place == replica.copies().end()) {
    return {};
  }
  return engine::conflict_copies(
      replica, place == replica.copies().begin() ? "" : std::prev(place)->first, 1);
}

Json conflicts(const Json& request, const Answering& to) {
  const auto copies = copies_asked_for(request, to.node.replica());
  Json::Array told;
  for (const engine::ConflictCopy& copy : copies) {
    Json::Object one;
    add_path(one, "path", copy.path);
    add_path(one, "copy", copy.copy);
    one.emplace_back("name_held_by", copy.holder ? written_by(*copy.holder) : Json());
    one.emplace_back("copy_by", written_by(copy.version));
    told.emplace_back(std::move(one));
  }
  return Json::Object{{"conflicts", std::move(told)}, {"more", copies.size() == page_max}};
}

Json log(const Json& request, const Answering& to) {
  const std::string path = path_in(request, "path");
  const auto history = engine::history(to.node.replica(), path);
  if (!history) {
    return error_document(fmt::format("nothing is known of \"{}\"", path));
  }
  Json::Object context;
  for (const auto& [actor, sequence] : history->context.items()) {
    // Incarnations that are over are one item: see engine/endings.h.
    const std::string name = to.config.name_of(actor.node);
    context.emplace_back(actor.incarnation == 0
                             ? name + "/ended"
                             : fmt::format("{}/{:016x}", name, actor.incarnation),
                         sequence);
  }
  Json::Array versions;
  for (const PastVersion& past : history->versions) {
    versions.push_back(version_document(past, *history, to.config));
  }
  Json::Object document;
  add_path(document, "path", path);
  document.emplace_back("context", std::move(context));
  document.emplace_back("versions", std::move(versions));
  return Json::Object{{"log", std::move(document)}};
}

/// What is written anew at a path that is ignored nobody would lay.
std::optional<Json> refused_if_ignored(const std::string& path, const Answering& to) {
  const engine::Replica& replica = to.node.replica();
  if (!replica.ignores(path, replica.record(path))) {
    return std::nullopt;
  }
  return error_document(fmt::format("{} is ignored: see p2psync check-ignore", path));
}

Json resolve(const Json& request, const Answering& to) {
  std::string path = path_in(request, "path");
  if (auto refused = refused_if_ignored(path, to)) {
    return std::move(*refused);
  }
  for (const Json& seen : request["seen"].items()) {
    const std::string name = path_in(seen, "name");
    const engine::Shown* shown = to.node.replica().shown(name);
    if (shown == nullptr || storage::to_hex(shown->version.content) != seen["content"].text()) {
      return error_document(fmt::format("{} has changed since: look at it again", name));
    }
  }
  auto keep = engine::name_to_keep(to.node.replica(), path, path_in(request, "keep"));
  if (!keep) {
    return error_document(keep.error());
  }
  Json::Object told;
  add_path(told, "kept", *keep);
  to.act(engine::Resolve{std::move(path), std::move(*keep)});
  return told;
}

Json restore(const Json& request, const Answering& to) {
  std::string path = path_in(request, "path");
  if (auto refused = refused_if_ignored(path, to)) {
    return std::move(*refused);
  }
  auto version = engine::version_to_restore(to.node.replica(), path, request["version"].text());
  if (!version) {
    return error_document(version.error());
  }
  to.act(engine::Restore{std::move(path), std::move(*version)});
  return Json::Object{};
}

Json recorded(const Json& request, const Answering& to) {
  const engine::Replica& replica = to.node.replica();
  Json::Array told;
  if (const std::string path = path_in(request, "path"); !path.empty()) {
    if (const engine::Shown* shown = replica.shown(path);
        shown != nullptr && !shown->signature.is_out_of_sight()) {
      told.push_back(recorded_document({shown->name, seen_of(*shown)}));
    }
    return Json::Object{{"recorded", std::move(told)}, {"more", false}};
  }
  const std::string after = path_in(request, "after");
  std::string last;
  std::size_t paths = 0;
  replica.index().for_each(after, "", [&](const engine::Path& path, const engine::Record& record) {
    if (path == after) {
      return true;
    }
    for (const engine::Shown& shown : record.shown) {
      if (!shown.signature.is_out_of_sight()) {
        told.push_back(recorded_document({shown.name, seen_of(shown)}));
      }
    }
    last = path;
    return ++paths < page_max;
  });
  Json::Object page{{"recorded", std::move(told)}, {"more", paths == page_max}};
  add_path(page, "last", last);
  return page;
}

Json check_ignore(const Json& request, const Answering& to) {
  const engine::Replica& replica = to.node.replica();
  const std::string path = path_in(request, "path");
  const bool directory = request["directory"].boolean();
  Json::Object document;
  add_path(document, "path", path);
  document.emplace_back("ignored", replica.ignores(path, directory));
  document.emplace_back("by", rule_document(replica, path, directory));
  return Json::Object{{"check_ignore", std::move(document)}};
}

}  // namespace

Json error_document(const std::string& text) {
  return Json::Object{{"error", text}};
}

Json answer(const Json& request, const Answering& to) {
  static constexpr std::array<std::pair<std::string_view, Json (*)(const Json&, const Answering&)>,
                              9>
      commands{{{"check-ignore", check_ignore},
                {"conflicts", conflicts},
                {"explain", explain},
                {"log", log},
                {"resolve", resolve},
                {"restore", restore},
                {"restore-at", restore_at},
                {"recorded", recorded},
                {"wait", wait}}};
  for (const auto& [name, run] : commands) {
    if (request["command"].text() == name) {
      return run(request, to);
    }
  }
  return error_document("unknown request");
}

}  // namespace p2psync::app
