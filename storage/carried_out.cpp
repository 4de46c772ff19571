#include "storage/carried_out.h"

#include <algorithm>
#include <set>
#include <string>
#include <tuple>

#include "engine/path.h"
#include "storage/naming.h"
#include "storage/slot.h"

namespace p2psync::storage {

namespace {

using engine::Kind;

Result<bool> is_at(Fs& fs, const std::string& path, std::uint64_t inode) {
  const auto stat = fs.stat(path);
  if (!stat && stat.error().code != ErrorCode::not_found) {
    return std::unexpected(stat.error());
  }
  return stat && stat->signature.inode == inode;
}

Result<bool> is_there(Fs& fs, const std::string& path) {
  const auto stat = fs.stat(path);
  if (!stat && stat.error().code != ErrorCode::not_found) {
    return std::unexpected(stat.error());
  }
  return stat.has_value();
}

/// It is what was made ready, and not the same content staged anew, in an inode that was free
/// again.
bool is_as_ready(const engine::Signature& there, const LoggedStep& step) {
  const bool written_since = there.mtime > step.ctime && there.mtime <= there.ctime;
  return there.inode == step.inode && !written_since;
}

/// What it took from another name left the slot for its name, and was not displaced instead.
Result<bool> was_laid_from_slot(Fs& fs, const LoggedStep& step) {
  const auto left = was_named(fs, step.place, step.inode, step.name, step.wanted);
  if (!left || !*left) {
    return left;
  }
  const auto displaced = is_there(fs, step.from);
  return displaced ? !*displaced : displaced;
}

Result<bool> was_put(Fs& fs, const LoggedStep& step) {
  if (step.place.empty()) {
    // A directory is made in its place: there it is, as it was wanted, or it is not known to have
    // been.
    const auto stat = fs.stat(step.name);
    if (!stat && stat.error().code != ErrorCode::not_found) {
      return std::unexpected(stat.error());
    }
    return stat && stat->signature.kind == Kind::directory &&
           stat->signature.mode == step.wanted.mode;
  }
  if (!step.from.empty()) {
    return was_laid_from_slot(fs, step);
  }
  const auto slot = fs.stat(step.place);
  if (!slot && slot.error().code != ErrorCode::not_found) {
    return std::unexpected(slot.error());
  }
  if (!slot || !is_as_ready(slot->signature, step)) {
    return true;
  }
  // Without exchange it is linked to its name before the slot goes: a link that a user has replaced
  // since shows in a later ctime (an earlier one is what a power cut leaves).
  const auto there = is_at(fs, step.name, step.inode);
  return there ? *there || (!fs.can_exchange() && slot->signature.ctime > step.ctime) : there;
}

/// `put`: what took the place of what moved, if anything.
Result<bool> was_moved(Fs& fs, const LoggedStep& step, const LoggedStep* put) {
  if (!fs.can_exchange() && put != nullptr) {
    // It is linked to where it is kept, replaced, and then named from there.
    const auto replaced = was_put(fs, *put);
    return replaced && *replaced ? was_named(fs, step.place, 0, step.name, step.wanted) : replaced;
  }
  const auto there = is_at(fs, step.name, step.inode);
  if (!there || *there || put == nullptr) {
    return there;
  }
  const auto replaced = was_put(fs, *put);
  if (!replaced || !*replaced) {
    return replaced;
  }
  // Neither on its way nor kept: it did get its name, and a user acted on that since.
  for (const std::string& path : {put->place, step.place}) {
    const auto still = is_at(fs, path, step.inode);
    if (!still || *still) {
      return still ? Result<bool>(false) : still;
    }
  }
  return true;
}

/// It is in the slot, or where the put that took it laid it.
Result<bool> was_taken(Fs& fs, const std::vector<LoggedStep>& steps, const LoggedStep& step) {
  const auto there = is_at(fs, step.name, step.inode);
  if (!there || *there) {
    return there ? Result<bool>(false) : there;
  }
  const auto waits = is_at(fs, step.from, step.inode);
  if (!waits || *waits) {
    return waits;
  }
  const auto put = std::ranges::find_if(steps, [&](const LoggedStep& other) {
    return other.what == LoggedStep::What::put && other.place == step.from;
  });
  return put == steps.end() ? Result<bool>(false) : was_laid_from_slot(fs, *put);
}

Result<bool> was_removed(Fs& fs, const std::vector<LoggedStep>& steps, const LoggedStep& step) {
  if (step.place.empty()) {  // a directory, by rmdir
    const auto there = is_at(fs, step.name, step.inode);
    return there ? !*there : there;
  }
  const auto kept = fs.stat(step.place);
  if (!kept && kept.error().code != ErrorCode::not_found) {
    return std::unexpected(kept.error());
  }
  if (!kept && !step.from.empty()) {
    return was_taken(fs, steps, step);
  }
  // A power cut between the syncs of two directories can leave a file that moved with both names
  // (btrfs). Then its user still sees it.
  const auto there = is_at(fs, step.name, step.inode);
  return there ? kept.has_value() && !*there : there;
}

/// A crash came between the move of a directory and its mode, if that is not one to be moved with
/// (slot.cpp): carried out by half.
/// What cannot be finished is left to the next look: no name may keep a node from starting.
void finish_mode(Fs& fs, const LoggedStep& step) {
  if (step.what != LoggedStep::What::put || step.wanted.kind != Kind::directory) {
    return;
  }
  const auto there = fs.stat(step.name);
  const bool half = there && !there->special && there->signature.kind == Kind::directory &&
                    there->signature.inode == step.inode &&
                    there->signature.mode == unmovable_mode && step.wanted.mode != unmovable_mode;
  if (half) {
    std::ignore = fs.set_directory_mode(step.name, step.wanted.mode);
  }
}

Result<bool> was_carried_out(Fs& fs, const std::vector<LoggedStep>& steps, std::size_t i) {
  const LoggedStep& step = steps[i];
  switch (step.what) {
    case LoggedStep::What::put: return was_put(fs, step);
    case LoggedStep::What::remove: return was_removed(fs, steps, step);
    case LoggedStep::What::move: break;
  }
  const bool by_put = i + 1 < steps.size() && steps[i + 1].what == LoggedStep::What::put &&
                      steps[i + 1].name == step.from;
  return was_moved(fs, step, by_put ? &steps[i + 1] : nullptr);
}

/// Of what these steps did, the names: what was laid was durable before it got its name. The index
/// takes them from here, and must not be ahead of the disk.
Result<void> make_durable(Fs& fs, const std::vector<LoggedStep>& steps) {
  std::set<std::string> directories;
  for (const LoggedStep& step : steps) {
    directories.emplace(engine::parent_of(step.name));
    if (step.what == LoggedStep::What::put && step.wanted.kind == engine::Kind::directory) {
      directories.insert(step.name);  // its mode
    }
  }
  for (const std::string& directory : directories) {
    const auto synced = fs.sync_directory(directory);
    // Not found: a later step or a user removed it. Not to be opened: then all at once.
    if (!synced && synced.error().code != ErrorCode::not_found) {
      return fs.sync_all();
    }
  }
  return {};
}

}  // namespace

Result<CarriedOut> carried_out(Fs& fs) {
  auto read = read_batch_log(fs);
  if (!read) {
    return std::unexpected(std::move(read.error()));
  }
  const BatchLog log = std::move(*read);
  CarriedOut found;
  auto& [done, list] = found;
  for (std::size_t i = 0; i < log.steps.size(); ++i) {
    const LoggedStep& step = log.steps[i];
    const auto happened = was_carried_out(fs, log.steps, i);
    if (!happened) {
      return std::unexpected(happened.error());
    }
    if (!*happened) {
      continue;
    }
    finish_mode(fs, step);
    done.push_back(step);
    const bool removed = step.what == LoggedStep::What::remove;
    if (step.what == LoggedStep::What::move) {
      // A power cut can leave both names, as of a file that was removed.
      const auto stays = is_at(fs, step.from, step.inode);
      if (!stays) {
        return std::unexpected(stays.error());
      }
      if (!*stays) {
        list.push_back({log.batch, step.path, step.from, std::nullopt});
      }
    }
    list.push_back(
        {log.batch, step.path, step.name, removed ? std::nullopt : std::optional(step.wanted)});
  }
  if (auto durable = make_durable(fs, done); !durable) {
    return std::unexpected(std::move(durable.error()));
  }
  if (done.size() != log.steps.size()) {
    // What was not carried out is struck out before recovery takes its slots away.
    if (auto written = write_batch_log(fs, log.batch, done); !written) {
      return std::unexpected(std::move(written.error()));
    }
  }
  return found;
}

}  // namespace p2psync::storage
