#include "engine/replica.h"

#include <algorithm>

namespace p2psync::engine {
namespace {

bool contains(const std::vector<Dot>& dots, const Dot& dot) {
  return std::ranges::binary_search(dots, dot);
}

Version plain_version(const Seen& seen) {
  Version version;
  version.kind = seen.signature.kind;
  version.mode = seen.signature.kind == Kind::symlink ? 0777 : seen.signature.mode;
  version.mtime = seen.signature.kind == Kind::directory ? 0 : seen.signature.mtime;
  version.size = seen.signature.kind == Kind::file ? seen.signature.size : 0;
  version.content = seen.content;
  version.target = seen.target;
  return version;
}

/// A signature that was taken within the timestamps' grain proves nothing: the next look reads
/// again.
Signature trusted(const Seen& seen) {
  Signature signature = seen.signature;
  if (seen.fresh) {
    signature.ctime = 0;
  }
  return signature;
}

void add_superseded(std::vector<std::uint64_t>& list, std::uint64_t name) {
  if (list.size() < superseded_max && std::ranges::find(list, name) == list.end()) {
    list.push_back(name);
  }
}

/// What a new event records of what it replaced: the versions first, then what those had replaced.
std::vector<std::uint64_t> superseded_by_replacing(const Entry& entry, const std::vector<Dot>& dots,
                                                   bool deletions) {
  std::vector<std::uint64_t> list;
  for (const auto& [dot, version] : entry.versions) {
    if (contains(dots, dot)) {
      add_superseded(list, recognition(version));
    }
  }
  for (const auto& [dot, version] : entry.versions) {
    if (contains(dots, dot)) {
      for (const std::uint64_t older : version.superseded) {
        add_superseded(list, older);
      }
    }
  }
  if (deletions) {
    for (const Deletion& deletion : entry.deletions) {
      for (const std::uint64_t older : deletion.superseded) {
        add_superseded(list, older);
      }
    }
  }
  return list;
}

std::optional<Signature> directory_of(const Shown& shown) {
  return shown.version.kind == Kind::directory ? std::optional(shown.signature) : std::nullopt;
}

}  // namespace

Replica::Replica(const NodeOptions& options, Loaded loaded)
    : self_(options.self),
      actor_{options.self, options.incarnation},
      importing_(options.fresh_index),
      contents_seed_(options.seed),
      keep_versions_(options.keep_versions) {
  for (const MemberName& member : options.members) {
    if (member.id == self_) {
      label_ = member.name;
    }
  }
  invariant(!label_.empty(), "a node is one of its members");
  load(std::move(loaded));
  HeldRow& own = rows_[self_];
  own.member = self_;
  own.epoch = options.index_epoch;
}

const Path& Replica::owner(const Path& name) const {
  const auto copy = copies_.find(name);
  return copy == copies_.end() ? name : copy->second;
}

Path Replica::origin(const Path& name, const Hash& content) const {
  if (const Path& path = owner(name); path != name) {
    return path;
  }
  for (Path& original : possible_originals(name)) {
    const Record* record = index_.find(original);
    const bool has =
        record != nullptr &&
        std::ranges::any_of(record->entry.versions, [&](const Sibling& sibling) {
          return sibling.version.kind == Kind::file && sibling.version.content == content;
        });
    if (has) {
      return std::move(original);
    }
  }
  return name;
}

const Shown* Replica::shown(const Path& name) const {
  const Record* record = index_.find(owner(name));
  if (record == nullptr) {
    return nullptr;
  }
  const auto place = std::ranges::find(record->shown, name, &Shown::name);
  return place == record->shown.end() ? nullptr : &*place;
}

const Record& Replica::record(const Path& path) const {
  static const Record nothing;
  const Record* record = index_.find(path);
  return record == nullptr ? nothing : *record;
}

std::vector<Place> Replica::layout(const Path& path, const Record& record) const {
  return engine::layout(
      path, record.entry, index_.any_live_below(path), [this](std::string_view name) {
        const Record* other = index_.find(name);
        const bool stands =
            other != nullptr &&
            (other->entry.live() ||
             std::ranges::any_of(other->shown, [&](const Shown& s) { return s.name == name; }));
        return stands || index_.any_live_below(name);
      });
}

Dot Replica::mint() {
  const Dot dot{actor_, ++sequence_};
  knowledge_.add(dot);
  knowledge_changed_ = true;
  matrix_.reset();
  return dot;
}

Version Replica::version_of(const Path& path, const Path& name, const Seen& seen,
                            const std::optional<Shown>& old, const Entry& entry,
                            const Dot& dot) const {
  Version version = plain_version(seen);
  version.superseded =
      superseded_by_replacing(entry, old ? old->dots : std::vector<Dot>(), name == path);
  version.label = label_;
  version.tag = tag_of(dot);
  version.rank = version.mtime;
  version.imported = importing_ && !old;
  if (old && same_content(old->version, version)) {
    version.metadata_only = true;
    version.base = old->version.metadata_only ? old->version.base : recognition(old->version);
  }
  if (!old) {
    return version;
  }
  if (name != path) {
    version.copy = true;
    // Without a label: laid before a crash for an entry that was not recorded, nobody knows whose.
    if (!old->version.label.empty()) {
      // A copy keeps its name under an open editor: label, tag and place in the order stay.
      version.label = old->version.label;
      version.tag = old->version.tag;
      version.rank = old->version.rank;
    }
    return version;
  }
  // An edit counts as at least as late as what it replaced; an order by mtime alone would not
  // extend causality and leave equal vectors with different bytes.
  const auto raise = [&version](std::int64_t replaced) {
    if (version.rank <= replaced) {
      version.rank = replaced == INT64_MAX ? replaced : replaced + 1;
    }
  };
  raise(old->version.rank);
  for (const auto& [replaced, sibling] : entry.versions) {
    if (contains(old->dots, replaced)) {
      raise(sibling.rank);
    }
  }
  return version;
}

Version Replica::write(const Path& path, const Path& name, const Seen& seen,
                       const std::optional<Shown>& old, bool visible, const Version* over) {
  Entry entry = record(path).entry;
  const Dot dot = mint();
  Version version = version_of(path, name, seen, old, entry, dot);
  if (over != nullptr && !same_content(*over, version)) {
    add_superseded(version.superseded, recognition(*over));
  }
  if (old) {
    std::erase_if(entry.versions,
                  [&](const Sibling& sibling) { return contains(old->dots, sibling.dot); });
  }
  if (name == path && !version.imported) {
    entry.deletions.clear();  // the new version carries their notes on
  }
  entry.versions.insert(std::ranges::upper_bound(entry.versions, dot, {}, &Sibling::dot),
                        {dot, version});
  entry.context.add(dot);
  if (version.imported) {
    note_import(name);
  }
  set_entry(path, std::move(entry));
  if (visible) {
    show(path, {name, {dot}, version, trusted(seen)});
  }
  return version;
}

void Replica::remove(const Path& path, const Shown& old) {
  if (old.name == path) {
    depart(path, old.version);
  }
  unshow(path, old.name);
  delete_version(path, old);
}

void Replica::delete_version(const Path& path, const Shown& old) {
  const Record& known = record(path);
  Entry entry = known.entry;
  const bool stands =
      std::ranges::any_of(old.dots, [&](const Dot& dot) { return entry.find(dot) != nullptr; });
  std::set<Dot> copies;
  if (old.name == path) {
    for (const Shown& other : known.shown) {
      if (other.name != path) {
        copies.insert(other.dots.begin(), other.dots.end());
      }
    }
  }
  if (!stands && copies.empty()) {
    return;  // what the user deleted was superseded already, or only implied
  }
  const Dot dot = mint();
  Deletion deletion{dot, superseded_by_replacing(entry, old.dots, old.name == path)};
  std::erase_if(entry.versions,
                [&](const Sibling& sibling) { return contains(old.dots, sibling.dot); });
  for (Sibling& sibling : entry.versions) {
    sibling.version.copy = sibling.version.copy || copies.contains(sibling.dot);
  }
  if (old.name == path) {
    entry.deletions.clear();
  }
  entry.deletions.insert(std::ranges::upper_bound(entry.deletions, dot, {}, &Deletion::dot),
                         std::move(deletion));
  entry.context.add(dot);
  set_entry(path, std::move(entry));
}

bool Replica::adopt(const Path& path, const Path& name, const Version& version,
                    const Signature& signature) {
  for (Place& place : layout(path)) {
    // An implied directory is not adopted: what a user made must be an entry of its own.
    if (place.name == name && !place.dots.empty() && stands_for(version, place.version)) {
      show(path, {name, std::move(place.dots), std::move(place.version), signature});
      mark_dirty(path);
      return true;
    }
  }
  return false;
}

void Replica::doubt(const Path& path, const Path& name, std::optional<Shown> laid) {
  settle_doubt(name, nullptr);
  index_.update(path, [&](Record& record) { record.doubts.push_back({name, std::move(laid)}); });
  doubtful_[name] = path;
  record_changed(path);
}

bool Replica::in_doubt(const Path& path) const {
  return !record(path).doubts.empty();
}

/// `found`: what a look found there, or nothing. The very file that is on record is there: then the
/// step was undone. Whatever else is or is not there, users saw what the step had laid.
void Replica::settle_doubt(const Path& name, const Signature* found) {
  const auto place = doubtful_.find(name);
  if (place == doubtful_.end()) {
    return;
  }
  const Path path = place->second;
  doubtful_.erase(place);
  std::optional<Shown> laid;
  index_.update(path, [&](Record& record) {
    const auto doubt = std::ranges::find(record.doubts, name, &Doubt::name);
    laid = std::move(doubt->laid);
    record.doubts.erase(doubt);
  });
  record_changed(path);
  mark_dirty(path);
  const Shown* old = shown(name);
  if (found != nullptr && old != nullptr && !old->signature.unproven()) {
    Signature before = old->signature;
    before.ctime = found->ctime;  // renames change it
    if (before == *found) {
      return;
    }
  }
  if (laid) {
    show(path, std::move(*laid));
  } else {
    unshow(path, name);
  }
}

void Replica::observe(const Path& name, const Seen& seen) {
  settle_doubt(name, &seen.signature);
  if (seen.signature.kind == Kind::directory && owner(name) != name) {
    // A directory where a copy was: the copy is gone, and this is a path of its own. What is put
    // into it could not follow if it were a sibling of the path that the copy belonged to.
    const Path original = owner(name);
    const Shown copy = *shown(name);
    remove(original, copy);
  }
  const Path path = owner(name);
  const Shown* now = shown(name);
  const std::optional<Shown> old = now == nullptr ? std::nullopt : std::optional(*now);
  const Version version = plain_version(seen);
  if (old && stands_for(version, old->version)) {
    const Signature signature = trusted(seen);
    if (old->signature != signature) {
      show(path, {name, old->dots, old->version, signature});
    }
    return;
  }
  // What the entries want already stands there: a crash came between laying it and recording that.
  // But what took the place of a live version is a user's doing, and adopting it would leave that
  // one live.
  const Record* record = index_.find(path);
  const bool replaces =
      old && record != nullptr && std::ranges::any_of(old->dots, [&](const Dot& dot) {
        return record->entry.find(dot) != nullptr;
      });
  if (!replaces && adopt(path, name, version, trusted(seen))) {
    return;
  }
  if (!old) {
    for (const Path& original : possible_originals(name)) {
      if (index_.find(original) != nullptr && adopt(original, name, version, trusted(seen))) {
        return;
      }
    }
  }
  if (old && name == path && !old->signature.is_out_of_sight()) {
    depart(path, old->version);
  }
  write(path, name, seen, old, true);
}

void Replica::observe_absent(const Path& name) {
  settle_doubt(name, nullptr);
  if (const Shown* now = shown(name)) {
    const Shown old = *now;
    const Path path = owner(name);  // a copy: the map it stands in changes
    if (old.signature.is_out_of_sight()) {
      unshow(path, name);
    } else {
      remove(path, old);
    }
  }
}

void Replica::observe_displaced(const Path& path, const std::optional<Shown>& old, const Path& name,
                                const Seen& seen, const std::string& file) {
  if (seen.signature.kind == Kind::file) {
    add_found(seen.content, file);
  }
  // What it held may have been replaced elsewhere long ago; should power bring that back, it is
  // known.
  const auto kept = kept_.find(file);
  const auto over = kept ? std::optional(kept->version()) : std::nullopt;
  keep({file, path, write(path, name, seen, old, false, over ? &*over : nullptr)});
}

void Replica::show(const Path& path, Shown shown) {
  if (!unlaid_own_.empty()) {
    std::ranges::for_each(shown.dots, [this](const Dot& dot) { unlaid_own_.erase(dot); });
  }
  if (shown.version.kind == Kind::directory) {
    new_directories_.push_back(shown.name);
  }
  note_rules(shown.name);
  const std::optional<Hash> content = shown.content();
  const std::optional<Signature> directory = directory_of(shown);
  std::optional<Hash> old;
  std::optional<Signature> old_directory;
  const Index::Id id = index_.update(path, [&](Record& record) {
    const auto place = std::ranges::lower_bound(record.shown, shown.name, {}, &Shown::name);
    const bool again = place != record.shown.end() && place->name == shown.name;
    if (again) {
      count(path, *place, false);
      old = place->content();
      old_directory = directory_of(*place);
    }
    count(path, shown, true);
    if (again) {
      *place = std::move(shown);
    } else {
      record.shown.insert(place, std::move(shown));
    }
  });
  if (old_directory) {
    forget_directory(id, *old_directory);
  }
  if (directory) {
    note_directory(id, *directory);
  }
  if (old && old != content) {
    unlist_content(path, id, *old);
  }
  if (content) {
    list_content(id, *content);
  }
  record_changed(path);
}

void Replica::unshow(const Path& path, const Path& name) {
  bool gone = false;
  std::optional<Hash> content;
  std::optional<Signature> directory;
  const Index::Id id = index_.update(path, [&](Record& record) {
    const auto place = std::ranges::find(record.shown, name, &Shown::name);
    if (place != record.shown.end()) {
      count(path, *place, false);
      directory = directory_of(*place);
      content = place->content();
      record.shown.erase(place);
      gone = true;
    }
  });
  if (!gone) {
    return;
  }
  note_rules(name);
  if (directory) {
    forget_directory(id, *directory);
  }
  if (content) {
    unlist_content(path, id, *content);
  }
  record_changed(path);
  mark_dirty(path);
  // Whoever waits for the name, or for the directory to become empty, can go on.
  if (name != path) {
    mark_dirty(name);
  } else {
    for (const Path& original : possible_originals(name)) {
      mark_dirty(original);
    }
  }
  if (const std::string_view parent = parent_of(name); !parent.empty()) {
    mark_dirty(Path(parent));
  }
}

void Replica::count(const Path& path, const Shown& shown, bool add) {
  const std::uint64_t by = add ? 1 : UINT64_MAX;  // modulo 2^64: one less
  totals_.add(shown.version.kind, shown.version.size, by);
  if (shown.name != path) {
    totals_.conflicts += by;
    if (add) {
      copies_[shown.name] = path;
    } else {
      copies_.erase(shown.name);
    }
  }
}

}  // namespace p2psync::engine
