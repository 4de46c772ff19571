// Users: what they can do, what they do, and what that is in true history.
#include "tests/sim/interleave_node.h"

#include <algorithm>
#include <array>
#include <bit>

namespace p2psync::sim {
namespace {

using namespace engine;

constexpr std::array<const char*, 3> labels{"alpha", "beta", "gamma"};
constexpr std::uint64_t file_bytes = 10;

NodeId id_of(std::size_t node) {
  return node + 1;
}

}  // namespace

EventSet bit(std::uint8_t number) {
  return EventSet{1} << (number == directory_content ? 63 : number);
}

Hash hash_of(std::uint8_t content) {
  Hash hash;
  if (content != directory_content) {
    hash.bytes.fill(static_cast<std::uint8_t>(content + 1));
  }
  return hash;
}

Seen seen_of(const Item& item) {
  const std::uint64_t size = item.kind == Kind::file ? file_bytes : 0;
  return {{item.kind, item.mode, item.content + std::uint64_t{1}, size, item.mtime, 1},
          hash_of(item.content),
          item.kind == Kind::symlink ? "to " + std::to_string(item.content) : "",
          false};
}

ModelNode::ModelNode(const Scene& scene, std::uint8_t self)
    : self_(self), replica_(options(scene, self), {}) {}

NodeOptions ModelNode::options(const Scene& scene, std::size_t node) const {
  NodeOptions options;
  options.cluster = "interleavings";
  options.self = id_of(node);
  for (std::size_t i = 0; i < scene.nodes; ++i) {
    options.members.push_back({id_of(i), labels.at(i)});
  }
  options.incarnation = incarnation_;
  options.index_epoch = 1;
  return options;
}

std::uint8_t ModelNode::path_of(const Scene& scene, const std::string& name) const {
  const std::string path = name.substr(0, name.find(".conflict-"));
  const auto place = std::ranges::find(scene.paths, path);
  invariant(place != scene.paths.end(), "every name is one of the scene's, or its copy");
  return static_cast<std::uint8_t>(place - scene.paths.begin());
}

std::vector<Act> ModelNode::acts(const Scene& scene) const {
  using enum Act::What;
  std::vector<Act> acts;
  const auto at = [this](std::string_view name) {
    const auto place = disk_.find(std::string(name));
    return place == disk_.end() ? nullptr : &place->second;
  };
  const auto is_directory = [&at](std::string_view name) {
    return at(name) != nullptr && at(name)->kind == Kind::directory;
  };
  const auto full = [this](const std::string& name) {
    return std::ranges::any_of(disk_,
                               [&name](const auto& item) { return is_below(item.first, name); });
  };
  const auto reachable = [&is_directory](const std::string& name) {
    return parent_of(name).empty() || is_directory(parent_of(name));
  };
  for (const std::string& path : scene.paths) {
    if (!reachable(path) || full(path)) {
      continue;
    }
    acts.push_back({write, path, {}});
    if (scene.old_times) {
      acts.push_back({write_old, path, {}});
    }
    if (scene.equal) {
      acts.push_back({write_common, path, {}});
    }
    if (scene.kinds && !is_directory(path)) {
      acts.push_back({directory, path, {}});
    }
    if (scene.kinds) {
      acts.push_back({link, path, {}});
    }
  }
  for (const auto& [name, item] : disk_) {
    if (full(name)) {
      continue;
    }
    const std::string& path = scene.paths[path_of(scene, name)];
    acts.push_back({remove, name, {}});
    if (name != path && item.kind == Kind::file) {
      acts.push_back({write, name, {}});
    }
    if (scene.modes && item.kind == Kind::file) {
      acts.push_back({mode, name, {}});
    }
    for (const std::string& to : scene.paths) {
      // Paths onto other paths, copies onto their own.
      const bool wanted = scene.renames && (name == path) == (to != path);
      if (wanted && item.kind != Kind::directory && !is_directory(to) && reachable(to)) {
        acts.push_back({rename, name, to});
      }
    }
  }
  return acts;
}

void ModelNode::act(const Scene& scene, const Act& act) {
  const auto content = static_cast<EventId>((self_ * acts_a_node_max + acted_) * 2);
  // In the order of what each had seen, and in any order where neither had: no clock decides.
  const auto step = static_cast<std::int64_t>(10 * (std::popcount(heard_) + 1) + self_);
  const std::int64_t young = 1'000'000 + step;
  ++acted_;
  switch (act.what) {
    case Act::What::write: write(scene, act.name, {Kind::file, 0644, young, content}); break;
    case Act::What::write_old:
      write(scene, act.name, {Kind::file, 0644, 1'000'000 - step, content});
      break;
    case Act::What::write_common:
      write(scene, act.name, {Kind::file, 0644, young, common_content});
      break;
    case Act::What::directory:
      write(scene, act.name, {Kind::directory, 0755, 0, directory_content});
      break;
    case Act::What::link: write(scene, act.name, {Kind::symlink, 0777, young, content}); break;
    case Act::What::remove: remove(scene, act.name); break;
    case Act::What::rename: rename(scene, act.name, act.to); break;
    case Act::What::mode: {
      Item item = disk_.at(act.name);
      item.mode = item.mode == 0644 ? 0600 : 0644;
      write(scene, act.name, item);
      break;
    }
  }
  settle(scene, nullptr);
}

void ModelNode::rename(const Scene& scene, const std::string& from, const std::string& to) {
  const Item item = disk_.at(from);
  Event left = departure(scene, from);
  left.twin = left.path == path_of(scene, to);
  disk_.erase(from);
  write(scene, to, item);
  // As scan does: what is gone is acted upon last.
  replica_.observe_absent(from);
  record(std::move(left));
}

EventSet ModelNode::contents_in(std::uint8_t path, EventSet events) const {
  EventSet contents = 0;
  for (const Event& event : history_) {
    if (event.path == path && event.writes && (events & bit(event.id)) != 0) {
      contents |= bit(event.item.content);
    }
  }
  return contents;
}

EventSet ModelNode::showing(std::uint8_t path, std::uint8_t content) const {
  EventSet shown = 0;
  for (const Event& event : history_) {
    if (event.path == path && event.writes && event.item.content == content) {
      shown |= bit(event.id);
    }
  }
  // A change of mode of bytes that these have replaced stands behind them.
  for (const Event& event : history_) {
    for (const Event& edit : history_) {
      if (event.path == path && event.metadata_only && (shown & bit(edit.id)) != 0 &&
          (contents_in(path, edit.behind & event.behind) & bit(event.item.content)) != 0) {
        shown |= bit(event.id);
      }
    }
  }
  return shown;
}

EventSet ModelNode::live() const {
  EventSet written = 0;
  EventSet superseded = 0;
  for (const Event& event : history_) {
    written |= event.writes ? bit(event.id) : 0;
    superseded |= event.superseded;
  }
  return written & ~superseded;
}

EventSet ModelNode::bases(const Event& event) const {
  EventSet bases = 0;
  for (const Event& other : history_) {
    if ((event.superseded & bit(other.id)) != 0 && other.item.content == event.item.content) {
      bases |= other.metadata_only ? this->bases(other) : bit(other.id);
    }
  }
  return bases;
}

EventSet ModelNode::hidden(EventSet Event::* past) const {
  const EventSet standing = live();
  EventSet hidden = 0;
  for (const Event& event : history_) {
    if (!event.metadata_only) {
      continue;
    }
    const EventSet bytes = bases(event);
    for (const Event& edit : history_) {
      const EventSet replaced = bytes & edit.*past;
      // Of several who wrote these bytes, an edit may have replaced only one.
      const bool surely = past == &Event::behind ? replaced == bytes : replaced != 0;
      if (edit.path == event.path && !edit.metadata_only && (standing & bit(edit.id)) != 0 &&
          edit.item.content != event.item.content && surely) {
        hidden |= bit(event.id);
      }
    }
  }
  return hidden & standing;
}

void ModelNode::record(Event event) {
  if (!event.writes && (event.superseded & live()) == 0 && event.beside == 0) {
    return;  // what went was superseded already
  }
  for (const Event& other : history_) {
    if ((event.superseded & bit(other.id)) != 0) {
      event.behind |= other.behind;
      event.cleared |= other.cleared;
    }
    if (!event.aside && !other.writes && other.path == event.path) {
      event.cleared |= other.superseded | other.cleared;
    }
  }
  event.behind |= event.superseded;
  event.cleared |= event.behind;
  heard_ |= bit(event.id);
  history_.insert(std::ranges::upper_bound(history_, event.id, {}, &Event::id), event);
}

void ModelNode::write(const Scene& scene, const std::string& name, const Item& item) {
  Event event;
  event.id = static_cast<EventId>((self_ * acts_a_node_max + acted_ - 1U) * 2);
  event.path = path_of(scene, name);
  event.item = item;
  event.aside = name != scene.paths[event.path];
  if (const auto old = disk_.find(name); old != disk_.end()) {
    if (old->second == item) {
      return;
    }
    event.superseded = showing(event.path, old->second.content);
    event.metadata_only = old->second.content == item.content;
  }
  disk_[name] = item;
  const VersionVector before = replica_.knowledge();
  replica_.observe(name, seen_of(item));
  if (const Record* record = replica_.index().find(scene.paths[event.path])) {
    for (const Sibling& sibling : record->entry.versions) {
      if (!before.covers(sibling.dot)) {
        event.dot = sibling.dot;
      }
    }
  }
  record(event);
}

Event ModelNode::departure(const Scene& scene, const std::string& name) const {
  Event event;
  event.id = static_cast<EventId>((self_ * acts_a_node_max + acted_ - 1U) * 2 + 1);
  event.path = path_of(scene, name);
  event.writes = false;
  event.aside = name != scene.paths[event.path];
  event.superseded = showing(event.path, disk_.at(name).content);
  for (const auto& [other, item] : disk_) {
    if (!event.aside && other != name && path_of(scene, other) == event.path) {
      event.beside |= showing(event.path, item.content);
    }
  }
  return event;
}

void ModelNode::remove(const Scene& scene, const std::string& name) {
  const Event event = departure(scene, name);
  disk_.erase(name);
  replica_.observe_absent(name);
  record(event);
  if (scene.planted == Planted::greedy_delete) {
    const auto copy = std::ranges::find_if(
        disk_, [&](const auto& item) { return path_of(scene, item.first) == event.path; });
    if (copy != disk_.end()) {
      replica_.observe_absent(std::string(copy->first));
      disk_.erase(copy);
    }
  }
}

}  // namespace p2psync::sim
