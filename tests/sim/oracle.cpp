#include "tests/sim/oracle.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "engine/layout.h"

namespace p2psync::sim {
namespace {

/// Contents up to this size are their own key.
constexpr std::size_t key_bytes = 100;

std::string brief(const std::string& content) {
  return content.substr(0, 24) + (content.size() > 24 ? "..." : "");
}

}  // namespace

std::string lineage_of(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  const std::size_t start = slash == std::string_view::npos ? 0 : slash + 1;
  const std::size_t at = name.find(".conflict-", start);
  return std::string(at == std::string_view::npos ? name : name.substr(0, at));
}

std::string Oracle::key(const TreeNode& node) {
  const std::string kind = node.kind == engine::Kind::symlink ? "link:" : "file:";
  if (node.bytes.size() <= key_bytes) {
    return kind + node.bytes;
  }
  const XXH128_hash_t hash = XXH3_128bits(node.bytes.data(), node.bytes.size());
  return fmt::format("{}{} {} {:016x}{:016x}", kind, std::string_view(node.bytes).substr(0, 40),
                     node.bytes.size(), hash.high64, hash.low64);
}

void Oracle::wrote(std::string_view name, const TreeNode& node) {
  if (node.kind == engine::Kind::directory) {
    return;
  }
  contents_.insert(key(node));
  written_at_[{lineage_of(name), key(node)}].emplace(name);
  std::vector<Event>& events = lineages_[lineage_of(name)];
  // Bytes that this path has had before: on the disk no more than a touch, which an edit made
  // meanwhile wins over.
  const bool again =
      std::ranges::any_of(events, [&](const Event& event) { return event.content == key(node); });
  events.push_back({key(node), node.mode, node.mtime, again ? State::ambiguous : State::live});
}

void Oracle::may_be_gone(std::uint64_t host, std::string_view name, const Contents& anywhere) {
  std::vector<Event>& events = lineages_[lineage_of(name)];
  bool any = false;
  for (Event& event : events) {
    if (event.state == State::live && !anywhere.contains(event.content)) {
      event.state = State::superseded;
      any = true;
    }
  }
  for (Event& event : events) {
    if (any && event.superseded_by == host && anywhere.contains(event.content)) {
      event.state = State::ambiguous;
    }
  }
}

void Oracle::doubt(std::string_view name) {
  for (Event& event : lineages_[lineage_of(name)]) {
    event.state = event.state == State::live ? State::ambiguous : event.state;
  }
}

void Oracle::may_go(std::string_view name, const TreeNode& shown) {
  for (Event& event : lineages_[lineage_of(name)]) {
    if (event.content == key(shown) && event.state == State::live) {
      event.state = State::ambiguous;
    }
  }
}

void Oracle::may_appear(std::string_view name, const TreeNode& node) {
  contents_.insert(key(node));
  lineages_[lineage_of(name)].push_back({key(node), node.mode, node.mtime, State::ambiguous, 0});
}

void Oracle::superseded(std::uint64_t host, std::string_view name, const TreeNode& shown) {
  if (shown.kind == engine::Kind::directory) {
    return;
  }
  const std::string content = key(shown);
  std::vector<Event>& events = lineages_[lineage_of(name)];
  const auto exact = [&](const Event& event) {
    return event.content == content && event.mode == shown.mode && event.mtime == shown.mtime;
  };
  // Where times are coarse, one shows the time that another has.
  const auto alike = [&](const Event& event) {
    return event.content == content && event.mode == shown.mode &&
           (event.mtime == shown.mtime ||
            std::ranges::any_of(engine::timestamp_grains_ns, [&](std::int64_t grain) {
              return event.mtime - event.mtime % grain == shown.mtime;
            }));
  };
  // Two that look the same: the user saw one of them, and nobody can tell which.
  const bool unsure = index_lost_at_[host] || std::ranges::count_if(events, alike) > 1;
  for (Event& event : events) {
    if (exact(event)) {
      event.state =
          unsure && event.state != State::superseded ? State::ambiguous : State::superseded;
      event.superseded_by = host;
    } else if (event.content == content && event.state == State::live) {
      event.state = State::ambiguous;
    }
  }
}

void Oracle::index_lost(std::uint64_t host, const Tree& tree) {
  index_lost_at_[host] = true;
  forgive(host);
  for (const auto& [name, node] : tree) {
    for (Event& event : lineages_[lineage_of(name)]) {
      event.stood_at_loss = event.stood_at_loss || event.content == key(node);
    }
  }
}

void Oracle::forgive(std::uint64_t host) {
  for (auto& [lineage, events] : lineages_) {
    for (Event& event : events) {
      if (event.superseded_by == host && event.state == State::superseded) {
        event.state = State::ambiguous;
      }
    }
  }
}

void Oracle::changed_metadata(std::uint64_t host, std::string_view name, const TreeNode& before,
                              const Tree& tree) {
  if (before.kind == engine::Kind::directory) {
    return;
  }
  bool base_lives = false;
  for (const Event& event : lineages_[lineage_of(name)]) {
    base_lives = base_lives || (event.content == key(before) && event.mode == before.mode &&
                                event.mtime == before.mtime && event.state == State::live);
  }
  superseded(host, name, before);
  wrote(name, tree.at(std::string(name)));
  // Somebody has replaced the bytes already: the edit wins, and these need not survive.
  if (!base_lives) {
    lineages_[lineage_of(name)].back().state = State::ambiguous;
  }
}

void Oracle::disk_changed(std::uint64_t host, const Tree& before, const Tree& after,
                          const Contents& anywhere, const ShownContents& shown) {
  std::set<std::string> touched;
  const auto same = [](const Tree& tree, const std::string& name, const TreeNode& node) {
    const auto found = tree.find(name);
    return found != tree.end() && found->second == node;
  };
  for (const auto& [name, node] : before) {
    if (node.kind != engine::Kind::directory && !same(after, name, node)) {
      touched.insert(lineage_of(name));
    }
  }
  for (const auto& [name, node] : after) {
    if (node.kind != engine::Kind::directory && !same(before, name, node)) {
      touched.insert(lineage_of(name));
    }
  }
  for (const std::string& lineage : touched) {
    for (Event& event : lineages_[lineage]) {
      const bool link = event.content.starts_with("link:");
      if (event.state == State::live && !anywhere.contains(event.content) && !link) {
        event.state = State::superseded;  // by nobody: it never was
      } else if (event.state == State::live && !shown.contains({lineage, event.content})) {
        event.state = State::ambiguous;  // its name may be gone with the cut
      } else if (event.superseded_by == host && anywhere.contains(event.content)) {
        event.state = State::ambiguous;
      }
    }
  }
  for (const auto& [name, node] : after) {
    if (node.kind == engine::Kind::directory || same(before, name, node)) {
      continue;
    }
    std::vector<Event>& events = lineages_[lineage_of(name)];
    const bool torn = contents_.insert(key(node)).second;
    if (torn) {
      torn_.insert(key(node));
    }
    if (torn_.contains(key(node))) {
      written_at_[{lineage_of(name), key(node)}].emplace(name);  // two can be torn alike: empty
    }
    events.push_back({key(node), node.mode, node.mtime, torn ? State::live : State::ambiguous, 0});
  }
}

std::size_t Oracle::written_under(const std::string& lineage, const std::string& content) const {
  const auto names = written_at_.find({lineage, content});
  return names == written_at_.end() ? 1 : names->second.size();
}

std::vector<std::string> Oracle::judge(const Tree& tree) const {
  std::vector<std::string> wrong;
  std::map<std::string, std::map<std::string, std::size_t>> held;
  for (const auto& [name, node] : tree) {
    if (node.kind == engine::Kind::directory) {
      continue;
    }
    if (!known(node)) {
      wrong.push_back("invented or torn bytes at " + name + ": " + brief(key(node)));
    }
    ++held[lineage_of(name)][key(node)];
  }
  for (const auto& [lineage, events] : lineages_) {
    std::map<std::string, std::pair<bool, bool>> owed;  // required, allowed
    for (const Event& event : events) {
      auto& [required, allowed] = owed[event.content];
      required = required || event.state == State::live;
      allowed = allowed || event.state != State::superseded ||
                (event.stood_at_loss && events.size() > engine::superseded_max);
    }
    const auto here = held.find(lineage);
    for (const auto& [content, what] : owed) {
      const std::size_t count =
          here == held.end() || !here->second.contains(content) ? 0 : here->second.at(content);
      if (what.first && count == 0) {
        wrong.push_back("lost update: " + brief(content) + " of " + lineage);
      } else if (!what.second && count > 0) {
        wrong.push_back("resurrection: " + brief(content) + " of " + lineage);
      } else if (count > 1 && count > written_under(lineage, content)) {
        wrong.push_back("spurious copy: " + brief(content) + " of " + lineage + " is there " +
                        std::to_string(count) + " times");
      }
    }
    if (here != held.end()) {
      for (const auto& [content, count] : here->second) {
        if (!owed.contains(content)) {
          wrong.push_back("bytes of another path: " + brief(content) + " at " + lineage);
        }
      }
    }
  }
  for (const auto& [lineage, contents] : held) {
    if (!lineages_.contains(lineage)) {
      wrong.push_back("a path that nobody wrote: " + lineage);
    }
  }
  return wrong;
}

}  // namespace p2psync::sim
