#include "tests/sim/host.h"

#include <algorithm>
#include <array>

#include "storage/scanner.h"
#include "tests/sim/brief.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

enum Lane : int { lane_apply, lane_look, lane_list, lane_block };

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t wall_epoch_s = 1'700'000'000;
const std::string index_file = ".p2psync/index.db";
constexpr std::array index_suffixes{"", "-wal", "-journal"};

}  // namespace

Host::Host(Surroundings& world, Traits traits, std::uint64_t seed)
    : world_(world),
      traits_(std::move(traits)),
      random_(seed),
      wall_start_((wall_epoch_s + traits_.clock_offset_s) * second_ns) {
  disk_.disk().now = wall_start_;
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

// --- The life of the process

void Host::start() {
  ++life_;
  disk_.restart();
  tell_time();
  lane_free_.clear();
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
  node_ = std::make_unique<Node>(std::move(options), std::move(*loaded), world_.now());
  world_.trace(name() + " start");
  perform(node_->start(world_.now()));
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
  if (node_) {
    when_running([this, event = std::move(event)] { input(event); });
  }
}

void Host::input(Input event) {
  if (!node_) {
    return;
  }
  std::vector<Output> outputs = node_->step(world_.now(), event);
  if (world_.tracing()) {
    std::string line = name() + " " + brief(event) + " ->";
    for (const Output& output : outputs) {
      line += " " + brief(output) + ";";
    }
    world_.note(line);
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
    } else if (std::holds_alternative<Send>(output) || std::holds_alternative<Apply>(output)) {
      waiting_.push_back({persisted_, std::move(output)});
    } else {
      perform(std::move(output));
    }
  }
  release();
  wake();
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
    job(lane_look, Phase::hash,
        [this, work = std::move(*look)] { return LookDone{storage::look_all(disk_, work)}; });
  } else if (auto* list = std::get_if<List>(&output)) {
    job(lane_list, Phase::scan,
        [this, work = std::move(*list)] { return storage::list(disk_, work); });
  } else if (auto* apply = std::get_if<Apply>(&output)) {
    job(lane_apply, Phase::apply, [this, work = std::move(*apply)] {
      applying_ = &work;
      ApplyDone done{applier_->apply(work)};
      applying_ = nullptr;
      return done;
    });
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

void Host::job(int lane, Phase phase, std::function<Input()> work) {
  const std::uint64_t life = life_;
  ++jobs_;
  Instant& free = lane_free_[lane];
  free = std::max(free, world_.now()) + Duration(random_.below(5'000'000) + 1000);
  world_.later(free - world_.now(), [this, life, phase, work = std::move(work)] {
    if (life != life_ || !node_) {
      return;
    }
    when_running([this, life, phase, work] {
      std::optional<Input> answer;
      if (!in_phase(phase, [&] { answer = work(); })) {
        return;
      }
      world_.later(Duration(random_.below(1'000'000)), [this, life, answer = std::move(*answer)] {
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

// --- The index

void Host::commit_later() {
  if (committing_) {
    return;
  }
  committing_ = true;
  const std::uint64_t life = life_;
  world_.later(Duration(random_.below(10'000'000) + 10'000), [this, life] {
    if (life == life_ && node_) {
      when_running([this] { commit(); });
    }
  });
}

/// All that waits, as one transaction.
void Host::commit() {
  committing_ = false;
  const std::vector<Change> changes(uncommitted_.begin(), uncommitted_.end());
  const bool scanned = !node_->looking();
  if (store_ && !commit_to_store(changes, scanned)) {
    return;
  }
  uncommitted_.clear();
  for (const Change& change : changes) {
    world_.committed(*this, change);
    index_.commit(change);
  }
  index_.scanned = index_.scanned || scanned;
  durable_ += changes.size();
  release();
}

bool Host::commit_to_store(const std::vector<Change>& changes, bool scanned) {
  unconfirmed_ = index_;
  for (const Change& change : changes) {
    unconfirmed_->commit(change);
  }
  Result<void> done;
  const bool survived = in_phase(Phase::commit, [&] {
    done = store_->commit(changes);
    if (done && scanned && !index_.scanned) {
      done = store_->scanned();
    }
  });
  if (survived && done) {
    unconfirmed_.reset();
    return true;
  }
  if (survived) {
    world_.later(1s, [this, life = life_] {
      if (life == life_ && node_) {
        commit_later();
      }
    });
  }
  return false;
}

Result<Loaded> Host::open_index() {
  if (!traits_.sqlite) {
    if (index_.epoch == 0) {
      index_.epoch = static_cast<std::uint64_t>(disk_.wall_time() / 1'000'000);
    }
    return index_.load();
  }
  for (int attempt = 0;; ++attempt) {
    Error error;
    auto store = storage::IndexStore::open(disk_, index_file, id(), random_.next());
    auto loaded = store ? (*store)->load() : std::unexpected(store.error());
    if (loaded) {
      store_ = std::move(*store);
      const bool anew = index_.epoch != 0 && store_->epoch() != index_.epoch;
      if (anew && !index_in_doubt_) {
        world_.violation("#12 the index is not behind", name() + " has begun another index");
      }
      take_in(*loaded);
      return loaded;
    }
    error = loaded.error();
    store = std::unexpected(error);
    // As the daemon does with a damaged index; a foreign one is for its owner to take away.
    Result<void> aside;
    if (error.code == ErrorCode::corrupt && attempt == 0) {
      const auto moved = storage::IndexStore::set_aside(disk_, index_file);
      aside = moved ? Result<void>() : std::unexpected(moved.error());
    } else if (error.code == ErrorCode::invalid) {
      remove_index_files();
    } else {
      return std::unexpected(error);
    }
    if (!aside) {
      return std::unexpected(aside.error());
    }
    if (!index_in_doubt_) {
      world_.violation("#12 the index is not behind",
                       name() + " lost its index: " + error.message());
    }
    index_ = {};
  }
}

namespace {

std::string difference(const IndexModel& model, const Loaded& loaded) {
  if (model.load().knowledge != loaded.knowledge) {
    Record knows, knew;
    knows.entry.context = loaded.knowledge;
    knew.entry.context = model.load().knowledge;
    return "it knows " + describe(&knows) + " instead of " + describe(&knew);
  }
  for (const auto& [path, record] : loaded.records) {
    const auto there = model.records().find(path);
    if (there == model.records().end() || there->second.entry != record->entry ||
        there->second.shown != record->shown) {
      return path + " " + describe(&*record) + " instead of " +
             describe(there == model.records().end() ? nullptr : &there->second);
    }
  }
  return std::to_string(loaded.records.size()) + " records instead of " +
         std::to_string(model.records().size());
}

}  // namespace

/// What SQLite gave back is what was confirmed, or that and the commit that was cut off.
void Host::take_in(const Loaded& loaded) {
  index_.epoch = store_->epoch();
  index_.scanned = !store_->fresh();
  const auto equals = [&](const IndexModel& model) {
    return model.load().knowledge == loaded.knowledge &&
           std::ranges::equal(model.records(), loaded.records, [](const auto& a, const auto& b) {
             return a.first == b.path && a.second.entry == b.record->entry &&
                    a.second.shown == b.record->shown;
           });
  };
  if (unconfirmed_ && equals(*unconfirmed_)) {
    unconfirmed_->epoch = index_.epoch;
    unconfirmed_->scanned = index_.scanned;
    index_ = *unconfirmed_;
  } else if (!equals(index_)) {
    if (!index_in_doubt_) {
      world_.violation(
          "#12 the index is not behind",
          name() + " does not find in its index what was committed: " + difference(index_, loaded));
    }
    IndexModel found;
    Change all;
    all.records = loaded.records;
    all.knowledge = loaded.knowledge;
    all.rows = loaded.rows;
    all.kept = loaded.kept;
    all.applied = loaded.applied;
    found.commit(all);
    found.epoch = index_.epoch;
    found.scanned = index_.scanned;
    index_ = std::move(found);
  }
  unconfirmed_.reset();
  index_in_doubt_ = false;
}

void Host::remove_index_files() {
  for (const char* suffix : index_suffixes) {
    disk_.remove(index_file + suffix);
  }
  disk_.disk().sync_all();
}

void Host::lose_index() {
  index_ = {};
  unconfirmed_.reset();
  index_in_doubt_ = true;
  if (traits_.sqlite) {
    remove_index_files();
  }
}

void Host::damage_index(Random& random) {
  if (!traits_.sqlite) {
    lose_index();
    return;
  }
  index_in_doubt_ = true;
  for (int i = 0; i < 8; ++i) {
    const std::string file = index_file + index_suffixes.at(random.below(2));
    const auto bytes = disk_.read(file);
    if (bytes && !bytes->empty()) {
      disk_.rot(file, random.below(bytes->size()));
    }
  }
}

void Host::take_index_of(const Host& other) {
  if (!traits_.sqlite || other.id() == id()) {
    lose_index();
    return;
  }
  copy_index_files(other.disk_.image());
}

void Host::copy_index_files(const Disk& from) {
  index_in_doubt_ = true;
  unconfirmed_.reset();
  remove_index_files();
  for (const char* suffix : index_suffixes) {
    if (const auto found = from.find(index_file + suffix)) {
      disk_.write_file(index_file + suffix, from.inode(*found).bytes);
    }
  }
  disk_.disk().sync_all();
}

void Host::restore(const Backup& backup, bool all) {
  index_ = backup.index;
  if (all) {
    disk_.load(backup.disk);
    index_in_doubt_ = true;
    unconfirmed_.reset();
    tell_time();
  } else if (traits_.sqlite) {
    copy_index_files(backup.disk);
  }
}

}  // namespace p2psync::sim
