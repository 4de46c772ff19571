// The part of the replica that other members see: entries, knowledge, the matrix of what members
// hold.
#include <xxhash.h>

#include <algorithm>
#include <bit>

#include "engine/replica.h"

namespace p2psync::engine {
namespace {

bool has_directory(const Entry& entry) {
  return std::ranges::any_of(entry.versions, [](const Sibling& sibling) {
    return sibling.version.kind == Kind::directory;
  });
}

/// Whatever lives below, it stands as a directory; beside other siblings one may be hidden.
bool is_directory_only(const Entry& entry) {
  return entry.live() && std::ranges::all_of(entry.versions, [](const Sibling& sibling) {
           return sibling.version.kind == Kind::directory;
         });
}

bool is_tombstone(const Entry& entry) {
  return !entry.context.empty() && (!entry.live() || !entry.deletions.empty());
}

}  // namespace

/// Of incarnations that are over and that everybody has seen in full, a context need name only what
/// is still there.
void Replica::forget_ended(Entry& entry) const {
  if (endings_.lengths().empty()) {
    return;
  }
  VersionVector dots;
  for (const Sibling& sibling : entry.versions) {
    dots.add(sibling.dot);
  }
  for (const Deletion& deletion : entry.deletions) {
    dots.add(deletion.dot);
  }
  entry.context.drop_if([&](const Actor& actor, std::uint64_t sequence) {
    return dots.at(actor) == 0 && endings_.has_ended(stable_, {actor, sequence});
  });
}

void Replica::set_entry(const Path& path, Entry entry) {
  drop_stale_imports(entry);
  forget_ended(entry);
  const Entry& before = record(path).entry;
  const bool live_before = before.live();
  const bool live_after = entry.live();
  const bool alike = any_alike_in(entry);
  const bool kinds_changed = has_directory(before) != has_directory(entry);
  Dirty dirty{path, {}};
  for (const auto& [actor, sequence] : entry.context.items()) {
    const std::uint64_t had = before.context.at(actor);
    if (sequence > had) {
      const std::uint64_t before_it = actor == actor_ ? sequence - 1 : known().at(actor);
      if (before_it < sequence) {
        dirty.floor.emplace_back(actor, std::max(had, before_it));
      }
    }
  }
  dirty_.push_back(std::move(dirty));
  const VersionVector seen_before = before.context;
  const VersionVector seen_after = entry.context;
  if (is_tombstone(entry)) {
    tombstones_.insert(path);
  } else {
    tombstones_.erase(path);
  }
  const Index::Id id =
      index_.update(path, [&entry](Record& changed) { changed.entry = std::move(entry); });
  reindex(id, seen_before, seen_after);
  note_alike(id, alike);
  record_changed(path);
  if (live_before != live_after || kinds_changed) {
    liveness_changed(path);
  }
}

void Replica::reindex(Index::Id id, const VersionVector& before, const VersionVector& after) {
  for (const auto& [actor, sequence] : before.items()) {
    if (after.at(actor) != sequence) {
      auto& events = events_[actor];
      events.erase({sequence, id});
      if (events.empty()) {
        events_.erase(actor);
      }
    }
  }
  for (const auto& [actor, sequence] : after.items()) {
    if (before.at(actor) != sequence) {
      events_[actor].insert({sequence, id});
    }
  }
}

void Replica::liveness_changed(const Path& path) {
  // A directory without a version of its own stands as long as something lives below it.
  for (std::string_view parent = parent_of(path); !parent.empty(); parent = parent_of(parent)) {
    const Record* record = index_.find(parent);
    if (record != nullptr && is_directory_only(record->entry)) {
      break;
    }
    mark_dirty(Path(parent));
  }
  // A conflict copy gives way to a path that is live under its name.
  if (const auto copy = copies_.find(path); copy != copies_.end()) {
    mark_dirty(copy->second);
  }
  for (const Path& original : possible_originals(path)) {
    mark_dirty(original);
  }
}

void Replica::merge(const PathEntry& theirs, const VersionVector& seen) {
  const Entry& mine = record(theirs.path).entry;
  Entry merged = engine::merge(mine, known(), theirs.entry, known(seen));
  forget_ended(merged);
  if (merged == mine) {
    return;
  }
  for (const Sibling& sibling : merged.versions) {
    if (mine.find(sibling.dot) == nullptr) {
      note_unlaid(sibling.dot);
    }
  }
  set_entry(theirs.path, std::move(merged));
  retract_imports(theirs.path);
}

void Replica::retract_imports(const Path& path) {
  // With a lost index a conflict copy is read in as a file of its own. When the entry that it was a
  // copy of arrives, the import is taken back by the node that made it, and the name shows that
  // sibling again.
  if (imported_copies_.empty()) {
    return;
  }
  const Record* record = index_.find(path);
  if (record == nullptr) {
    return;
  }
  const Entry entry = record->entry;
  const std::string prefix = path + ".conflict-";
  for (auto place = imported_copies_.lower_bound(prefix);
       place != imported_copies_.end() && place->starts_with(prefix);) {
    const Path name = *place;
    const Record* import = index_.find(name);
    const Shown* shown_now = shown(name);
    const bool untouched = import != nullptr && shown_now != nullptr && owner(name) == name &&
                           import->entry.versions.size() == 1 &&
                           import->entry.versions[0].version.imported;
    if (!untouched) {
      place = imported_copies_.erase(place);
      continue;
    }
    const std::uint64_t mark = recognition(import->entry.versions[0].version);
    const bool known = has_superseded(entry, mark) ||
                       std::ranges::any_of(entry.versions, [mark](const Sibling& sibling) {
                         return recognition(sibling.version) == mark;
                       });
    if (!known) {
      ++place;
      continue;
    }
    place = imported_copies_.erase(place);
    const Shown old = *shown_now;
    Entry retracted = import->entry;
    retracted.versions.clear();
    retracted.context.add(mint());
    unshow(name, name);
    set_entry(name, std::move(retracted));
    // Shown as a superseded sibling of the path: if the layout wants it there it is adopted, else
    // it goes.
    show(path, {name, {}, old.version, old.signature});
    mark_dirty(path);
  }
}

bool Replica::retract(const Path& path, const Hash& content) {
  const Record* record = index_.find(path);
  if (record == nullptr) {
    return false;
  }
  Entry entry = record->entry;
  const auto gone = std::erase_if(entry.versions, [&](const Sibling& sibling) {
    return sibling.version.kind == Kind::file && sibling.version.content == content &&
           unlaid_own_.contains(sibling.dot);
  });
  if (gone == 0) {
    return false;
  }
  entry.context.add(mint());
  set_entry(path, std::move(entry));
  return true;
}

void Replica::learn(std::span<const SequenceRange> ranges) {
  bool news = false;
  for (const auto& [actor, from, to] : ranges) {
    // A gap would claim events that were never merged, and the lack of their siblings would then
    // delete.
    const std::uint64_t before = known().at(actor);
    if (before >= from && to > before && actor.incarnation != 0) {
      knowledge_.add({actor, to});
      news = true;
    }
  }
  if (news) {
    endings_.fold(knowledge_);
    knowledge_changed_ = true;
    matrix_.reset();
  }
}

std::vector<std::pair<Actor, std::uint64_t>> Replica::past() const {
  std::vector<std::pair<Actor, std::uint64_t>> past;
  for (const auto& [actor, sequence] : knowledge_.items()) {
    if (actor.node == self_ && actor != actor_ && actor.incarnation != 0 &&
        !endings_.listed(actor)) {
      past.emplace_back(actor, sequence);
    }
  }
  return past;
}

void Replica::end(const Actor& actor) {
  list(actor.node, {actor.incarnation, known().at(actor)});
  fold();
}

bool Replica::take(const ToldEndings& told) {
  const std::span<const Ending> mine = endings_.of(told.node);
  const std::uint64_t end = told.from + told.endings.size();
  if (end <= mine.size()) {
    return endings_.mark(told.node, end) == told.mark;
  }
  if (told.from > mine.size()) {
    return true;  // it took this node for one that has more: the next time it knows
  }
  const auto news = std::span(told.endings).subspan(mine.size() - told.from);
  std::uint64_t mark = endings_.mark(told.node, mine.size());
  for (const Ending& ending : news) {
    const Actor actor{told.node, ending.incarnation};
    if (actor == actor_ || endings_.listed(actor)) {
      return false;
    }
    mark = Endings::mark_after(mark, ending);
  }
  if (mark != told.mark) {
    return false;
  }
  for (const Ending& ending : news) {
    list(told.node, ending);
  }
  fold();
  return true;
}

void Replica::list(NodeId node, const Ending& ending) {
  if (endings_.add(node, ending)) {
    new_endings_.push_back({node, endings_.of(node).size(), ending});
  }
}

/// After a list has grown.
void Replica::fold() {
  matrix_.reset();
  endings_.fold(knowledge_);
  knowledge_changed_ = true;
  for (auto& [member, row] : rows_) {
    endings_.fold(row.held);
    changed_rows_.insert(member);
  }
}

bool Replica::join_row(const HeldRow& row) {
  if (row.member == self_) {
    return false;  // nobody knows better than we do
  }
  HeldRow& mine = rows_[row.member];
  const HeldRow before = mine;
  mine.member = row.member;
  if (row.epoch > mine.epoch) {
    mine = row;
  } else if (row.epoch == mine.epoch) {
    mine.held.join(row.held);
  }
  endings_.fold(mine.held);
  if (mine == before) {
    return false;
  }
  changed_rows_.insert(row.member);
  matrix_.reset();
  return true;
}

void Replica::set_own_held(const VersionVector& held) {
  HeldRow& own = rows_[self_];
  if (own.held != held) {
    own.held.join(held);
    endings_.fold(own.held);
    changed_rows_.insert(self_);
    matrix_.reset();
  }
}

void Replica::for_events(const Actor& actor, std::uint64_t from,
                         const std::function<bool(std::uint64_t, const Path&)>& visit) const {
  const auto events = events_.find(actor);
  if (events == events_.end()) {
    return;
  }
  if (from == UINT64_MAX) {
    return;
  }
  events->second.for_each_from({from + 1, 0}, [&](const Event& event) {
    return visit(event.sequence(), index_.item(event.id).path);
  });
}

VersionVector Replica::stable(std::span<const MemberName> members) const {
  VersionVector lowest = knowledge_;
  for (const MemberName& member : members) {
    const auto row = rows_.find(member.id);
    if (row == rows_.end()) {
      return {};
    }
    lowest = endings_.meet(lowest, row->second.held);
  }
  return lowest;
}

void Replica::collect(const VersionVector& stable) {
  if (stable == stable_) {
    return;
  }
  stable_ = stable;
  const Known held = known(stable_);
  std::vector<Path> done;
  for (const Path& path : tombstones_) {
    const Record* record = index_.find(path);
    const Entry& entry = record->entry;
    const bool notes =
        std::ranges::any_of(entry.deletions, [&](const Deletion& d) { return held.covers(d.dot); });
    const bool whole = !entry.live() && held.covers(entry.context);
    if (notes || whole) {
      done.push_back(path);
    }
  }
  for (const Path& path : done) {
    Entry entry = index_.find(path)->entry;
    std::erase_if(entry.deletions,
                  [&](const Deletion& deletion) { return held.covers(deletion.dot); });
    if (!entry.live() && entry.deletions.empty() && held.covers(entry.context)) {
      // Knowledge remembers for the entry: what it covers and no entry holds was removed.
      reindex(*index_.id(path), entry.context, {});
      entry = {};
    }
    if (!is_tombstone(entry)) {
      tombstones_.erase(path);
    }
    index_.update(path, [&entry](Record& record) { record.entry = std::move(entry); });
    record_changed(path);
  }
}

void Replica::note_alike(Index::Id id, bool alike) {
  if (alike) {
    alike_.insert(id);
  } else {
    alike_.erase(id);
  }
}

void Replica::collapse(const VersionVector& shown, std::size_t paths_max) {
  if (shown != collapsed_) {
    collapsed_ = shown;
    collapse_rounds_ = 2;
  }
  if (!collapsing()) {
    return;
  }
  std::vector<Index::Id> some;
  alike_.for_each_from(collapse_from_, [&](Index::Id id) {
    some.push_back(id);
    return some.size() < paths_max;
  });
  for (const Index::Id id : some) {
    const auto& [path, record, fingerprint] = index_.item(id);
    Entry entry = record.entry;
    if (!engine::collapse(entry, known(shown))) {
      continue;
    }
    // Laid out it is what it was, so this is no business of the disk's.
    index_.update(Path(path), [&entry](Record& changed) {
      for (Shown& name : changed.shown) {
        std::erase_if(name.dots, [&](const Dot& dot) {
          return changed.entry.find(dot) != nullptr && entry.find(dot) == nullptr;
        });
      }
      changed.entry = std::move(entry);
    });
    record_changed(index_.item(id).path);
    note_alike(id, any_alike_in(index_.item(id).record.entry));
  }
  if (some.size() < paths_max) {
    collapse_from_ = 0;
    --collapse_rounds_;
  } else {
    collapse_from_ = some.back() + 1;
  }
}

/// Asked for with every tick, sent or received. Nodes compare it: little endian everywhere.
Fingerprint Replica::matrix_fingerprint() const {
  if (matrix_) {
    return *matrix_;
  }
  std::vector<std::uint64_t> numbers;
  std::size_t items = knowledge_.items().size();
  for (const auto& [member, row] : rows_) {
    items += row.held.items().size();
  }
  numbers.reserve(1 + 3 * items + 3 * rows_.size());
  const auto add = [&numbers](std::uint64_t value) {
    numbers.push_back(std::endian::native == std::endian::little ? value
                                                                 : __builtin_bswap64(value));
  };
  const auto add_vector = [&add](const VersionVector& vector) {
    add(vector.items().size());
    for (const auto& [actor, sequence] : vector.items()) {
      add(actor.node);
      add(actor.incarnation);
      add(sequence);
    }
  };
  add_vector(knowledge_);
  for (const auto& [member, row] : rows_) {
    add(member);
    add(row.epoch);
    add_vector(row.held);
  }
  const XXH128_hash_t hash = XXH3_128bits(numbers.data(), numbers.size() * sizeof numbers.front());
  matrix_ = {hash.low64, hash.high64};
  return *matrix_;
}

std::vector<Dirty> Replica::take_dirty() {
  return std::exchange(dirty_, {});
}

Change Replica::take_change() {
  Change change;
  // Nearly always they are in order as they come: of a listing, of a batch, of a peer's entries.
  std::vector<Path> changed = std::exchange(changed_records_, {});
  if (!std::ranges::is_sorted(changed, PathLess())) {
    std::ranges::sort(changed, PathLess());
  }
  const auto again = std::ranges::unique(changed);
  changed.erase(again.begin(), again.end());
  change.records.reserve(changed.size());
  for (Path& path : changed) {
    const Record* record = index_.find(path);
    auto& made = change.records.emplace_back();
    made.path = std::move(path);
    if (record != nullptr) {
      made.record = *record;
    }
  }
  if (knowledge_changed_) {
    change.knowledge = knowledge_;
  }
  for (const NodeId member : changed_rows_) {
    change.rows.push_back(rows_.at(member));
  }
  change.endings = std::exchange(new_endings_, {});
  change.kept = std::exchange(new_kept_, {});
  change.forgotten = std::exchange(forgotten_, {});
  change.applied = std::exchange(applied_, std::nullopt);
  change.braked = std::exchange(new_braked_, std::nullopt);
  changed_rows_.clear();
  knowledge_changed_ = false;
  return change;
}

}  // namespace p2psync::engine
