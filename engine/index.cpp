#include "engine/index.h"

#include <algorithm>
#include <utility>

#include "engine/error.h"
#include "engine/index_node.h"

namespace p2psync::engine {

void Index::Free::operator()(Node* node) const {
  std::pmr::polymorphic_allocator<>(node->memory()).delete_object(node);
}

Index::Owned Index::make_node() const {
  return Node::make(memory_.get());
}

Index::Index() : memory_(std::make_unique<PoolResource>()), root_(make_node()) {}
Index::~Index() = default;
Index::Index(const Index& other)
    : items_(other.items_),
      memory_(std::make_unique<PoolResource>()),
      root_(other.root_->clone(memory_.get())),
      size_(other.size_),
      sum_(other.sum_) {}
Index& Index::operator=(const Index& other) {
  return *this = Index(other);
}
Index::Index(Index&&) noexcept = default;
Index& Index::operator=(Index&& other) noexcept {
  std::swap(items_, other.items_);
  std::swap(asked_, other.asked_);
  std::swap(memory_, other.memory_);
  std::swap(root_, other.root_);
  std::swap(size_, other.size_);
  std::swap(sum_, other.sum_);
  return *this;
}

const Record* Index::find(std::string_view path) const {
  const std::optional<Id> found = id(path);
  return found ? &items_.open(*found).record : nullptr;
}

std::optional<Index::Id> Index::id(std::string_view path) const {
  for (Id& asked : asked_) {
    if (asked != none && items_.path(asked) == path) {
      std::swap(asked, asked_[0]);
      return asked_[0];
    }
  }
  const std::optional<Id> found = root_->at_or_after(items_, path);
  if (!found || items_.path(*found) != path) {
    return std::nullopt;
  }
  asked_ = {*found, asked_[0]};
  return found;
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
  if (edited.more < 0) {
    asked_ = {none, none};  // its number may be another's next
  }
  if (root_->width() > Node::fan_out_max) {
    Owned root = make_node();
    root->slots.push_back({std::pmr::string(memory_.get()), sum_, std::move(root_)});
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
  if (!upper.empty() && !Node::before(lower, upper)) {
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
    if (Node::before(bounds.empty() ? lower : std::string_view(bounds.back()), bound) &&
        (upper.empty() || Node::before(bound, upper))) {
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

void Index::for_each_child(
    std::string_view directory,
    const std::function<void(std::optional<Id>, std::string_view)>& visit) const {
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
        visit(std::nullopt, name.substr(0, slash));
        return false;
      }
      visit(id, name);
      return true;
    });
  }
}

bool Index::Builder::ascends(std::string_view path) const {
  return ids_.empty() || Node::before(made_.items_.path(ids_.back()), path);
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
  constexpr std::size_t fill = Node::fan_out_max * 3 / 4;
  const auto parts = [](std::size_t count) { return (count + fill - 1) / fill; };
  std::vector<Node::Slot> level;
  const std::size_t leaves = std::max<std::size_t>(1, parts(ids.size()));
  for (std::size_t i = 0; i < leaves; ++i) {
    const auto place = [&](std::size_t part) {
      return ids.begin() + static_cast<std::ptrdiff_t>(ids.size() * part / leaves);
    };
    Owned leaf = make_node();
    leaf->ids.assign(place(i), place(i + 1));
    const Path lower =
        i == 0 ? Path() : Node::separator(items_.path(place(i)[-1]), items_.path(*place(i)));
    const Summary sum = leaf->sum(items_);
    level.push_back({std::pmr::string(lower, memory_.get()), sum, std::move(leaf)});
  }
  while (level.size() > 1) {
    std::vector<Node::Slot> above;
    const std::size_t nodes = parts(level.size());
    for (std::size_t i = 0; i < level.size(); ++i) {
      if (i * nodes / level.size() == above.size()) {
        above.push_back({std::pmr::string(level[i].lower, memory_.get()), {}, make_node()});
      }
      above.back().sum += level[i].sum;
      above.back().child->slots.push_back(std::move(level[i]));
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
  invariant(root_->width() <= Node::fan_out_max, "index: the root too wide");
  invariant(root_->slots.size() != 1, "index: a root with one child");
}

}  // namespace p2psync::engine
