#include "storage/watcher.h"

#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

#include "storage/posix_file.h"
#include "storage/staging.h"

namespace p2psync::storage {

namespace {

// IN_MODIFY beside IN_CLOSE_WRITE: programs keep files open for days. IN_DONT_FOLLOW would apply to
// the /proc link and not to the directory, which is opened without following links anyway.
constexpr std::uint32_t directory_mask = IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE |
                                         IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR |
                                         IN_EXCL_UNLINK;
constexpr std::uint32_t root_mask = directory_mask | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr std::uint32_t gone_mask = IN_DELETE | IN_MOVED_FROM;
constexpr std::size_t buffer_bytes = 64 * 1024;

/// A range of an ordered container: a directory and everything below it stand together.
template <class Container>
auto subtree_of(Container& container, std::string_view directory, auto&& key_of) {
  const auto begin = container.lower_bound(directory);
  auto end = begin;
  while (end != container.end() &&
         (key_of(*end) == directory || engine::is_below(key_of(*end), directory))) {
    ++end;
  }
  return std::pair(begin, end);
}

}  // namespace

Result<std::unique_ptr<Watcher>> Watcher::open(PosixFs& fs) {
  Descriptor inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify) {
    return std::unexpected(system_error("watch", fs.folder(), errno));
  }
  return std::unique_ptr<Watcher>(new Watcher(fs, std::move(inotify)));
}

void Watcher::add(std::string_view directory) {
  // Opened under the lock: of a move from here on the event is handled after this, and takes back
  // what this remembers. Else the name of a moved directory could overwrite a newer one.
  const std::scoped_lock lock(mutex_);
  const auto opened = fs_.open_directory(directory);
  if (!opened) {
    if (opened.error().code == ErrorCode::not_found) {
      uncovered_.erase(engine::Path(directory));
    } else {
      remember_uncovered(directory, false);
    }
    return;
  }
  const int watch = set_watch(*opened, directory.empty() ? root_mask : directory_mask);
  if (watch < 0) {
    // A directory that may not be read is listed by nobody either: no news for people.
    remember_uncovered(directory, errno != EACCES);
    return;
  }
  if (directory.empty()) {
    watch_staging();
  }
  uncovered_.erase(engine::Path(directory));
  const auto there = watches_.find(directory);
  if (there != watches_.end() && there->second == watch) {
    return;
  }
  // The kernel has one watch an inode: a directory that was renamed comes with its old one.
  forget_watch(watch);
  if (there != watches_.end()) {
    const int replaced = there->second;
    by_watch_.erase(replaced);
    watches_.erase(there);
    ::inotify_rm_watch(inotify_.get(), replaced);
  }
  by_watch_[watch] = watches_.emplace(directory, watch).first;
}

int Watcher::set_watch(const Descriptor& directory, std::uint32_t mask) {
  const std::string through = "/proc/self/fd/" + std::to_string(directory.get());
  return ::inotify_add_watch(inotify_.get(), through.c_str(), mask);
}

/// Without it all is as it should be, but for needless looks at what was laid.
void Watcher::watch_staging() {
  if (const auto opened = fs_.open_directory(staging_directory)) {
    staging_watch_ = set_watch(*opened, IN_MOVED_FROM | IN_ONLYDIR);
  }
}

Watcher::Events Watcher::read() {
  Events events;
  Seen seen;
  alignas(struct inotify_event) std::array<char, buffer_bytes> buffer;
  for (std::size_t total = 0; total < read_bytes_max;) {
    const ssize_t count =
        uninterrupted([&] { return ::read(inotify_.get(), buffer.data(), buffer.size()); });
    if (count <= 0) {
      invariant(count == 0 || errno == EAGAIN, "inotify can be read");
      break;
    }
    total += static_cast<std::size_t>(count);
    const std::scoped_lock lock(mutex_);
    for (std::size_t at = 0; at < static_cast<std::size_t>(count);) {
      struct inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* const name = buffer.data() + at + sizeof event;
      handle(event, {name, ::strnlen(name, event.len)}, seen, events);
      at += sizeof event + event.len;
    }
  }
  events.names.assign(seen.touched.begin(), seen.touched.end());
  std::ranges::set_difference(seen.written, seen.touched, std::back_inserter(events.writing),
                              engine::PathLess());
  events.arrived.assign(seen.arrived.begin(), seen.arrived.end());
  const std::scoped_lock lock(mutex_);
  events.limit_reached = limit_reached_ && !limit_told_;
  limit_told_ |= limit_reached_;
  return events;
}

void Watcher::handle(const inotify_event& event, std::string_view name, Seen& seen,
                     Events& events) {
  const std::uint32_t mask = event.mask;
  Names& touched = seen.touched;
  if ((mask & IN_Q_OVERFLOW) != 0) {
    events.overflow = true;
    return;
  }
  if (event.wd == staging_watch_) {
    if ((mask & IN_MOVED_FROM) != 0) {
      own_move_ = event.cookie;
    } else if ((mask & IN_IGNORED) != 0) {
      staging_watch_ = -1;
    }
    return;
  }
  const auto found = by_watch_.find(event.wd);
  if (found == by_watch_.end()) {
    return;  // of a watch that was given up; what it was for is touched by that
  }
  const engine::Path directory = found->second->first;
  const bool root = directory.empty();
  if (root && ((mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0 ||
               (name == engine::own_directory && (mask & gone_mask) != 0))) {
    events.folder_in_doubt = true;
  }
  if ((mask & IN_IGNORED) != 0) {
    forget_watch(event.wd);  // deleted or unmounted
    if (!root) {
      touched.insert(directory);
    }
    return;
  }
  if (name.empty()) {
    if (!root) {
      touched.insert(directory);
    }
    return;
  }
  if (root && name == engine::own_directory) {
    return;
  }
  // Whatever a user does to it is an event of its own. A directory has to be listed all the same.
  // So has a file if a directory moved since the one that was laid before it: it may have been that
  // of its name, found before and moved into after, and then it is where nobody meant it to be.
  const bool laid =
      (mask & IN_MOVED_TO) != 0 && event.cookie == own_move_ && (mask & IN_ISDIR) == 0;
  if (laid && !std::exchange(directory_moved_, false)) {
    return;
  }
  engine::Path path = engine::child_of(directory, name);
  if (mask == IN_MODIFY) {
    seen.written.insert(std::move(path));
    return;
  }
  if ((mask & IN_ISDIR) != 0 && (mask & gone_mask) != 0) {
    directory_moved_ = true;
    forget_subtree(path, touched);
  }
  if ((mask & IN_ISDIR) != 0 && (mask & IN_MOVED_TO) != 0) {
    seen.arrived.insert(path);
  }
  touched.insert(std::move(path));
}

// The events of a directory come later than it moved, so what stands under its old name by now may
// be another directory that was added meanwhile. It loses its watches too, and since all of it is
// touched it is listed and added again.
void Watcher::forget_subtree(const engine::Path& directory, Names& touched) {
  const auto [begin, end] =
      subtree_of(watches_, directory, [](const auto& item) -> auto& { return item.first; });
  for (auto item = begin; item != end; ++item) {
    touched.insert(item->first);
    by_watch_.erase(item->second);
    ::inotify_rm_watch(inotify_.get(), item->second);
  }
  watches_.erase(begin, end);
  const auto [first, last] =
      subtree_of(uncovered_, directory, [](const auto& item) -> auto& { return item; });
  touched.insert(first, last);
  uncovered_.erase(first, last);
}

void Watcher::forget_watch(int watch) {
  if (const auto found = by_watch_.find(watch); found != by_watch_.end()) {
    watches_.erase(found->second);
    by_watch_.erase(found);
  }
}

void Watcher::remember_uncovered(std::string_view directory, bool limit) {
  uncovered_.emplace(directory);
  limit_reached_ |= limit;
}

std::vector<engine::Path> Watcher::uncovered() const {
  const std::scoped_lock lock(mutex_);
  return {uncovered_.begin(), uncovered_.end()};
}

std::size_t Watcher::watched() const {
  const std::scoped_lock lock(mutex_);
  return watches_.size();
}

}  // namespace p2psync::storage
