#pragma once
// The nodes of the index; included by index.cpp only.
#include <algorithm>
#include <functional>
#include <iterator>
#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/error.h"
#include "engine/index.h"

namespace p2psync::engine {

/// Either a leaf (ids) or an inner node (slots, at least one). `all` holds the items.
struct Index::Node {
  /// Items in a leaf, children in an inner node. Two neighbours of which one has fewer than
  /// fan_out_min are merged, or share what they have if that is too much for one.
  static constexpr std::size_t fan_out_max = 64;
  static constexpr std::size_t fan_out_min = 16;

  static bool before(std::string_view a, std::string_view b) { return PathLess{}(a, b); }
  /// The shortest string s with lower < s <= path.
  static Path separator(std::string_view lower, std::string_view path) {
    const auto differ = std::ranges::mismatch(lower, path);
    const auto common = static_cast<std::size_t>(differ.in2 - path.begin());
    return Path(path.substr(0, common + 1));
  }

  /// A child and what is below it: keys from `lower` on. The first slot's `lower` is not looked at.
  struct Slot {
    std::pmr::string lower;
    Summary sum;
    Owned child;
  };

  explicit Node(std::pmr::memory_resource* memory) : ids(memory), slots(memory) {}

  std::pmr::vector<Id> ids;
  std::pmr::vector<Slot> slots;

  [[nodiscard]] std::pmr::memory_resource* memory() const { return ids.get_allocator().resource(); }
  [[nodiscard]] static Owned make(std::pmr::memory_resource* memory) {
    Owned node(std::pmr::polymorphic_allocator<>(memory).new_object<Node>(memory));
    return node;
  }
  [[nodiscard]] Owned clone(std::pmr::memory_resource* into) const {
    Owned copy = make(into);
    copy->ids.assign(ids.begin(), ids.end());
    for (const Slot& slot : slots) {
      copy->slots.push_back({{slot.lower, into}, slot.sum, slot.child->clone(into)});
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
  [[nodiscard]] Owned cut(std::size_t place) {
    Owned tail = make(memory());
    if (is_leaf()) {
      tail->ids.reserve(fan_out_max + 1);
    }
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
    Owned tail = left.child->cut(left.child->width() / 2);
    const Path lower = separator(all.path(left.child->last()), all.path(tail->first()));
    const Summary sum = tail->sum(all);
    Slot right{std::pmr::string(lower, memory()), sum, std::move(tail)};
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

}  // namespace p2psync::engine
