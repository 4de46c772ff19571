// The part of the replica that begins: what the index holds, and what the disk shows beyond it.
#include <algorithm>

#include "engine/replica.h"

namespace p2psync::engine {

/// Most of a tree is so at a start, and is not planned. (A file where something belongs below it is
/// planned all the same, as what that waits for.)
bool is_laid(const Path& path, const Record& record) {
  if (!record.doubts.empty() || record.entry.versions.size() != 1 || record.shown.size() != 1) {
    return false;
  }
  const Sibling& version = record.entry.versions[0];
  const Shown& shown = record.shown[0];
  return shown.name == path && shown.dots == std::vector{version.dot} &&
         shown.version == version.version && !version.version.copy;
}

void Replica::renew(std::uint64_t incarnation) {
  actor_.incarnation = incarnation;
  sequence_ = 0;
}

void Replica::load(Loaded loaded) {
  endings_ = std::move(loaded.endings);
  knowledge_ = std::move(loaded.knowledge);
  for (HeldRow& row : loaded.rows) {
    rows_[row.member] = std::move(row);
  }
  for (const KeptVersion& kept : loaded.kept) {
    if (is_departure(kept.file)) {
      last_departure_ = std::max(last_departure_, left_at(kept.file));
      departed_.put(kept);
    } else {
      add_kept(kept);
    }
  }
  index_ = std::move(loaded.index);
  std::vector<Path> doubtful;
  std::vector<std::uint64_t> contents;
  index_.for_each_id([&](Index::Id id) {
    note_rules(index_.path(id));
    if (const auto plain = index_.plain(id); plain && plain->only_seen) {
      load(id, *plain);
      if (plain->kind == Kind::file) {
        contents.push_back(content_key(plain->content, id));
      }
      return;
    }
    Item room;
    const Item& item = index_.read(id, room);
    load(id, item.path, item.record);
    for (const Shown& shown : item.record.shown) {
      if (const auto content = shown.content()) {
        contents.push_back(content_key(*content, id));
      }
    }
    if (!item.record.doubts.empty()) {
      doubtful.push_back(item.path);
    }
  });
  contents_ = SortedBlocks(std::move(contents));
  for (const Path& path : doubtful) {
    load_doubts(path, loaded.relaid);
  }
  appeared_ = {};  // nothing has been asked for yet
  batch_ = loaded.applied;
  braked_ = loaded.braked;
  std::erase_if(loaded.relaid, [&](const Relaid& step) { return step.batch <= loaded.applied; });
  for (const Relaid& step : loaded.relaid) {
    batch_ = std::max(batch_, step.batch);
    applied_ = batch_;
  }
  if (!importing_) {  // a fresh index knows nothing that the steps could mean
    for (const Relaid& step : loaded.relaid) {
      relay(step);
    }
  }
}

/// As the next one, for what most are.
void Replica::load(Index::Id id, const Plain& plain) {
  const Dot& dot = plain.dot;
  events_[dot.actor].insert({dot.sequence, id});
  if (plain.imported && dot.actor.node == self_) {
    note_import(Path(index_.path(id)));
  }
  if (plain.kind == Kind::directory) {
    note_directory(id, plain.signature);
  }
  totals_.add(plain.kind, plain.size);
  const std::uint64_t held = known(rows_[self_].held).at(dot.actor);
  if (dot.sequence > held) {
    dirty_.push_back({Path(index_.path(id)), {{dot.actor, held}}});
  } else if (plain.copy) {
    mark_dirty(Path(index_.path(id)));
  }
}

void Replica::load(Index::Id id, const Path& path, const Record& record) {
  const Entry& entry = record.entry;
  reindex(id, {}, entry.context);
  note_alike(id, any_alike_in(entry));
  if (!entry.context.empty() && (!entry.live() || !entry.deletions.empty())) {
    tombstones_.insert(path);
  }
  for (const Sibling& sibling : entry.versions) {
    note_unlaid(sibling.dot);
    if (sibling.version.imported && sibling.dot.actor.node == self_) {
      note_import(path);
    }
  }
  for (const Shown& shown : record.shown) {
    count(path, shown, true);
    if (shown.version.kind == Kind::directory) {
      note_directory(id, shown.signature);
    }
    std::ranges::for_each(shown.dots, [this](const Dot& dot) { unlaid_own_.erase(dot); });
  }
  // What was not held when the process ended is not held before it is laid out.
  Dirty dirty{path, {}};
  for (const auto& [actor, sequence] : entry.context.items()) {
    if (const std::uint64_t held = known(rows_[self_].held).at(actor); sequence > held) {
      dirty.floor.emplace_back(actor, held);
    }
  }
  if (!dirty.floor.empty() || !is_laid(path, record)) {
    dirty_.push_back(std::move(dirty));
  }
}

/// Only what the disk bears out: a power cut may have undone what was laid.
void Replica::load_doubts(const Path& path, const std::vector<Relaid>& carried_out) {
  index_.update(path, [&](Record& record) {
    const auto gone = std::erase_if(record.doubts, [&](const Doubt& doubt) {
      return doubt.laid && std::ranges::none_of(carried_out, [&](const Relaid& step) {
               return step.name == doubt.name && step.wanted.has_value();
             });
    });
    if (gone > 0) {
      record_changed(path);
    }
    for (const Doubt& doubt : record.doubts) {
      doubtful_[doubt.name] = path;
    }
  });
}

void Replica::relay(const Relaid& step) {
  mark_dirty(step.path);
  if (!step.wanted) {
    unshow(step.path, step.name);
    return;
  }
  Shown laid{step.name, {}, {}, {}};
  laid.version.kind = step.wanted->kind;
  laid.version.mode = step.wanted->mode;
  laid.version.mtime = step.wanted->mtime;
  laid.version.size = step.wanted->size;
  laid.version.content = step.wanted->content;
  laid.version.target = step.wanted->target;
  for (const Place& place : layout(step.path)) {
    // The layout may have given it another name since; what the user saw is this version all the
    // same.
    if (looks_like(place.version, laid.version)) {
      laid.dots = place.dots;
      laid.version = place.version;
    }
  }
  laid.signature.kind =
      laid.version.kind;  // and nothing else that would match: the next look reads it
  show(step.path, std::move(laid));
}

}  // namespace p2psync::engine
