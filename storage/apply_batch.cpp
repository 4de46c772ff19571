// The order of a batch: what is done when, and what is answered. The steps are in apply_step.cpp.
#include "storage/apply_batch.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <variant>

#include "engine/path.h"
#include "storage/scanner.h"
#include "storage/staging.h"

namespace p2psync::storage {

using engine::Done;
using engine::Kind;
using engine::Put;
using engine::Remove;

namespace {

bool is_removal(const engine::Step& step) {
  return std::holds_alternative<Remove>(step);
}

bool lays_file(const engine::Step& step) {
  const auto* put = std::get_if<Put>(&step);
  return put != nullptr && put->wanted.kind == Kind::file;
}

bool lays_directory(const engine::Step& step) {
  const auto* put = std::get_if<Put>(&step);
  return put != nullptr && put->wanted.kind == Kind::directory;
}

bool lays_link(const engine::Step& step) {
  const auto* put = std::get_if<Put>(&step);
  return put != nullptr && put->wanted.kind == Kind::symlink;
}

bool is_done(const std::optional<engine::StepResult>& result) {
  return result && std::holds_alternative<Done>(*result);
}

bool is_emptied(const std::optional<engine::StepResult>& result) {
  const auto* unsure = result ? std::get_if<engine::Unsure>(&*result) : nullptr;
  return unsure != nullptr && unsure->emptied;
}

}  // namespace

ApplyBatch::ApplyBatch(Fs& fs, const ApplierOptions& options, VersionNames& names, Limbo& limbo,
                       std::function<std::uint64_t()> next_number, const engine::Apply& batch,
                       std::vector<LoggedStep>& log)
    : fs_(fs),
      options_(options),
      names_(names),
      limbo_(limbo),
      next_number_(std::move(next_number)),
      exchange_(fs.can_exchange()),
      batch_(batch.batch),
      log_(log) {
  std::erase_if(log_, [&batch](const LoggedStep& step) {
    return !batch.doubtful.contains(step.path);  // it is on record what came of it
  });
  std::size_t files = 0;
  bool links = false;
  for (const engine::ApplyJob& job : batch.jobs) {
    Job& made = jobs_.emplace_back();
    made.job = &job;
    for (const engine::Step& step : job.steps) {
      made.works.emplace_back().step = &step;
      files += lays_file(step) ? 1 : 0;
      links = links || lays_link(step);
    }
  }
  // A symlink cannot be opened to be synced, and without that its time may be lost.
  sync_each_ = files <= single_fsyncs_max && !links;
}

std::vector<engine::Applied> ApplyBatch::run() {
  pair();
  stage();
  auto ready = sync_slots();
  const bool durable = ready.has_value();
  if (durable) {
    ready = intend();
  }
  if (!ready) {
    // Without it a crash could not tell a user's doing from ours: nothing is changed, be it only
    // the mode of a directory.
    for (Job& job : jobs_) {
      for (Work& work : job.works) {
        if (!work.result && !std::holds_alternative<engine::Check>(*work.step)) {
          fail(work, ready.error());
          if (!durable) {
            discard_slot(work);
          }
        }
      }
    }
  }
  for (Job& job : jobs_) {
    advance(job, false);
  }
  // Removals follow all that is laid, so that a rename is never seen as nothing; what is below a
  // directory goes before it, and '/' sorts first.
  std::vector<Job*> removing;
  for (Job& job : jobs_) {
    removing.push_back(&job);
  }
  std::ranges::sort(removing, [](const Job* a, const Job* b) {
    return engine::PathLess()(b->job->path, a->job->path);
  });
  for (Job* job : removing) {
    advance(*job, true);
  }
  if (strike_out_failures()) {
    for (Job& job : jobs_) {
      for (Work& work : job.works) {
        if (work.slot) {
          drop_slot(fs_, *work.slot);
        }
      }
    }
  }
  sync_touched();
  forget_found();
  sign();
  if (intent_ != 0 && all_synced_) {
    limbo_.finish(intent_);
  }
  return answer();
}

void ApplyBatch::stage() {
  for (Job& job : jobs_) {
    for (Work& work : job.works) {
      stage(work);
      if (work.result) {
        break;
      }
    }
  }
}

void ApplyBatch::stage(Work& work) {
  if (const auto* gone = std::get_if<Remove>(work.step)) {
    if (gone->expected.kind != Kind::directory) {
      work.item = {gone->name, "", 0, names_.next(), gone->expected, gone->expected_content};
      if (gone->moved && !exchange_) {
        stage_passage(work);
      }
    }
    return;
  }
  const auto* put = std::get_if<Put>(work.step);
  if (put == nullptr || (work.takes != nullptr && ready_to_take(work))) {
    return;
  }
  std::optional<Stat> replaced;
  if (put->expected) {
    auto now = check(put->name, *put->expected, put->expected_content);
    if (!now) {
      work.result = std::move(now.error());
      return;
    }
    replaced = *now;
  }
  const bool onto_directory = put->expected && put->expected->kind == Kind::directory;
  const bool displaces = put->expected && !onto_directory;
  if (displaces) {
    work.item = {put->name, "", 0, names_.next(), *put->expected, put->expected_content};
  }
  if (put->wanted.kind == Kind::directory && (!displaces || !exchange_)) {
    if (put->moved && displaces) {
      stage_passage(work);
    }
    return;  // made in its place
  }
  auto slot = make_slot(fs_, *put, next_number_(), replaced, sync_each_);
  if (!slot) {
    work.result = std::move(slot.error());
    return;
  }
  if (work.item) {
    work.item->slot = slot->path;
    work.item->slot_inode = slot->signature.inode;
  }
  work.slot = std::move(*slot);
}

/// Where nothing can be exchanged, a loser that no slot takes the place of goes to its new name by
/// way of a slot of its own: one that holds it says that it has left the old name, and one that is
/// gone says that it has the new one, whatever users do to either.
void ApplyBatch::stage_passage(Work& work) {
  auto slot = make_placeholder(fs_, next_number_());
  if (!slot) {
    work.result = std::move(slot.error());
    return;
  }
  work.item->slot = slot->path;
  work.item->slot_inode = slot->signature.inode;
  work.slot = std::move(*slot);
}

/// What is to be known of a step after a crash; nothing of those that change nothing.
void ApplyBatch::log(const Job& job, const Work& work) {
  LoggedStep step;
  step.path = job.job->path;
  const auto log_move = [&](const engine::Moved& moved, const engine::Path& from,
                            const engine::Signature& expected) {
    LoggedStep move = step;
    move.what = LoggedStep::What::move;
    move.name = moved.name;
    move.from = from;
    move.place = kept_path(work.item->file);
    move.inode = expected.inode;
    move.wanted = moved.wanted;
    log_.push_back(std::move(move));
  };
  const auto log_removal = [&](const engine::Path& name, const engine::Signature& expected) {
    LoggedStep gone = step;
    gone.what = LoggedStep::What::remove;
    gone.name = name;
    gone.inode = expected.inode;
    gone.place = work.item ? kept_path(work.item->file) : std::string();
    gone.from = work.item ? work.item->slot : std::string();
    log_.push_back(std::move(gone));
  };
  const auto log_passage = [&](const engine::Moved& moved, const engine::Path& from,
                               const engine::Signature& expected) {
    log_removal(from, expected);
    LoggedStep put = step;
    put.name = moved.name;
    put.from = kept_path(work.item->file);
    put.place = work.slot->path;
    put.inode = work.slot->signature.inode;
    put.ctime = work.slot->signature.ctime;
    put.wanted = moved.wanted;
    log_.push_back(std::move(put));
  };
  if (const auto* put = std::get_if<Put>(work.step)) {
    const bool onto_directory = put->expected && put->expected->kind == Kind::directory;
    // A crash may come before anything stands there again.
    if (onto_directory && put->wanted.kind != Kind::directory) {
      log_removal(put->name, *put->expected);
    }
    const bool in_place = put->wanted.kind == Kind::directory && !exchange_;
    if (put->moved && in_place) {
      log_passage(*put->moved, put->name, *put->expected);
    } else if (put->moved) {
      log_move(*put->moved, put->name, *put->expected);
    } else if (work.item && in_place) {
      log_removal(put->name, *put->expected);
    }
    step.name = put->name;
    step.wanted = put->wanted;
    if (work.slot && !in_place) {
      step.place = work.slot->path;
      step.inode = work.slot->signature.inode;
      step.ctime = work.slot->signature.ctime;
    }
    if (work.takes != nullptr) {
      step.from = kept_path(work.takes->item->file);
    }
    log_.push_back(std::move(step));
  } else if (const auto* gone = std::get_if<Remove>(work.step)) {
    if (gone->moved && work.item && !exchange_) {
      log_passage(*gone->moved, gone->name, gone->expected);
    } else if (gone->moved && work.item) {
      log_move(*gone->moved, gone->name, gone->expected);
    } else {
      log_removal(gone->name, gone->expected);
    }
  }
}

/// Before the slots go that were not laid: a slot that is gone says that it was. False: the log
/// still speaks of them, so they stay; the next start puts them back.
bool ApplyBatch::strike_out_failures() {
  bool failed = false;
  for (Job& job : jobs_) {
    for (Work& work : job.works) {
      failed = failed || work.slot.has_value();
    }
  }
  if (!failed || !is_logged(fs_, batch_)) {
    return true;
  }
  std::erase_if(log_, [this](const LoggedStep& step) {
    return std::ranges::any_of(jobs_, [&](const Job& job) {
      return std::ranges::any_of(job.works, [&](const Work& work) {
        return work.slot && work.slot->path == step.place &&
               work.slot->signature.inode == step.inode;
      });
    });
  });
  return write_batch_log(fs_, batch_, log_).has_value();
}

/// Before the log is: to the log a slot that is not there is one that was laid.
Result<void> ApplyBatch::sync_slots() {
  const bool any = std::ranges::any_of(jobs_, [](const Job& job) {
    return std::ranges::any_of(job.works, [](const Work& work) { return work.slot.has_value(); });
  });
  if (!any) {
    return {};
  }
  return sync_each_ ? fs_.sync_directory(staging_directory) : fs_.sync_all();
}

Result<void> ApplyBatch::intend() {
  for (Job& job : jobs_) {
    for (Work& work : job.works) {
      if (work.takes != nullptr && work.slot) {
        work.takes->item->slot = work.slot->path;
        work.takes->item->slot_inode = work.slot->signature.inode;
      }
    }
  }
  for (const Job& job : jobs_) {
    for (const Work& work : job.works) {
      if (work.result) {
        break;  // this one failed, and what follows has not been staged
      }
      log(job, work);
    }
  }
  std::vector<IntentItem> items;
  for (const Job& job : jobs_) {
    for (const Work& work : job.works) {
      if (!work.result && work.item) {
        items.push_back(*work.item);
      }
    }
  }
  if (!log_.empty()) {
    if (auto written = write_batch_log(fs_, batch_, log_); !written) {
      return written;
    }
  }
  if (!items.empty()) {
    intent_ = next_number_();
    if (auto written = write_intent(fs_, intent_, items, true); !written) {
      std::ignore = fs_.unlink(intent_path(std::exchange(intent_, 0)));
      return written;
    }
  }
  return {};
}

/// A displaced file that was found is a user's, and stays.
void ApplyBatch::discard_slot(Work& work) {
  if (work.slot && work.slot->found.empty()) {
    storage::discard_slot(fs_, work.slot->path);
    work.slot.reset();
  }
}

/// Goes on with a job: up to its first removal, or to its end.
void ApplyBatch::advance(Job& job, bool removals) {
  while (!job.ended && job.next < job.works.size()) {
    Work& work = job.works[job.next];
    if (!removals && is_removal(*work.step)) {
      return;
    }
    if (!work.result) {
      auto outcome = carry_out(work);
      work.result = outcome ? engine::StepResult(std::move(*outcome)) : std::move(outcome.error());
    }
    job.ended = !is_done(work.result);
    ++job.next;
  }
}

void ApplyBatch::sync_touched() {
  std::map<std::string, std::vector<Work*>, std::less<>> touched;
  for (Job& job : jobs_) {
    for (Work& work : job.works) {
      const bool changes = !std::holds_alternative<engine::Check>(*work.step);
      if (work.laid || (changes && is_done(work.result)) || is_emptied(work.result)) {
        touched[work.touched].push_back(&work);
      }
      if (work.laid && lays_directory(*work.step)) {
        touched[work.laid->name].push_back(&work);  // its mode: its parent's sync is for its name
      }
      if (work.laid && work.takes != nullptr) {
        touched[std::string(staging_directory)].push_back(&work);  // it has left the slot
      }
      if (work.moved && !exchange_) {
        touched[std::string(staging_directory)].push_back(&work);  // as well
      }
      if (work.moved_in) {
        touched[std::string(versions_directory)].push_back(&work);
      }
    }
  }
  if (touched.size() > single_fsyncs_max && fs_.sync_all()) {
    return;  // else one by one, to tell which of them failed
  }
  for (const auto& [directory, works] : touched) {
    auto synced = fs_.sync_directory(directory);
    if (!synced && synced.error().code != ErrorCode::not_found) {
      synced = fs_.sync_directory(directory);  // no bytes are at stake: the names are as they were
    }
    // Not found: a later step or a user removed it, and what it held with it.
    if (synced || synced.error().code == ErrorCode::not_found) {
      continue;
    }
    all_synced_ = false;
    for (Work* work : works) {
      if (!is_emptied(work->result)) {
        fail(*work, engine::Unsure{synced.error()});
      }
    }
  }
}

/// Not before their names are durable: the intent that tells of them goes with it, and a power cut
/// that took the name alone would leave a user's bytes that nobody asks for.
void ApplyBatch::forget_found() {
  if (all_synced_) {
    for (const std::string& file : found_laid_) {
      limbo_.forget(file);
    }
  }
}

/// To answer with. Anything but ctime differs: a user was here, and what we laid is the last that
/// we can vouch for.
engine::Signature ApplyBatch::signature_of(const Laid& laid, const Result<Stat>& now) {
  const bool ours = now && !now->special && same_but_ctime(now->signature, laid.signature);
  engine::Signature signature = ours ? now->signature : laid.signature;
  if (may_hide_a_write(signature, fs_.wall_time())) {
    signature.ctime = 0;  // matches nothing: the next look reads it
  }
  return signature;
}

void ApplyBatch::sign() {
  const auto answer_of = [this](const Laid& laid) {
    return laid.answer ? *laid.answer : signature_of(laid, fs_.stat(laid.name));
  };
  for (Job& job : jobs_) {
    for (Work& work : job.works) {
      if (!is_done(work.result)) {
        continue;
      }
      Done& done = std::get<Done>(*work.result);
      if (work.laid) {
        done.signature = answer_of(*work.laid);
      }
      if (work.moved) {
        done.moved = answer_of(*work.moved);
      }
    }
  }
}

/// A result that hides what the step displaced: those bytes surface by themselves. They may be a
/// loser's whose conflict name was taken.
void ApplyBatch::fail(Work& work, engine::StepResult result) {
  if (is_done(work.result)) {
    if (const auto& out = std::get<Done>(*work.result).displaced;
        out && (!out->as_expected || out->seen.signature.kind == Kind::file)) {
      limbo_.surface({work.item->name, out->file, out->seen,
                      out->as_expected ? out->seen.content : work.item->content});
    }
  }
  work.result = std::move(result);
}

std::vector<engine::Applied> ApplyBatch::answer() {
  std::vector<engine::Applied> answers;
  for (Job& job : jobs_) {
    engine::Applied& applied = answers.emplace_back();
    applied.path = job.job->path;
    bool ended = false;
    for (Work& work : job.works) {
      ended = ended || !work.result;
      if (ended) {
        fail(work, engine::Obstructed{});  // not answered: only what it displaced comes out
        continue;
      }
      if (auto* unsure = std::get_if<engine::Unsure>(&*work.result)) {
        unsure->moved = work.moved.has_value();
      }
      applied.results.push_back(*work.result);
      ended = !is_done(work.result) && !std::holds_alternative<engine::Unsure>(*work.result);
    }
  }
  return answers;
}

}  // namespace p2psync::storage
