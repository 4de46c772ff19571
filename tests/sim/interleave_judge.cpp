// The oracle: a node against the true history that it has heard of, and what tells nodes apart.
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "engine/codec.h"
#include "tests/sim/interleave_node.h"

namespace p2psync::sim {
namespace {

using namespace engine;

class Digest {
 public:
  Digest& number(std::uint64_t value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Digest& text(std::string_view value) {
    number(value.size());
    bytes_ += value;
    return *this;
  }
  template <class T>
  Digest& encoded(const T& value) {
    const std::vector<std::uint8_t> bytes = encode(value);
    return text({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  Digest& tree(const std::map<std::string, Item>& disk) {
    for (const auto& [name, item] : disk) {
      text(name).number(static_cast<std::uint64_t>(item.kind)).number(item.mode);
      number(static_cast<std::uint64_t>(item.mtime)).number(item.content);
    }
    return *this;
  }
  [[nodiscard]] Fingerprint sum() const {
    const XXH128_hash_t hash = XXH3_128bits(bytes_.data(), bytes_.size());
    return {hash.low64, hash.high64};
  }

 private:
  std::string bytes_;
};

}  // namespace

std::string ModelNode::judge(const Scene& scene) const {
  std::string wrong = broken_;
  std::map<Path, Seen> shown;
  replica_.index().for_each("", "", [&](const Path&, const Record& record) {
    for (const Shown& each : record.shown) {
      shown[each.name] = {each.signature, each.version.content, each.version.target, false};
    }
    return true;
  });
  std::map<Path, Seen> stands;
  for (const auto& [name, item] : disk_) {
    stands[name] = seen_of(item);
  }
  if (wrong.empty() && shown != stands) {
    wrong = "what the index remembers of the disk is not what stands there";
  }
  for (std::uint8_t path = 0; path < scene.paths.size() && wrong.empty(); ++path) {
    wrong = judge_entry(scene, path);
    if (wrong.empty() && pending_.empty()) {
      wrong = judge_disk(scene, path);
    }
  }
  if (wrong.empty() && !scene.late && !pending_.empty()) {
    wrong = pending_.front().path + " is not laid out though nothing is missing";
  }
  return wrong;
}

std::string ModelNode::judge_entry(const Scene& scene, std::uint8_t path) const {
  const Record* record = replica_.index().find(scene.paths[path]);
  std::set<Dot> owed;
  std::set<Dot> twins;
  const EventSet standing = live();
  for (const Event& event : history_) {
    if (event.path == path && (standing & bit(event.id)) != 0) {
      owed.insert(event.dot);
    }
    for (const Event& other : history_) {
      if (event.twin && (event.superseded & bit(other.id)) != 0) {
        twins.insert(other.dot);
      }
    }
  }
  std::set<Dot> there;
  for (std::size_t i = 0; record != nullptr && i < record->entry.versions.size(); ++i) {
    there.insert(record->entry.versions[i].dot);
  }
  // One that says the same may stand for it.
  for (const Event& event : history_) {
    for (const Event& other : history_) {
      if (scene.equal && owed.contains(event.dot) && there.contains(other.dot) &&
          owed.contains(other.dot) && other.item.content == event.item.content) {
        there.insert(event.dot);
      }
    }
  }
  std::set<Dot> beyond;
  std::ranges::set_difference(there, owed, std::inserter(beyond, beyond.end()));
  if (std::ranges::includes(there, owed) && std::ranges::includes(twins, beyond)) {
    return {};
  }
  return scene.paths[path] + " has " + std::to_string(there.size()) + " versions, and " +
         std::to_string(owed.size()) + " events are live" +
         (std::ranges::includes(there, owed) ? ": a superseded one stays"
                                             : ": a live one is not among them");
}

std::string ModelNode::judge_disk(const Scene& scene, std::uint8_t path) const {
  const std::string& own = scene.paths[path];
  const EventSet standing = live();
  EventSet set_aside = 0;
  for (const Event& event : history_) {
    set_aside |= event.beside | (event.aside ? bit(event.id) : 0);
  }
  const EventSet required = contents_in(path, standing & ~hidden(&Event::cleared));
  const EventSet allowed = contents_in(path, standing & ~hidden(&Event::behind));
  const EventSet claiming = contents_in(path, standing & ~hidden(&Event::behind) & ~set_aside);
  const bool live_below = std::ranges::any_of(history_, [&](const Event& event) {
    return (standing & bit(event.id)) != 0 && is_below(scene.paths[event.path], own);
  });
  std::map<std::uint8_t, int> held;
  for (const auto& [name, item] : disk_) {
    if (path_of(scene, name) == path) {
      ++held[item.content];
      if (item.kind == Kind::directory && name != own) {
        return "a directory at a conflict name: " + name;
      }
    }
  }
  const bool directory = live_below || (required & bit(directory_content)) != 0;
  for (const auto& [content, count] : held) {
    const bool may = content == directory_content ? directory : (allowed & bit(content)) != 0;
    if (!may) {
      return "resurrection: content " + std::to_string(content) + " of " + own;
    }
    if (count > 1) {
      return "spurious copy: content " + std::to_string(content) + " of " + own;
    }
  }
  for (const Event& event : history_) {
    if ((required & bit(event.item.content)) != 0 && event.path == path &&
        !held.contains(event.item.content)) {
      return "lost update: content " + std::to_string(event.item.content) + " of " + own;
    }
  }
  const auto at = disk_.find(own);
  if (directory && (at == disk_.end() || at->second.kind != Kind::directory)) {
    return "no directory at " + own;
  }
  if (required == allowed && !directory && (at != disk_.end()) != (claiming != 0)) {
    return own + (claiming != 0 ? " has a live version and stands at no name of its own"
                                : " shows what had been set aside");
  }
  return {};
}

const std::string* ModelNode::name_of(const Scene& scene, std::uint8_t path,
                                      std::uint8_t content) const {
  const auto place = std::ranges::find_if(disk_, [&](const auto& item) {
    return item.second.content == content && path_of(scene, item.first) == path;
  });
  return place == disk_.end() ? nullptr : &place->first;
}

std::string ModelNode::taken_from(const Scene& scene, const ModelNode& before) const {
  const EventSet standing = live() & ~hidden(&Event::cleared);
  if (!broken_.empty()) {
    return {};  // to be judged by that
  }
  for (const auto& [name, item] : before.disk_) {
    const std::uint8_t path = path_of(scene, name);
    if ((contents_in(path, standing) & bit(item.content)) != 0 &&
        name_of(scene, path, item.content) == nullptr) {
      return name;
    }
  }
  return {};
}

std::size_t ModelNode::copies_renamed(const Scene& scene, const ModelNode& before) const {
  std::size_t count = 0;
  for (const auto& [name, item] : before.disk_) {
    const std::uint8_t path = path_of(scene, name);
    const std::string* after = name_of(scene, path, item.content);
    const std::string& own = scene.paths[path];
    count += after != nullptr && name != own && *after != own && *after != name ? 1 : 0;
  }
  return count;
}

Fingerprint ModelNode::digest() const {
  Digest digest;
  digest.number(self_).number(acted_).number(incarnation_).encoded(replica_.knowledge());
  replica_.index().for_each("", "", [&digest](const Path& path, const Record& record) {
    digest.text(path).encoded(record);
    return true;
  });
  digest.number(disk_.size()).tree(disk_);
  for (const auto* contents : {&missing_, &staged_}) {
    digest.number(contents->size());
    for (const std::uint8_t content : *contents) {
      digest.number(content);
    }
  }
  for (const Dirty& dirty : pending_) {
    digest.text(dirty.path);
    for (const auto& [actor, floor] : dirty.floor) {
      digest.number(actor.node).number(actor.incarnation).number(floor);
    }
  }
  for (const auto& [node, knowledge] : equal_) {
    digest.number(node).encoded(knowledge);
  }
  const Fingerprint history = history_digest();
  return digest.number(history.low).number(history.high).text(broken_).sum();
}

Fingerprint ModelNode::history_digest() const {
  Digest digest;
  for (const Event& event : history_) {
    digest.number(event.id)
        .number(event.path)
        .number(event.item.content)
        .number((event.writes ? 1U : 0U) | (event.metadata_only ? 2U : 0U) |
                (event.aside ? 4U : 0U) | (event.twin ? 8U : 0U));
    digest.number(static_cast<std::uint64_t>(event.item.kind)).number(event.item.mode);
    digest.number(static_cast<std::uint64_t>(event.item.mtime));
    digest.number(event.superseded).number(event.cleared).number(event.beside).encoded(event.dot);
  }
  return digest.sum();
}

Fingerprint ModelNode::tree_digest() const {
  return Digest().tree(disk_).sum();
}

std::string ModelNode::text() const {
  std::string text;
  for (const auto& [name, item] : disk_) {
    constexpr std::array kinds{"", " (directory)", " (link)"};
    text += (text.empty() ? "" : ", ") + name + kinds.at(static_cast<std::size_t>(item.kind));
    text += item.content == directory_content ? "" : " = " + std::to_string(item.content);
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace p2psync::sim
