#include "engine/history.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace p2psync::engine {
namespace {

std::string hex(std::uint64_t value) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) {
    text += digits[value >> shift & 15];
  }
  return text;
}

std::string quoted(std::string_view path) {
  return '"' + std::string(path) + '"';
}

const Shown* shown_at(const Record& record, const Path& name) {
  const auto place = std::ranges::find(record.shown, name, &Shown::name);
  return place == record.shown.end() ? nullptr : &*place;
}

std::vector<PastVersion> living(const Replica& replica, const Path& path) {
  std::vector<PastVersion> versions;
  for (Place& place : replica.layout(path)) {
    if (!place.dots.empty()) {  // else it is a directory for what is below it
      versions.push_back(
          {hex(tag_of(place.dots.front())),
           place.name == path ? PastVersion::State::current : PastVersion::State::copy, place.name,
           std::move(place.version)});
      versions.back().here = replica.available(versions.back().version);
      versions.back().dots = std::move(place.dots);
    }
  }
  std::ranges::sort(versions, [](const PastVersion& a, const PastVersion& b) {
    return std::tuple(a.state, b.version.rank, a.name) <
           std::tuple(b.state, a.version.rank, b.name);
  });
  return versions;
}

}  // namespace

std::vector<ConflictCopy> conflict_copies(const Replica& replica, std::string_view after,
                                          std::size_t max) {
  std::vector<ConflictCopy> copies;
  for (auto place = replica.copies().upper_bound(Path(after));
       place != replica.copies().end() && copies.size() < max; ++place) {
    const auto& [name, path] = *place;
    const Record& record = replica.record(path);
    if (const Shown* copy = shown_at(record, name)) {
      const Shown* holder = shown_at(record, path);
      copies.push_back({path, name, copy->version,
                        holder == nullptr ? std::nullopt : std::optional(holder->version)});
    }
  }
  return copies;
}

std::optional<History> history(const Replica& replica, const Path& path) {
  const Record& record = replica.record(path);
  History told{record.entry.context, living(replica, path)};
  std::vector<PastVersion> kept;
  replica.kept().for_each_from("", [&](const PackedVersions::Item& item) {
    if (item.path == path) {
      kept.push_back({std::string(item.file), PastVersion::State::kept, {}, item.version()});
    }
    return true;
  });
  replica.departed().for_each_from("", [&](const PackedVersions::Item& note) {
    if (note.path != path) {
      return true;
    }
    Version was = note.version();
    // What has only moved to another name, as a conflict copy, lives there.
    const bool lives = std::ranges::any_of(told.versions, [&was](const PastVersion& now) {
      return now.version.tag == was.tag && looks_like(now.version, was);
    });
    if (!lives) {
      const bool here = replica.available(was);
      kept.push_back({std::string(note.file), PastVersion::State::kept, {}, std::move(was)});
      kept.back().here = here;
    }
    return true;
  });
  std::ranges::sort(kept, {}, &PastVersion::id);
  if (record.empty() && kept.empty()) {
    return std::nullopt;
  }
  if (!record.entry.live()) {
    PastVersion deletion{"", PastVersion::State::deleted};
    deletion.here = false;
    if (!record.entry.deletions.empty()) {
      const Dot& dot = record.entry.deletions.back().dot;
      deletion.id = hex(tag_of(dot));
      deletion.deleted_by = dot.actor.node;
      deletion.dots = {dot};
    }
    told.versions.push_back(std::move(deletion));
  }
  std::ranges::move(kept.rbegin(), kept.rend(), std::back_inserter(told.versions));
  return told;
}

VersionVector events_at(const Replica& replica, const Path& path) {
  VersionVector events = replica.record(path).entry.context;
  replica.index().for_each(path + "/", path + std::string(1, '\0'),
                           [&](const Path&, const Record& record) {
                             events.join(record.entry.context);
                             return true;
                           });
  return events;
}

std::expected<Path, std::string> name_to_keep(const Replica& replica, const Path& path,
                                              std::string_view keep) {
  if (const Path& original = replica.owner(path); original != path) {
    return std::unexpected(quoted(path) + " is a conflict copy of " + quoted(original) +
                           ": resolve that");
  }
  const Record& record = replica.record(path);
  if (record.empty()) {
    return std::unexpected("nothing is known of " + quoted(path));
  }
  if (std::ranges::none_of(record.shown, [&](const Shown& s) { return s.name != path; })) {
    return std::unexpected(quoted(path) + " has no conflict copies");
  }
  std::vector<const Shown*> meant;
  std::set<std::string> nodes;
  for (const Shown& shown : record.shown) {
    // A directory that only what is below it calls for was written by nobody.
    if (!shown.dots.empty()) {
      nodes.insert(shown.version.label);
      if (shown.name == keep || shown.version.label == keep) {
        meant.push_back(&shown);
      }
    }
  }
  if (meant.empty()) {
    std::string text = "no version of " + quoted(path) + " is by " + std::string(keep) + "; by:";
    for (const std::string& node : nodes) {
      text += ' ' + node;
    }
    return std::unexpected(std::move(text));
  }
  if (meant.size() > 1) {
    std::string text = std::string(keep) + " wrote several versions; name the one to keep:";
    for (const Shown* shown : meant) {
      text += ' ' + quoted(shown->name);
    }
    return std::unexpected(std::move(text));
  }
  if (!replica.available(meant.front()->version)) {
    return std::unexpected("the bytes of " + quoted(meant.front()->name) + " are not there");
  }
  const Shown* at_path = shown_at(record, path);
  if (meant.front()->name != path && at_path != nullptr &&
      at_path->version.kind == Kind::directory) {
    return std::unexpected(quoted(path) + " is a directory and keeps the name: rename " +
                           quoted(meant.front()->name) + ", or delete it");
  }
  return meant.front()->name;
}

std::expected<Version, std::string> version_to_restore(const Replica& replica, const Path& path,
                                                       std::string_view id) {
  const auto known = history(replica, path);
  if (!known) {
    return std::unexpected("nothing is known of " + quoted(path));
  }
  const auto found = std::ranges::find(known->versions, id, &PastVersion::id);
  if (id.empty() || found == known->versions.end()) {
    return std::unexpected("no version of " + quoted(path) + " has the id " + std::string(id));
  }
  switch (found->state) {
    case PastVersion::State::deleted:
      return std::unexpected("that is a deletion: there is nothing to bring back");
    case PastVersion::State::current: return std::unexpected("that is what has the name already");
    case PastVersion::State::copy:
    case PastVersion::State::kept: break;
  }
  if (!found->here) {
    return std::unexpected(found->state == PastVersion::State::kept
                               ? "its bytes are not on this node: p2psync restore --at asks the "
                                 "other members for them"
                               : "its bytes are not on this node yet");
  }
  const Shown* now = replica.shown(path);
  if (now != nullptr && now->version.kind == Kind::directory) {
    return std::unexpected(quoted(path) + " is a directory now");
  }
  for (std::string_view parent = parent_of(path); !parent.empty(); parent = parent_of(parent)) {
    const Shown* above = replica.shown(Path(parent));
    if (above != nullptr && above->version.kind != Kind::directory) {
      return std::unexpected(quoted(parent) + " is no directory now");
    }
  }
  return found->version;
}

bool laid_out(const Replica& replica, const Path& path) {
  const Record& record = replica.record(path);
  const std::vector<Place> places = replica.layout(path, record);
  return record.doubts.empty() && places.size() == record.shown.size() &&
         std::ranges::all_of(places, [&](const Place& place) {
           const Shown* shown = shown_at(record, place.name);
           return shown != nullptr && looks_like(shown->version, place.version);
         });
}

}  // namespace p2psync::engine
