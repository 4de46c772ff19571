#pragma once
// IndexWriter: commits changes to the index on a thread of its own, as many as wait in one
// transaction, and does what has to wait for them.
//
// Called on the io_context's thread, and calls back on it. Changes are durable in the order given.
// A commit that fails (disk full) is tried again every retry_interval and nothing is forgotten:
// whatever waits for it waits; problem() says why.
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "engine/record.h"
#include "storage/index_store.h"

namespace p2psync::app {

class IndexWriter {
 public:
  static constexpr std::chrono::seconds retry_interval{1};

  struct Events {
    /// A commit failed, for the first time since one succeeded.
    std::function<void(const Error&)> problem;
    /// Asked after each commit: may what waited for it run? If not, it never will.
    std::function<bool()> go_on;
  };

  /// The store belongs to the writer's thread until the destructor.
  IndexWriter(asio::io_context& context, storage::IndexStore& store, Events events);

  void persist(engine::Change change);
  /// How many changes there have been.
  [[nodiscard]] std::uint64_t given() const { return given_; }
  /// Runs `then` when everything persisted so far is durable: at once if it is. What was given
  /// earlier runs earlier.
  void when_durable(std::function<void()> then);
  /// Records that the first scan is complete, after everything persisted so far.
  void record_scanned();

  [[nodiscard]] bool idle() const { return !committing_ && !recording_; }
  [[nodiscard]] const std::optional<Error>& problem() const { return problem_; }
  [[nodiscard]] std::chrono::steady_clock::time_point problem_since() const {
    return problem_since_;
  }
  /// Gives up retries: the node is broken or stopping.
  void stop();

 private:
  void commit();
  void committed(Result<void> result);
  void run_what_waited();

  struct Waiting {
    std::uint64_t number = 0;  ///< of the last change that must be durable
    std::function<void()> then;
  };

  asio::io_context& context_;
  storage::IndexStore& store_;
  Events events_;
  asio::steady_timer retry_;
  std::vector<engine::Change> waiting_;
  std::vector<engine::Change> in_hand_;  ///< the writer's thread reads it while committing_
  bool committing_ = false;
  bool recording_ = false;
  bool stopped_ = false;
  std::uint64_t given_ = 0;
  std::uint64_t durable_ = 0;
  std::deque<Waiting> then_;
  std::optional<Error> problem_;
  std::chrono::steady_clock::time_point problem_since_;
  asio::thread_pool thread_{1};  ///< last: joined before what it uses is gone
};

}  // namespace p2psync::app
