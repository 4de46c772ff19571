#include "tests/sim/sim_fs_journal.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "engine/error.h"

namespace p2psync::sim {

namespace {

constexpr std::uint64_t sample_seed = 1;

std::size_t bytes_in(const std::variant<Write, Resize, SetMode, SetMtime, SetOwner>& what) {
  const auto* write = std::get_if<Write>(&what);
  return write == nullptr ? 0 : write->bytes.size();
}

const Write* write_in(const DataChange* change) {
  return change == nullptr ? nullptr : std::get_if<Write>(&change->what);
}

/// What a change comes after, found while the log is read forwards. Of a chain in which each comes
/// after the one before, the last is enough.
class Order {
 public:
  std::vector<std::size_t> add(std::size_t index, const NameChange& change) {
    std::set<std::size_t> after;
    for (const EntryChange& entry : change.entries) {
      take(last_of_entry_, std::pair(entry.directory, entry.name), after);
      take(maker_of_number_, entry.directory, after);
      for (const InodeNumber number : {entry.before, entry.after}) {
        take(last_of_number_, number, after);
      }
      if (is_removed(entry.before, change)) {
        const auto inside = in_directory_.find(entry.before);
        if (inside != in_directory_.end()) {
          after.insert(inside->second.begin(), inside->second.end());
        }
      }
    }
    if (change.directories == NameChange::Directories::moved_or_removed) {
      after.insert(of_directories_.begin(), of_directories_.end());
      of_directories_.clear();
    }
    note(index, change);
    return {after.begin(), after.end()};
  }

  std::vector<std::size_t> add(const DataChange& change) const {
    std::set<std::size_t> after;
    take(maker_of_id_, change.id, after);
    return {after.begin(), after.end()};
  }

 private:
  template <class Map>
  static void take(const Map& map, const typename Map::key_type& key,
                   std::set<std::size_t>& after) {
    if (const auto found = map.find(key); found != map.end()) {
      after.insert(found->second);
    }
  }
  static bool is_removed(InodeNumber number, const NameChange& change) {
    return number != 0 && std::ranges::none_of(change.entries, [&](const EntryChange& entry) {
             return entry.after == number;
           });
  }
  void note(std::size_t index, const NameChange& change) {
    for (const EntryChange& entry : change.entries) {
      last_of_entry_[{entry.directory, entry.name}] = index;
      in_directory_[entry.directory].push_back(index);
      for (const InodeNumber number : {entry.before, entry.after}) {
        if (number != 0) {
          last_of_number_[number] = index;
        }
      }
    }
    if (change.made) {
      maker_of_number_[change.entries.front().after] = index;
      maker_of_id_[change.made->id] = index;
    }
    if (change.directories != NameChange::Directories::untouched) {
      of_directories_.push_back(index);
    }
  }

  std::map<std::pair<InodeNumber, std::string>, std::size_t> last_of_entry_;
  std::map<InodeNumber, std::size_t> last_of_number_;
  std::map<InodeNumber, std::size_t> maker_of_number_;
  std::map<InodeId, std::size_t> maker_of_id_;
  std::map<InodeNumber, std::vector<std::size_t>> in_directory_;
  std::vector<std::size_t> of_directories_;  ///< since the last that came after all of them
};

}  // namespace

void Journal::record(NameChange change) {
  add(std::move(change));
}

void Journal::record(DataChange change) {
  bytes_ += bytes_in(change.what);
  add(std::move(change));
}

void Journal::sync(InodeNumber number, InodeId id) {
  add(Mark{number, id, false});
}

void Journal::sync_failed(InodeNumber number, InodeId id) {
  ++failed_syncs_;
  add(Mark{number, id, true});
}

void Journal::add(Item item) {
  ++recorded_;
  log_.push_back(std::move(item));
  if (log_.size() > changes_max || bytes_ > bytes_max) {
    fold((log_.size() + 1) / 2);
  }
}

void Journal::sync_all() {
  ++recorded_;
  fold(log_.size());
}

void Journal::write_back(engine::Random& random) {
  if (log_.empty()) {
    return;
  }
  const std::size_t index = random.below(log_.size());
  const auto* names = std::get_if<NameChange>(&log_[index]);
  const auto* data = std::get_if<DataChange>(&log_[index]);
  if (names != nullptr && random.chance(50)) {
    add(Mark{names->entries.front().directory, 0, false});
    fold_forced();
  } else if (data != nullptr && random.chance(50)) {
    add(Mark{data->number, data->id, false});
    fold_forced();
  } else {
    fold(index + 1);
  }
}

void Journal::rot(InodeNumber number, InodeId id, std::uint64_t offset) {
  const auto flip = [](std::string& bytes, std::uint64_t at) {
    if (at < bytes.size()) {
      flip_bit(bytes, at);
    }
  };
  if (const auto found = durable_.find(number); found != durable_.end() && found->second.id == id) {
    flip(found->second.bytes, offset);
  }
  for (Item& item : log_) {
    auto* change = std::get_if<DataChange>(&item);
    auto* write = change == nullptr ? nullptr : std::get_if<Write>(&change->what);
    if (write != nullptr && change->id == id && offset >= write->offset) {
      flip(write->bytes, offset - write->offset);
    }
  }
}

void Journal::fold(std::size_t count) {
  const std::vector<State> states = failed_syncs_ > 0 ? marked() : std::vector<State>();
  for (std::size_t index = 0; index < count; ++index) {
    Item& item = log_.front();
    if (const auto* names = std::get_if<NameChange>(&item)) {
      carry_out(durable_, *names);
    } else if (const auto* data = std::get_if<DataChange>(&item)) {
      if (states.empty() || states[index] != State::lost) {
        carry_out(durable_, *data);
      }
      bytes_ -= bytes_in(data->what);
    } else if (std::get<Mark>(item).failed) {
      --failed_syncs_;
    }
    log_.pop_front();
  }
}

void Journal::fold_forced() {
  const Survey survey = this->survey();
  std::size_t count = 0;
  while (count < log_.size() &&
         (survey.states[count] != State::free || std::holds_alternative<Mark>(log_[count]))) {
    ++count;
  }
  fold(count);
}

Journal::Needs Journal::needs() const {
  Needs needs;
  Order order;
  for (std::size_t index = 0; index < log_.size(); ++index) {
    if (const auto* names = std::get_if<NameChange>(&log_[index])) {
      needs.push_back(order.add(index, *names));
    } else if (const auto* data = std::get_if<DataChange>(&log_[index])) {
      needs.push_back(order.add(*data));
    } else {
      needs.emplace_back();
    }
  }
  return needs;
}

std::vector<Journal::State> Journal::marked() const {
  std::vector<State> states(log_.size(), State::free);
  std::map<InodeId, State> by_id;  // the nearest mark behind decides
  std::set<InodeNumber> directories;
  for (std::size_t index = log_.size(); index-- > 0;) {
    if (const auto* mark = std::get_if<Mark>(&log_[index])) {
      by_id[mark->id] = mark->failed ? State::lost : State::forced;
      if (!mark->failed) {
        directories.insert(mark->number);
      }
    } else if (const auto* data = std::get_if<DataChange>(&log_[index])) {
      const auto found = by_id.find(data->id);
      states[index] = found == by_id.end() ? State::free : found->second;
    } else {
      const auto& names = std::get<NameChange>(log_[index]);
      const bool forced = std::ranges::any_of(names.entries, [&](const EntryChange& entry) {
        return directories.contains(entry.directory);
      });
      states[index] = forced ? State::forced : State::free;
      if (names.made) {
        directories.erase(names.entries.front().after);  // before it the number was another inode's
      }
    }
  }
  return states;
}

Journal::Survey Journal::survey() const {
  Survey survey{needs(), marked()};
  for (std::size_t index = log_.size(); index-- > 0;) {
    if (survey.states[index] == State::forced && std::holds_alternative<NameChange>(log_[index])) {
      for (const std::size_t before : survey.needs[index]) {
        survey.states[before] = State::forced;
      }
    }
  }
  return survey;
}

void Journal::make_legal(const Survey& survey, std::vector<Fate>& fates) {
  for (std::size_t index = 0; index < fates.size(); ++index) {
    if (survey.states[index] == State::forced) {
      fates[index] = Fate::whole;
    } else if (survey.states[index] == State::lost ||
               std::ranges::any_of(survey.needs[index], [&](std::size_t before) {
                 return fates[before] == Fate::absent;
               })) {
      fates[index] = Fate::absent;
    }
  }
}

std::vector<Journal::Fate> Journal::draw(const Survey& survey, engine::Random& random) const {
  std::vector<Fate> fates(log_.size(), Fate::absent);
  const std::size_t some = log_.empty() ? 0 : random.below(log_.size());
  const auto first_after = fates.begin() + static_cast<std::ptrdiff_t>(some);
  const std::uint64_t percent = 10 + random.below(81);
  switch (random.below(7)) {
    case 0: break;  // what was not forced is not there
    case 1: std::ranges::fill(fates, Fate::whole); break;
    case 2: std::fill(fates.begin(), first_after, Fate::whole); break;
    case 3:  // all but one
      std::ranges::fill(fates, Fate::whole);
      if (!fates.empty()) {
        fates[some] = random.chance(50) ? Fate::absent : Fate::torn;
      }
      break;
    case 4:  // one, and what it comes after
      if (!fates.empty()) {
        fates[some] = Fate::whole;
        for (std::size_t index = some + 1; index-- > 0;) {
          for (const std::size_t before : survey.needs[index]) {
            fates[before] = fates[index] == Fate::whole ? Fate::whole : fates[before];
          }
        }
      }
      break;
    case 5:
      std::ranges::generate(fates,
                            [&] { return random.chance(percent) ? Fate::whole : Fate::absent; });
      break;
    default:
      std::ranges::generate(fates, [&] {
        const Fate there = random.chance(50) ? Fate::torn : Fate::whole;
        return random.chance(percent) ? there : Fate::absent;
      });
  }
  make_legal(survey, fates);
  return fates;
}

Inodes Journal::replay(const std::vector<Fate>& fates, engine::Random& random) const {
  Inodes inodes = durable_;
  for (std::size_t index = 0; index < log_.size(); ++index) {
    const auto* names = std::get_if<NameChange>(&log_[index]);
    const auto* data = std::get_if<DataChange>(&log_[index]);
    if (fates[index] == Fate::absent) {
      continue;
    }
    if (names != nullptr) {
      carry_out(inodes, *names);
    } else if (data != nullptr) {
      const Write* write = write_in(data);
      if (write == nullptr || fates[index] == Fate::whole) {
        carry_out(inodes, *data);
      } else if (fates[index] == Fate::first_half) {
        carry_out_torn(inodes, *data,
                       [&](std::size_t piece) { return piece < piece_count(*write) / 2; });
      } else {
        carry_out_torn(inodes, *data, [&](std::size_t) { return random.chance(50); });
      }
    }
  }
  return inodes;
}

Inodes Journal::power_cut(engine::Random& random) const {
  const std::vector<Fate> fates = draw(survey(), random);
  return replay(fates, random);
}

void Journal::for_each(const Survey& survey,
                       const std::function<bool(const std::vector<Fate>&)>& visit) const {
  std::vector<Fate> fates(log_.size(), Fate::absent);
  make_legal(survey, fates);
  std::vector<std::size_t> free;
  for (std::size_t index = 0; index < log_.size(); ++index) {
    if (survey.states[index] == State::free && !std::holds_alternative<Mark>(log_[index])) {
      free.push_back(index);
    }
  }
  const auto may_survive = [&](std::size_t index) {
    return std::ranges::none_of(survey.needs[index],
                                [&](std::size_t before) { return fates[before] == Fate::absent; });
  };
  // An odometer: the last that can be raised is, and all behind it begin anew. What is behind it
  // may have come after something that is absent now, but begins absent.
  while (visit(fates)) {
    std::size_t at = free.size();
    while (at > 0) {
      Fate& fate = fates[free[--at]];
      const bool is_write = write_in(std::get_if<DataChange>(&log_[free[at]])) != nullptr;
      if (fate == Fate::absent && may_survive(free[at])) {
        fate = Fate::whole;
        break;
      }
      if (fate == Fate::whole && is_write) {
        fate = Fate::first_half;
        break;
      }
      fate = Fate::absent;
      if (at == 0) {
        return;
      }
    }
    if (free.empty()) {
      return;
    }
  }
}

Journal::PowerCuts Journal::power_cuts(std::size_t cap, std::uint64_t count_max) const {
  PowerCuts cuts;
  const Survey survey = this->survey();
  for_each(survey, [&](const std::vector<Fate>&) { return ++cuts.total < count_max; });
  engine::Random random(sample_seed);
  if (cuts.total <= cap && cuts.total < count_max) {
    for_each(survey, [&](const std::vector<Fate>& fates) {
      cuts.images.push_back(replay(fates, random));
      return true;
    });
    return cuts;
  }
  for (const Fate all : {Fate::absent, Fate::whole}) {
    std::vector<Fate> fates(log_.size(), all);
    make_legal(survey, fates);
    cuts.images.push_back(replay(fates, random));
  }
  while (cuts.images.size() < cap) {
    cuts.images.push_back(replay(draw(survey, random), random));
  }
  return cuts;
}

}  // namespace p2psync::sim
