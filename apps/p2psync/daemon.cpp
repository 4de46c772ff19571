#include "apps/p2psync/daemon.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "apps/p2psync/answers.h"
#include "apps/p2psync/log.h"
#include "apps/p2psync/options.h"
#include "engine/brief.h"
#include "engine/history.h"
#include "engine/thinning.h"
#include "storage/versions.h"

namespace p2psync::app {
namespace {

using Clock = std::chrono::steady_clock;
using Level = engine::Note::Level;

/// Of files, which are in `.p2psync/versions` now.
std::uint64_t displaced_bytes(const engine::ApplyDone& done) {
  std::uint64_t bytes = 0;
  for (const engine::Applied& job : done.jobs) {
    for (const engine::StepResult& result : job.results) {
      const auto* step = std::get_if<engine::Done>(&result);
      if (step != nullptr && step->displaced) {
        bytes += step->displaced->seen.signature.size;
      }
    }
  }
  return bytes;
}

/// As a simulation's trace has it.
void log_step(const std::string& what, const std::vector<engine::Output>& outputs) {
  if (!logs(Level::debug)) {
    return;
  }
  log_note(Level::debug, what + " ->" + engine::brief(outputs));
  for (const engine::Output& output : outputs) {
    if (const auto* persist = std::get_if<engine::Persist>(&output)) {
      log_note(Level::debug, "  " + engine::describe(persist->change));
    }
  }
}

}  // namespace

Daemon::Daemon(Config config, Folder folder)
    : config_(std::move(config)),
      folder_(std::move(folder)),
      started_(Clock::now()),
      node_(node_options(config_, *folder_.index), std::move(folder_.loaded), started_),
      index_(context_, *folder_.index, index_events()),
      disk_(context_, *folder_.fs, *folder_.applier, folder_.watcher.get(),
            [this](engine::Input answer) { disk_answered(std::move(answer)); }),
      watch_(context_, *folder_.lock, folder_.watcher.get(), {config_.watch, config_.scan_interval},
             watch_events()),
      outbox_(
          index_,
          [this](engine::NodeId peer, Outbox::Frame frame) {
            transport_->tell(peer, std::move(frame));
          },
          [this](const engine::Send& send) {
            return transport_->send(send.peer, send.message, send.priority);
          },
          [this](engine::NodeId peer, const std::string& reason) {
            transport_->disconnect(peer, reason);
          }),
      control_(context_, control_handler()),
      web_(context_, disk_, web_node()),
      http_(context_, own_hosts(config_),
            [this](const HttpRequest& request, HttpReply reply) {
              web_.answer(request, std::move(reply));
            }),
      signals_(context_, SIGTERM, SIGINT),
      wake_(context_),
      revisit_(context_),
      expire_(context_),
      rest_(context_),
      stop_(context_) {}

Result<void> Daemon::start(const net::PrivateKey& key) {
  auto transport =
      net::Transport::start(context_, key, transport_options(config_), transport_events());
  if (!transport) {
    return std::unexpected(transport.error());
  }
  transport_ = std::move(*transport);
  if (auto listening = control_.listen(folder_.state.get(), folder_.path); !listening) {
    transport_->stop();
    return listening;
  }
  if (config_.http) {
    if (const auto listening = http_.listen(*config_.http); !listening) {
      log_note(Level::warn, "no status page: " + listening.error().message());
    }
  }
  signals_.async_wait([this](asio::error_code error, int number) {
    if (!error) {
      log_note(Level::info, number == SIGTERM ? "SIGTERM: stopping" : "SIGINT: stopping");
      stop();
    }
  });
  log_note(Level::info,
           fmt::format("{} of cluster {}: folder {}, listening on {}", config_.me().name,
                       config_.cluster, folder_.path, fmt::join(transport_->listening(), ", ")));
  transport_->pause(folder_.paused);
  if (folder_.paused) {
    log_note(Level::warn, "paused, as before: nothing is exchanged until `p2psync resume`");
  }
  lan_.emplace(context_, config_, *transport_);
  for (const engine::Note& note : folder_.notes) {
    log_note(note.level, note.text);
  }
  for (const engine::Relaid& laid : folder_.applier->relaid()) {
    log_note(Level::debug, engine::brief(laid));
  }
  std::vector<engine::Output> first = node_.start(started_);
  log_step("start", first);
  perform(std::move(first));
  for (engine::Surfaced& surfaced : std::exchange(folder_.surfaced, {})) {
    input(std::move(surfaced));
  }
  set_wake_timer();
  watch_.start();
  keep_house();
  expire_versions();
  return {};
}

bool Daemon::run() {
  context_.run();
  return all_done_;
}

net::TransportEvents Daemon::transport_events() {
  net::TransportEvents events;
  events.up = [this](engine::NodeId peer) {
    outbox_.up(peer);
    input(engine::PeerUp{peer});
    lan_->reconsider();
  };
  events.down = [this](engine::NodeId peer, const std::string&) {
    outbox_.down(peer);
    input(engine::PeerDown{peer});
    lan_->reconsider();
  };
  events.received = [this](engine::NodeId peer, engine::Message message) {
    input(engine::Received{peer, std::move(message)});
  };
  events.drained = [this](engine::NodeId peer) { outbox_.drained(peer); };
  events.log = [](Level level, const std::string& text) { log_note(level, text); };
  return events;
}

IndexWriter::Events Daemon::index_events() {
  return {.problem = [](const Error& error) { log_note(Level::error, error.message()); },
          // While a folder is being taken away its files go first: what looked like deletions is
          // not told to anybody.
          .go_on = [this] { return phase_ == Phase::stopping || watch_.folder_is_ours(); }};
}

DiskWatch::Events Daemon::watch_events() {
  return {.touched = [this](engine::Touched touched) { input(std::move(touched)); },
          .rescan = [this] { input(engine::Rescan{}); },
          .folder_lost = [this](const Error& error) { break_down(error.message()); },
          .uncovered = [](const std::string& what) { log_note(Level::warn, what); }};
}

ControlServer::Handler Daemon::control_handler() {
  return {.status = [this] { return status(); },
          .look =
              [this] {
                if (phase_ == Phase::running) {
                  watch_.drain();
                }
              },
          .looked = [this] { return phase_ != Phase::running || !node_.looking(); },
          .settled =
              [this] {
                return phase_ == Phase::running && !folder_.paused && node_.all_in_sync() &&
                       !node_.looking() && index_.idle();
              },
          .paused = [this] { return folder_.paused; },
          .laying = [this] { return disk_.applying(); },
          .answer = [this](const Json& request) { return answer(request); },
          .laid_out =
              [this](const Json& request) {
                return phase_ != Phase::running ||
                       engine::laid_out(node_.replica(), path_in(request, "path"));
              }};
}

Json Daemon::answer(const Json& request) {
  if (request["command"].text() == "page") {
    return page();
  }
  if (phase_ != Phase::running) {
    return Json::Object{{"error", broken_ ? broken_->message : "the node is stopping"}};
  }
  if (request["command"].text() == "confirm-deletes") {
    const std::uint64_t held = node_.status().held_deletions;
    log_note(Level::info,
             fmt::format("{} of {} deletions that were held back",
                         request["undo"].boolean() ? "undoing" : "confirmation", held));
    input(engine::ConfirmDeletes{request["undo"].boolean()});
    return Json::Object{{"deletions", held}};
  }
  if (request["command"].text() == "pause") {
    return pause(request["on"].boolean());
  }
  const auto keeps = [this](const std::string& file) {
    const bool there = folder_.fs->stat(storage::kept_path(file)).has_value();
    return there || (input(engine::Expired{{file}}), false);  // somebody has emptied the directory
  };
  if (expiring_ > 0 && (request["command"].text() == "restore" || request["act"].boolean())) {
    return Json::Object{{"error", "old versions are being deleted just now: try again"}};
  }
  if (const std::string& file = request["version"].text(); node_.replica().kept().contains(file)) {
    std::ignore = keeps(file);
  }
  const auto act = [this](engine::Input asked) {
    log_note(Level::info, "asked for: " + engine::brief(asked));
    input(std::move(asked));
  };
  const auto trouble = [this](engine::NodeId peer) { return transport_->trouble_with(peer); };
  return app::answer(request, {config_, node_, act, keeps, trouble, folder_.paused});
}

void Daemon::input(engine::Input input) {
  if (phase_ != Phase::running) {
    return;
  }
  perform(step(std::move(input)));
  if (!scan_recorded_ && folder_.index->fresh() && !node_.looking()) {
    scan_recorded_ = true;
    index_.record_scanned();
  }
  set_wake_timer();
  control_.changed();
  if (http_.listening()) {
    web_.changed();
  }
}

std::vector<engine::Output> Daemon::step(engine::Input input) {
  const std::string what = logs(Level::debug) ? engine::brief(input) : "";
  const engine::Instant now = Clock::now();
  const std::uint64_t before = node_.arrived_bytes();
  auto outputs = node_.step(now, std::move(input));
  rate_.add(now, node_.arrived_bytes() - before);
  log_step(what, outputs);
  return outputs;
}

void Daemon::disk_answered(engine::Input answer) {
  keep_house();
  if (phase_ == Phase::stopping) {
    // What the disk shows by now is recorded; whatever else it calls for is the next start's.
    for (engine::Output& output : step(std::move(answer))) {
      if (auto* persist = std::get_if<engine::Persist>(&output)) {
        perform(std::move(*persist));
      }
    }
    return;
  }
  if (const auto* done = std::get_if<engine::ApplyDone>(&answer)) {
    kept_bytes_ += displaced_bytes(*done);
    web_.applied(*done);
    input(std::move(answer));
    index_.when_durable([this] { expire_versions_if_many(); });
    return;
  }
  // Names that are missing because the folder is gone were not deleted.
  const bool seen = std::holds_alternative<engine::LookDone>(answer) ||
                    std::holds_alternative<engine::Listed>(answer);
  if (!seen || watch_.folder_is_ours()) {
    input(std::move(answer));
  }
}

void Daemon::perform(std::vector<engine::Output> outputs) {
  for (engine::Output& output : outputs) {
    std::visit([this](auto& request) { perform(std::move(request)); }, output);
  }
}

void Daemon::perform(engine::Send send) {
  outbox_.send(std::move(send));
}

void Daemon::perform(engine::Disconnect disconnect) {
  transport_->disconnect(disconnect.peer, std::move(disconnect.reason));
}

void Daemon::perform(engine::Persist persist) {
  changed_at_ = Clock::now();
  if (std::exchange(resting_, false)) {
    give_memory_back();
  }
  index_.persist(std::move(persist.change));
}

void Daemon::perform(const engine::Note& note) {
  log_note(note.level, note.text);
}

void Daemon::perform(engine::Apply apply) {
  index_.when_durable([this, apply = std::move(apply)]() mutable {
    if (folder_.paused) {
      held_ = std::move(apply);
    } else if (phase_ == Phase::running) {
      expire_versions_if_many();
      disk_.perform(std::move(apply));
    }
  });
}

void Daemon::set_wake_timer() {
  const engine::Instant at = node_.wake_at();
  if (at == wake_at_) {
    return;
  }
  wake_at_ = at;
  // Not at once and again at once: a wake that changes nothing must not keep a core busy.
  wake_.expires_at(std::max(at, Clock::now() + std::chrono::milliseconds(1)));
  wake_.async_wait([this](asio::error_code error) {
    if (!error) {
      wake_at_.reset();
      input(engine::Wake{});
    }
  });
}

/// While there are displaced files that are still open, and only then.
void Daemon::keep_house() {
  if (phase_ != Phase::running || revisiting_ || disk_.still_open() == 0) {
    return;
  }
  revisiting_ = true;
  revisit_.expires_after(revisit_interval);
  revisit_.async_wait([this](asio::error_code error) {
    revisiting_ = false;
    if (!error) {
      if (!disk_.applying()) {
        disk_.revisit();
      }
      keep_house();
    }
  });
}

/// Between two batches, with the results of the one before on record: what is pinned is then known,
/// and nothing else in there is needed.
void Daemon::expire_versions_if_many() {
  const bool many = kept_bytes_ > config_.versions_bytes_max / expire_part;
  if (many && phase_ == Phase::running && !disk_.applying()) {
    expire_versions();
  }
}

void Daemon::expire_versions() {
  ++expiring_;
  kept_bytes_ = 0;
  const std::uint64_t added_max = config_.versions_bytes_max / expire_part;
  storage::Retention retention{config_.keep_versions, config_.versions_bytes_max - added_max, {}};
  if (config_.thin_versions) {
    retention.thinned = engine::thinned(node_.replica().kept(), folder_.fs->wall_time());
  }
  disk_.expire(std::move(retention), node_.replica().pinned(),
               [this](std::vector<std::string> gone) {
                 --expiring_;
                 const std::int64_t now = folder_.fs->wall_time();
                 input(engine::Expired{std::move(gone), now - config_.keep_versions.count()});
               });
  expire_.expires_after(expire_interval);
  expire_.async_wait([this](asio::error_code error) {
    if (!error) {
      expire_versions();
    }
  });
}

/// What took part in a large change lies between what stays, in the arenas of several threads, and
/// the allocator keeps it all: more than the index itself. At rest nobody is held up by this.
void Daemon::give_memory_back() {
  rest_.expires_at(changed_at_ + rest_time);
  rest_.async_wait([this](asio::error_code error) {
    if (error) {
      return;
    }
    if (Clock::now() - changed_at_ < rest_time) {
      give_memory_back();
      return;
    }
    resting_ = true;
#ifdef __GLIBC__
    ::malloc_trim(0);
#endif
  });
}

void Daemon::break_down(const std::string& why) {
  if (phase_ != Phase::running) {
    return;
  }
  phase_ = Phase::broken;
  log_note(Level::error, fmt::format("{}; nothing is synchronised any more: put it right and "
                                     "start the node again",
                                     why));
  broken_ = engine::Problem{"", why, Clock::now()};
  lan_->stop();
  transport_->stop();
  disk_.stop();
  index_.stop();
  for (asio::steady_timer* timer : {&wake_, &revisit_, &expire_, &rest_}) {
    timer->cancel();
  }
  control_.changed();
}

void Daemon::stop() {
  if (phase_ == Phase::running) {
    lan_->stop();
    transport_->stop();
    watch_.stop();
    disk_.stop();
    index_.stop();
    for (asio::steady_timer* timer : {&wake_, &revisit_, &expire_, &rest_}) {
      timer->cancel();
    }
  }
  phase_ = Phase::stopping;
  control_.stop();
  web_.stop();
  http_.stop();
  stop_deadline_ = Clock::now() + stop_limit;
  stop_when_done();
}

void Daemon::stop_when_done() {
  const bool done = !disk_.busy() && index_.idle();
  if (done || Clock::now() >= stop_deadline_) {
    all_done_ = done;
    log_note(Level::info, done ? "stopped" : "stopped with work left to the next start");
    context_.stop();
    return;
  }
  stop_.expires_after(std::chrono::milliseconds(5));
  stop_.async_wait([this](asio::error_code) { stop_when_done(); });
}

}  // namespace p2psync::app
