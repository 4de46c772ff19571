#include "engine/scan.h"

#include <algorithm>

namespace p2psync::engine {
namespace {

constexpr Duration unstable_wait = std::chrono::milliseconds(50);
constexpr Duration error_wait = std::chrono::seconds(2);
constexpr Duration retry_longest = std::chrono::seconds(30);
constexpr Duration writing_pause_min = std::chrono::milliseconds(200);
/// Of a core, then, some hundredths are spent on reading what nobody will ask for.
constexpr std::uint64_t writing_bytes_per_s = std::uint64_t{16} << 20;
constexpr std::size_t open_max = 1024;

/// The first string in path order behind everything below a directory.
Path behind(std::string_view directory) {
  return Path(directory) + '\0';
}

}  // namespace

Duration writing_pause(std::uint64_t size) {
  // What a sparse file may claim to have is no number of nanoseconds.
  constexpr std::uint64_t bytes_max =
      writing_bytes_per_s * (retry_longest / std::chrono::seconds(1));
  const std::chrono::milliseconds pause(std::min(size, bytes_max) / (writing_bytes_per_s / 1000));
  return std::min<Duration>(writing_pause_min + pause, retry_longest);
}

Scan::Scan(Replica& replica, const BrakeOptions& brake)
    : replica_(replica), brake_(replica, brake) {
  for (const Path& directory : replica_.take_rules()) {
    rules_awaited_[directory] = false;  // all is listed anyway
    list(directory, false);
  }
}

void Scan::on(Instant now, const Touched& touched) {
  arrived_.insert(touched.arrived.begin(), touched.arrived.end());
  for (const Path& name : touched.names) {
    if (name.empty()) {
      list("", false);
      continue;
    }
    open_.erase(name);  // what has happened is over
    touch(name);
  }
  for (const Path& name : touched.writing) {
    being_written(now, name);
  }
}

/// The first time is looked at at once, what follows after a pause.
void Scan::being_written(Instant now, const Path& name) {
  if (in_flight_.contains(name)) {
    written_meanwhile_.insert(name);
    return;
  }
  if (retries_.contains(name)) {
    return;  // it is looked at then
  }
  if (open_.size() >= open_max) {
    open_.clear();
  }
  const auto [place, fresh] = open_.try_emplace(name, now);
  if (fresh || place->second <= now) {
    touch(name);
  } else {
    retries_.try_emplace(name, Retry{place->second, unstable_wait});
  }
}

void Scan::look_later(Instant now, const Path& name) {
  retry(now, name, fresh_wait, retry_longest);
}

void Scan::touch(const Path& name, std::uint64_t bytes, bool regular) {
  if (!path_problem(name) && !held_up_.contains(name)) {
    Queued& queued = queue_.try_emplace(name, Queued{bytes, regular}).first->second;
    queued.regular = queued.regular && regular;
    if (name_of(name) == ignore_file) {
      rule_files_.insert(name);
    }
  }
}

void Scan::list(const Path& directory, bool deep) {
  bool& wanted = lists_[directory];
  wanted = wanted || deep;
}

void Scan::on(Instant now, const Listed& listed) {
  const auto asked = listing_.find(listed.directory);
  const bool deep = asked != listing_.end() && asked->second;
  if (asked != listing_.end()) {
    listing_.erase(asked);
  }
  if (!listed.items) {
    rules_awaited_.erase(listed.directory);
    if (listed.items.error().code == ErrorCode::not_found && !listed.directory.empty()) {
      replica_.set_rules(listed.directory, "");
      replica_.note_ignored_in(listed.directory, false);
      touch(listed.directory);
    } else {
      problems_.try_emplace(listed.directory,
                            Problem{listed.directory, listed.items.error().message(), now});
      list_again(now, listed.directory, deep);
      return;
    }
    list_again_.erase(listed.directory);
    return;
  }
  problems_.erase(listed.directory);
  list_again_.erase(listed.directory);
  take_rules(now, listed);
  bool any_ignored = false;
  std::set<std::string> special;
  for (const auto& [listing, plain] : compare(listed)) {
    const Listing& item = *listing;
    // A look has found nothing there, or is about to: its directory was away for a moment.
    const bool none_missing = !brake_.has_some() && absent_.empty() && in_flight_.empty();
    if (plain == item.signature && item.signature.kind != Kind::directory && none_missing) {
      continue;  // as most are
    }
    const Path path = child_of(listed.directory, item.name);
    if (!none_missing &&
        (brake_.has(path) || absent_.contains(path) || in_flight_.contains(path))) {
      touch(path);  // it is back, just as it was
    }
    if (replica_.ignores(path, item.signature.kind == Kind::directory)) {
      any_ignored = true;
      continue;
    }
    if (item.special || path_problem(path)) {
      special.insert(item.name);
      continue;
    }
    const Shown* shown = replica_.shown(path);
    if (item.signature.kind != Kind::directory) {
      if (shown == nullptr || shown->signature != item.signature) {
        // What has moved with its directory is not read, so it takes no room in a look. In one with
        // all the others its old name and its new one are told together, and peers move it too.
        const std::optional<Seen> before = known(path);
        const bool moved = before && before->signature == item.signature;
        touch(path, moved ? 0 : item.signature.size, !moved && item.signature.kind == Kind::file);
      }
      continue;
    }
    const bool same = shown != nullptr && shown->version.kind == Kind::directory &&
                      shown->signature.inode == item.signature.inode;
    if (!same || shown->version.mode != item.signature.mode) {
      touch(path);
    }
    if (!same) {
      note_rename(path, item.signature.inode);
    }
    if (deep || !same) {
      list(path, deep);
    }
  }
  if (special.empty()) {
    special_.erase(listed.directory);
  } else {
    special_[listed.directory] = std::move(special);
  }
  replica_.note_ignored_in(listed.directory, any_ignored);
}

/// One walk over the listing and over what is remembered of the directory, both in order: whatever
/// is remembered and not there is touched.
std::vector<Scan::Compared> Scan::compare(const Listed& listed) {
  std::vector<Compared> items;
  items.reserve(listed.items->size());
  for (const Listing& listing : *listed.items) {
    if (!listed.directory.empty() || listing.name != own_directory) {
      items.push_back({&listing, std::nullopt});
    }
  }
  const auto name_in = [](const Compared& item) -> std::string_view { return item.listing->name; };
  if (!std::ranges::is_sorted(items, {}, name_in)) {
    std::ranges::sort(items, {}, name_in);
  }
  const Index& index = replica_.index();
  std::vector<Index::Id> others;
  auto item = items.begin();
  index.for_each_child(listed.directory, [&](std::optional<Index::Id> id, std::string_view name) {
    item = std::find_if(item, items.end(), [&](const Compared& at) { return name_in(at) >= name; });
    const bool there = item != items.end() && name_in(*item) == name;
    const auto plain = id ? index.plain(*id) : std::nullopt;
    if (!id) {
      if (!there) {  // the directory may have gone unseen, with what had been seen below it
        touch_below(child_of(listed.directory, name));
      }
    } else if (!plain) {
      others.push_back(*id);
    } else if (there && !item->listing->special) {
      item->plain = plain->signature;
    } else {
      touch(Path(index.path(*id)));
    }
  });
  for (const Index::Id id : others) {
    for (const Shown& shown : index.item(id).record.shown) {
      const auto there = std::ranges::lower_bound(items, name_of(shown.name), {}, name_in);
      if (there == items.end() || name_in(*there) != name_of(shown.name) ||
          there->listing->special) {
        touch(shown.name);
      }
    }
  }
  return items;
}

void Scan::touch_below(const Path& directory) {
  replica_.index().for_each(directory + "/", behind(directory),
                            [this](const Path&, const Record& record) {
                              for (const Shown& shown : record.shown) {
                                touch(shown.name);
                              }
                              return true;
                            });
}

void Scan::on(Instant now, const LookDone& done) {
  --looks_;
  gather_until_ = now + look_gather_wait;
  for (const Looked& looked : done.names) {
    in_flight_.erase(looked.name);
    if (auto again = held_up_.extract(looked.name)) {
      queue_.insert(std::move(again));
    }
    const bool second = unread_.erase(looked.name) > 0;
    if (std::holds_alternative<Unstable>(looked.sight) && !second) {
      unread_.insert(looked.name);
    }
    take(now, looked);
    if (!queue_.contains(looked.name)) {
      rule_files_.erase(looked.name);
    }
    if (written_meanwhile_.erase(looked.name) > 0) {
      being_written(now, looked.name);
    }
  }
}

void Scan::take(Instant now, const Looked& looked) {
  const Path& name = looked.name;
  const Shown* shown = replica_.shown(name);
  const bool was_directory = shown != nullptr && shown->version.kind == Kind::directory;
  if (const auto* error = std::get_if<Error>(&looked.sight)) {
    problems_.try_emplace(name, Problem{name, error->message(), now});
    retry(now, name, error_wait, retry_longest);
    return;
  }
  problems_.erase(name);
  if (shown != nullptr && shown->signature.is_out_of_sight() &&
      !std::holds_alternative<Seen>(looked.sight) &&
      !std::holds_alternative<Unstable>(looked.sight)) {
    retries_.erase(name);
    if (was_directory) {
      touch_below(name);
    }
    replica_.observe_absent(name);  // it went while it was ignored: nobody has deleted it
    return;
  }
  const Path parent(parent_of(name));
  if (const auto special = special_.find(parent); special != special_.end()) {
    special->second.erase(std::string(name_of(name)));
  }
  // Nothing is below what is no directory, also where none was remembered: one that was laid, or
  // made by a user, and never looked at before a crash.
  const bool leads_on = was_directory || shown == nullptr;
  const auto* seen = std::get_if<Seen>(&looked.sight);
  if (seen != nullptr && replica_.ignores(name, seen->signature.kind == Kind::directory) &&
      !replica_.doubtful().contains(name)) {
    seen = nullptr;  // to the others nothing is there
  } else if (seen != nullptr) {
    if (leads_on && seen->signature.kind != Kind::directory) {
      touch_below(name);
    }
    take_seen(now, name, *seen);
    return;
  }
  if (std::holds_alternative<Unstable>(looked.sight)) {
    retry(now, name, unstable_wait,
          shown != nullptr ? writing_pause(shown->signature.size) : retry_longest);
    return;
  }
  retries_.erase(name);
  if (std::holds_alternative<Special>(looked.sight)) {
    special_[parent].insert(std::string(name_of(name)));
  }
  if (shown != nullptr || replica_.doubtful().contains(name)) {
    absent_.try_emplace(name, now);
  }
  if (leads_on) {
    touch_below(name);
  }
}

void Scan::take_seen(Instant now, const Path& name, const Seen& seen) {
  absent_.erase(name);
  brake_.seen(name, seen);
  if (seen.signature.kind == Kind::directory) {
    note_rename(name, seen.signature.inode);
  }
  replica_.observe(name, seen);
  if (seen.signature.kind == Kind::directory) {
    // Sets the watch on it too, which a rename or a new inode has lost.
    list(name, arrived_.erase(name) > 0);
  }
  const Duration pause = writing_pause(seen.signature.size);
  if (const auto place = open_.find(name); place != open_.end()) {
    place->second = now + pause;
  }
  if (seen.fresh && seen.signature.kind != Kind::directory) {
    retry(now, name, fresh_wait, pause);
  } else {
    retries_.erase(name);
  }
}

void Scan::retry(Instant now, const Path& name, Duration first, Duration longest) {
  const auto [place, fresh] = retries_.try_emplace(name, Retry{now + first, first});
  if (!fresh) {
    place->second.delay = std::min(place->second.delay * 2, longest);
    place->second.at = now + place->second.delay;
  }
}

/// The watcher does not tell what it could not be set on, and the next scan may be an hour off.
void Scan::list_again(Instant now, const Path& directory, bool deep) {
  const auto [place, fresh] =
      list_again_.try_emplace(directory, ListAgain{{now + error_wait, error_wait}, deep});
  if (!fresh) {
    Retry& when = place->second.when;
    when.delay = std::min(when.delay * 2, retry_longest);
    when.at = now + when.delay;
    place->second.deep = place->second.deep || deep;
  }
}

void Scan::judged(const ConfirmDeletes& verdict) {
  if (verdict.undo) {
    brake_.undo();
    return;
  }
  for (const Path& name : brake_.confirm()) {
    touch(name);
  }
}

void Scan::act_on_absences(Instant now) {
  if (reading_rules()) {
    return;  // what is gone may be ignored by now
  }
  if (quiet()) {
    renamed_.clear();
    std::erase_if(arrived_, [this](const Path& name) { return !retries_.contains(name); });
  }
  for (auto place = absent_.begin(); place != absent_.end();) {
    const bool overdue = now - place->second >= absence_wait && !queue_.contains(place->first) &&
                         !held_up_.contains(place->first) && !in_flight_.contains(place->first);
    if (quiet() || overdue) {
      brake_.gone(now, place->first);
      place = absent_.erase(place);
    } else {
      ++place;
    }
  }
  brake_.next(now, quiet());
}

/// With another name the files in it are what they were, signature and all: not to be read again.
void Scan::note_rename(const Path& directory, std::uint64_t inode) {
  if (auto before = replica_.directory_with(inode); before && *before != directory) {
    renamed_.insert_or_assign(directory, std::move(*before));
  }
}

std::optional<Seen> Scan::known(const Path& name) const {
  const Shown* shown = replica_.shown(name);
  if (shown == nullptr) {
    const auto moved = renamed_.find(Path(parent_of(name)));
    shown =
        moved == renamed_.end() ? nullptr : replica_.shown(child_of(moved->second, name_of(name)));
  }
  if (shown == nullptr || shown->signature.unproven()) {
    return std::nullopt;
  }
  return Seen{shown->signature, shown->version.content, shown->version.target, false};
}

LookAt Scan::look_at(const Path& name, bool regular) {
  in_flight_.insert(name);
  return {name, known(name), !retries_.contains(name), regular};
}

void Scan::next(Instant now, const std::function<bool(const Path&)>& busy,
                std::vector<Output>& out) {
  for (auto& [name, again] : retries_) {
    if (again.at <= now) {
      touch(name);
      again.at = now + retry_longest;  // until its answer says more
    }
  }
  for (auto& [directory, again] : list_again_) {
    if (again.when.at <= now) {
      list(directory, again.deep);
      again.when.at = now + retry_longest;
    }
  }
  if (const Brake::Probe probe = brake_.probe(now); !probe.names.empty() || probe.everything) {
    for (const Path& name : probe.names) {
      touch(name);
    }
    if (probe.everything) {
      list("", true);
    }
  }
  read_rules(busy, out);
  while (!lists_.empty() && listing_.size() < lists_in_flight_max) {
    const auto first = lists_.begin();
    if (listing_.contains(first->first)) {
      break;
    }
    out.push_back(List{first->first});
    listing_.insert(*first);
    lists_.erase(first);
  }
  while (!reading_rules() && looks_ < looks_in_flight_max && !queue_.empty() && !gathers(now)) {
    Look look;
    std::uint64_t bytes = 0;
    while (!queue_.empty() && look.names.size() < look_names_max && bytes < look_bytes_max) {
      auto first = queue_.extract(queue_.begin());
      const Path& name = first.key();
      if (passes_over(name)) {
        retries_.erase(name);
        unread_.erase(name);
        continue;
      }
      if (in_flight_.contains(name) || busy(name) || busy(replica_.owner(name))) {
        held_up_.insert(std::move(first));
        continue;
      }
      bytes += first.mapped().bytes;
      look.names.push_back(look_at(name, first.mapped().regular));
    }
    if (look.names.empty()) {
      break;
    }
    ++looks_;
    out.push_back(std::move(look));
  }
  const bool held = brake_.holding();
  act_on_absences(now);
  if (!held && brake_.holding()) {
    out.push_back(Note{Note::Level::warn, brake_.problem()->message});
  }
}

}  // namespace p2psync::engine
