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

using Item = Index::Item;

bool before(std::string_view a, std::string_view b) {
  return PathLess{}(a, b);
}

Summary summary_of(const Item& item) {
  return {item.record.entry.versions.size(), item.fingerprint};
}

/// The shortest string s with before < s <= path.
Path separator(std::string_view before, std::string_view path) {
  const auto differ = std::ranges::mismatch(before, path);
  const auto common = static_cast<std::size_t>(differ.in2 - path.begin());
  return Path(path.substr(0, common + 1));
}

}  // namespace

Summary& Summary::operator+=(const Summary& other) {
  live += other.live;
  fingerprint += other.fingerprint;
  return *this;
}

Summary& Summary::operator-=(const Summary& other) {
  live -= other.live;
  fingerprint -= other.fingerprint;
  return *this;
}

/// Either a leaf (items) or an inner node (slots, at least one).
struct Index::Node {
  /// A child and what is below it: keys from `lower` on. The first slot's `lower` is not looked at.
  struct Slot {
    Path lower;
    Summary sum;
    std::unique_ptr<Node> child;
  };

  std::vector<std::unique_ptr<Item>> items;
  std::vector<Slot> slots;

  [[nodiscard]] std::unique_ptr<Node> clone() const {
    auto copy = std::make_unique<Node>();
    for (const auto& item : items) {
      copy->items.push_back(std::make_unique<Item>(*item));
    }
    for (const Slot& slot : slots) {
      copy->slots.push_back({slot.lower, slot.sum, slot.child->clone()});
    }
    return copy;
  }

  [[nodiscard]] bool is_leaf() const { return slots.empty(); }
  [[nodiscard]] std::size_t width() const { return is_leaf() ? items.size() : slots.size(); }

  [[nodiscard]] Summary sum() const {
    Summary sum;
    for (const auto& item : items) {
      sum += summary_of(*item);
    }
    for (const Slot& slot : slots) {
      sum += slot.sum;
    }
    return sum;
  }

  /// Where the first item that is not below the path is, or would be.
  [[nodiscard]] std::size_t item_place(std::string_view path) const {
    const auto place = std::ranges::lower_bound(
        items, path, before, [](const auto& item) -> std::string_view { return item->path; });
    return static_cast<std::size_t>(place - items.begin());
  }

  /// The child in whose keys the path is.
  [[nodiscard]] std::size_t slot_place(std::string_view path) const {
    const auto place = std::upper_bound(
        slots.begin() + 1, slots.end(), path,
        [](std::string_view key, const Slot& slot) { return before(key, slot.lower); });
    return static_cast<std::size_t>(place - slots.begin()) - 1;
  }

  [[nodiscard]] const Item& first() const {
    return is_leaf() ? *items.front() : slots.front().child->first();
  }
  [[nodiscard]] const Item& last() const {
    return is_leaf() ? *items.back() : slots.back().child->last();
  }

  /// What is below `path`.
  [[nodiscard]] Summary below(std::string_view path) const {
    Summary sum;
    if (is_leaf()) {
      const std::size_t place = item_place(path);
      for (std::size_t i = 0; i < place; ++i) {
        sum += summary_of(*items[i]);
      }
      return sum;
    }
    const std::size_t place = slot_place(path);
    for (std::size_t i = 0; i < place; ++i) {
      sum += slots[i].sum;
    }
    sum += slots[place].child->below(path);
    return sum;
  }

  [[nodiscard]] const Item* at_or_after(std::string_view path) const {
    if (is_leaf()) {
      const std::size_t place = item_place(path);
      return place < items.size() ? items[place].get() : nullptr;
    }
    const std::size_t place = slot_place(path);
    if (const Item* item = slots[place].child->at_or_after(path)) {
      return item;
    }
    return place + 1 < slots.size() ? &slots[place + 1].child->first() : nullptr;
  }

  /// The item that holds the live sibling with this number (from 0, and there are that many), as a
  /// bound: the shortest string above all items before it. "" for the very first item.
  [[nodiscard]] Path bound_at(std::uint64_t number, const Item* previous) const {
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::uint64_t live = items[i]->record.entry.versions.size();
      if (number < live) {
        return previous == nullptr ? Path() : separator(previous->path, items[i]->path);
      }
      number -= live;
      previous = items[i].get();
    }
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (number < slots[i].sum.live) {
        return slots[i].child->bound_at(number, i == 0 ? previous : &slots[i - 1].child->last());
      }
      number -= slots[i].sum.live;
    }
    invariant(false, "index: a live sibling beyond the last");
    return {};
  }

  /// False once `visit` wants no more or the range is over.
  bool for_each(std::string_view lower, std::string_view upper,
                const std::function<bool(const Path&, const Record&)>& visit) const {
    for (std::size_t i = is_leaf() ? item_place(lower) : items.size(); i < items.size(); ++i) {
      if ((!upper.empty() && !before(items[i]->path, upper)) ||
          !visit(items[i]->path, items[i]->record)) {
        return false;
      }
    }
    for (std::size_t i = is_leaf() ? 0 : slot_place(lower); i < slots.size(); ++i) {
      if (!slots[i].child->for_each(lower, upper, visit)) {
        return false;
      }
    }
    return true;
  }

  /// Edits one record. `size` and `delta` say what changed: the caller owes the latter to its sums.
  void update(std::string_view path, const std::function<void(Record&)>& edit, std::size_t& size,
              Summary& delta) {
    if (is_leaf()) {
      update_leaf(path, edit, size, delta);
      return;
    }
    const std::size_t place = slot_place(path);
    slots[place].child->update(path, edit, size, delta);
    slots[place].sum += delta;
    if (slots[place].child->width() > fan_out_max) {
      split_child(place);
    } else if (slots[place].child->width() < fan_out_min && slots.size() > 1) {
      merge_children(place > 0 ? place - 1 : place);
    }
  }

  void update_leaf(std::string_view path, const std::function<void(Record&)>& edit,
                   std::size_t& size, Summary& delta) {
    const std::size_t place = item_place(path);
    const auto at = items.begin() + static_cast<std::ptrdiff_t>(place);
    if (place == items.size() || items[place]->path != path) {
      auto made = std::make_unique<Item>(Path(path));
      edit(made->record);
      if (!made->record.empty()) {
        made->fingerprint = fingerprint(path, made->record.entry);
        delta = summary_of(*made);
        items.insert(at, std::move(made));
        ++size;
      }
      return;
    }
    Item& item = *items[place];
    const Summary old = summary_of(item);
    edit(item.record);
    if (item.record.empty()) {
      items.erase(at);
      --size;
    } else {
      item.fingerprint = fingerprint(path, item.record.entry);
      delta = summary_of(item);
    }
    delta -= old;
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
      move(items, tail->items);
    } else {
      move(slots, tail->slots);
    }
    return tail;
  }

  void split_child(std::size_t place) {
    Slot& left = slots[place];
    Slot right;
    right.child = left.child->cut(left.child->width() / 2);
    right.lower = separator(left.child->last().path, right.child->first().path);
    right.sum = right.child->sum();
    left.sum -= right.sum;
    slots.insert(slots.begin() + static_cast<std::ptrdiff_t>(place) + 1, std::move(right));
  }

  /// Makes one of the children at place and place + 1, and two again if that is too wide.
  void merge_children(std::size_t place) {
    Slot& left = slots[place];
    Slot& right = slots[place + 1];
    // Here the first slot's key begins to matter: it is no longer the first.
    if (!right.child->is_leaf()) {
      right.child->slots.front().lower = right.lower;
    }
    std::ranges::move(right.child->items, std::back_inserter(left.child->items));
    std::ranges::move(right.child->slots, std::back_inserter(left.child->slots));
    left.sum += right.sum;
    slots.erase(slots.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    if (slots[place].child->width() > fan_out_max) {
      split_child(place);
    }
  }

  /// Returns the depth; `lower` and `upper` are what the parent promises of the keys.
  std::size_t check(std::string_view lower, std::string_view upper, std::size_t& size) const {
    const auto within = [&](std::string_view path) {
      return !before(path, lower) && (upper.empty() || before(path, upper));
    };
    invariant(items.empty() || slots.empty(), "index: a node is a leaf or it is not");
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Item& item = *items[i];
      invariant(within(item.path), "index: a key outside its leaf");
      invariant(i == 0 || before(items[i - 1]->path, item.path), "index: keys out of order");
      invariant(!item.record.empty(), "index: an empty record");
      invariant(item.fingerprint == engine::fingerprint(item.path, item.record.entry),
                "index: a fingerprint that is not the entry's");
    }
    size += items.size();
    std::size_t depth = 0;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const Slot& slot = slots[i];
      invariant(slot.child->width() <= fan_out_max, "index: a node too wide");
      invariant(slot.child->width() >= fan_out_min || slots.size() == 1, "index: a thin node");
      invariant(slot.sum == slot.child->sum(), "index: a sum that is not its child's");
      const std::string_view from = i == 0 ? lower : std::string_view(slot.lower);
      const std::string_view to =
          i + 1 < slots.size() ? std::string_view(slots[i + 1].lower) : upper;
      const std::size_t child_depth = slot.child->check(from, to, size);
      invariant(i == 0 || depth == child_depth, "index: leaves at different depths");
      depth = child_depth;
    }
    return depth + 1;
  }
};

Index::Index() : root_(std::make_unique<Node>()) {}
Index::~Index() = default;
Index::Index(const Index& other)
    : root_(other.root_->clone()), size_(other.size_), sum_(other.sum_) {}
Index& Index::operator=(const Index& other) {
  return *this = Index(other);
}
Index::Index(Index&&) noexcept = default;
Index& Index::operator=(Index&&) noexcept = default;

const Record* Index::find(std::string_view path) const {
  const Item* item = at_or_after(path);
  return item != nullptr && item->path == path ? &item->record : nullptr;
}

void Index::put(std::string_view path, Record record) {
  update(path, [&record](Record& old) { old = std::move(record); });
}

void Index::erase(std::string_view path) {
  update(path, [](Record& record) { record = {}; });
}

void Index::update(std::string_view path, const std::function<void(Record&)>& edit) {
  Summary delta;
  root_->update(path, edit, size_, delta);
  sum_ += delta;
  if (root_->width() > fan_out_max) {
    auto root = std::make_unique<Node>();
    root->slots.push_back({Path(), sum_, std::move(root_)});
    root->split_child(0);
    root_ = std::move(root);
  } else if (root_->slots.size() == 1) {
    auto child = std::move(root_->slots.front().child);
    root_ = std::move(child);
  }
}

Summary Index::summary() const {
  return sum_;
}

Summary Index::summary(std::string_view lower, std::string_view upper) const {
  if (!upper.empty() && !before(lower, upper)) {
    return {};
  }
  Summary sum = upper.empty() ? summary() : root_->below(upper);
  if (!lower.empty()) {
    sum -= root_->below(lower);
  }
  return sum;
}

bool Index::any_live_below(std::string_view directory) const {
  if (directory.empty()) {
    return summary().live > 0;
  }
  // '/' sorts below every other byte and NUL, which is in no path, right behind it.
  const Path first = Path(directory) + '/';
  const Item* item = at_or_after(first);
  if (item == nullptr || !is_below(item->path, directory)) {
    return false;  // a file, as most are
  }
  if (item->record.entry.live()) {
    return true;
  }
  const Path end = Path(directory) + '\0';
  return summary(first, end).live > 0;
}

std::vector<Path> Index::split(std::string_view lower, std::string_view upper,
                               std::size_t parts) const {
  std::vector<Path> bounds;
  const std::uint64_t live = summary(lower, upper).live;
  const std::uint64_t skipped = root_->below(lower).live;
  const std::uint64_t cuts = std::min<std::uint64_t>(parts, live);
  for (std::uint64_t part = 1; part < cuts; ++part) {
    Path bound = root_->bound_at(skipped + live * part / cuts, nullptr);
    // Equal bounds come from one path with many siblings; the first path of all has bound "".
    if (before(bounds.empty() ? lower : std::string_view(bounds.back()), bound) &&
        (upper.empty() || before(bound, upper))) {
      bounds.push_back(std::move(bound));
    }
  }
  return bounds;
}

const Index::Item* Index::at_or_after(std::string_view path) const {
  return root_->at_or_after(path);
}

const Index::Item* Index::next_after(std::string_view path) const {
  // Nothing is between a path and itself with a '/': that byte sorts first.
  return at_or_after(Path(path) + '/');
}

void Index::for_each(std::string_view lower, std::string_view upper,
                     const std::function<bool(const Path&, const Record&)>& visit) const {
  root_->for_each(lower, upper, visit);
}

void Index::check() const {
  std::size_t size = 0;
  root_->check("", "", size);
  invariant(size == size_, "index: a wrong size");
  invariant(root_->sum() == sum_, "index: a sum that is not its root's");
  invariant(root_->width() <= fan_out_max, "index: the root too wide");
  invariant(root_->slots.size() != 1, "index: a root with one child");
}

}  // namespace p2psync::engine
