#include "engine/past.h"

#include <algorithm>
#include <map>

namespace p2psync::engine {
namespace {

using Departures = std::map<Path, std::vector<Departure>, PathLess>;

bool within(std::string_view path, const Path& whole) {
  return whole.empty() || path == whole || is_below(path, whole);
}

/// By the time that it carries itself; one that is later than it can be says nothing.
bool written_after(const Version& version, std::int64_t at, std::int64_t seen) {
  return version.mtime > at && version.mtime <= seen;
}

/// Of the first paths behind `after` only: the number says how many.
void gather(const std::map<std::string, KeptVersion>& notes, const Path& whole, std::int64_t at,
            std::string_view after, Departures& out) {
  // The first name that is later, with or without a file.
  std::string first = departure_name(at + 1);
  first.pop_back();
  for (auto note = notes.lower_bound(first); note != notes.end(); ++note) {
    const auto& [name, left] = *note;
    const std::int64_t when = left_at(name);
    const bool behind = after.empty() || PathLess()(after, left.path);
    if (when <= at || left.version.copy || !behind || !within(left.path, whole)) {
      continue;
    }
    out[left.path].push_back({when, &left.version});
    if (out.size() > since_page_max) {
      out.erase(std::prev(out.end()));
    }
  }
}

const Shown* shown_in(const Record& record, const Path& path) {
  const auto place = std::ranges::find(record.shown, path, &Shown::name);
  return place == record.shown.end() ? nullptr : &*place;
}

}  // namespace

std::optional<Since> since(const Path& path, std::span<const Departure> departures,
                           const Shown* now, std::int64_t at) {
  const auto was = std::ranges::find_if(departures, [at](const Departure& departure) {
    return !written_after(*departure.version, at, departure.left);
  });
  const bool directory = now != nullptr && now->version.kind == Kind::directory;
  const auto change = [&](Since::Change how, std::optional<Version> before) {
    return Since{path, how, std::move(before),
                 now == nullptr ? std::nullopt : std::optional(now->version)};
  };
  if (was != departures.end()) {
    const Version& version = *was->version;
    if (now != nullptr && looks_like(now->version, version)) {
      return std::nullopt;
    }
    const bool blocked = directory && version.kind != Kind::directory;
    return change(blocked ? Since::Change::blocked : Since::Change::bring, version);
  }
  if (now == nullptr || directory) {
    return std::nullopt;
  }
  const Signature& signature = now->signature;
  const bool untouched = !signature.unproven() && signature.ctime <= at;
  if (untouched && departures.empty()) {
    return std::nullopt;
  }
  const Version& first = departures.empty() ? now->version : *departures.front().version;
  const bool from_nothing = first.superseded.empty() && !first.metadata_only;
  const bool came =
      from_nothing && !signature.unproven() && written_after(now->version, at, signature.ctime);
  return change(came ? Since::Change::remove : Since::Change::unsure, std::nullopt);
}

SincePage changed_since(const Replica& replica, const Path& path, std::int64_t at,
                        std::string_view after) {
  Departures departures;
  gather(replica.kept(), path, at, after, departures);
  gather(replica.departed(), path, at, after, departures);
  std::optional<Path> bound;  // of this page
  if (departures.size() == since_page_max) {
    bound = departures.rbegin()->first;
  }
  std::size_t looked_at = 0;
  std::size_t touched = 0;
  const Path behind = path.empty() ? Path() : path + std::string(1, '\0');
  replica.index().for_each(after.empty() ? path : after, behind,
                           [&](const Path& name, const Record& record) {
                             if (bound && PathLess()(*bound, name)) {
                               return false;
                             }
                             if (name != after && since(name, {}, shown_in(record, name), at)) {
                               departures[name];
                               ++touched;
                             }
                             if (++looked_at == since_records_max || touched == since_page_max) {
                               bound = name;
                               return false;
                             }
                             return true;
                           });
  SincePage page;
  for (auto& [name, left] : departures) {
    if (bound && PathLess()(*bound, name)) {
      break;
    }
    const Record& record = replica.record(name);
    if (replica.ignores(name, record)) {
      continue;
    }
    std::ranges::sort(left, {}, &Departure::left);
    if (auto change = since(name, left, shown_in(record, name), at)) {
      page.changes.push_back(std::move(*change));
    }
  }
  page.more = bound.has_value();
  page.last = bound.value_or(Path());
  return page;
}

bool has_past(const Replica& replica, const Path& path) {
  bool any = path.empty();
  replica.index().for_each(path, path + std::string(1, '\0'), [&](const Path&, const Record&) {
    any = true;
    return false;
  });
  const auto mentions = [&](const auto& note) { return within(note.second.path, path); };
  return any || std::ranges::any_of(replica.kept(), mentions) ||
         std::ranges::any_of(replica.departed(), mentions);
}

std::int64_t past_begins(const Replica& replica) {
  constexpr std::uint64_t ns_per_ms = 1'000'000;
  const std::uint64_t epoch = replica.own_row().epoch;
  return epoch > INT64_MAX / ns_per_ms ? INT64_MAX : static_cast<std::int64_t>(epoch * ns_per_ms);
}

}  // namespace p2psync::engine
