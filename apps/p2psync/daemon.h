#pragma once
// Daemon: a running node. Wires the engine to the disk, the peers and the control socket.
//
// One thread, the io_context's, steps the engine and performs its outputs in order; what blocks
// runs elsewhere (disk_work.h, index_writer.h) and comes back as an input. When the folder vanishes
// or is exchanged, the engine is stepped no more and nothing is told to anybody; the control socket
// goes on answering, with the state `error`.
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>

#include "apps/p2psync/config.h"
#include "apps/p2psync/control_server.h"
#include "apps/p2psync/disk_watch.h"
#include "apps/p2psync/disk_work.h"
#include "apps/p2psync/folder.h"
#include "apps/p2psync/http_server.h"
#include "apps/p2psync/index_writer.h"
#include "apps/p2psync/lan.h"
#include "apps/p2psync/outbox.h"
#include "apps/p2psync/rate.h"
#include "apps/p2psync/web.h"
#include "engine/node.h"
#include "net/transport.h"

namespace p2psync::app {

class Daemon {
 public:
  /// How long a stop may take before what is still in hand is left to the next start's recovery.
  static constexpr std::chrono::milliseconds stop_limit{4000};
  static constexpr std::chrono::seconds revisit_interval{2};
  static constexpr std::chrono::hours expire_interval{1};
  /// Versions are looked through again when so large a part of what they may take was added.
  static constexpr std::uint64_t expire_part = 16;
  /// Nothing has changed for so long: memory that work has left behind goes back to the kernel.
  static constexpr std::chrono::seconds rest_time{5};

  Daemon(Config config, Folder folder);

  /// Listens (to peers and the control socket) and begins. An error: nothing has been changed.
  [[nodiscard]] Result<void> start(const net::PrivateKey& key);
  /// Until SIGTERM or SIGINT. True if everything in hand was finished; else threads may still be
  /// at work and the process must end without waiting for them.
  [[nodiscard]] bool run();

 private:
  void input(engine::Input input);
  /// The engine's; a line in the log at level debug.
  [[nodiscard]] std::vector<engine::Output> step(engine::Input input);
  void perform(std::vector<engine::Output> outputs);
  void perform(engine::Send send);
  void perform(engine::Disconnect disconnect);
  void perform(engine::Persist persist);
  void perform(const engine::Note& note);
  void perform(engine::Apply apply);
  template <class Request>
  void perform(Request request) {
    disk_.perform(std::move(request));
  }
  void disk_answered(engine::Input input);
  void set_wake_timer();
  void keep_house();
  void expire_versions();
  void expire_versions_if_many();
  void give_memory_back();

  [[nodiscard]] net::TransportEvents transport_events();
  [[nodiscard]] IndexWriter::Events index_events();
  [[nodiscard]] DiskWatch::Events watch_events();
  [[nodiscard]] ControlServer::Handler control_handler();
  [[nodiscard]] Web::Node web_node();
  [[nodiscard]] Json status() const;
  [[nodiscard]] Json answer(const Json& request);
  [[nodiscard]] Json pause(bool on);
  [[nodiscard]] Json page() const;

  /// It cannot go on: says why, from now on, to whoever asks.
  void break_down(const std::string& why);
  void stop();
  void stop_when_done();

  enum class Phase : std::uint8_t { running, broken, stopping };

  const Config config_;
  Folder folder_;
  const engine::Instant started_;
  asio::io_context context_;
  engine::Node node_;
  Phase phase_ = Phase::running;
  bool scan_recorded_ = false;
  Rate rate_;                              ///< at which contents arrive
  std::optional<engine::Problem> broken_;  ///< why
  IndexWriter index_;
  DiskWork disk_;
  DiskWatch watch_;
  Outbox outbox_;
  std::optional<engine::Apply> held_;  ///< while paused: the engine gives no other before its end
  std::unique_ptr<net::Transport> transport_;
  std::optional<Lan> lan_;  ///< from start() on
  ControlServer control_;
  Web web_;
  HttpServer http_;
  asio::signal_set signals_;
  asio::steady_timer wake_;
  std::optional<engine::Instant> wake_at_;  ///< what wake_ is set to
  asio::steady_timer revisit_;
  bool revisiting_ = false;  ///< revisit_ runs
  asio::steady_timer expire_;
  std::uint64_t kept_bytes_ = 0;  ///< since versions were looked through
  std::size_t expiring_ = 0;      ///< versions are looked through just now: none may be promised
  asio::steady_timer rest_;
  bool resting_ = true;  ///< nothing has changed since memory was given back: rest_ does not run
  engine::Instant changed_at_;
  asio::steady_timer stop_;
  engine::Instant stop_deadline_;
  bool all_done_ = true;
};

}  // namespace p2psync::app
