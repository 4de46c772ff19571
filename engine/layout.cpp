#include "engine/layout.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <tuple>

namespace p2psync::engine {
namespace {

constexpr std::string_view infix = ".conflict-";
constexpr std::size_t digits_min = 8;

/// Siblings that share a name.
struct Group {
  const Sibling* best = nullptr;   ///< highest standing: gives mode and mtime
  const Sibling* first = nullptr;  ///< smallest (tag, label): gives label and tag
  bool claims = false;             ///< some sibling is not a copy
  std::vector<Dot> dots;
};

/// Which of those that say the same is left (entry.h) makes no difference: between groups the first
/// three tell, and within one it is what they give.
auto standing(const Sibling& sibling) {
  const Version& version = sibling.version;
  return std::tie(version.rank, version.content, version.kind, version.mtime, version.mode,
                  sibling.dot);
}
auto seniority(const Sibling& sibling) {
  return std::tie(sibling.version.tag, sibling.version.label);
}

/// The sibling that replaced the bytes which this metadata-only version changed, if there is one.
const Sibling* replacement(const Entry& entry, const Sibling& sibling) {
  const Sibling* found = nullptr;
  if (!sibling.version.metadata_only) {
    return nullptr;
  }
  for (const Sibling& other : entry.versions) {
    const auto& replaced = other.version.superseded;
    const bool replaces = !other.version.metadata_only &&
                          !same_content(other.version, sibling.version) &&
                          std::ranges::find(replaced, sibling.version.base) != replaced.end();
    if (replaces && (found == nullptr || standing(*found) < standing(other))) {
      found = &other;
    }
  }
  return found;
}

std::vector<Group> group(const Entry& entry) {
  std::vector<Group> groups;
  const auto group_of = [&groups](const Sibling& sibling) {
    return std::ranges::find_if(groups, [&](const Group& group) {
      return same_content(group.best->version, sibling.version);
    });
  };
  for (const Sibling& sibling : entry.versions) {
    if (replacement(entry, sibling) != nullptr) {
      continue;
    }
    auto place = group_of(sibling);
    if (place == groups.end()) {
      place = groups.insert(groups.end(), {&sibling, &sibling, false, {}});
    }
    if (standing(*place->best) < standing(sibling)) {
      place->best = &sibling;
    }
    if (seniority(sibling) < seniority(*place->first)) {
      place->first = &sibling;
    }
    place->claims = place->claims || !sibling.version.copy;
    place->dots.push_back(sibling.dot);
  }
  for (const Sibling& sibling : entry.versions) {
    if (const Sibling* edit = replacement(entry, sibling)) {
      const auto place = group_of(*edit);
      place->dots.insert(std::ranges::lower_bound(place->dots, sibling.dot), sibling.dot);
    }
  }
  return groups;
}

/// The name of a copy with this many digits of the tag (0: the bare form), or "" when it is too
/// long for that.
Path copy_name(std::string_view path, const Version& version, std::size_t digits) {
  std::string ending = std::string(infix) + version.label;
  if (digits > 0) {
    // More digits than the tag has: those of the tag's own hash follow, and so on without an end.
    std::string hex;
    for (std::uint64_t tag = version.tag; hex.size() < digits; tag = tag_of({{tag, tag}, 1})) {
      std::array<char, 17> text{};
      std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(tag));
      hex += text.data();
    }
    ending += '-' + hex.substr(0, digits);
  }
  std::string_view name = name_of(path);
  if (name.size() + ending.size() > name_bytes_max) {
    if (digits == 0) {
      return {};
    }
    name = name.substr(0, name_bytes_max - std::min(ending.size(), name_bytes_max));
  }
  return child_of(parent_of(path), std::string(name) + ending);
}

Place place_of(const Group& group, Path name) {
  Version version = group.best->version;
  version.label = group.first->version.label;
  version.tag = group.first->version.tag;
  version.copy = !group.claims;
  return {std::move(name), group.dots, std::move(version)};
}

}  // namespace

std::vector<Place> layout(std::string_view path, const Entry& entry, bool live_below,
                          const std::function<bool(std::string_view)>& taken) {
  std::vector<Group> groups = group(entry);
  const bool directory = live_below || std::ranges::any_of(groups, [](const Group& group) {
                           return group.best->version.kind == Kind::directory;
                         });
  auto winner = groups.end();
  for (auto place = groups.begin(); place != groups.end(); ++place) {
    const bool eligible = directory ? place->best->version.kind == Kind::directory : place->claims;
    if (eligible && (winner == groups.end() || standing(*winner->best) < standing(*place->best))) {
      winner = place;
    }
  }
  std::optional<Place> own;
  if (winner != groups.end()) {
    own = place_of(*winner, Path(path));
    groups.erase(winner);
  } else if (directory) {
    own = Place{Path(path), {}, {}};
    own->version.kind = Kind::directory;
    own->version.mode = 0755;
  }

  std::ranges::sort(groups, [](const Group& a, const Group& b) {
    return std::tuple(seniority(*a.first), standing(*a.best)) <
           std::tuple(seniority(*b.first), standing(*b.best));
  });
  std::vector<Place> places;
  std::set<std::string, std::less<>> labels;
  std::set<Path, std::less<>> names;
  for (const Group& group : groups) {
    const bool bare = labels.insert(group.first->version.label).second;
    Path name = bare ? copy_name(path, group.first->version, 0) : Path();
    for (std::size_t digits = digits_min; name.empty() || names.contains(name) || taken(name);
         ++digits) {
      name = copy_name(path, group.first->version, digits);
    }
    names.insert(name);
    places.push_back(place_of(group, std::move(name)));
  }
  if (own) {
    places.push_back(std::move(*own));
  }
  return places;
}

std::vector<Path> possible_originals(std::string_view name) {
  std::vector<Path> originals;
  const std::size_t start = name.size() - name_of(name).size();
  for (std::size_t at = name.rfind(infix); at != std::string_view::npos && at > start;
       at = at == 0 ? std::string_view::npos : name.rfind(infix, at - 1)) {
    originals.emplace_back(name.substr(0, at));
  }
  return originals;
}

bool looks_like(const Version& a, const Version& b) {
  return same_content(a, b) && a.mode == b.mode && a.mtime == b.mtime;
}

bool stands_for(const Version& on_disk, const Version& wanted) {
  if (!same_content(on_disk, wanted) || on_disk.mode != wanted.mode) {
    return false;
  }
  if (on_disk.mtime == wanted.mtime) {
    return true;
  }
  return std::ranges::any_of(timestamp_grains_ns, [&](std::int64_t grain) {
    return on_disk.mtime % grain == 0 && on_disk.mtime < wanted.mtime &&
           wanted.mtime - on_disk.mtime < grain;
  });
}

}  // namespace p2psync::engine
