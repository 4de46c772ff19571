#include "engine/brake.h"

#include <algorithm>

namespace p2psync::engine {
namespace {

bool counts(const Shown& shown) {
  return shown.version.kind != Kind::directory;
}

std::uint64_t counted(const std::map<Path, bool, PathLess>& names) {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(names, [](const auto& name) { return name.second; }));
}

}  // namespace

void Brake::seen(const Path& name, const Seen& seen) {
  if (!fitted()) {
    return;
  }
  const auto probe = probes_.find(Path(parent_of(name)));
  returned_ = returned_ || (probe != probes_.end() && probe->second == name);
  forget(name);
  confirmed_.erase(name);
  const Shown* shown = replica_.shown(name);
  if (seen.signature.kind != Kind::directory &&
      (shown == nullptr || shown->version.content != seen.content)) {
    more_appeared_ = appeared_.insert(seen.content).second || more_appeared_;
  }
}

void Brake::forget(const Path& name) {
  gathered_.erase(name);
  if (const auto held = held_.find(name); held != held_.end()) {
    unhold(held);
  }
}

void Brake::gone(Instant now, const Path& name) {
  if (!fitted()) {
    replica_.observe_absent(name);
    return;
  }
  replica_.settle_absence(name);
  const Shown* shown = replica_.shown(name);
  if (shown == nullptr) {
    return;
  }
  if (confirmed_.erase(name) > 0 || !is_deletion(name)) {
    forget(name);
    replica_.observe_absent(name);
  } else if (!has(name)) {
    first_ = gathered_.empty() ? now : first_;
    last_ = now;
    gathered_.emplace(name, counts(*shown));
  }
}

/// Of a directory that only its contents call for, those decide.
bool Brake::is_deletion(const Path& name) const {
  const Shown* shown = replica_.shown(name);
  if (shown == nullptr || shown->signature.is_out_of_sight()) {
    return false;
  }
  const Entry& entry = replica_.record(replica_.owner(name)).entry;
  const bool stands = std::ranges::any_of(
      shown->dots, [&entry](const Dot& dot) { return entry.find(dot) != nullptr; });
  if (shown->version.kind == Kind::directory) {
    const auto now_at = replica_.directory_with(shown->signature.inode);
    return (!now_at || *now_at == name) && (stands || replica_.index().any_live_below(name));
  }
  return stands && !appeared_.contains(shown->version.content);
}

void Brake::changed(const Path& path) {
  if (!has_some()) {
    return;
  }
  std::vector<Path> names{path};
  for (const Shown& shown : replica_.record(path).shown) {
    if (shown.name != path) {
      names.push_back(shown.name);
    }
  }
  for (const Path& name : names) {
    if (has(name) && !is_deletion(name)) {
      forget(name);
      replica_.observe_absent(name);
    }
  }
}

void Brake::obstructed(const Path& name) {
  const auto held = held_.find(name);
  if (held != held_.end() && !held->second) {
    unhold(held);
    replica_.lost(name);
  }
}

void Brake::next(Instant now, bool quiet) {
  if (!fitted()) {
    return;
  }
  started_ = started_ || quiet;
  quiet_ = quiet;
  if (quiet && more_appeared_) {
    drop_what_is_none();
    more_appeared_ = false;
  }
  if (!gathered_.empty() &&
      ((quiet && now >= last_ + brake_pause) || (started_ && now >= first_ + brake_gather_max))) {
    judge(now);
  }
  if (!quiet || !gathered_.empty()) {
    return;
  }
  if (replica_.braked() && held_files_ == 0) {
    tell_all(held_);
    replica_.set_braked(false);
  }
  if (held_.empty()) {
    appeared_ = {};
  }
}

/// What was renamed away and has come to light under its new name since.
void Brake::drop_what_is_none() {
  for (auto place = held_.begin(); place != held_.end();) {
    const Path name = place->first;
    if (is_deletion(name)) {
      ++place;
      continue;
    }
    place = unhold(place);
    replica_.observe_absent(name);
  }
}

void Brake::judge(Instant now) {
  for (auto place = gathered_.begin(); place != gathered_.end();) {
    if (is_deletion(place->first)) {
      ++place;
    } else {
      replica_.observe_absent(place->first);
      place = gathered_.erase(place);
    }
  }
  if (replica_.braked() || is_suspicious(now)) {
    hold(now);
    return;
  }
  if (const std::uint64_t files = counted(gathered_); files > 0) {
    told_.push_back({now, files});
  }
  tell_all(gathered_);
}

std::uint64_t Brake::shown_files() const {
  return replica_.totals().files + replica_.totals().symlinks;
}

bool Brake::is_suspicious(Instant now) {
  while (!told_.empty() && told_.front().at + brake_window <= now) {
    told_.pop_front();
  }
  std::uint64_t told = 0;
  for (const Told& some : told_) {
    told += some.files;
  }
  const std::uint64_t gone = counted(gathered_) + told;
  const std::uint64_t before = shown_files() + told;
  return gone >= options_.files_min && gone * 100 > before * options_.percent;
}

void Brake::hold(Instant now) {
  if (held_.empty()) {
    held_since_ = now;
    probe_at_ = now + brake_probe_interval;
  }
  for (const auto& [name, counts] : gathered_) {
    held_files_ += counts ? 1 : 0;
    if (counts && probes_.size() < brake_probes_max) {
      probes_.try_emplace(Path(parent_of(name)), name);
    }
    replica_.set_missing(name, true);
  }
  held_.merge(gathered_);
  invariant(gathered_.empty(), "what is held is not gathered again");
  replica_.set_braked(true);
}

void Brake::tell_all(Names& names) {
  const Names all = std::exchange(names, {});
  for (const auto& [name, counts] : all) {
    replica_.set_missing(name, false);
    replica_.observe_absent(name);
  }
}

Brake::Names::iterator Brake::unhold(Names::iterator place) {
  held_files_ -= place->second ? 1 : 0;
  replica_.set_missing(place->first, false);
  return held_.erase(place);
}

Brake::Probe Brake::probe(Instant now) {
  Probe probe;
  if (!holding()) {
    probes_.clear();
    returned_ = false;
    return probe;
  }
  if (now < probe_at_) {
    return probe;
  }
  probe_at_ = now + brake_probe_interval;
  probe.everything = std::exchange(returned_, false);
  for (auto place = probes_.begin(); place != probes_.end();) {
    auto& [directory, name] = *place;
    if (!held_.contains(name)) {
      const auto other = held_.lower_bound(directory.empty() ? directory : directory + "/");
      if (other == held_.end() || !(directory.empty() || is_below(other->first, directory))) {
        place = probes_.erase(place);
        continue;
      }
      name = other->first;
    }
    probe.names.push_back(name);
    ++place;
  }
  return probe;
}

std::vector<Path> Brake::confirm() {
  std::vector<Path> names;
  for (auto place = held_.begin(); place != held_.end(); place = unhold(place)) {
    names.push_back(place->first);
    confirmed_.insert(place->first);
  }
  told_.clear();
  replica_.set_braked(false);
  return names;
}

void Brake::undo() {
  while (!held_.empty()) {
    // In this order: back for a moment, its bytes would be taken to be here.
    replica_.lost(held_.begin()->first);
    unhold(held_.begin());
  }
  replica_.set_braked(false);
}

std::optional<Problem> Brake::problem() const {
  if (!holding()) {
    return std::nullopt;
  }
  return Problem{"",
                 std::to_string(held_files_) + " of " + std::to_string(shown_files()) +
                     " files are gone here, and the other members have not been told: put them "
                     "back, or `p2psync confirm-deletes` deletes them everywhere, or with --undo "
                     "brings them back from the others",
                 held_since_};
}

std::optional<Instant> Brake::wake_at() const {
  std::optional<Instant> earliest = holding() ? std::optional(probe_at_) : std::nullopt;
  if (!gathered_.empty() && (quiet_ || started_)) {  // else an answer is still to come
    const Instant latest = first_ + brake_gather_max;
    const Instant judged = quiet_ ? std::min(last_ + brake_pause, latest) : latest;
    earliest = earliest ? std::min(*earliest, judged) : judged;
  }
  return earliest;
}

}  // namespace p2psync::engine
