#include "apps/p2psync/version_document.h"

#include <fmt/format.h>

#include "apps/p2psync/status_document.h"

namespace p2psync::app {

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

namespace {

using engine::PastVersion;

std::string_view state_name(PastVersion::State state) {
  switch (state) {
    case PastVersion::State::current: return "current";
    case PastVersion::State::copy: return "copy";
    case PastVersion::State::kept: return "kept";
    case PastVersion::State::deleted: return "deleted";
  }
  return "kept";
}

std::optional<std::int64_t> left_at(const PastVersion& version) {
  const std::int64_t at =
      version.state == PastVersion::State::kept ? engine::left_at(version.id) : 0;
  return at > 0 ? std::optional(at) : std::nullopt;
}

}  // namespace

Json::Object version_document(const PastVersion& past, const engine::History& history,
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

}  // namespace p2psync::app
