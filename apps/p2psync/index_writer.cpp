#include "apps/p2psync/index_writer.h"

#include <asio/post.hpp>
#include <iterator>
#include <utility>

namespace p2psync::app {

IndexWriter::IndexWriter(asio::io_context& context, storage::IndexStore& store, Events events)
    : context_(context), store_(store), events_(std::move(events)), retry_(context) {}

void IndexWriter::persist(engine::Change change) {
  waiting_.push_back(std::move(change));
  ++given_;
  if (!committing_) {
    commit();
  }
}

void IndexWriter::when_durable(std::function<void()> then) {
  if (then_.empty() && durable_ == given_) {
    then();
  } else {
    then_.push_back({given_, std::move(then)});
  }
}

void IndexWriter::record_scanned() {
  when_durable([this] {
    recording_ = true;
    asio::post(thread_, [this] {
      // Should it fail, the next start takes the files for imports again: slower, and as right.
      std::ignore = store_.scanned();
      asio::post(context_, [this] { recording_ = false; });
    });
  });
}

void IndexWriter::stop() {
  stopped_ = true;
  retry_.cancel();
}

void IndexWriter::commit() {
  committing_ = true;
  // After a failure the same changes are in hand already, and the new ones go behind them.
  std::ranges::move(waiting_, std::back_inserter(in_hand_));
  waiting_.clear();
  asio::post(thread_, [this] {
    asio::post(context_, [this, result = store_.commit(in_hand_)] { committed(result); });
  });
}

void IndexWriter::committed(Result<void> result) {
  if (!result) {
    if (!problem_) {
      problem_ = result.error();
      problem_since_ = std::chrono::steady_clock::now();
      events_.problem(*problem_);
    }
    if (stopped_) {
      committing_ = false;
      waiting_.clear();
      return;
    }
    retry_.expires_after(retry_interval);
    retry_.async_wait([this](asio::error_code error) {
      if (!error) {
        commit();
      } else {
        committing_ = false;
        waiting_.clear();
      }
    });
    return;
  }
  problem_.reset();
  durable_ += in_hand_.size();
  in_hand_.clear();
  committing_ = false;
  if (!waiting_.empty()) {
    commit();
  }
  if (!then_.empty() && events_.go_on()) {
    run_what_waited();
  }
}

void IndexWriter::run_what_waited() {
  // What runs may persist more and wait for it: it goes to the end, and its turn has not come.
  while (!then_.empty() && then_.front().number <= durable_) {
    const std::function<void()> then = std::move(then_.front().then);
    then_.pop_front();
    then();
  }
}

}  // namespace p2psync::app
