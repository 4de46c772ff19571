#pragma once
// DiskWatch: when to look at the disk. The kernel's change events, gathered for a few milliseconds;
// the scan of everything at every interval, and every minute where events do not reach; and, now
// and then, whether the folder is still the one that the node began with.
//
// On the io_context's thread, callbacks too.
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/input.h"
#include "storage/folder_lock.h"
#include "storage/watcher.h"

namespace p2psync::app {

class DiskWatch {
 public:
  static constexpr std::chrono::milliseconds gather_time{3};
  /// Of the folder, when nothing else asks. Where there are events they tell of most that can
  /// befall it, but for what happens to the directories above.
  static constexpr std::chrono::seconds check_interval{10};
  static constexpr std::chrono::seconds check_interval_without_events{1};
  /// The longest between scans of what makes no events.
  static constexpr std::chrono::seconds uncovered_interval{60};

  struct Events {
    std::function<void(engine::Touched)> touched;
    std::function<void()> rescan;
    /// The folder vanished or was exchanged. Said once; nothing else is said afterwards.
    std::function<void(const Error&)> folder_lost;
    /// Directories without watches, and why: once, and again only after there were none.
    std::function<void(const std::string& what)> uncovered;
  };

  struct Options {
    bool watch = true;  ///< change events are wanted: to have none is a problem
    std::chrono::nanoseconds scan_interval{};
  };

  /// `watcher` may be null: then everything is scanned every uncovered_interval, or every
  /// `scan_interval` if that is shorter.
  DiskWatch(asio::io_context& context, storage::FolderLock& lock, storage::Watcher* watcher,
            const Options& options, Events events);
  ~DiskWatch();
  DiskWatch(const DiskWatch&) = delete;
  DiskWatch& operator=(const DiskWatch&) = delete;

  void start();
  /// Everything that happened until now is said before this returns, and what somebody is writing
  /// to counts as changed; where events do not reach, a scan.
  void drain();
  /// True if the folder is still there. Says folder_lost if not. To be asked before anything that
  /// was seen on the disk is believed: an emptied folder shows no deletions.
  [[nodiscard]] bool folder_is_ours();
  /// What makes no events just now; empty when everything is covered.
  [[nodiscard]] const std::string& uncovered() const { return uncovered_; }
  [[nodiscard]] std::chrono::steady_clock::time_point uncovered_since() const {
    return uncovered_since_;
  }
  void stop();

 private:
  void wait_for_events();
  enum class Writing : std::uint8_t { goes_on, is_a_change };
  void read_events(Writing writing);
  void wait_for_check();
  void wait_for_scan();
  void look_for_gaps();
  [[nodiscard]] bool all_covered() const { return watcher_ != nullptr && uncovered_.empty(); }

  storage::FolderLock& lock_;
  storage::Watcher* watcher_;
  std::chrono::nanoseconds scan_interval_;
  Events events_;
  asio::posix::stream_descriptor descriptor_;  ///< the watcher's: released, never closed
  asio::steady_timer gather_;
  asio::steady_timer check_;
  asio::steady_timer scan_;
  std::chrono::steady_clock::time_point scanned_;
  std::string uncovered_;
  std::chrono::steady_clock::time_point uncovered_since_;
  bool stopped_ = false;
};

}  // namespace p2psync::app
