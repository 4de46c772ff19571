// The part of the replica that a user acts on by command instead of by his disk.
#include <algorithm>

#include "engine/replica.h"

namespace p2psync::engine {
namespace {

void add(std::vector<std::uint64_t>& list, std::uint64_t name) {
  if (list.size() < superseded_max && std::ranges::find(list, name) == list.end()) {
    list.push_back(name);
  }
}

}  // namespace

void Replica::write_anew(const Path& path, Version version, const std::vector<Shown>& over) {
  Entry entry = record(path).entry;
  const std::uint64_t itself = recognition(version);
  version.rank = version.mtime;
  version.superseded.clear();
  std::vector<std::uint64_t> older;
  for (const Shown& shown : over) {
    for (const Dot& dot : shown.dots) {
      if (const Version* replaced = entry.find(dot)) {
        if (version.rank <= replaced->rank) {
          version.rank = replaced->rank == INT64_MAX ? INT64_MAX : replaced->rank + 1;
        }
        add(version.superseded, recognition(*replaced));
        older.insert(older.end(), replaced->superseded.begin(), replaced->superseded.end());
      }
    }
  }
  for (const Deletion& deletion : entry.deletions) {
    older.insert(older.end(), deletion.superseded.begin(), deletion.superseded.end());
  }
  for (const std::uint64_t name : older) {
    add(version.superseded, name);
  }
  // It may have been among what it comes back in place of; it has not replaced itself.
  std::erase(version.superseded, itself);
  for (const Shown& shown : over) {
    std::erase_if(entry.versions, [&](const Sibling& sibling) {
      return std::ranges::binary_search(shown.dots, sibling.dot);
    });
  }
  const Dot dot = mint();
  unlaid_own_.insert(dot);  // users may delete its bytes before it has them
  version.tag = tag_of(dot);
  if (version.label.empty()) {
    version.label = label_;  // nobody knows any more
  }
  version.copy = false;
  version.metadata_only = false;
  version.base = 0;
  version.imported = false;
  entry.deletions.clear();  // the new version carries their notes on
  entry.versions.insert(std::ranges::upper_bound(entry.versions, dot, {}, &Sibling::dot),
                        {dot, std::move(version)});
  entry.context.add(dot);
  set_entry(path, std::move(entry));
}

void Replica::resolve(const Path& path, const Path& keep) {
  const std::vector<Shown> all = record(path).shown;
  const auto kept = std::ranges::find(all, keep, &Shown::name);
  invariant(kept != all.end(), "what is kept is shown");
  write_anew(path, kept->version, all);
}

void Replica::restore(const Path& path, Version version) {
  const Shown* now = shown(path);
  // Of a name that shows another path's copy nothing is replaced: that copy makes room.
  const bool own = now != nullptr && owner(path) == path;
  version.label = label_;  // an edit of this node
  write_anew(path, std::move(version), own ? std::vector{*now} : std::vector<Shown>());
}

void Replica::take_away(const Path& path) {
  if (const Shown* now = shown(path); now != nullptr && owner(path) == path) {
    delete_version(path, Shown(*now));
  }
}

}  // namespace p2psync::engine
