#include "engine/index.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/error.h"

namespace p2psync::engine {
namespace {

/// Items in a leaf, children in an inner node. Two neighbours of which one has fewer than
/// fan_out_min are merged, or share what they have if that is too much for one.
constexpr std::size_t fan_out_max = 64;
constexpr std::size_t fan_out_min = 16;

bool before(std::string_view a, std::string_view b) {
  return PathLess{}(a, b);
}

/// The shortest string s with before < s <= path.
Path separator(std::string_view before, std::string_view path) {
  const auto differ = std::ranges::mismatch(before, path);
  const auto common = static_cast<std::size_t>(differ.in2 - path.begin());
  return Path(path.substr(0, common + 1));
}

}  // namespace

/// Either a leaf (ids) or an inner node (slots, at least one). `all` holds the items.
struct Index::Node {
  /// A child and what is below it: keys from `lower` on. The first slot's `lower` is not looked at.
  struct Slot {
    Path lower;
    Summary sum;
    std::unique_ptr<Node> child;
  };

  std::vector<Id> ids;
  std::vector<Slot> slots;

  [[nodiscard]] std::unique_ptr<Node> clone() const {
    auto copy = std::make_unique<Node>();
    copy->ids = ids;
    for (const Slot& slot : slots) {
      copy->slots.push_back({slot.lower, slot.sum, slot.child->clone()});
    }
    return copy;
  }

  [[nodiscard]] bool is_leaf() const { return slots.empty(); }
  [[nodiscard]] std::size_t width() const { return is_leaf() ? ids.size() : slots.size(); }

  [[nodiscard]] Summary sum(const Items& all) const {
    Summary sum;
    for (const Id id : ids) {
      sum += all.summary(id);
    }
    for (const Slot& slot : slots) {
      sum += slot.sum;
    }
    return sum;
  }

  /// Where the first item that is not below the path is, or would be.
  [[nodiscard]] std::size_t item_place(const Items& all, std::string_view path) const {
    const auto place =
        std::ranges::lower_bound(ids, path, before, [&all](Id id) { return all.path(id); });
    return static_cast<std::size_t>(place - ids.begin());
  }

  /// The child in whose keys the path is.
  [[nodiscard]] std::size_t slot_place(std::string_view path) const {
    const auto place = std::upper_bound(
        slots.begin() + 1, slots.end(), path,
        [](std::string_view key, const Slot& slot) { return before(key, slot.lower); });
    return static_cast<std::size_t>(place - slots.begin()) - 1;
  }

  [[nodiscard]] Id first() const { return is_leaf() ? ids.front() : slots.front().child->first(); }
  [[nodiscard]] Id last() const { return is_leaf() ? ids.back() : slots.back().child->last(); }

  /// What is below `path`.
  [[nodiscard]] Summary below(const Items& all, std::string_view path) const {
    Summary sum;
    if (is_leaf()) {
      const std::size_t place = item_place(all, path);
      for (std::size_t i = 0; i < place; ++i) {
        sum += all.summary(ids[i]);
      }
      return sum;
    }
    const std::size_t place = slot_place(path);
    for (std::size_t i = 0; i < place; ++i) {
      sum += slots[i].sum;
    }
    sum += slots[place].child->below(all, path);
    return sum;
  }

  [[nodiscard]] std::optional<Id> at_or_after(const Items& all, std::string_view path) const {
    if (is_leaf()) {
      const std::size_t place = item_place(all, path);
      return place < ids.size() ? std::optional(ids[place]) : std::nullopt;
    }
    const std::size_t place = slot_place(path);
    if (const auto id = slots[place].child->at_or_after(all, path)) {
      return id;
    }
    return place + 1 < slots.size() ? std::optional(slots[place + 1].child->first()) : std::nullopt;
  }

  /// The item that holds the live sibling with this number (from 0, and there are that many), as a
  /// bound: the shortest string above all items before it. "" for the very first item.
  [[nodiscard]] Path bound_at(const Items& all, std::uint64_t number,
                              std::optional<Id> previous) const {
    for (const Id id : ids) {
      const std::uint64_t live = all.summary(id).live;
      if (number < live) {
        return previous ? separator(all.path(*previous), all.path(id)) : Path();
      }
      number -= live;
      previous = id;
    }
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (number < slots[i].sum.live) {
        return slots[i].child->bound_at(all, number,
                                        i == 0 ? previous : slots[i - 1].child->last());
      }
      number -= slots[i].sum.live;
    }
    invariant(false, "index: a live sibling beyond the last");
    return {};
  }

  /// False once `visit` wants no more or the range is over.
  bool for_each(const Items& all, std::string_view lower, std::string_view upper,
                const std::function<bool(Id)>& visit) const {
    for (std::size_t i = is_leaf() ? item_place(all, lower) : ids.size(); i < ids.size(); ++i) {
      if ((!upper.empty() && !before(all.path(ids[i]), upper)) || !visit(ids[i])) {
        return false;
      }
    }
    for (std::size_t i = is_leaf() ? 0 : slot_place(lower); i < slots.size(); ++i) {
      if (!slots[i].child->for_each(all, lower, upper, visit)) {
        return false;
      }
    }
    return true;
  }

  /// What an edit came to. The caller owes `delta` to its sums.
  struct Edited {
    Id id = 0;
    std::ptrdiff_t more = 0;
    Summary delta;
  };

  Edited update(Items& all, std::string_view path, const std::function<void(Record&)>& edit) {
    if (is_leaf()) {
      return update_leaf(all, path, edit);
    }
    const std::size_t place = slot_place(path);
    const Edited edited = slots[place].child->update(all, path, edit);
    slots[place].sum += edited.delta;
    if (slots[place].child->width() > fan_out_max) {
      split_child(all, place);
    } else if (slots[place].child->width() < fan_out_min && slots.size() > 1) {
      merge_children(all, place > 0 ? place - 1 : place);
    }
    return edited;
  }

  Edited update_leaf(Items& all, std::string_view path, const std::function<void(Record&)>& edit) {
    const std::size_t place = item_place(all, path);
    const auto at = ids.begin() + static_cast<std::ptrdiff_t>(place);
    const bool made = place == ids.size() || all.path(ids[place]) != path;
    Edited edited;
    edited.id = made ? all.add(path) : ids[place];
    Item& item = all.edit(edited.id);
    const Summary old = summary_of(item);
    edit(item.record);
    item.fingerprint = fingerprint(path, item.record.entry);
    edited.delta = summary_of(item);
    edited.delta -= old;
    const bool gone = item.record.empty();
    if (gone) {
      all.erase(edited.id);
    }
    if (made && !gone) {
      ids.insert(at, edited.id);
      edited.more = 1;
    } else if (!made && gone) {
      ids.erase(at);
      edited.more = -1;
    }
    return edited;
  }

  /// Moves everything from the place on into a new node.
  [[nodiscard]] std::unique_ptr<Node> cut(std::size_t place) {
    auto tail = std::make_unique<Node>();
    const auto move = [place](auto& from, auto& to) {
      const auto begin = from.begin() + static_cast<std::ptrdiff_t>(place);
      to.assign(std::make_move_iterator(begin), std::make_move_iterator(from.end()));
      from.erase(begin, from.end());
    };
    if (is_leaf()) {
      move(ids, tail->ids);
    } else {
      move(slots, tail->slots);
    }
    return tail;
  }

  void split_child(const Items& all, std::size_t place) {
    Slot& left = slots[place];
    Slot right;
    right.child = left.child->cut(left.child->width() / 2);
    right.lower = separator(all.path(left.child->last()), all.path(right.child->first()));
    right.sum = right.child->sum(all);
    left.sum -= right.sum;
    slots.insert(slots.begin() + static_cast<std::ptrdiff_t>(place) + 1, std::move(right));
  }

  /// Makes one of the children at place and place + 1, and two again if that is too wide.
  void merge_children(const Items& all, std::size_t place) {
    Slot& left = slots[place];
    Slot& right = slots[place + 1];
    // Here the first slot's key begins to matter: it is no longer the first.
    if (!right.child->is_leaf()) {
      right.child->slots.front().lower = right.lower;
    }
    std::ranges::copy(right.child->ids, std::back_inserter(left.child->ids));
    std::ranges::move(right.child->slots, std::back_inserter(left.child->slots));
    left.sum += right.sum;
    slots.erase(slots.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    if (slots[place].child->width() > fan_out_max) {
      split_child(all, place);
    }
  }

  /// Returns the depth; `lower` and `upper` are what the parent promises of the keys.
  std::size_t check(const Items& all, std::string_view lower, std::string_view upper,
                    std::size_t& size) const {
    const auto within = [&](std::string_view path) {
      return !before(path, lower) && (upper.empty() || before(path, upper));
    };
    invariant(ids.empty() || slots.empty(), "index: a node is a leaf or it is not");
    for (std::size_t i = 0; i < ids.size(); ++i) {
      Item room;
      const Item& item = all.read(ids[i], room);
      invariant(within(item.path), "index: a key outside its leaf");
      invariant(i == 0 || before(all.path(ids[i - 1]), item.path), "index: keys out of order");
      invariant(!item.record.empty(), "index: an empty record");
      invariant(item.fingerprint == engine::fingerprint(item.path, item.record.entry),
                "index: a fingerprint that is not the entry's");
    }
    size += ids.size();
    std::size_t depth = 0;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const Slot& slot = slots[i];
      invariant(slot.child->width() <= fan_out_max, "index: a node too wide");
      invariant(slot.child->width() >= fan_out_min || slots.size() == 1, "index: a thin node");
      invariant(slot.sum == slot.child->sum(all), "index: a sum that is not its child's");
      const std::string_view from = i == 0 ? lower : std::string_view(slot.lower);
      const std::string_view to =
          i + 1 < slots.size() ? std::string_view(slots[i + 1].lower) : upper;
      const std::size_t child_depth = slot.child->check(all, from, to, size);
      invariant(i == 0 || depth == child_depth, "index: leaves at different depths");
      depth = child_depth;
    }
    return depth + 1;
  }
};

Index::Index() : root_(std::make_unique<Node>()) {}
Index::~Index() = default;
Index::Index(const Index& other)
    : items_(other.items_), root_(other.root_->clone()), size_(other.size_), sum_(other.sum_) {}
Index& Index::operator=(const Index& other) {
  return *this = Index(other);
}
Index::Index(Index&&) noexcept = default;
Index& Index::operator=(Index&&) noexcept = default;

const Record* Index::find(std::string_view path) const {
  const std::optional<Id> found = id(path);
  return found ? &items_.open(*found).record : nullptr;
}

std::optional<Index::Id> Index::id(std::string_view path) const {
  const std::optional<Id> found = root_->at_or_after(items_, path);
  return found && items_.path(*found) == path ? found : std::nullopt;
}

void Index::put(std::string_view path, Record record) {
  update(path, [&record](Record& old) { old = std::move(record); });
}

void Index::erase(std::string_view path) {
  update(path, [](Record& record) { record = {}; });
}

Index::Id Index::update(std::string_view path, const std::function<void(Record&)>& edit) {
  const Node::Edited edited = root_->update(items_, path, edit);
  size_ = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(size_) + edited.more);
  sum_ += edited.delta;
  if (root_->width() > fan_out_max) {
    auto root = std::make_unique<Node>();
    root->slots.push_back({Path(), sum_, std::move(root_)});
    root->split_child(items_, 0);
    root_ = std::move(root);
  } else if (root_->slots.size() == 1) {
    auto child = std::move(root_->slots.front().child);
    root_ = std::move(child);
  }
  return edited.id;
}

Summary Index::summary() const {
  return sum_;
}

Summary Index::summary(std::string_view lower, std::string_view upper) const {
  if (!upper.empty() && !before(lower, upper)) {
    return {};
  }
  Summary sum = upper.empty() ? summary() : root_->below(items_, upper);
  if (!lower.empty()) {
    sum -= root_->below(items_, lower);
  }
  return sum;
}

bool Index::any_live_below(std::string_view directory) const {
  if (directory.empty()) {
    return summary().live > 0;
  }
  // '/' sorts below every other byte and NUL, which is in no path, right behind it.
  const Path first = Path(directory) + '/';
  const std::optional<Id> item = root_->at_or_after(items_, first);
  if (!item || !is_below(items_.path(*item), directory)) {
    return false;  // a file, as most are
  }
  if (items_.summary(*item).live > 0) {
    return true;
  }
  const Path end = Path(directory) + '\0';
  return summary(first, end).live > 0;
}

std::vector<Path> Index::split(std::string_view lower, std::string_view upper,
                               std::size_t parts) const {
  std::vector<Path> bounds;
  const std::uint64_t live = summary(lower, upper).live;
  const std::uint64_t skipped = root_->below(items_, lower).live;
  const std::uint64_t cuts = std::min<std::uint64_t>(parts, live);
  for (std::uint64_t part = 1; part < cuts; ++part) {
    Path bound = root_->bound_at(items_, skipped + live * part / cuts, std::nullopt);
    // Equal bounds come from one path with many siblings; the first path of all has bound "".
    if (before(bounds.empty() ? lower : std::string_view(bounds.back()), bound) &&
        (upper.empty() || before(bound, upper))) {
      bounds.push_back(std::move(bound));
    }
  }
  return bounds;
}

const Item* Index::at_or_after(std::string_view path) const {
  const std::optional<Id> found = root_->at_or_after(items_, path);
  return found ? &items_.open(*found) : nullptr;
}

const Item* Index::next_after(std::string_view path) const {
  // Nothing is between a path and itself with a '/': that byte sorts first.
  return at_or_after(Path(path) + '/');
}

void Index::for_each(std::string_view lower, std::string_view upper,
                     const std::function<bool(const Path&, const Record&)>& visit) const {
  root_->for_each(items_, lower, upper, [&](Id id) {
    Item room;
    const Item& item = read(id, room);
    return visit(item.path, item.record);
  });
}

void Index::for_each_id(const std::function<void(Id)>& visit) const {
  root_->for_each(items_, "", "", [&visit](Id id) {
    visit(id);
    return true;
  });
}

void Index::for_each_child(std::string_view directory,
                           const std::function<void(Id, std::string_view)>& visit) const {
  const Path below = directory.empty() ? Path() : Path(directory) + '/';
  std::optional<Path> from = below;
  while (from) {
    const Path lower = *std::exchange(from, std::nullopt);
    root_->for_each(items_, lower, "", [&](Id id) {
      const std::string_view path = items_.path(id);
      if (!path.starts_with(below)) {
        return false;
      }
      const std::string_view name = path.substr(below.size());
      if (const std::size_t slash = name.find('/'); slash != std::string_view::npos) {
        from = below + Path(name.substr(0, slash)) + '\0';  // behind all that is in there
        return false;
      }
      visit(id, name);
      return true;
    });
  }
}

bool Index::Builder::ascends(std::string_view path) const {
  return ids_.empty() || before(made_.items_.path(ids_.back()), path);
}

bool Index::Builder::add(std::string_view path, const PlainRecord& plain) {
  if (!ascends(path)) {
    return false;
  }
  ids_.push_back(made_.items_.add(path, plain));
  return true;
}

bool Index::Builder::add(Path path, Record record) {
  if (record.empty() || !ascends(path)) {
    return false;
  }
  const Fingerprint sum = fingerprint(path, record.entry);
  ids_.push_back(made_.items_.add({std::move(path), std::move(record), sum}));
  return true;
}

Index Index::Builder::finish() {
  made_.build(std::exchange(ids_, {}));
  return std::exchange(made_, {});
}

/// Nodes of equal width, with room for some more in each.
void Index::build(const std::vector<Id>& ids) {
  constexpr std::size_t fill = fan_out_max * 3 / 4;
  const auto parts = [](std::size_t count) { return (count + fill - 1) / fill; };
  std::vector<Node::Slot> level;
  const std::size_t leaves = std::max<std::size_t>(1, parts(ids.size()));
  for (std::size_t i = 0; i < leaves; ++i) {
    const auto place = [&](std::size_t part) {
      return ids.begin() + static_cast<std::ptrdiff_t>(ids.size() * part / leaves);
    };
    auto leaf = std::make_unique<Node>();
    leaf->ids.assign(place(i), place(i + 1));
    const Path lower =
        i == 0 ? Path() : separator(items_.path(place(i)[-1]), items_.path(*place(i)));
    level.push_back({lower, leaf->sum(items_), std::move(leaf)});
  }
  while (level.size() > 1) {
    std::vector<Node::Slot> above(parts(level.size()));
    for (std::size_t i = 0; i < level.size(); ++i) {
      Node::Slot& slot = above[i * above.size() / level.size()];
      if (slot.child == nullptr) {
        slot.lower = level[i].lower;
        slot.child = std::make_unique<Node>();
      }
      slot.sum += level[i].sum;
      slot.child->slots.push_back(std::move(level[i]));
    }
    level = std::move(above);
  }
  size_ = ids.size();
  sum_ = level.front().sum;
  root_ = std::move(level.front().child);
}

void Index::check() const {
  std::size_t size = 0;
  root_->check(items_, "", "", size);
  invariant(size == size_, "index: a wrong size");
  invariant(root_->sum(items_) == sum_, "index: a sum that is not its root's");
  invariant(root_->width() <= fan_out_max, "index: the root too wide");
  invariant(root_->slots.size() != 1, "index: a root with one child");
}

}  // namespace p2psync::engine
