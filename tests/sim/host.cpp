#include "tests/sim/host.h"

#include <algorithm>

#include "net/wire.h"
#include "storage/hash.h"
#include "storage/scanner.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

enum Lane : int { lane_apply, lane_look, lane_list, lane_block };

std::string brief(const Output& output) {
  static constexpr const char* names[] = {"send",       "disconnect",  "persist",   "note",
                                          "look",       "list",        "apply",     "read-block",
                                          "open-stage", "write-block", "drop-stage"};
  std::string text = names[output.index()];
  if (const auto* send = std::get_if<Send>(&output)) {
    text += ":" + std::to_string(static_cast<int>(net::kind_of(send->message))) + ">" +
            std::to_string(send->peer);
  } else if (const auto* look = std::get_if<Look>(&output)) {
    for (const LookAt& at : look->names) {
      text += " " + at.name;
    }
  } else if (const auto* apply = std::get_if<Apply>(&output)) {
    for (const ApplyJob& job : apply->jobs) {
      text += " " + job.path + "[";
      for (const Step& step : job.steps) {
        if (const auto* put = std::get_if<Put>(&step)) {
          text += "put " + put->name + (put->expected ? "! " : " ");
        } else if (const auto* link = std::get_if<Link>(&step)) {
          text += "link " + link->name + "<" + link->from + " ";
        } else if (const auto* check = std::get_if<Check>(&step)) {
          text += "check " + check->name + " ";
        } else {
          text += "remove " + std::get<Remove>(step).name + " ";
        }
      }
      text += "]";
    }
  }
  return text;
}

std::string brief(const Input& input) {
  static constexpr const char* names[] = {
      "wake",   "peer-up", "peer-down", "received",   "touched",      "rescan",       "listed",
      "looked", "applied", "surfaced",  "block-read", "stage-opened", "stage-written"};
  std::string text = names[input.index()];
  if (const auto* received = std::get_if<Received>(&input)) {
    text += ":" + std::to_string(static_cast<int>(net::kind_of(received->message))) + "<" +
            std::to_string(received->peer);
  } else if (const auto* looked = std::get_if<LookDone>(&input)) {
    for (const Looked& name : looked->names) {
      text += " " + name.name + "=" + std::to_string(name.sight.index());
    }
  } else if (const auto* applied = std::get_if<ApplyDone>(&input)) {
    for (const Applied& job : applied->jobs) {
      text += " " + job.path + "=";
      for (const StepResult& result : job.results) {
        text += std::to_string(result.index());
        if (const auto* done = std::get_if<Done>(&result); done != nullptr && done->displaced) {
          text += done->displaced->as_expected ? "d" : "D";
        }
      }
    }
  } else if (const auto* surfaced = std::get_if<Surfaced>(&input)) {
    text += " " + surfaced->name;
  }
  return text;
}

std::string describe(const Dot& dot) {
  return std::to_string(dot.actor.node) + "." + std::to_string(dot.actor.incarnation % 1000) + "." +
         std::to_string(dot.sequence);
}

std::string describe(const Version& version) {
  static constexpr const char* kinds[] = {"file", "directory", "symlink"};
  std::string text = kinds[static_cast<int>(version.kind)];
  text += " " + storage::to_hex(version.content).substr(0, 6) + " rank " +
          std::to_string(version.rank) + " label " + version.label;
  for (const auto& [set, word] :
       {std::pair{version.copy, " copy"}, std::pair{version.metadata_only, " metadata"},
        std::pair{version.imported, " import"}}) {
    text += set ? word : "";
  }
  return text;
}

/// An entry and what the disk shows of it, on one line.
std::string describe(const Record* record) {
  if (record == nullptr) {
    return "nothing";
  }
  std::string text = "context";
  for (const auto& [actor, sequence] : record->entry.context.items()) {
    text += " " + describe(Dot{actor, sequence});
  }
  for (const auto& [dot, version] : record->entry.versions) {
    text += " | " + describe(dot) + ": " + describe(version);
  }
  for (const Deletion& deletion : record->entry.deletions) {
    text += " | deleted by " + describe(deletion.dot);
  }
  for (const Shown& shown : record->shown) {
    text += " || shown " + shown.name + ": " + storage::to_hex(shown.version.content).substr(0, 6);
    for (const Dot& dot : shown.dots) {
      text += " " + describe(dot);
    }
  }
  return text;
}

}  // namespace

void MemoryIndex::commit(const Change& change) {
  for (const auto& [path, record] : change.records) {
    if (record) {
      records_[path] = *record;
    } else {
      records_.erase(path);
    }
  }
  applied_ = change.applied.value_or(applied_);
  if (change.knowledge) {
    knowledge_ = *change.knowledge;
  }
  for (const HeldRow& row : change.rows) {
    rows_[row.member] = row;
  }
  for (const KeptVersion& kept : change.kept) {
    kept_[kept.file] = kept;
  }
  for (const std::string& file : change.forgotten) {
    kept_.erase(file);
  }
}

Loaded MemoryIndex::load() const {
  Loaded loaded;
  for (const auto& [path, record] : records_) {
    loaded.records.push_back({path, record});
  }
  loaded.knowledge = knowledge_;
  loaded.applied = applied_;
  for (const auto& [member, row] : rows_) {
    loaded.rows.push_back(row);
  }
  for (const auto& [file, kept] : kept_) {
    loaded.kept.push_back(kept);
  }
  return loaded;
}

std::optional<Hash> MemoryIndex::recorded(const std::string& file) const {
  const auto kept = kept_.find(file);
  return kept == kept_.end() ? std::nullopt : std::optional(kept->second.version.content);
}

Host::Host(Surroundings& world, NodeId id, std::string name, std::vector<MemberName> members)
    : world_(world), id_(id), name_(std::move(name)), members_(std::move(members)) {}

void Host::start() {
  ++life_;
  disk_.restart();
  lane_free_.clear();
  uncommitted_.clear();
  waiting_.clear();
  persisted_ = durable_ = 0;
  wake_scheduled_ = Instant::max();
  std::vector<Surfaced> surfaced;
  try {
    if (!storage::prepare_state(disk_)) {
      invariant(false, "the simulated disk takes the state directory");
    }
    applier_ = std::make_unique<storage::Applier>(disk_);
    staging_ = std::make_unique<storage::Staging>(disk_);
    auto recovered =
        applier_->recover([this](const std::string& file) { return index_.recorded(file); });
    invariant(recovered.has_value(), "the simulated disk can be read at the start");
    surfaced = std::move(*recovered);
  } catch (const Crash&) {
    world_.crashed(id_);
    return;
  }
  NodeOptions options;
  options.cluster = "sim";
  options.version = "sim";
  options.self = id_;
  options.members = members_;
  options.seed = world_.random().next();
  options.incarnation = world_.random().next();
  options.index_epoch = epoch_;
  options.fresh_index = std::exchange(fresh_, false);
  Loaded loaded = index_.load();
  loaded.relaid = applier_->relaid();
  node_ = std::make_unique<Node>(std::move(options), std::move(loaded), world_.now());
  world_.trace(name_ + " start");
  perform(node_->start(world_.now()));
  for (Surfaced& found : surfaced) {
    input(std::move(found));
  }
  revisit();
}

void Host::stop() {
  node_.reset();
  applier_.reset();
  staging_.reset();
  ++life_;
}

void Host::lose_index() {
  index_ = {};
  ++epoch_;
  fresh_ = true;
}

void Host::input(Input event) {
  if (!node_) {
    return;
  }
  std::string line = name_ + " " + brief(event) + " ->";
  std::vector<Output> outputs = node_->step(world_.now(), std::move(event));
  for (const Output& output : outputs) {
    line += " " + brief(output) + ";";
  }
  world_.trace(line);
  if (!world_.watched().empty()) {
    if (std::string record = describe(node_->record(world_.watched())); record != described_) {
      world_.note(name_ + "   " + record);
      described_ = std::move(record);
    }
  }
  perform(std::move(outputs));
}

void Host::perform(std::vector<Output> outputs) {
  for (Output& output : outputs) {
    if (auto* persist = std::get_if<Persist>(&output)) {
      ++persisted_;
      uncommitted_.push_back(std::move(persist->change));
      if (uncommitted_.size() == 1) {
        commit_next();
      }
    } else if (std::holds_alternative<Send>(output) || std::holds_alternative<Apply>(output)) {
      waiting_.push_back({persisted_, std::move(output)});
    } else {
      perform(std::move(output));
    }
  }
  release();
  wake();
}

void Host::commit_next() {
  const std::uint64_t life = life_;
  world_.later(Duration(world_.random().below(10'000'000) + 10'000), [this, life] {
    if (life != life_ || !node_) {
      return;
    }
    index_.commit(uncommitted_.front());
    uncommitted_.pop_front();
    ++durable_;
    if (!uncommitted_.empty()) {
      commit_next();
    }
    release();
  });
}

void Host::release() {
  while (!waiting_.empty() && waiting_.front().persist <= durable_) {
    Output output = std::move(waiting_.front().output);
    waiting_.pop_front();
    perform(std::move(output));
  }
}

void Host::perform(Output output) {
  if (auto* send = std::get_if<Send>(&output)) {
    world_.deliver(id_, send->peer, net::encode_message(send->message));
  } else if (auto* gone = std::get_if<Disconnect>(&output)) {
    world_.disconnect(id_, gone->peer, gone->reason);
  } else if (auto* look = std::get_if<Look>(&output)) {
    job(lane_look,
        [this, work = std::move(*look)] { return LookDone{storage::look_all(disk_, work)}; });
  } else if (auto* list = std::get_if<List>(&output)) {
    job(lane_list, [this, work = std::move(*list)] { return storage::list(disk_, work); });
  } else if (auto* apply = std::get_if<Apply>(&output)) {
    job(lane_apply, [this, work = std::move(*apply)] {
      ApplyDone done{applier_->apply(work)};
      world_.after_apply(id_);
      return done;
    });
  } else if (auto* read = std::get_if<ReadBlock>(&output)) {
    job(lane_block, [this, work = std::move(*read)] { return staging_->read(work); });
  } else if (auto* open = std::get_if<OpenStage>(&output)) {
    job(lane_block, [this, work = *open] { return staging_->open(work); });
  } else if (auto* write = std::get_if<WriteBlock>(&output)) {
    job(lane_block, [this, work = std::move(*write)] { return staging_->write(work); });
  } else if (auto* drop = std::get_if<DropStage>(&output)) {
    job(lane_block, [this, work = *drop] {
      staging_->drop(work);
      return Wake{};
    });
  }
}

void Host::job(int lane, std::function<Input()> work) {
  const std::uint64_t life = life_;
  Instant& free = lane_free_[lane];
  free = std::max(free, world_.now()) + Duration(world_.random().below(5'000'000) + 1000);
  world_.later(free - world_.now(), [this, life, work = std::move(work)] {
    if (life != life_ || !node_) {
      return;
    }
    std::optional<Input> answer;
    try {
      answer = work();
    } catch (const Crash&) {
      world_.crashed(id_);
      return;
    }
    world_.later(Duration(world_.random().below(1'000'000)),
                 [this, life, answer = std::move(*answer)] {
                   if (life == life_ && node_) {
                     input(answer);
                   }
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
    wake_scheduled_ = Instant::max();
    input(Wake{});
  });
}

void Host::revisit() {
  const std::uint64_t life = life_;
  world_.later(2s, [this, life] {
    if (life != life_ || !node_) {
      return;
    }
    std::vector<Surfaced> surfaced;
    try {
      surfaced = applier_->revisit();
    } catch (const Crash&) {
      world_.crashed(id_);
      return;
    }
    for (Surfaced& found : surfaced) {
      input(std::move(found));
    }
    revisit();
  });
}

}  // namespace p2psync::sim
