// What a path's layout wants and its names do not show, as steps; and what those wait for.
#include <algorithm>
#include <variant>

#include "engine/reconcile.h"

namespace p2psync::engine {
namespace {

Wanted wanted_of(const Version& version) {
  return {version.kind, version.mode, version.mtime, version.size, version.content, version.target};
}

const Shown* shown_at(const std::vector<Shown>& shown, const Path& name) {
  const auto place = std::ranges::find(shown, name, &Shown::name);
  return place == shown.end() ? nullptr : &*place;
}

/// Some path below this one that still stands on the disk.
std::optional<Path> shown_below(const Index& index, const Path& path) {
  std::optional<Path> found;
  index.for_each(path + "/", path + std::string(1, '\0'),
                 [&found](const Path& below, const Record& record) {
                   if (std::ranges::any_of(record.shown, [](const Shown& shown) {
                         return !shown.signature.is_out_of_sight();
                       })) {
                     found = below;
                   }
                   return !found;
                 });
  return found;
}

/// One path's plan in the making.
class Planner {
 public:
  Planner(const Replica& replica, const Path& path, const std::set<Path>& coming)
      : replica_(replica),
        path_(path),
        coming_(coming),
        record_(replica.record(path)),
        places_(replica.layout(path, record_)),
        shown_(record_.shown) {}

  Plan make() {
    if (!record_.doubts.empty()) {
      plan_.waits = true;  // for the look that says what stands there
      return std::move(plan_);
    }
    if (replica_.ignores(path_, record_)) {
      return std::move(plan_);
    }
    const bool own_comes = std::ranges::any_of(places_, [this](const Place& place) {
      return place.name == path_ && replica_.available(place.version);
    });
    const bool own_wanted =
        std::ranges::any_of(places_, [this](const Place& p) { return p.name == path_; });
    const Shown* at_path = shown_at(shown_, path_);
    find_moves();
    for (const Place& place : places_) {
      // By content: a change of its mode or time is laid there too, and makes no second file of it.
      const bool stays = place.name != path_ && own_wanted && !own_comes && at_path != nullptr &&
                         same_content(at_path->version, place.version) &&
                         shown_at(shown_, place.name) == nullptr;
      if (stays) {
        Place at = place;
        at.name = path_;
        lay(at);
      } else {
        lay(place);
      }
    }
    for (const Shown& shown : shown_) {
      const bool stays =
          std::ranges::any_of(places_, [&](const Place& p) { return p.name == shown.name; });
      if (!stays) {
        remove(shown);
      }
    }
    return std::move(plan_);
  }

 private:
  void lay(const Place& place) {
    const Shown* now = shown_at(shown_, place.name);
    if (now != nullptr && looks_like(now->version, place.version)) {
      confirm(*now, place);
      return;
    }
    Path parent(parent_of(place.name));
    if (!parent.empty() && !coming_.contains(parent)) {
      const Shown* directory = replica_.shown(parent);
      if (directory == nullptr || directory->version.kind != Kind::directory) {
        wait_for(std::move(parent));
        if (!moves(place) && lacks(place, replica_.source(place.version))) {
          need(place);  // it may come meanwhile
        }
        return;
      }
    }
    if (now == nullptr && stands_for_another(place.name)) {
      wait_for(replica_.owner(place.name));
      return;
    }
    const bool emptied = now != nullptr && now->version.kind == Kind::directory &&
                         place.version.kind != Kind::directory;
    if (emptied && waits_for_below(place.name)) {
      return;
    }
    if (moves(place)) {
      return;
    }
    Source source = replica_.source(place.version);
    if (lacks(place, source)) {
      need(place);
      return;
    }
    Put put{place.name, wanted_of(place.version), std::nullopt, source, {}, {}};
    if (now != nullptr) {
      put.expected = now->signature;
      put.expected_content = now->version.content;
      put.moved = moved_from(place.name);
    }
    add(std::move(put), {place.name, now == nullptr ? std::nullopt : std::optional(*now), place,
                         target(place.name), std::move(source)});
  }

  [[nodiscard]] static bool lacks(const Place& place, const Source& source) {
    return place.version.kind == Kind::file && std::holds_alternative<Nothing>(source);
  }
  void need(const Place& place) {
    plan_.needs.push_back(
        {place.version.content, place.version.size, place.dots, place.version.mode});
  }

  [[nodiscard]] bool stands_for_another(const Path& name) const {
    return replica_.owner(name) != path_ && replica_.shown(name) != nullptr;
  }

  /// Right on the disk already; what it stands for may have changed.
  void confirm(const Shown& now, Place place) {
    if (now.dots != place.dots || now.version != place.version) {
      add(Check{now.name, now.signature, now.version.content},
          {now.name, now, std::move(place), {}, {}});
    }
  }

  /// A free name that shall show what another name of this path shows, and that goes away or is
  /// replaced in this very plan: then it moves.
  void find_moves() {
    if (shown_.empty()) {
      return;
    }
    for (const Place& place : places_) {
      if (shown_at(shown_, place.name) != nullptr || stands_for_another(place.name) ||
          place.version.kind == Kind::directory) {
        continue;
      }
      for (const Shown& shown : shown_) {
        const auto stays = std::ranges::find(places_, shown.name, &Place::name);
        const bool goes = stays == places_.end() || (!looks_like(stays->version, shown.version) &&
                                                     replica_.available(stays->version));
        if (goes && looks_like(shown.version, place.version) && !moves_.contains(shown.name)) {
          moves_.emplace(shown.name, place);
          break;
        }
      }
    }
  }

  [[nodiscard]] bool moves(const Place& place) const {
    return std::ranges::any_of(moves_,
                               [&](const auto& move) { return move.second.name == place.name; });
  }
  [[nodiscard]] std::optional<Place> target(const Path& from) const {
    const auto move = moves_.find(from);
    return move == moves_.end() ? std::nullopt : std::optional(move->second);
  }
  [[nodiscard]] std::optional<Moved> moved_from(const Path& from) const {
    const auto place = target(from);
    return place ? std::optional(Moved{place->name, wanted_of(place->version)}) : std::nullopt;
  }

  void remove(const Shown& shown) {
    const bool directory = shown.version.kind == Kind::directory;
    if (directory && (replica_.keeps_ignored(shown.name) || waits_for_below(shown.name))) {
      return;
    }
    add(Remove{shown.name, shown.signature, shown.version.content, moved_from(shown.name)},
        {shown.name, shown, std::nullopt, target(shown.name), {}});
  }

  void wait_for(Path path) {
    plan_.waits = true;
    plan_.awaited.push_back(std::move(path));
  }

  bool waits_for_below(const Path& directory) {
    auto below = shown_below(replica_.index(), directory);
    if (below) {
      wait_for(std::move(*below));
    }
    return below.has_value();
  }

  void add(Step step, Plan::Effect effect) {
    plan_.steps.push_back(std::move(step));
    plan_.effects.push_back(std::move(effect));
  }

  const Replica& replica_;
  const Path& path_;
  const std::set<Path>& coming_;
  const Record& record_;
  std::vector<Place> places_;
  const std::vector<Shown>& shown_;
  std::map<Path, Place> moves_;  ///< by the old name
  Plan plan_;
};

}  // namespace

Plan plan(const Replica& replica, const Path& path, const std::set<Path>& coming) {
  return Planner(replica, path, coming).make();
}

}  // namespace p2psync::engine
