// A file that goes from one path to another: a put and the removal of the same bytes in one batch.
//
// Somebody renamed it elsewhere. Here as well that very file moves: no byte is read or copied. It
// goes by way of a slot, out of the tree for two calls, since only what has no name can be looked
// at without a user coming in between; what a user did to the old name is then told from what one
// does to the new. Not as expected, or open to a writer: it is displaced, as by any removal.
#include <map>
#include <tuple>
#include <utility>
#include <variant>

#include "engine/path.h"
#include "storage/apply_batch.h"
#include "storage/scanner.h"

namespace p2psync::storage {

using engine::Hash;
using engine::Kind;
using engine::Put;
using engine::SourceGone;

namespace {

/// What one put may take.
const engine::Remove* removal_of_file(const engine::Step& step) {
  const auto* gone = std::get_if<engine::Remove>(&step);
  const bool may = gone != nullptr && gone->expected.kind == Kind::file && !gone->moved &&
                   !gone->expected.unproven() && gone->expected_content != Hash{};
  return may ? gone : nullptr;
}

bool is_what(const engine::Signature& there, const engine::Wanted& wanted) {
  return there.mode == wanted.mode && there.mtime == wanted.mtime && there.size == wanted.size;
}

bool is_copy_to_free_name(const Put& put) {
  return put.wanted.kind == Kind::file && put.wanted.size != 0 && !put.expected &&
         std::holds_alternative<engine::AtName>(put.source);
}

}  // namespace

void ApplyBatch::pair() {
  std::multimap<Hash, Work*> going;
  for (Job& job : jobs_) {
    if (job.works.size() == 1) {
      if (const auto* gone = removal_of_file(*job.works.front().step)) {
        going.emplace(gone->expected_content, &job.works.front());
      }
    }
  }
  if (going.empty() || !exchange_) {
    return;
  }
  for (Job& job : jobs_) {
    for (Work& work : job.works) {
      const auto* put = std::get_if<Put>(work.step);
      if (put == nullptr || !is_copy_to_free_name(*put)) {
        continue;
      }
      const auto [first, last] = going.equal_range(put->wanted.content);
      for (auto place = first; place != last; ++place) {
        if (is_what(removal_of_file(*place->second->step)->expected, put->wanted)) {
          work.takes = place->second;
          work.takes->taken_by = &work;
          going.erase(place);
          break;
        }
      }
    }
  }
}

/// A slot that holds its place. False: it has to be copied.
bool ApplyBatch::ready_to_take(Work& work) {
  const auto& gone = std::get<engine::Remove>(*work.takes->step);
  const auto now = check(gone.name, gone.expected, gone.expected_content);
  if (now && now->links == 1 && !may_hide_a_write(now->signature, fs_.wall_time()) &&
      lease_on(gone.name) == Lease::granted) {
    if (auto slot = make_placeholder(fs_, next_number_())) {
      work.slot = std::move(*slot);
      return true;
    }
  }
  work.takes->taken_by = nullptr;
  work.takes = nullptr;
  return false;
}

ApplyBatch::Outcome ApplyBatch::take(Work& work, const Put& put) {
  Work& old = *work.takes;
  const auto& gone = std::get<engine::Remove>(*old.step);
  old.touched = std::string(engine::parent_of(gone.name));
  const auto stays = [&](engine::StepResult result) {
    old.result = std::move(result);
    return std::unexpected(engine::StepResult(SourceGone{}));
  };
  if (auto now = check(gone.name, gone.expected, gone.expected_content); !now) {
    return stays(std::move(now.error()));
  }
  const std::string at = work.slot->path;
  if (const auto done = fs_.rename(gone.name, at, RenameMode::replace); !done) {
    return stays(obstructed_or(done.error()).error());
  }
  work.slot.reset();  // it is no slot to be dropped any more
  // The lease first: what the stat then shows as unchanged cannot change any more.
  const Lease lease = lease_on(at);
  const auto out = fs_.stat(at);
  const bool whole = lease == Lease::granted && out && !out->special &&
                     same_but_ctime(out->signature, gone.expected);
  engine::StepResult failure = SourceGone{};
  if (whole) {
    const auto done = fs_.rename(at, put.name, RenameMode::no_replace);
    if (done) {
      laid(work, put.name, out->signature);
      old.result = engine::Done{};
      return engine::Done{};
    }
    failure = obstructed_or(done.error()).error();
  }
  old.result = displace_taken(old, at, out);
  return std::unexpected(std::move(failure));
}

/// It stays removed, but was not laid elsewhere: to the kept versions with it.
engine::StepResult ApplyBatch::displace_taken(Work& old, const std::string& at,
                                              const Result<Stat>& out) {
  const auto written = not_moved(old);
  if (!written || !out) {
    limbo_.keep_stray(*old.item, intent_, at);
    return engine::Unsure{written ? out.error() : written.error()};
  }
  const bool file_like = !out->special && out->signature.kind != Kind::directory;
  auto outcome = file_like ? keep(old, at, *out, std::nullopt) : came_out_wrong(old, at);
  return outcome ? engine::StepResult(std::move(*outcome)) : std::move(outcome.error());
}

Lease ApplyBatch::lease_on(const std::string& path) {
  const auto file = fs_.open_read(path);
  return file ? (*file)->try_lease() : Lease::unknown;
}

}  // namespace p2psync::storage
