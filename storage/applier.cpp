#include "storage/applier.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "engine/path.h"
#include "storage/apply_batch.h"
#include "storage/carried_out.h"
#include "storage/hash.h"
#include "storage/manifest.h"
#include "storage/naming.h"
#include "storage/scanner.h"
#include "storage/staging.h"

namespace p2psync::storage {

Applier::Applier(Fs& fs, ApplierOptions options)
    : fs_(fs), options_(options), names_(fs), limbo_(fs, options.grace) {}

std::vector<engine::Applied> Applier::apply(const engine::Apply& batch) {
  limbo_.close_finished(++number_);
  return ApplyBatch(fs_, options_, names_, limbo_, [this] { return ++number_; }, batch, log_).run();
}

std::vector<std::string> Applier::expire(const Retention& retention,
                                         const std::set<std::string>& pinned) {
  expire_lists(fs_);
  return storage::expire(fs_, retention, [&](const std::string& file) {
    return limbo_.holds(file) || pinned.contains(file);
  });
}

Result<std::vector<engine::Surfaced>> Applier::recover(const Recorded& recorded) {
  auto before = carried_out(fs_);
  if (!before) {
    return std::unexpected(std::move(before.error()));
  }
  relaid_ = std::move(before->relaid);
  log_ = std::move(before->steps);
  const auto kept = fs_.list(versions_directory);
  const auto left = kept ? fs_.list(staging_directory) : kept;
  if (!left) {
    return std::unexpected(left.error());
  }
  if (!kept->empty()) {
    names_.start_after(kept->back().name);
  }
  for (const LoggedStep& step : log_) {
    // A slot that is gone says something; no other may take its name while that is on record.
    number_ = std::max(number_, number_in("slot-", engine::name_of(step.place)).value_or(0));
  }
  std::vector<std::string> slots;
  // The newest first: of two intents that speak of one file, the newer one moved it last.
  std::set<std::uint64_t, std::greater<>> intents;
  for (const DirItem& item : *left) {
    if (const auto slot = number_in("slot-", item.name)) {
      slots.push_back(item.name);
      number_ = std::max(number_, *slot);
    } else if (const auto intent = number_in("intent-", item.name)) {
      intents.insert(*intent);
      number_ = std::max(number_, *intent);
    } else if (from_hex(item.name) && item.stat.links > 1) {
      // Laid without exchange, as a link. Later the scan would take the file there for another.
      std::ignore = fs_.unlink(engine::child_of(staging_directory, item.name));
    }
  }
  bool all_whole = true;
  for (const std::uint64_t number : intents) {
    const auto whole = recover_intent(number, recorded);
    if (!whole) {
      return std::unexpected(whole.error());
    }
    all_whole = all_whole && *whole;
  }
  for (const std::string& slot : slots) {
    if (auto done = recover_slot(slot, all_whole); !done) {
      return std::unexpected(std::move(done.error()));
    }
  }
  forget_naming(fs_);
  return limbo_.revisit();
}

/// False: it is torn, so it was never durable.
Result<bool> Applier::recover_intent(std::uint64_t number, const Recorded& recorded) {
  const auto items = read_intent(fs_, number);
  if (!items) {
    if (items.error().code != ErrorCode::corrupt) {
      return std::unexpected(items.error());
    }
    std::ignore = fs_.unlink(intent_path(number));
    return false;
  }
  for (const IntentItem& item : *items) {
    if (auto done = recover_item(item, number, recorded); !done) {
      return std::unexpected(std::move(done.error()));
    }
  }
  if (fs_.sync_directory(versions_directory)) {
    limbo_.close(number, ++number_);
  }
  return true;
}

Result<void> Applier::recover_item(const IntentItem& item, std::uint64_t number,
                                   const Recorded& recorded) {
  const std::string kept = kept_path(item.file);
  auto slot = item.slot.empty() ? std::nullopt : std::optional(fs_.stat(item.slot));
  const auto holds_other = [&] {
    return slot && *slot && (*slot)->signature.inode != item.slot_inode;
  };
  if (holds_other() && ((*slot)->special || (*slot)->signature.kind == engine::Kind::directory)) {
    if (!limbo_.put_back(item, item.slot)) {
      limbo_.keep_stray(item, number, item.slot);
      return {};
    }
    slot = fs_.stat(item.slot);
  }
  if (slot && !*slot && (*slot).error().code != ErrorCode::not_found) {
    return std::unexpected((*slot).error());
  }
  if (holds_other()) {
    const auto mode = fs_.can_exchange() ? RenameMode::no_replace : RenameMode::replace;
    if (!fs_.rename(item.slot, kept, mode)) {
      limbo_.keep_stray(item, number, item.slot);
      return {};
    }
  } else if (slot && *slot) {
    // Not laid. Without exchange the old file may be linked aside already; it still has its name.
    const auto aside = fs_.stat(kept);
    const auto there = fs_.stat(item.name);
    if (aside && there && aside->signature.inode == there->signature.inode) {
      std::ignore = fs_.unlink(kept);
      return {};
    }
  }
  limbo_.restore(item, number, recorded(item.file));
  return {};
}

/// A slot that no intent says anything else of is ours: a copy, or a staged content, whole or not.
Result<void> Applier::recover_slot(const std::string& name, bool all_whole) {
  const std::string path = engine::child_of(staging_directory, name);
  const auto stat = fs_.stat(path);
  if (limbo_.is_stray(path) || (!stat && stat.error().code == ErrorCode::not_found)) {
    return {};
  }
  if (!stat) {
    return std::unexpected(stat.error());
  }
  if (stat->signature.kind == engine::Kind::directory) {
    std::ignore = fs_.remove_directory(path);  // one that holds anything is no slot of ours: stays
    return {};
  }
  if (stat->signature.kind == engine::Kind::file && stat->links == 1) {
    const auto content = staged_in(name);
    const auto seen = see(fs_, path);
    if (!seen) {
      return std::unexpected(seen.error());
    }
    if (content && seen->content == *content) {
      drop_slot(fs_, {path, {}, {}});
      return {};
    }
    if (!all_whole && stat->signature.size != 0) {
      // A torn intent was never durable. Should it have rotted instead, then this may be a user's.
      std::ignore = fs_.rename(path, kept_path(names_.next()), RenameMode::replace);
      return {};
    }
  }
  std::ignore = fs_.unlink(path);
  return {};
}

}  // namespace p2psync::storage
