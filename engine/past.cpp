#include "engine/past.h"

#include <algorithm>
#include <deque>
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

/// What left the first paths behind `after`; the number of paths says how many those are.
class Leaving {
 public:
  Leaving(const Replica& replica, const Path& whole, std::int64_t at, std::string_view after)
      : whole_(whole), at_(at), after_(after) {
    std::string first = departure_name(at + 1);
    first.pop_back();  // as the name of a file
    for (const PackedVersions* left : {&replica.kept(), &replica.departed()}) {
      left->for_each_from(first, [this](const PackedVersions::Item& item) {
        add(item);
        return true;
      });
    }
  }

  Departures of;

 private:
  [[nodiscard]] bool wants(std::string_view path) const {
    const bool behind = after_.empty() || PathLess()(after_, path);
    const bool in_page = of.size() < since_page_max || !PathLess()(of.rbegin()->first, path);
    return behind && in_page && within(path, whole_);
  }

  void add(const PackedVersions::Item& item) {
    const std::int64_t left = left_at(item.file);
    if (left <= at_ || !wants(item.path)) {
      return;
    }
    const Version& version = unpacked_.emplace_back(item.version());
    if (version.copy) {
      unpacked_.pop_back();
      return;
    }
    of[Path(item.path)].push_back({left, &version});
    if (of.size() > since_page_max) {
      of.erase(std::prev(of.end()));
    }
  }

  const Path& whole_;
  std::int64_t at_;
  std::string_view after_;
  std::deque<Version> unpacked_;
};

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
  Leaving leaving(replica, path, at, after);
  Departures& departures = leaving.of;
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
  for (const PackedVersions* left : {&replica.kept(), &replica.departed()}) {
    left->for_each_from("", [&](const PackedVersions::Item& item) {
      any = any || within(item.path, path);
      return !any;
    });
  }
  return any;
}

std::int64_t past_begins(const Replica& replica) {
  constexpr std::uint64_t ns_per_ms = 1'000'000;
  const std::uint64_t epoch = replica.own_row().epoch;
  return epoch > INT64_MAX / ns_per_ms ? INT64_MAX : static_cast<std::int64_t>(epoch * ns_per_ms);
}

}  // namespace p2psync::engine
