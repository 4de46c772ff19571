#include "apps/p2psync/disk_work.h"

#include <utility>

#include "storage/scanner.h"

namespace p2psync::app {

DiskWork::DiskWork(asio::io_context& context, storage::Fs& fs, storage::Applier& applier,
                   storage::Watcher* watcher, Answer answer)
    : context_(context),
      fs_(fs),
      applier_(applier),
      watcher_(watcher),
      staging_(fs),
      answer_(std::move(answer)),
      still_open_(applier.still_open()) {}

/// `work` runs on a thread and returns what then runs on the io_context's.
template <class Work>
void DiskWork::run(asio::thread_pool& threads, Work work) {
  ++in_hand_;
  asio::post(threads, [this, work = std::move(work)]() mutable {
    if (stopping_) {
      finished([] {});
    } else {
      finished(work());
    }
  });
}

void DiskWork::finished(Then then) {
  const std::scoped_lock lock(mutex_);
  finished_.push_back(std::move(then));
  if (finished_.size() == 1) {
    asio::post(context_, [this] { answer_all(); });
  }
}

void DiskWork::answer_all() {
  std::vector<Then> all;
  {
    const std::scoped_lock lock(mutex_);
    all = std::exchange(finished_, {});
  }
  for (Then& then : all) {
    --in_hand_;
    then();
  }
}

void DiskWork::perform(engine::Look look) {
  run(look_threads_, [this, look = std::move(look)] {
    return [this, done = engine::LookDone{storage::look_all(fs_, look),
                                          fs_.wall_time()}]() mutable { answer_(std::move(done)); };
  });
}

void DiskWork::perform(engine::List list) {
  run(look_threads_, [this, list = std::move(list)] {
    if (watcher_ != nullptr) {
      watcher_->add(list.directory);  // first: what changes from here on is an event
    }
    return [this, listed = storage::list(fs_, list)]() mutable { answer_(std::move(listed)); };
  });
}

void DiskWork::perform(engine::Apply apply) {
  ++applying_;
  run(apply_thread_, [this, apply = std::move(apply)] {
    engine::ApplyDone done{applier_.apply(apply), fs_.wall_time()};
    // What was displaced unexpectedly after a job had failed comes out here.
    auto surfaced = applier_.revisit();
    return [this, done = std::move(done), surfaced = std::move(surfaced),
            open = applier_.still_open()]() mutable {
      --applying_;
      still_open_ = open;
      answer_(std::move(done));
      for (engine::Surfaced& found : surfaced) {
        answer_(std::move(found));
      }
    };
  });
}

void DiskWork::revisit() {
  run(apply_thread_, [this] {
    auto surfaced = applier_.revisit();
    return [this, surfaced = std::move(surfaced), open = applier_.still_open()]() mutable {
      still_open_ = open;
      for (engine::Surfaced& found : surfaced) {
        answer_(std::move(found));
      }
    };
  });
}

void DiskWork::expire(storage::Retention retention, std::set<std::string> pinned,
                      std::function<void(std::vector<std::string>)> done) {
  run(apply_thread_, [this, retention = std::move(retention), pinned = std::move(pinned),
                      done = std::move(done)] {
    return [done, gone = applier_.expire(retention, pinned)]() mutable { done(std::move(gone)); };
  });
}

void DiskWork::perform(engine::ReadBlock read) {
  run(block_thread_, [this, read = std::move(read)] {
    return [this, block = staging_.read(read)]() mutable { answer_(std::move(block)); };
  });
}

void DiskWork::perform(engine::OpenStage open) {
  run(block_thread_, [this, open] {
    return [this, opened = staging_.open(open)]() mutable { answer_(std::move(opened)); };
  });
}

void DiskWork::perform(engine::WriteBlock write) {
  run(block_thread_, [this, write = std::move(write)] {
    return [this, written = staging_.write(write)]() mutable { answer_(std::move(written)); };
  });
}

void DiskWork::perform(engine::DropStage drop) {
  run(block_thread_, [this, drop] {
    staging_.drop(drop);
    return [] {};
  });
}

}  // namespace p2psync::app
