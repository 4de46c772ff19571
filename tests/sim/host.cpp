#include "tests/sim/host.h"

#include <algorithm>
#include <array>

#include "engine/brief.h"
#include "engine/told.h"
#include "storage/scanner.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

enum Lane : int { lane_apply, lane_look, lane_list, lane_block };

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t wall_epoch_s = 1'700'000'000;

}  // namespace

Host::Host(Surroundings& world, Traits traits, std::uint64_t seed)
    : world_(world),
      traits_(std::move(traits)),
      random_(seed),
      wall_start_((wall_epoch_s + traits_.clock_offset_s) * second_ns) {
  disk_.disk().now = wall_start_;
  disk_.chunk_sizes = chunk_sizes;
}

void Host::tell_time() {
  std::int64_t& wall = disk_.disk().now;
  wall = std::max(wall, wall_start_ + world_.now().time_since_epoch().count());
}

void Host::step_clock(std::int64_t seconds) {
  wall_start_ += seconds * second_ns;
  disk_.disk().now = wall_start_ + world_.now().time_since_epoch().count();
}

bool Host::at_rest() const {
  return jobs_ == 0 && uncommitted_.empty() && !committing_ && waiting_.empty();
}

std::string Host::state_text() const {
  if (!running()) {
    return name() + ": not running";
  }
  const Status status = node().status();
  std::string text = name() + ": state " + std::to_string(static_cast<int>(status.state)) +
                     ", pending " + std::to_string(status.pending_files) +
                     (node().looking() ? ", looking" : "") + (at_rest() ? "" : ", at work");
  for (const Problem& problem : status.problems) {
    text += "; " + problem.path + ": " + problem.message;
  }
  return text;
}

// --- The life of the process

void Host::start() {
  ++life_;
  disk_.restart();
  tell_time();
  lane_free_.clear();
  lane_answered_.clear();
  jobs_ = 0;
  uncommitted_.clear();
  committing_ = false;
  waiting_.clear();
  persisted_ = durable_ = 0;
  applying_ = nullptr;
  wake_scheduled_ = Instant::max();
  std::vector<Surfaced> surfaced;
  Result<Loaded> loaded;
  Result<void> done;
  const bool survived = in_phase(Phase::recover, [&] {
    done = storage::prepare_state(disk_);
    if (done) {
      loaded = open_index();
      done = loaded ? recover(surfaced) : std::unexpected(loaded.error());
    }
    if (done) {
      loaded->staged = storage::contents_in_staging(disk_);
    }
  });
  if (!survived) {
    return;
  }
  if (!done) {
    const Error error = done.error();
    stop();
    world_.start_failed(*this, error);
    return;
  }
  loaded->relaid = applier_->relaid();
  for (const Relaid& step : loaded->relaid) {
    world_.relaid(*this, step, step.batch > loaded->applied);
  }
  NodeOptions options;
  options.cluster = "sim";
  options.version = "sim";
  options.self = traits_.id;
  options.members = traits_.members;
  options.seed = random_.next();
  options.incarnation = random_.next();
  options.index_epoch = index_.epoch;
  options.fresh_index = !index_.scanned;
  options.chunk_max = chunk_sizes.max;
  if (traits_.id % 2 == 0) {
    options.fetches_max = {2, 1};  // so that contents wait for one another
  }
  options.brake = {traits_.max_delete, 2};
  options.unpacked_max = traits_.id % 3;  // nearly all records are packed after every step
  node_ = std::make_unique<Node>(std::move(options), std::move(*loaded), world_.now());
  world_.trace(name() + " start");
  world_.note(name() + " starts");
  perform(node_->start(world_.now()));
  if (!surfaced.empty()) {
    world_.recovered(*this);
  }
  for (Surfaced& found : surfaced) {
    input(std::move(found));
  }
  revisit();
}

void Host::stop() {
  disk_.kill();
  node_.reset();
  applier_.reset();
  staging_.reset();
  store_.reset();
  applying_ = nullptr;
  ++life_;
}

bool Host::in_phase(Phase phase, const std::function<void()>& work) {
  tell_time();
  phase_ = phase;
  try {
    work();
  } catch (const Crash&) {
    phase_ = Phase::idle;
    stop();
    world_.ended(*this);
    return false;
  }
  phase_ = Phase::idle;
  return true;
}

Result<void> Host::recover(std::vector<Surfaced>& surfaced) {
  applier_ = std::make_unique<storage::Applier>(disk_);
  staging_ = std::make_unique<storage::Staging>(disk_);
  auto recovered = applier_->recover([this](const std::string& file) { return recorded(file); });
  if (!recovered) {
    return std::unexpected(recovered.error());
  }
  surfaced = std::move(*recovered);
  return {};
}

std::optional<Hash> Host::recorded(const std::string& file) const {
  const auto kept = index_.kept().find(file);
  return kept == index_.kept().end() ? std::nullopt : std::optional(kept->second.version.content);
}

void Host::when_running(std::function<void()> action) {
  const std::uint64_t life = life_;
  if (paused_until_ > world_.now()) {
    world_.later(paused_until_ - world_.now(), [this, life, action = std::move(action)] {
      if (life == life_ && node_) {
        when_running(action);
      }
    });
    return;
  }
  action();
}

void Host::tell(Input event) {
  if (paused_until_ <= world_.now()) {
    input(std::move(event));
  } else if (node_) {
    when_running([this, event = std::move(event)] { input(event); });
  }
}

void Host::input(Input event) {
  if (!node_) {
    return;
  }
  std::vector<Output> outputs = node_->step(world_.now(), event);
  if (world_.tracing()) {
    world_.note(name() + " " + brief(event) + " ->" + brief(outputs));
    if (!world_.watched().empty()) {
      if (std::string record = describe(node_->record(world_.watched())); record != described_) {
        world_.note(name() + "   " + record);
        described_ = std::move(record);
      }
    }
  }
  // Short, since every step of every seed is hashed.
  std::string mark = name() + static_cast<char>('a' + event.index());
  for (const Output& output : outputs) {
    mark += static_cast<char>('A' + output.index());
  }
  world_.trace(mark);
  world_.stepped(*this, event, outputs);
  perform(std::move(outputs));
  if (node_ && !index_.scanned && !node_->looking()) {
    commit_later();
  }
}

void Host::perform(std::vector<Output> outputs) {
  for (Output& output : outputs) {
    if (auto* persist = std::get_if<Persist>(&output)) {
      ++persisted_;
      uncommitted_.push_back(std::move(persist->change));
      commit_later();
    } else if (leaves_at_once(output)) {
      perform(std::move(output));
    } else if (std::holds_alternative<Send>(output) || std::holds_alternative<Apply>(output)) {
      waiting_.push_back({persisted_, std::move(output)});
    } else {
      perform(std::move(output));
    }
  }
  release();
  wake();
}

/// As the outbox of the program has it.
bool Host::leaves_at_once(const Output& output) const {
  const auto* send = std::get_if<Send>(&output);
  return send != nullptr && engine::needs_no_record(send->message) &&
         std::ranges::none_of(waiting_, [&](const Waiting& waiting) {
           const auto* other = std::get_if<Send>(&waiting.output);
           return other != nullptr && other->peer == send->peer &&
                  std::holds_alternative<engine::Hello>(other->message);
         });
}

void Host::release() {
  while (node_ && !waiting_.empty() && waiting_.front().persist <= durable_) {
    Output output = std::move(waiting_.front().output);
    waiting_.pop_front();
    perform(std::move(output));
  }
}

void Host::perform(Output output) {
  if (auto* send = std::get_if<Send>(&output)) {
    world_.deliver(id(), send->peer, send->message);
  } else if (auto* gone = std::get_if<Disconnect>(&output)) {
    world_.disconnect(id(), gone->peer, gone->reason);
  } else if (auto* look = std::get_if<Look>(&output)) {
    job(lane_look, Phase::hash, [this, work = std::move(*look)] {
      return LookDone{storage::look_all(disk_, work), disk_.wall_time()};
    });
  } else if (auto* list = std::get_if<List>(&output)) {
    job(lane_list, Phase::scan,
        [this, work = std::move(*list)] { return storage::list(disk_, work); });
  } else if (auto* apply = std::get_if<Apply>(&output)) {
    lay(std::move(*apply));
  } else if (auto* read = std::get_if<ReadBlock>(&output)) {
    job(lane_block, Phase::serve, [this, work = std::move(*read)] { return staging_->read(work); });
  } else if (auto* open = std::get_if<OpenStage>(&output)) {
    job(lane_block, Phase::stage, [this, work = *open] { return staging_->open(work); });
  } else if (auto* write = std::get_if<WriteBlock>(&output)) {
    job(lane_block, Phase::stage,
        [this, work = std::move(*write)] { return staging_->write(work); });
  } else if (auto* drop = std::get_if<DropStage>(&output)) {
    job(lane_block, Phase::stage, [this, work = *drop] {
      staging_->drop(work);
      return Wake{};
    });
  }
}

void Host::lay(Apply work) {
  if (held_until_ > world_.now()) {
    const std::uint64_t life = life_;
    ++jobs_;
    world_.later(held_until_ - world_.now(), [this, life, work = std::move(work)] {
      if (life == life_ && node_) {
        when_running([this, work] {
          --jobs_;
          lay(work);
        });
      }
    });
    return;
  }
  job(lane_apply, Phase::apply, [this, work = std::move(work)] {
    applying_ = &work;
    ApplyDone done{applier_->apply(work), disk_.wall_time()};
    applying_ = nullptr;
    return done;
  });
}

void Host::job(int lane, Phase phase, std::function<Input()> work) {
  const std::uint64_t life = life_;
  ++jobs_;
  Instant& free = lane_free_[lane];
  free = std::max(free, world_.now()) + Duration(random_.below(5'000'000) + 1000);
  world_.later(free - world_.now(), [this, lane, life, phase, work = std::move(work)] {
    if (life != life_ || !node_) {
      return;
    }
    when_running([this, lane, life, phase, work] {
      std::optional<Input> answer;
      if (!in_phase(phase, [&] { answer = work(); })) {
        return;
      }
      // In the order of the work, as a thread gives them (engine/input.h).
      Instant& answered = lane_answered_[lane];
      answered = std::max(answered, world_.now() + Duration(random_.below(1'000'000)));
      world_.later(answered - world_.now(), [this, life, answer = std::move(*answer)] {
        if (life == life_ && node_) {
          when_running([this, answer] {
            --jobs_;
            input(answer);
          });
        }
      });
    });
  });
}

void Host::wake() {
  if (!node_) {
    return;
  }
  const Instant at = std::max(node_->wake_at(), world_.now() + 1us);
  if (at >= wake_scheduled_) {
    return;
  }
  wake_scheduled_ = at;
  const std::uint64_t life = life_;
  world_.later(at - world_.now(), [this, life, at] {
    if (life != life_ || !node_ || at != wake_scheduled_) {
      return;
    }
    when_running([this] {
      wake_scheduled_ = Instant::max();
      input(Wake{});
    });
  });
}

void Host::revisit() {
  const std::uint64_t life = life_;
  world_.later(2s, [this, life] {
    if (life != life_ || !node_) {
      return;
    }
    when_running([this] {
      std::vector<Surfaced> surfaced;
      if (!in_phase(Phase::apply, [&] { surfaced = applier_->revisit(); })) {
        return;
      }
      for (Surfaced& found : surfaced) {
        input(std::move(found));
      }
      revisit();
    });
  });
}

}  // namespace p2psync::sim
