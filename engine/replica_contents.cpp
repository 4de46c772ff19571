// The part of the replica that knows where contents and directories are on this disk.
#include <xxhash.h>

#include <algorithm>
#include <tuple>

#include "engine/replica.h"

namespace p2psync::engine {
namespace {

constexpr std::size_t similar_max = 4;

/// Of what it had replaced itself, only whether there was anything: that is all that is asked of a
/// version that has left (past.h).
void forget_superseded(Version& version) {
  version.superseded.resize(std::min<std::size_t>(version.superseded.size(), 1));
}

}  // namespace

std::uint64_t Replica::content_key(const Hash& content, Index::Id id) const {
  const XXH64_hash_t hash =
      XXH3_64bits_withSeed(content.bytes.data(), content.bytes.size(), contents_seed_);
  return hash >> 32 << 32 | id;
}

void Replica::list_content(Index::Id id, const Hash& content) {
  contents_.insert(content_key(content, id));
  appeared_.push_back(content);
}

/// One name of this path shows it no longer; others may.
void Replica::unlist_content(const Path& path, Index::Id id, const Hash& content) {
  if (std::ranges::none_of(record(path).shown,
                           [&](const Shown& shown) { return shown.content() == content; })) {
    contents_.erase(content_key(content, id));
  }
}

const Shown* Replica::showing(const Hash& content) const {
  const Shown* found = nullptr;
  const std::uint64_t first = content_key(content, 0);
  contents_.for_each_from(first, [&](std::uint64_t key) {
    if (key >> 32 != first >> 32) {
      return false;
    }
    for (const Shown& shown : index_.item(static_cast<Index::Id>(key)).record.shown) {
      if (shown.content() == content && !missing_.contains(shown.name) &&
          !distrusted_.contains(shown.name) && !shown.signature.is_out_of_sight()) {
        found = &shown;
      }
    }
    return found == nullptr;
  });
  return found;
}

std::optional<Index::Id> Replica::directory_id(std::uint64_t inode) const {
  std::optional<Index::Id> id;
  directories_.for_each_from({inode, 0}, [&](const DirectoryAt& at) {
    if (at.inode == inode) {
      id = at.id;
    }
    return false;
  });
  return id;
}

std::optional<Path> Replica::directory_with(std::uint64_t inode) const {
  std::optional<Path> found;
  if (const auto id = directory_id(inode)) {
    for (const Shown& shown : index_.item(*id).record.shown) {
      if (shown.version.kind == Kind::directory && shown.signature.inode == inode) {
        found = shown.name;
      }
    }
  }
  return found;
}

void Replica::note_directory(Index::Id id, const Signature& signature) {
  directories_.erase({signature.inode, 0});
  directories_.insert({signature.inode, id});
}

/// Unless another one has been shown with it since.
void Replica::forget_directory(Index::Id id, const Signature& signature) {
  if (directory_id(signature.inode) == id) {
    directories_.erase({signature.inode, id});
  }
}

void Replica::set_missing(const Path& name, bool missing) {
  set_sourceless(missing_, name, missing);
}

void Replica::set_distrusted(const Path& name, bool distrusted) {
  set_sourceless(distrusted_, name, distrusted);
}

void Replica::set_sourceless(std::set<Path>& names, const Path& name, bool sourceless) {
  if (sourceless) {
    names.insert(name);
  } else if (names.erase(name) > 0) {
    const Shown* back = shown(name);
    if (const auto content = back == nullptr ? std::nullopt : back->content()) {
      appeared_.push_back(*content);
    }
  }
}

void Replica::lost(const Path& name) {
  if (const Shown* last = shown(name)) {
    unlaid_own_.insert(last->dots.begin(), last->dots.end());
    const Path path = owner(name);
    unshow(path, Path(name));
  }
}

void Replica::set_braked(bool on) {
  if (braked_ != on) {
    braked_ = on;
    new_braked_ = on;
  }
}

bool Replica::available(const Hash& content) const {
  return found_.contains(content) || staged_.contains(content) || showing(content) != nullptr ||
         kept_with(content);
}

Source Replica::source(const Hash& content) const {
  if (const auto found = found_.find(content); found != found_.end()) {
    return Kept{found->second, true};
  }
  if (staged_.contains(content)) {
    return Staged{};
  }
  if (const Shown* shown = showing(content)) {
    return AtName{shown->name};
  }
  if (auto kept = kept_with(content)) {
    return Kept{std::move(*kept), false};
  }
  return Nothing{};
}

std::vector<Base> Replica::similar(const Path& path, std::uint64_t size,
                                   std::uint32_t chunk_max) const {
  std::vector<Base> bases;
  const auto add = [&](const Version& version, const std::string& name, bool kept) {
    if (version.kind == Kind::file && version.size > chunk_max) {
      bases.push_back({version.content, version.size, name, kept});
    }
  };
  if (const Record* record = index_.find(path)) {
    for (const Shown& shown : record->shown) {
      add(shown.version, shown.name, false);
    }
  }
  kept_.for_each_from("", [&](const PackedVersions::Item& kept) {
    if (kept.path == path) {
      add(kept.version(), std::string(kept.file), true);
    }
    return true;
  });
  std::ranges::sort(bases, {}, [size](const Base& base) {
    return std::tuple(std::max(base.size, size) - std::min(base.size, size), base.kept, base.name);
  });
  bases.resize(std::min(bases.size(), similar_max));
  return bases;
}

Replica::KeptContent Replica::kept_content(const Hash& content, std::string_view file) const {
  KeptContent key{XXH3_64bits_withSeed(content.bytes.data(), content.bytes.size(), contents_seed_),
                  {}};
  std::ranges::copy(file.substr(0, key.file.size()), key.file.begin());
  return key;
}

std::optional<std::string> Replica::kept_with(const Hash& content) const {
  if (kept_by_content_.empty()) {
    return std::nullopt;
  }
  std::optional<std::string> found;
  KeptContent first = kept_content(content, {});
  first.file.fill('\x7f');  // above all names, so before them
  kept_by_content_.for_each_from(first, [&](const KeptContent& key) {
    if (key.content != first.content) {
      return false;
    }
    const auto end = std::ranges::find(key.file, '\0');
    const std::string_view file(key.file.begin(), end);
    const auto kept = kept_.find(file);
    if (kept && kept->version().content == content) {
      found = file;
    }
    return !found;
  });
  return found;
}

void Replica::add_kept(const KeptVersion& kept) {
  drop_kept(kept.file);  // it may have been written to since
  if (kept.version.kind == Kind::file) {
    kept_by_content_.insert(kept_content(kept.version.content, kept.file));
    appeared_.push_back(kept.version.content);
  }
  kept_.put(kept);
}

void Replica::drop_kept(const std::string& file) {
  drop_kept_source(file);
  kept_.erase(file);
}

void Replica::drop_kept_source(const std::string& file) {
  if (const auto kept = kept_.find(file)) {
    kept_by_content_.erase(kept_content(kept->version().content, file));
  }
}

void Replica::keep(KeptVersion kept) {
  forget_superseded(kept.version);
  add_kept(kept);
  new_kept_.push_back(std::move(kept));
}

void Replica::depart(const Path& path, Version version) {
  if (!keep_versions_ || wall_ == 0) {
    return;
  }
  last_departure_ = std::max(last_departure_ + 1, wall_);
  note({departure_name(last_departure_), path, std::move(version)});
}

void Replica::note(KeptVersion departed) {
  forget_superseded(departed.version);
  departed_.put(departed);
  new_kept_.push_back(std::move(departed));
  while (departed_.size() > departed_max) {
    forget_first_departed();
  }
}

void Replica::forget_first_departed() {
  forgotten_.emplace_back(departed_.first().file);
  departed_.erase(forgotten_.back());
}

void Replica::forget_kept(const std::vector<std::string>& files, std::int64_t before) {
  for (const std::string& file : files) {
    const auto kept = kept_.find(file);
    if (kept && left_at(file) >= before) {  // it went for want of room
      note({departure_name(left_at(file)), Path(kept->path), kept->version()});
    }
    forget_kept(file);
  }
  while (!departed_.empty() && left_at(departed_.first().file) < before) {
    forget_first_departed();
  }
}

void Replica::forget_kept(const std::string& file) {
  if (kept_.contains(file)) {
    drop_kept(file);
    forgotten_.push_back(file);
  }
}

std::set<std::string> Replica::pinned() const {
  std::set<std::string> files;
  kept_.for_each_from("", [&](const PackedVersions::Item& kept) {
    const Record* record = index_.find(Path(kept.path));
    if (record == nullptr || !record->entry.live()) {
      return true;
    }
    const Version version = kept.version();
    const auto is_its = [&version](const Sibling& sibling) {
      return same_content(sibling.version, version);
    };
    if (version.kind == Kind::file && std::ranges::any_of(record->entry.versions, is_its) &&
        showing(version.content) == nullptr) {
      files.emplace(kept.file);
    }
    return true;
  });
  return files;
}

void Replica::observe_surfaced(const Surfaced& event) {
  const Path path = origin(event.name, event.replaced);
  Version found;
  found.kind = event.seen.signature.kind;
  found.content = event.seen.content;
  found.target = event.seen.target;
  found.size = event.seen.signature.size;
  found.mode = event.seen.signature.mode;
  found.mtime = event.seen.signature.mtime;
  const Record* record = index_.find(path);
  if (event.seen.content == event.replaced && event.seen.signature.kind == Kind::file) {
    keep({event.file, path, found});
    mark_dirty(path);  // it may have waited for these bytes, or been on its way
    return;
  }
  if (record != nullptr) {
    for (const Sibling& sibling : record->entry.versions) {
      if (same_content(sibling.version, found)) {
        // Its event is known; only its bytes had not reached their name.
        if (!available(sibling.version)) {
          add_found(found.content, event.file);
          mark_dirty(path);
        }
        keep({event.file, path, sibling.version});
        return;
      }
    }
  }
  if (record != nullptr && has_superseded(record->entry, recognition(found))) {
    // What it held once: power went, and what was written to it since had not reached the disk.
    keep({event.file, path, found});
    return;
  }
  // Written by a process that still had the replaced file: it had seen that version and nothing
  // later.
  std::optional<Shown> old;
  if (record != nullptr) {
    for (const Sibling& sibling : record->entry.versions) {
      if (sibling.version.content == event.replaced && sibling.version.kind == Kind::file) {
        if (!old) {
          old = Shown{event.name, {}, sibling.version, {}};
        }
        old->dots.push_back(sibling.dot);
      }
    }
  }
  observe_displaced(path, old, event.name, event.seen, event.file);
}

}  // namespace p2psync::engine
