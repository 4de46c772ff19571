#pragma once
// DiskWork: does what the engine asks of the disk, on threads of its own.
//
// One thread applies, two look and list, one moves blocks. Requests are made on the io_context's
// thread; each is answered there exactly once, by an engine::Input, unless stop() came first:
// requests that no thread has begun by then are dropped, those in hand are finished and answered.
// Answers that are ready together are given together: what they send then leaves in one write.
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/input.h"
#include "storage/applier.h"
#include "storage/fs.h"
#include "storage/staging.h"
#include "storage/watcher.h"

namespace p2psync::app {

class DiskWork {
 public:
  using Answer = std::function<void(engine::Input)>;

  /// `watcher` may be null: directories are listed and not watched. All outlive this.
  DiskWork(asio::io_context& context, storage::Fs& fs, storage::Applier& applier,
           storage::Watcher* watcher, Answer answer);

  void perform(engine::Look look);
  void perform(engine::List list);
  void perform(engine::Apply apply);
  void perform(engine::ReadBlock read);
  void perform(engine::OpenStage open);
  void perform(engine::WriteBlock write);
  void perform(engine::DropStage drop);
  /// Looks again at displaced files that a process may still write to.
  void revisit();
  /// Deletes kept versions past their time, but for the pinned ones; `done` gets their names.
  void expire(storage::Retention retention, std::set<std::string> pinned,
              std::function<void(std::vector<std::string>)> done);

  /// What only reads, for people who look: `work(fs)` on a thread, `done` with its result on the
  /// io_context's; with nothing if stop() came first.
  template <class Work, class Done>
  void read(Work work, Done done) {
    ++in_hand_;
    asio::post(look_threads_, [this, work = std::move(work), done = std::move(done)]() mutable {
      std::optional<std::invoke_result_t<Work&, storage::Fs&>> result;
      if (!stopping_) {
        result = work(fs_);
      }
      finished([done = std::move(done), result = std::move(result)]() mutable {
        done(std::move(result));
      });
    });
  }

  /// As of the last apply or revisit.
  [[nodiscard]] std::size_t still_open() const { return still_open_; }
  void stop() { stopping_ = true; }
  /// A batch is being applied, or its answer has not been given.
  [[nodiscard]] bool applying() const { return applying_ > 0; }
  /// Requests that have not been answered or dropped; to be asked on the io_context's thread.
  [[nodiscard]] bool busy() const { return in_hand_ > 0; }

 private:
  using Then = std::move_only_function<void()>;

  template <class Work>
  void run(asio::thread_pool& threads, Work work);
  void finished(Then then);
  void answer_all();

  asio::io_context& context_;
  storage::Fs& fs_;
  storage::Applier& applier_;
  storage::Watcher* watcher_;
  storage::Staging staging_;
  Answer answer_;
  std::atomic<bool> stopping_ = false;
  std::size_t in_hand_ = 0;
  std::size_t applying_ = 0;
  std::size_t still_open_ = 0;
  std::mutex mutex_;
  std::vector<Then> finished_;  ///< behind it; not yet answered
  // Last: joined before what they use is gone.
  asio::thread_pool apply_thread_{1};
  asio::thread_pool look_threads_{2};
  asio::thread_pool block_thread_{1};
};

}  // namespace p2psync::app
