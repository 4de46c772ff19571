// What the program does: exchange, laying out on an ideal disk, crash and restart.
#include <algorithm>
#include <iterator>

#include "tests/sim/interleave_node.h"

namespace p2psync::sim {
namespace {

using namespace engine;

constexpr Instant now{std::chrono::hours(1)};
constexpr int batches_max = 50;

Item item_of(const Wanted& wanted) {
  return {wanted.kind, wanted.mode, wanted.mtime,
          wanted.kind == Kind::directory ? directory_content
                                         : static_cast<std::uint8_t>(wanted.content.bytes[0] - 1)};
}

Hello hello_of(const NodeOptions& options) {
  return {protocol_version, options.cluster, options.version, options.members, false};
}

/// The same mistake in every message, on purpose.
void spoil(Planted planted, Entries& message) {
  if (planted == Planted::skipped_entry && message.entries.size() > 1) {
    message.entries.pop_back();
  }
  if (planted == Planted::blind_merge) {
    message.knowledge = {};
    for (PathEntry& entry : message.entries) {
      entry.entry.context = {};
      for (const Sibling& sibling : entry.entry.versions) {
        entry.entry.context.add(sibling.dot);
      }
    }
  }
}

}  // namespace

void ModelNode::merge(const Scene& scene, const ModelNode& sender) {
  Replica theirs = sender.replica_;  // gossip takes rows in; they play no part here
  const NodeOptions here = options(scene, self_);
  const NodeOptions there = sender.options(scene, sender.self_);
  Gossip from(there, theirs);
  Gossip to(here, replica_);
  std::vector<Output> out;
  std::vector<Output> answers;
  from.peer_up(now, here.self, answers);
  from.on(now, here.self, hello_of(here), answers);
  to.peer_up(now, there.self, answers);
  to.on(now, there.self, hello_of(there), answers);
  from.on(now, here.self,
          Vectors{replica_.knowledge(), {}, replica_.index().summary().fingerprint, true}, out);
  for (Output& output : out) {
    if (auto* send = std::get_if<Send>(&output)) {
      if (auto* entries = std::get_if<Entries>(&send->message)) {
        spoil(scene.planted, *entries);
        to.on(now, there.self, std::move(*entries), answers);
      }
    }
  }
  heard_ |= sender.heard_;
  for (const Event& event : sender.history_) {
    const auto place = std::ranges::lower_bound(history_, event.id, {}, &Event::id);
    if (place == history_.end() || place->id != event.id) {
      history_.insert(place, event);
    }
  }
}

void ModelNode::hear(const Scene& scene, const ModelNode& sender) {
  merge(scene, sender);
  settle(scene, nullptr);
  if (scene.equal) {
    tick(sender);
  }
}

bool ModelNode::has(std::uint8_t content) const {
  Version version;
  version.content = hash_of(content);
  return replica_.available(version);
}

void ModelNode::fetch(const Scene& scene, std::uint8_t content) {
  replica_.add_staged(hash_of(content));
  staged_.insert(content);
  settle(scene, nullptr);
}

void ModelNode::settle(const Scene& scene, Log* log) {
  Reconciler reconciler(replica_);
  reconciler.add(pending_);
  std::map<Path, std::set<std::uint8_t>> needs;
  for (int round = 0;; ++round) {
    std::vector<Dirty> dirty = replica_.take_dirty();
    reconciler.add(dirty);
    std::ranges::move(dirty, std::back_inserter(pending_));
    std::vector<Path> fed;
    const auto need = [&](const Path& path, const std::vector<Need>& wanted) {
      needs[path].clear();
      for (const Need& each : wanted) {
        const auto content = static_cast<std::uint8_t>(each.content.bytes[0] - 1);
        if (scene.late) {
          needs[path].insert(content);
        } else {
          replica_.add_staged(each.content);
          staged_.insert(content);
          fed.push_back(path);
        }
      }
    };
    const auto batch = reconciler.next(now, [](const Path&) { return false; }, need, false);
    for (const Path& path : fed) {
      reconciler.content_changed(path);
    }
    if (batch) {
      if (log != nullptr) {
        *log = {replica_.index(), {}};
      }
      const ApplyDone done = apply(*batch, log);
      for (const Hash& used : reconciler.done(now, done).staged_used) {
        staged_.erase(static_cast<std::uint8_t>(used.bytes[0] - 1));
      }
    } else if (fed.empty()) {
      break;
    }
    if (round == batches_max) {
      broken_ = "the disk does not come to rest";
      break;
    }
  }
  missing_.clear();
  for (const auto& [path, contents] : needs) {
    missing_.insert(contents.begin(), contents.end());
  }
  if (reconciler.idle()) {
    pending_.clear();
    for (const std::uint8_t content : std::exchange(staged_, {})) {
      replica_.drop_staged(hash_of(content));
    }
  }
  (void)replica_.take_change();  // committed at once, but for hear_and_crash()
}

ApplyDone ModelNode::apply(const Apply& batch, Log* log) {
  // As storage does: contents are staged first, what is removed goes last.
  const std::map<std::string, Item> before = disk_;
  ApplyDone done{{}};
  for (const bool removals : {false, true}) {
    for (std::size_t i = 0; i < batch.jobs.size(); ++i) {
      const ApplyJob& job = batch.jobs[i];
      if (!removals) {
        done.jobs.push_back({job.path, std::vector<StepResult>(job.steps.size())});
      }
      for (std::size_t j = 0; j < job.steps.size(); ++j) {
        if (std::holds_alternative<Remove>(job.steps[j]) == removals) {
          done.jobs[i].results[j] = carry_out(job.path, job.steps[j], before, log);
        }
      }
    }
  }
  return done;
}

void ModelNode::demand(bool holds, const Path& path, const char* what) {
  if (!holds && broken_.empty()) {
    broken_ = "a step for " + path + " cannot be: " + what;
  }
}

std::optional<Signature> ModelNode::move(const Path& path, const Path& from,
                                         const std::optional<Moved>& moved, Log* log) {
  if (!moved) {
    return std::nullopt;
  }
  demand(!disk_.contains(moved->name), path, "the name is not free");
  demand(disk_[from].content == item_of(moved->wanted).content, path, "something else would move");
  disk_[moved->name] = disk_[from];
  if (log != nullptr) {
    log->steps.push_back({1, path, from, std::nullopt});
    log->steps.push_back({1, path, moved->name, moved->wanted});
  }
  return seen_of(disk_[moved->name]).signature;
}

StepResult ModelNode::carry_out(const Path& path, const Step& step,
                                const std::map<std::string, Item>& sources, Log* log) {
  const auto signature = [this](const Path& name) -> std::optional<Signature> {
    const auto place = disk_.find(name);
    return place == disk_.end() ? std::nullopt : std::optional(seen_of(place->second).signature);
  };
  const auto full = [this](const Path& name) {
    return std::ranges::any_of(disk_, [&](const auto& item) { return is_below(item.first, name); });
  };
  const auto demand = [this, &path](bool holds, const char* what) {
    this->demand(holds, path, what);
  };
  if (const auto* put = std::get_if<Put>(&step)) {
    demand(signature(put->name) == put->expected, "the name is not what was expected");
    demand(put->wanted.kind == Kind::directory || !full(put->name), "the directory is not empty");
    const Path parent(parent_of(put->name));
    demand(parent.empty() || (disk_.contains(parent) && disk_[parent].kind == Kind::directory),
           "there is no such directory");
    const Item item = item_of(put->wanted);
    if (const auto* from = std::get_if<AtName>(&put->source)) {
      demand(sources.contains(from->name) && sources.at(from->name).content == item.content,
             "the source holds something else");
    }
    auto moved = move(path, put->name, put->moved, log);
    disk_[put->name] = item;
    if (log != nullptr) {
      log->steps.push_back({1, path, put->name, put->wanted});
    }
    return Done{seen_of(item).signature, std::nullopt, std::move(moved)};
  }
  if (const auto* removal = std::get_if<Remove>(&step)) {
    demand(signature(removal->name) == removal->expected, "the name is not what was expected");
    demand(!full(removal->name), "the directory is not empty");
    auto moved = move(path, removal->name, removal->moved, log);
    disk_.erase(removal->name);
    if (log != nullptr && !moved) {
      log->steps.push_back({1, path, removal->name, std::nullopt});
    }
    return Done{std::nullopt, std::nullopt, std::move(moved)};
  }
  const Check& check = std::get<Check>(step);
  demand(signature(check.name) == check.expected, "the name is not what was expected");
  return Done{check.expected, std::nullopt, std::nullopt};
}

void ModelNode::restart(const Scene& scene) {
  reload(scene, {replica_.index(), {}});
}

void ModelNode::hear_and_crash(const Scene& scene, const ModelNode& sender) {
  merge(scene, sender);
  Log log{replica_.index(), {}};
  settle(scene, &log);
  reload(scene, std::move(log));
}

void ModelNode::reload(const Scene& scene, Log log) {
  Loaded loaded;
  loaded.index = std::move(log.index);
  loaded.relaid = std::move(log.steps);
  loaded.knowledge = replica_.knowledge();
  ++incarnation_;
  replica_ = Replica(options(scene, self_), std::move(loaded));
  staged_.clear();
  pending_.clear();
  for (const auto& [name, item] : disk_) {
    replica_.observe(name, seen_of(item));
  }
  std::vector<Path> gone;
  replica_.index().for_each("", "", [&](const Path&, const Record& record) {
    for (const Shown& shown : record.shown) {
      if (!disk_.contains(shown.name)) {
        gone.push_back(shown.name);
      }
    }
    return true;
  });
  for (const Path& name : gone) {
    replica_.observe_absent(name);
  }
  settle(scene, nullptr);
}

void ModelNode::collect(const VersionVector& stable) {
  replica_.collect(stable);
  (void)replica_.take_change();
}

bool ModelNode::learns_from_tick(const Scene& scene, const ModelNode& sender) const {
  const auto before = equal_.find(sender.self_);
  return scene.equal && replica_.any_alike() &&
         sender.replica_.knowledge() == replica_.knowledge() &&
         (before == equal_.end() || before->second != replica_.knowledge());
}

void ModelNode::collapse(const Scene& scene) {
  VersionVector shown = replica_.knowledge();
  for (const auto& [node, knowledge] : equal_) {
    if (scene.planted != Planted::hasty_collapse) {
      shown.meet(knowledge);
    }
  }
  replica_.collapse(shown, SIZE_MAX);
  (void)replica_.take_change();
}

}  // namespace p2psync::sim
