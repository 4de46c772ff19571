#include "apps/p2psync/answers.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "apps/p2psync/recorded.h"
#include "apps/p2psync/status_document.h"
#include "engine/history.h"
#include "storage/versions.h"

namespace p2psync::app {
namespace {

using engine::PastVersion;
using engine::Version;

Json error(const std::string& text) {
  return Json::Object{{"error", text}};
}

Json time_of(std::int64_t ns) {
  return time_text(std::chrono::system_clock::time_point(
      std::chrono::floor<std::chrono::system_clock::duration>(std::chrono::nanoseconds(ns))));
}

std::string_view kind_name(engine::Kind kind) {
  switch (kind) {
    case engine::Kind::file: return "file";
    case engine::Kind::directory: return "directory";
    case engine::Kind::symlink: return "symlink";
  }
  return "file";
}

std::string_view state_name(PastVersion::State state) {
  switch (state) {
    case PastVersion::State::current: return "current";
    case PastVersion::State::copy: return "copy";
    case PastVersion::State::kept: return "kept";
    case PastVersion::State::deleted: return "deleted";
  }
  return "kept";
}

Json written_by(const Version& version) {
  const bool directory = version.kind == engine::Kind::directory;
  return Json::Object{{"node", version.label},
                      {"kind", kind_name(version.kind)},
                      {"size", version.size},
                      {"mtime", directory ? Json() : time_of(version.mtime)},
                      {"mtime_ns", directory ? Json() : Json(version.mtime)}};
}

Json conflicts(const Json& request, const Answering& to) {
  const auto copies =
      engine::conflict_copies(to.node.replica(), path_in(request, "after"), page_max);
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

std::optional<std::int64_t> left_at(const PastVersion& version) {
  const std::int64_t at =
      version.state == PastVersion::State::kept ? storage::left_at(version.id) : 0;
  return at > 0 ? std::optional(at) : std::nullopt;
}

Json version_document(const PastVersion& past, const engine::History& history,
                      const Config& config) {
  const bool deleted = past.state == PastVersion::State::deleted;
  std::optional<std::int64_t> time;
  std::optional<std::int64_t> left;
  if (deleted) {  // nobody notes when; what was kept then tells
    for (const PastVersion& other : history.versions) {
      time = time ? time : left_at(other);
    }
  } else {
    left = left_at(past);
    time = past.version.kind == engine::Kind::directory ? std::nullopt
                                                        : std::optional(past.version.mtime);
  }
  const std::string node = !deleted               ? past.version.label
                           : past.deleted_by != 0 ? config.name_of(past.deleted_by)
                                                  : std::string();
  Json::Object out{{"id", past.id.empty() ? Json() : Json(past.id)},
                   {"node", node.empty() ? Json() : Json(node)},
                   {"time", time ? time_of(*time) : Json()},
                   {"size", past.version.size},
                   {"mode", deleted ? Json() : Json(fmt::format("{:04o}", past.version.mode))},
                   {"state", state_name(past.state)}};
  if (!deleted) {
    out.emplace_back("kind", kind_name(past.version.kind));
    out.emplace_back("time_ns", time ? Json(*time) : Json());
    out.emplace_back("here", past.here);
  }
  if (!past.name.empty()) {
    add_path(out, "name", past.name);
  }
  if (left) {
    out.emplace_back("replaced", time_of(*left));
  }
  return out;
}

Json log(const Json& request, const Answering& to) {
  const std::string path = path_in(request, "path");
  const auto history = engine::history(to.node.replica(), path);
  if (!history) {
    return error(fmt::format("nothing is known of \"{}\"", path));
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

Json resolve(const Json& request, const Answering& to) {
  std::string path = path_in(request, "path");
  auto keep = engine::name_to_keep(to.node.replica(), path, path_in(request, "keep"));
  if (!keep) {
    return error(keep.error());
  }
  Json::Object told;
  add_path(told, "kept", *keep);
  to.act(engine::Resolve{std::move(path), std::move(*keep)});
  return told;
}

Json restore(const Json& request, const Answering& to) {
  std::string path = path_in(request, "path");
  auto version = engine::version_to_restore(to.node.replica(), path, request["version"].text());
  if (!version) {
    return error(version.error());
  }
  to.act(engine::Restore{std::move(path), std::move(*version)});
  return Json::Object{};
}

Json recorded(const Json& request, const Answering& to) {
  const engine::Replica& replica = to.node.replica();
  Json::Array told;
  if (const std::string path = path_in(request, "path"); !path.empty()) {
    if (const engine::Shown* shown = replica.shown(path)) {
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
      told.push_back(recorded_document({shown.name, seen_of(shown)}));
    }
    last = path;
    return ++paths < page_max;
  });
  Json::Object page{{"recorded", std::move(told)}, {"more", paths == page_max}};
  add_path(page, "last", last);
  return page;
}

}  // namespace

Json answer(const Json& request, const Answering& to) {
  static constexpr std::array<std::pair<std::string_view, Json (*)(const Json&, const Answering&)>,
                              5>
      commands{{{"conflicts", conflicts},
                {"log", log},
                {"resolve", resolve},
                {"restore", restore},
                {"recorded", recorded}}};
  for (const auto& [name, run] : commands) {
    if (request["command"].text() == name) {
      return run(request, to);
    }
  }
  return error("unknown request");
}

}  // namespace p2psync::app
