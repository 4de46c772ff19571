#include "apps/p2psync/disk_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace p2psync::app {

DiskWatch::DiskWatch(asio::io_context& context, storage::FolderLock& lock,
                     storage::Watcher* watcher, const Options& options, Events events)
    : lock_(lock),
      watcher_(watcher),
      scan_interval_(options.scan_interval),
      events_(std::move(events)),
      descriptor_(context),
      gather_(context),
      check_(context),
      scan_(context),
      uncovered_since_(std::chrono::steady_clock::now()) {
  if (watcher_ == nullptr && options.watch) {
    uncovered_ = fmt::format("the kernel gives no change events; everything is scanned every {} s",
                             uncovered_interval.count());
  }
}

DiskWatch::~DiskWatch() {
  stop();
}

void DiskWatch::start() {
  scanned_ = std::chrono::steady_clock::now();
  if (watcher_ != nullptr) {
    wait_for_events();
  }
  wait_for_check();
  wait_for_scan();
}

void DiskWatch::stop() {
  stopped_ = true;
  gather_.cancel();
  check_.cancel();
  scan_.cancel();
  if (descriptor_.is_open()) {
    descriptor_.release();
  }
}

void DiskWatch::drain() {
  if (watcher_ != nullptr) {
    read_events(Writing::is_a_change);
    look_for_gaps();
  }
  if (!stopped_ && !all_covered()) {
    events_.rescan();
  }
}

bool DiskWatch::folder_is_ours() {
  if (stopped_) {
    return false;
  }
  const auto checked = lock_.check();
  if (!checked) {
    stop();
    events_.folder_lost(checked.error());
  }
  return checked.has_value();
}

void DiskWatch::wait_for_events() {
  descriptor_.assign(watcher_->descriptor());
  descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, [this](asio::error_code error) {
    if (error || stopped_) {
      return;
    }
    // An editor's save is several events; a moment later they are one. None of them wakes this
    // thread meanwhile: Asio has a descriptor watched whether anybody waits for it or not.
    descriptor_.release();
    gather_.expires_after(gather_time);
    gather_.async_wait([this](asio::error_code cancelled) {
      if (!cancelled && !stopped_) {
        read_events(Writing::goes_on);
        if (!stopped_) {
          wait_for_events();
        }
      }
    });
  });
}

void DiskWatch::read_events(Writing writing) {
  storage::Watcher::Events events = watcher_->read();
  if (events.empty() || !folder_is_ours()) {
    return;
  }
  if (events.limit_reached) {
    look_for_gaps();
  }
  if (writing == Writing::is_a_change) {
    std::ranges::move(events.writing, std::back_inserter(events.names));
    events.writing.clear();
  }
  if (!events.names.empty() || !events.writing.empty()) {
    events_.touched(
        {std::move(events.names), std::move(events.writing), std::move(events.arrived)});
  }
  if (events.overflow) {
    events_.rescan();
  }
}

void DiskWatch::wait_for_check() {
  check_.expires_after(watcher_ != nullptr ? check_interval : check_interval_without_events);
  check_.async_wait([this](asio::error_code error) {
    if (!error && folder_is_ours()) {
      wait_for_check();
    }
  });
}

void DiskWatch::wait_for_scan() {
  const auto now = std::chrono::steady_clock::now();
  const auto minute = std::chrono::nanoseconds(uncovered_interval);
  scan_.expires_at(now + std::min(minute, std::max(std::chrono::nanoseconds(0),
                                                   scan_interval_ - (now - scanned_))));
  scan_.async_wait([this](asio::error_code error) {
    if (error || stopped_) {
      return;
    }
    look_for_gaps();
    const auto time = std::chrono::steady_clock::now();
    if (!all_covered() || time - scanned_ >= scan_interval_) {
      scanned_ = time;
      events_.rescan();
    }
    wait_for_scan();
  });
}

void DiskWatch::look_for_gaps() {
  if (watcher_ == nullptr) {
    return;
  }
  const auto directories = watcher_->uncovered();
  const bool news = uncovered_.empty() && !directories.empty();
  uncovered_ = directories.empty()
                   ? ""
                   : fmt::format(
                         "{} {} cannot be watched for changes (fs.inotify.max_user_watches "
                         "may be too small); everything is scanned every {} s",
                         directories.size(), directories.size() == 1 ? "directory" : "directories",
                         uncovered_interval.count());
  if (news) {
    uncovered_since_ = std::chrono::steady_clock::now();
    events_.uncovered(uncovered_);
  }
}

}  // namespace p2psync::app
