// The part of the replica that knows where contents and directories are on this disk.
#include <xxhash.h>

#include <algorithm>
#include <tuple>

#include "engine/replica.h"

namespace p2psync::engine {
namespace {

constexpr std::size_t similar_max = 4;

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
          !shown.signature.is_out_of_sight()) {
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
  if (missing) {
    missing_.insert(name);
  } else if (missing_.erase(name) > 0) {
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
         kept_by_content_.contains(content);
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
  if (const auto kept = kept_by_content_.find(content); kept != kept_by_content_.end()) {
    return Kept{kept->second.back(), false};
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
  for (const auto& [file, kept] : kept_) {
    if (kept.path == path) {
      add(kept.version, file, true);
    }
  }
  std::ranges::sort(bases, {}, [size](const Base& base) {
    return std::tuple(std::max(base.size, size) - std::min(base.size, size), base.kept, base.name);
  });
  bases.resize(std::min(bases.size(), similar_max));
  return bases;
}

void Replica::add_kept(KeptVersion kept) {
  drop_kept(kept.file);  // it may have been written to since
  if (kept.version.kind == Kind::file) {
    kept_by_content_[kept.version.content].push_back(kept.file);
    appeared_.push_back(kept.version.content);
  }
  std::string file = kept.file;
  kept_[std::move(file)] = std::move(kept);
}

void Replica::drop_kept(const std::string& file) {
  drop_kept_source(file);
  kept_.erase(file);
}

void Replica::drop_kept_source(const std::string& file) {
  const auto place = kept_.find(file);
  if (place == kept_.end()) {
    return;
  }
  const auto files = kept_by_content_.find(place->second.version.content);
  if (files != kept_by_content_.end()) {
    std::erase(files->second, file);
    if (files->second.empty()) {
      kept_by_content_.erase(files);
    }
  }
}

void Replica::keep(KeptVersion kept) {
  new_kept_.push_back(kept);
  add_kept(std::move(kept));
}

void Replica::depart(const Path& path, Version version) {
  if (!keep_versions_ || wall_ == 0) {
    return;
  }
  last_departure_ = std::max(last_departure_ + 1, wall_);
  note(last_departure_, path, std::move(version));
}

void Replica::note(std::int64_t left, const Path& path, Version version) {
  // Of what it had replaced itself, only whether there was anything.
  version.superseded.resize(std::min<std::size_t>(version.superseded.size(), 1));
  departed_.put(left, path, version);
  new_kept_.push_back({departure_name(left), path, std::move(version)});
  while (departed_.size() > departed_max) {
    forget_first_departed();
  }
}

void Replica::forget_first_departed() {
  forgotten_.push_back(departure_name(departed_.first()));
  departed_.drop_first();
}

void Replica::forget_kept(const std::vector<std::string>& files, std::int64_t before) {
  for (const std::string& file : files) {
    const auto kept = kept_.find(file);
    if (kept != kept_.end() && left_at(file) >= before) {  // it went for want of room
      note(left_at(file), kept->second.path, kept->second.version);
    }
    forget_kept(file);
  }
  while (!departed_.empty() && departed_.first() < before) {
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
  for (const auto& [file, kept] : kept_) {
    const Record* record = index_.find(kept.path);
    const auto is_its = [&kept](const Sibling& sibling) {
      return same_content(sibling.version, kept.version);
    };
    if (kept.version.kind == Kind::file && record != nullptr &&
        std::ranges::any_of(record->entry.versions, is_its) &&
        showing(kept.version.content) == nullptr) {
      files.insert(file);
    }
  }
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
