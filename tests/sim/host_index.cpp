// The index of a simulated machine: commits, starts, and what happens to its files.
#include <algorithm>
#include <array>

#include "engine/brief.h"
#include "tests/sim/host.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

const std::string index_file = ".p2psync/index.db";
constexpr std::array index_suffixes{"", "-wal", "-journal"};

}  // namespace

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
  std::vector<Change> changes(std::make_move_iterator(uncommitted_.begin()),
                              std::make_move_iterator(uncommitted_.end()));
  const bool scanned = !node_->looking();
  if (store_ && !commit_to_store(changes, scanned)) {
    std::ranges::move(changes, uncommitted_.begin());
    return;
  }
  uncommitted_.clear();
  for (const Change& change : changes) {
    world_.committed(*this, change);
    if (traits_.forgets && ++commits_ % 3 == 0) {
      continue;
    }
    index_.commit(change);
  }
  index_.scanned = index_.scanned || scanned;
  durable_ += changes.size();
  release();
}

bool Host::commit_to_store(const std::vector<Change>& changes, bool scanned) {
  Result<void> done;
  in_commit_ = &changes;
  const bool survived = in_phase(Phase::commit, [&] {
    done = store_->commit(changes);
    if (done && scanned && !index_.scanned) {
      done = store_->scanned();
    }
  });
  in_commit_ = nullptr;
  if (survived && done) {
    unconfirmed_.clear();
    return true;
  }
  unconfirmed_.push_back(index_);
  for (const Change& change : changes) {
    unconfirmed_.back().commit(change);
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
    if (life_ == 1 && !traits_.past.empty()) {
      index_.commit(traits_.past);
      index_.scanned = true;
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

bool same_record(const Record& a, const Record& b) {
  return a.entry == b.entry && a.shown == b.shown;
}

bool same_records(const IndexModel::Records& model, const Index& index) {
  if (model.size() != index.size()) {
    return false;
  }
  bool same = true;
  auto place = model.begin();
  index.for_each("", "", [&](const Path& path, const Record& record) {
    same = same && place->first == path && same_record(place->second, record);
    ++place;
    return same;
  });
  return same;
}

std::string difference(const IndexModel& model, const Loaded& loaded) {
  if (model.knowledge() != loaded.knowledge) {
    Record knows, knew;
    knows.entry.context = loaded.knowledge;
    knew.entry.context = model.knowledge();
    return "it knows " + describe(&knows) + " instead of " + describe(&knew);
  }
  std::string found = std::to_string(loaded.index.size()) + " records instead of " +
                      std::to_string(model.records().size());
  loaded.index.for_each("", "", [&](const Path& path, const Record& record) {
    const auto there = model.records().find(path);
    const Record* before = there == model.records().end() ? nullptr : &there->second;
    const bool same = before != nullptr && same_record(*before, record);
    if (!same) {
      found = path + " " + describe(&record) + " instead of " + describe(before);
    }
    return same;
  });
  return found;
}

}  // namespace

/// What SQLite gave back is what was confirmed, or that and the commit that was cut off.
void Host::take_in(const Loaded& loaded) {
  index_.epoch = store_->epoch();
  index_.scanned = !store_->fresh();
  const auto equals = [&](const IndexModel& model) {
    return model.knowledge() == loaded.knowledge &&
           model.endings().lengths() == loaded.endings.lengths() &&
           same_records(model.records(), loaded.index);
  };
  if (const auto held = std::ranges::find_if(unconfirmed_, equals); held != unconfirmed_.end()) {
    held->epoch = index_.epoch;
    held->scanned = index_.scanned;
    index_ = *held;
  } else if (!equals(index_)) {
    if (!index_in_doubt_) {
      world_.violation(
          "#12 the index is not behind",
          name() + " does not find in its index what was committed: " + difference(index_, loaded));
    }
    IndexModel found;
    Change all;
    loaded.index.for_each("", "", [&all](const Path& path, const Record& record) {
      all.records.push_back({path, record});
      return true;
    });
    all.knowledge = loaded.knowledge;
    all.rows = loaded.rows;
    for (const auto& [actor, length] : loaded.endings.lengths().items()) {
      std::uint64_t number = 0;
      for (const Ending& ending : loaded.endings.of(actor.node)) {
        all.endings.push_back({actor.node, ++number, ending});
      }
    }
    all.kept = loaded.kept;
    all.applied = loaded.applied;
    all.braked = loaded.braked;
    found.commit(all);
    found.epoch = index_.epoch;
    found.scanned = index_.scanned;
    index_ = std::move(found);
  }
  unconfirmed_.clear();
  index_in_doubt_ = index_rotten_;
}

void Host::remove_index_files() {
  for (const char* suffix : index_suffixes) {
    disk_.remove(index_file + suffix);
  }
  disk_.disk().sync_all();
}

void Host::lose_index() {
  index_ = {};
  unconfirmed_.clear();
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
  index_in_doubt_ = index_rotten_ = true;
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
  unconfirmed_.clear();
  remove_index_files();
  for (const char* suffix : index_suffixes) {
    if (const auto found = from.find(index_file + suffix)) {
      disk_.write_file(index_file + suffix, from.inode(*found).bytes);
    }
  }
  disk_.disk().sync_all();
}

Host::Frozen Host::freeze() const {
  Frozen frozen{index_, unconfirmed_, index_in_doubt_, disk_.disk().without_processes()};
  if (in_commit_ != nullptr) {
    frozen.unconfirmed.push_back(index_);
    for (const Change& change : *in_commit_) {
      frozen.unconfirmed.back().commit(change);
    }
  }
  return frozen;
}

void Host::thaw(const Frozen& frozen) {
  index_ = frozen.index;
  unconfirmed_ = frozen.unconfirmed;
  index_in_doubt_ = frozen.in_doubt;
  disk_.resume(frozen.disk);
  tell_time();
}

void Host::restore(const Backup& backup, bool all) {
  index_ = backup.index;
  if (all) {
    disk_.load(backup.disk);
    index_in_doubt_ = true;
    unconfirmed_.clear();
    tell_time();
  } else if (traits_.sqlite) {
    copy_index_files(backup.disk);
  }
}

}  // namespace p2psync::sim
