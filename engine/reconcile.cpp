#include "engine/reconcile.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <variant>

#include "engine/stuck.h"

namespace p2psync::engine {
namespace {

constexpr Duration retry_first = std::chrono::milliseconds(500);
constexpr Duration retry_longest = std::chrono::seconds(30);
constexpr unsigned looks_at_once_max = 5;
/// Long enough for others to send it, and no long wait for what only this node has.
constexpr Duration distrust = std::chrono::seconds(10);

bool only_removes(const Plan& made) {
  return std::ranges::all_of(
      made.effects, [](const Plan::Effect& effect) { return !effect.after && !effect.moved; });
}

/// All that was planned stands, just as it was wanted, and nothing is left to plan.
bool settled(const Plan& made, const std::vector<StepResult>& results) {
  if (made.waits || !made.needs.empty() || results.size() != made.effects.size()) {
    return false;
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto* done = std::get_if<Done>(&results[i]);
    const Plan::Effect& effect = made.effects[i];
    const bool plain =
        done != nullptr && !done->displaced && !effect.before && !effect.moved && effect.after;
    if (!plain || !done->signature || done->signature->mode != effect.after->version.mode) {
      return false;
    }
  }
  return true;
}

using Floors = std::vector<std::pair<Actor, std::uint64_t>>;

/// Each actor's lowest.
void note_floors(Floors& floors, Floors more) {
  if (floors.empty()) {
    floors = std::move(more);
    return;
  }
  for (const auto& [actor, floor] : more) {
    const auto known = std::ranges::find(floors, actor, &Floors::value_type::first);
    if (known == floors.end()) {
      floors.emplace_back(actor, floor);
    } else {
      known->second = std::min(known->second, floor);
    }
  }
}

bool lays_directory(const Plan::Effect& effect, const Path& path) {
  return effect.name == path && effect.after && effect.after->version.kind == Kind::directory;
}

}  // namespace

/// They mostly come in path order: behind where one has gone the next one goes.
void Reconciler::add(std::vector<Dirty> dirty) {
  auto pending_at = pending_.end();
  auto ready_at = ready_.end();
  auto news_at = news_.end();
  for (auto& [path, floor] : dirty) {
    const auto pending = pending_.try_emplace(pending_at, path);
    note_floors(pending->second.floor, std::move(floor));
    pending->second.coming = false;
    if (const auto trouble = troubles_.find(path);
        trouble != troubles_.end() && trouble->second.error.code == ErrorCode::changed) {
      troubles_.erase(trouble);  // news: it may be about what was in the way
    }
    pending_at = std::next(pending);
    ready_at = std::next(ready_.insert(ready_at, path));
    news_at = std::next(news_.insert(news_at, std::move(path)));
  }
}

void Reconciler::ready(const Path& path) {
  if (const auto pending = pending_.find(path); pending != pending_.end()) {
    pending->second.coming = false;
    ready_.insert(ready_.end(), path);  // contents come in path order
  }
}

void Reconciler::ready_below(const Path& directory) {
  for (auto below = pending_.lower_bound(directory + "/");
       below != pending_.end() && is_below(below->first, directory); ++below) {
    if (!below->second.coming) {  // else when they are here
      ready_.insert(below->first);
    }
  }
}

void Reconciler::ready_awaited(const Plan& made) {
  for (const Path& path : made.awaited) {
    if (pending_.try_emplace(path).second) {
      ready_.insert(path);
    }
  }
}

void Reconciler::retry(const Path& name) {
  const Path& path = replica_.owner(name);
  if (const auto place = troubles_.find(path); place != troubles_.end()) {
    Trouble& trouble = place->second;
    if (trouble.looks == looks_at_once_max) {
      return;
    }
    ++trouble.looks;
    trouble.due = true;
  }
  ready(path);
}

/// Nothing when there is nothing to carry out, or not yet.
std::optional<Plan> Reconciler::plan_next(const Path& path, const Tell& need) {
  if (const auto trouble = troubles_.find(path);
      trouble != troubles_.end() && !trouble->second.due) {
    return std::nullopt;
  }
  Plan made = plan(replica_, path, coming_);
  need(path, made.needs);
  ready_awaited(made);
  if (made.waits && !made.needs.empty()) {
    pending_.at(path).coming = true;
  }
  if (made.done()) {
    pending_.erase(path);
    troubles_.erase(path);
  }
  return made.steps.empty() ? std::nullopt : std::optional(std::move(made));
}

void Reconciler::trust_again(Instant now) {
  std::erase_if(distrusted_, [&](const auto& item) {
    const bool over = item.second <= now;
    if (over) {
      replica_.set_distrusted(item.first, false);
    }
    return over;
  });
}

/// Steps found now would have to be planned again when their turn comes: what they rest on may
/// change with this very batch.
void Reconciler::plan_ahead(const Tell& need) {
  for (std::size_t planned = 0; !news_.empty() && planned < plans_a_step_max; ++planned) {
    const auto node = news_.extract(news_.begin());
    const Path& path = node.value();
    if (!flight_.contains(path) && !plan_next(path, need)) {
      ready_.erase(path);
    }
  }
}

std::optional<Apply> Reconciler::next(Instant now, const std::function<bool(const Path&)>& held_up,
                                      const Tell& need, bool coming) {
  std::erase_if(troubles_, [this](const auto& item) { return !pending_.contains(item.first); });
  for (auto& [path, trouble] : troubles_) {
    if (!trouble.due && trouble.retry <= now) {
      trouble.due = true;
      ready(path);
    }
  }
  for (const Path& directory : replica_.take_new_directories()) {
    if (coming_.erase(directory) == 0) {
      ready_below(directory);
    }
  }
  if (!coming || now >= gather_until_ || ready_.size() >= gathered_jobs) {
    gather_until_.reset();
  }
  if (in_flight() || gather_until_) {
    plan_ahead(need);
    return std::nullopt;
  }
  if (ready_.empty()) {
    return std::nullopt;
  }
  Apply batch;
  std::vector<Path> later;
  std::vector<ApplyJob> removals;
  std::unordered_set<Hash, HashOfHash> staged_taken;
  coming_.clear();
  more_ = false;
  for (std::size_t planned = 0; !ready_.empty() && flight_.size() < apply_jobs_max; ++planned) {
    if (planned == plans_a_step_max) {
      more_ = true;  // let others have their turn
      break;
    }
    const auto node = ready_.extract(ready_.begin());
    const Path& path = node.value();
    news_.erase(path);
    std::optional<Plan> steps = plan_next(path, need);
    if (!steps) {
      continue;
    }
    Plan& made = *steps;
    bool blocked = held_up(path);
    for (std::size_t i = 0; i < made.steps.size() && !blocked; ++i) {
      const Plan::Effect& effect = made.effects[i];
      blocked = held_up(effect.name) || (effect.moved && held_up(effect.moved->name));
      // A staged or found content is moved to its name: it serves one put, the others then copy
      // from there.
      const auto* kept = std::get_if<Kept>(&effect.source);
      const bool moves =
          std::holds_alternative<Staged>(effect.source) || (kept != nullptr && kept->move);
      blocked = blocked || (moves && !staged_taken.insert(effect.after->version.content).second);
    }
    if (blocked) {
      later.push_back(path);
      continue;
    }
    busy_names_.insert(path);
    for (const Plan::Effect& effect : made.effects) {
      if (effect.name != path) {
        busy_names_.insert(effect.name);
      }
      if (effect.moved) {
        busy_names_.insert(effect.moved->name);
      }
    }
    if (std::ranges::any_of(made.effects, [&](const Plan::Effect& effect) {
          return lays_directory(effect, path);
        })) {
      // What is below it is planned next (path order) and can be laid in the same batch.
      coming_.insert(path);
      ready_below(path);
    }
    (only_removes(made) ? removals : batch.jobs).push_back({path, std::exchange(made.steps, {})});
    flight_.emplace_hint(flight_.end(), path, std::move(made));
  }
  ready_.insert(later.begin(), later.end());
  held_up_ = later.size();
  // New names come before old ones go; a directory goes after what was in it.
  std::ranges::reverse(removals);
  std::ranges::move(removals, std::back_inserter(batch.jobs));
  if (batch.jobs.empty()) {
    return std::nullopt;
  }
  batch.batch = batch_in_flight_ = replica_.next_batch();
  for (const auto& [name, path] : replica_.doubtful()) {
    batch.doubtful.insert(path);
  }
  return batch;
}

Reconciler::Outcome Reconciler::done(Instant now, const ApplyDone& results) {
  Outcome outcome;
  std::map<Path, Plan> flight = std::exchange(flight_, {});
  busy_names_.clear();
  gather_until_ = now + gather_wait;
  replica_.applied(batch_in_flight_);
  auto next = flight.begin();  // they are in the order of the jobs
  for (const Applied& applied : results.jobs) {
    const bool in_turn = next != flight.end() && next->first == applied.path;
    const auto job = in_turn ? next : flight.find(applied.path);
    invariant(job != flight.end(), "a result belongs to a job in flight");
    next = std::next(job);
    Plan& made = job->second;
    invariant(applied.results.size() <= made.effects.size(), "at most one result a step");
    const bool all = settled(made, applied.results);
    for (std::size_t i = 0; i < applied.results.size(); ++i) {
      take(applied.path, made.effects[i], applied.results[i], now, outcome);
    }
    if (all && !ready_.contains(applied.path)) {
      pending_.erase(applied.path);  // to plan it again would find nothing
    } else {
      ready(applied.path);
    }
  }
  return outcome;
}

void Reconciler::take(const Path& path, Plan::Effect& effect, const StepResult& result, Instant now,
                      Outcome& outcome) {
  if (const auto* done = std::get_if<Done>(&result)) {
    laid(path, effect, *done, outcome);
    troubles_.erase(path);
  } else if (std::holds_alternative<Obstructed>(result)) {
    outcome.look.push_back(effect.name);
    if (const Path parent(parent_of(effect.name)); !parent.empty()) {
      outcome.look.push_back(parent);  // it may be what is gone
    }
    if (effect.moved) {
      outcome.look.push_back(effect.moved->name);
    }
    fail(path, {ErrorCode::changed, "apply", effect.name, 0}, now);
  } else if (std::holds_alternative<NotEmpty>(result)) {
    outcome.list.push_back(effect.name);
    fail(path, {ErrorCode::changed, "remove directory", effect.name, ENOTEMPTY}, now);
  } else if (std::holds_alternative<SourceGone>(result)) {
    const bool again = troubles_.contains(path);
    fail(path, {ErrorCode::changed, "copy to", effect.name, 0}, now);
    if (effect.after) {
      const Hash& content = effect.after->version.content;
      if (const auto* from = std::get_if<AtName>(&effect.source)) {
        outcome.look.push_back(from->name);
        if (again) {  // looks find there what copies do not: it is to come from elsewhere
          distrusted_[from->name] = now + distrust;
          replica_.set_distrusted(from->name, true);
          troubles_.at(path).due = true;
        }
      } else if (const auto* kept = std::get_if<Kept>(&effect.source)) {
        replica_.drop_kept_source(kept->file);
        replica_.drop_found(content);
      } else {
        replica_.drop_staged(content);
      }
    }
  } else if (const auto* unsure = std::get_if<Unsure>(&result)) {
    // Users have seen it, and what they do is to be judged by it; shown it is not before a look.
    std::optional<Shown> stands;
    if (effect.after && !unsure->emptied) {
      stands = Shown{effect.name, effect.after->dots, effect.after->version, {}};
      stands->signature.kind = stands->version.kind;
      source_used(effect, outcome);
    }
    replica_.doubt(path, effect.name, std::move(stands));
    outcome.look.push_back(effect.name);
    if (effect.moved) {
      const Place& place = *effect.moved;
      if (unsure->moved) {
        Shown copy{place.name, place.dots, place.version, {}};
        copy.signature.kind = copy.version.kind;
        replica_.doubt(path, place.name, std::move(copy));
      }
      outcome.look.push_back(place.name);
    }
    fail(path, unsure->error, now);
  } else if (const auto* error = std::get_if<Error>(&result)) {
    fail(path, *error, now);
  }
}

void Reconciler::source_used(const Plan::Effect& effect, Outcome& outcome) {
  if (!effect.after) {
    return;
  }
  const Version& version = effect.after->version;
  if (std::holds_alternative<Staged>(effect.source)) {
    replica_.drop_staged(version.content);
    if (version.size > 0) {  // an empty one is made anew
      outcome.staged_used.push_back(version.content);
    }
  } else if (const auto* kept = std::get_if<Kept>(&effect.source); kept != nullptr && kept->move) {
    replica_.drop_found(version.content);
    replica_.forget_kept(kept->file);
  }
}

void Reconciler::laid(const Path& path, Plan::Effect& effect, const Done& done, Outcome& outcome) {
  source_used(effect, outcome);
  bool kept = false;
  if (done.displaced) {
    const Displaced& displaced = *done.displaced;
    if (!displaced.as_expected) {
      replica_.observe_displaced(path, effect.before, effect.name, displaced.seen, displaced.file);
    } else if (effect.before && !displaced.file.empty()) {
      KeptVersion file{displaced.file, path, effect.before->version};
      file.version.copy = file.version.copy || effect.name != path;
      replica_.keep(std::move(file));
      kept = true;
    }
  }
  // A directory, what moved to another name or path, and what a user had written over just then.
  if (!kept && effect.before && effect.name == path &&
      !(effect.after && looks_like(effect.before->version, effect.after->version))) {
    replica_.depart(path, effect.before->version);
  }
  if (effect.after && done.signature) {
    Place& place = *effect.after;
    Shown shown{std::move(place.name), std::move(place.dots), std::move(place.version),
                *done.signature};
    const bool directory = shown.version.kind == Kind::directory;
    if (directory) {
      shown.version.mode = done.signature->mode;  // not the wanted one: then that is what is left
    }
    if (shown.signature.unproven()) {
      outcome.unproven.push_back(shown.name);
    }
    if (directory && !effect.before) {
      outcome.list.push_back(shown.name);  // what users do in it is to be watched from now on
    }
    replica_.show(path, std::move(shown));
  } else if (!effect.after) {
    replica_.unshow(path, effect.name);
  }
  if (effect.moved && done.moved) {
    if (done.moved->unproven()) {
      outcome.unproven.push_back(effect.moved->name);
    }
    Place& place = *effect.moved;
    replica_.show(path, {std::move(place.name), std::move(place.dots), std::move(place.version),
                         *done.moved});
  } else if (effect.moved) {
    outcome.look.push_back(effect.moved->name);
  }
}

void Reconciler::fail(const Path& path, const Error& error, Instant now) {
  const auto [place, fresh] = troubles_.try_emplace(path, Trouble{error, now, now, retry_first});
  Trouble& trouble = place->second;
  if (!fresh && (trouble.looks == 0 || trouble.looks == looks_at_once_max)) {
    trouble.delay = std::min(trouble.delay * 2, retry_longest);
  }
  trouble.error = error;
  trouble.retry = now + trouble.delay;
  trouble.due = false;
}

VersionVector Reconciler::held() const {
  VersionVector held = replica_.knowledge();
  for (const auto& [path, pending] : pending_) {
    for (const auto& [actor, floor] : pending.floor) {
      replica_.endings().lower(held, actor, floor);
    }
  }
  return held;
}

std::vector<Problem> Reconciler::problems() const {
  std::vector<Problem> list;
  for (const auto& [path, trouble] : troubles_) {
    if (trouble.error.code != ErrorCode::changed || trouble.error.error_number != 0) {
      list.push_back({path, told(trouble.error), trouble.since});
    }
  }
  return list;
}

bool Reconciler::disk_full() const {
  return std::ranges::any_of(troubles_, [](const auto& trouble) {
    return trouble.second.error.code == ErrorCode::no_space;
  });
}

std::optional<Instant> Reconciler::wake_at() const {
  const bool ahead = in_flight() || gather_until_;
  if (ahead ? !news_.empty() : more_) {
    return Instant{};
  }
  std::optional<Instant> earliest = ready_.empty() ? std::nullopt : gather_until_;
  for (const auto& [path, trouble] : troubles_) {
    if (!trouble.due && (!earliest || trouble.retry < *earliest)) {
      earliest = trouble.retry;
    }
  }
  for (const auto& [name, until] : distrusted_) {
    earliest = std::min(earliest.value_or(until), until);
  }
  return earliest;
}

}  // namespace p2psync::engine
