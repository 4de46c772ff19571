#include "storage/limbo.h"

#include <algorithm>
#include <utility>

#include "storage/scanner.h"
#include "storage/staging.h"
#include "storage/versions.h"

namespace p2psync::storage {

using engine::Displaced;
using engine::Hash;
using engine::Kind;
using engine::Seen;

bool same_but_ctime(const engine::Signature& a, const engine::Signature& b) {
  const bool same = a.kind == b.kind && a.inode == b.inode && a.mode == b.mode;
  return same && (a.kind == Kind::directory || (a.size == b.size && a.mtime == b.mtime));
}

Result<Displaced> Limbo::settle(const IntentItem& item, std::uint64_t intent) {
  const std::string path = kept_path(item.file);
  // The lease first: what the stat then shows as unchanged cannot change any more.
  const Lease lease = lease_on(path);
  const auto stat = fs_.stat(path);
  if (!stat) {
    enter(item, intent);
    return std::unexpected(stat.error());
  }
  Displaced displaced{item.file, {stat->signature, item.content, {}, false}, true, false};
  displaced.as_expected = same_but_ctime(stat->signature, item.expected);
  displaced.still_open = stat->signature.kind == Kind::file && lease != Lease::granted;
  if (!displaced.as_expected || item.content == Hash{} || !tells_changes(stat->signature)) {
    auto seen = see(fs_, path);
    if (seen) {
      // By what was read: a process that has it open may have written since the stat.
      displaced.as_expected = same_but_ctime(seen->signature, item.expected) &&
                              (item.content == Hash{} || item.content == seen->content);
      displaced.seen = std::move(*seen);
      if (auto synced = make_durable(path, displaced); !synced) {
        enter(item, intent);
        return std::unexpected(std::move(synced.error()));
      }
    } else if (seen.error().code != ErrorCode::busy ||
               stat->signature.inode != item.expected.inode) {
      enter(item, intent);
      return std::unexpected(std::move(seen.error()));
    } else {
      // It is being written to this moment: what was expected is overwritten, and what comes of it
      // surfaces when it is whole.
      displaced.as_expected = true;
      displaced.still_open = true;
      displaced.seen.signature = {};
    }
  }
  if (displaced.still_open || !displaced.as_expected) {
    Entry& entry = enter(item, intent);
    entry.content = displaced.seen.content;
    entry.looked = displaced.seen.signature;
    entry.waiting = displaced.still_open;
    entry.reported = !displaced.as_expected;
    entry.told = true;
    entry.was_refused = lease == Lease::refused;
  }
  return displaced;
}

/// A user's bytes, before anybody is told of them: nobody else has them.
Result<void> Limbo::make_durable(const std::string& path, const Displaced& displaced) {
  if (displaced.as_expected || displaced.seen.signature.kind != Kind::file) {
    return {};
  }
  const auto file = fs_.open_read(path);
  return file ? (*file)->sync() : std::unexpected(file.error());
}

void Limbo::restore(const IntentItem& item, std::uint64_t intent,
                    const std::optional<Hash>& recorded) {
  if (const auto known = entries_.find(item.file);
      known != entries_.end() && known->second.reported) {
    return;  // a crash came before an intent was removed that another had taken the place of
  }
  const std::string path = kept_path(item.file);
  const auto stat = fs_.stat(path);
  if (!stat) {
    if (stat.error().code != ErrorCode::not_found) {
      enter(item, intent);
    }
    return;
  }
  Entry& entry = enter(item, intent);
  entry.content = recorded.value_or(item.content);
  entry.told = recorded.has_value();
  look_again(entry);
  if (!entry.waiting && !entry.reported) {
    entries_.erase(item.file);
  }
}

bool Limbo::put_back(const IntentItem& item, const std::string& at) {
  const auto now = fs_.stat(item.name);
  if (!now) {
    const auto mode = fs_.can_exchange() ? RenameMode::no_replace : RenameMode::replace;
    return now.error().code == ErrorCode::not_found && fs_.rename(at, item.name, mode).has_value();
  }
  const bool ours = now->signature.inode == item.slot_inode;
  const bool is_directory = !now->special && now->signature.kind == Kind::directory;
  if ((ours || !is_directory) && fs_.can_exchange()) {
    return fs_.rename(at, item.name, RenameMode::exchange).has_value();
  }
  return fs_.remove_directory(at).has_value();  // an empty one is no loss
}

void Limbo::keep_stray(const IntentItem& item, std::uint64_t intent, std::string at) {
  enter(item, intent).at = std::move(at);
}

void Limbo::forget(const std::string& file) {
  const auto found = entries_.find(file);
  if (found != entries_.end()) {
    const std::uint64_t intent = found->second.intent;
    entries_.erase(found);
    drop_intent_if_done(intent);
  }
}

std::vector<engine::Surfaced> Limbo::revisit() {
  std::vector<std::string> done;
  for (auto& [file, entry] : entries_) {
    if (entry.waiting) {
      look_again(entry);
      if (!entry.waiting && !entry.reported) {
        done.push_back(file);
      }
    }
  }
  for (const std::string& file : done) {
    forget(file);
  }
  return std::exchange(surfaced_, {});
}

/// False: changed so recently that a write of the same length might not show in the signature; or a
/// symlink, whose few bytes are read anyway.
bool Limbo::tells_changes(const engine::Signature& signature) {
  const bool coarse = signature.mtime % 1'000'000'000 == 0;
  const auto grain = coarse ? timestamp_grain_coarse : timestamp_grain;
  const std::int64_t age = fs_.wall_time() - signature.mtime;
  return signature.kind == Kind::file && (age >= grain.count() || age <= -grain.count());
}

/// Moves it in if it is stray, hashes it if it changed or nobody can write to it any more.
void Limbo::look_again(Entry& entry) {
  if (!move_in(entry)) {
    return;
  }
  const Lease held = lease_on(entry.at);  // first, as in settle()
  const auto before = fs_.stat(entry.at);
  if (!before) {  // gone: somebody tidied up, or it was laid
    entry.waiting = before.error().code != ErrorCode::not_found;
    entry.reported = entry.reported && entry.waiting;
    return;
  }
  const Lease lease = before->signature.kind == Kind::file ? held : Lease::granted;
  entry.was_refused = entry.was_refused || lease == Lease::refused;
  const bool closed = lease == Lease::granted || (lease == Lease::unknown && !entry.was_refused &&
                                                  fs_.wall_time() - entry.since >= grace_.count());
  if (!closed && before->signature == entry.looked) {
    return;
  }
  const auto seen = see(fs_, entry.at);
  if (!seen) {
    // What nobody may read, nobody but its owner can have changed: then its time says so.
    entry.waiting = !(closed && seen.error().code == ErrorCode::denied &&
                      same_but_ctime(before->signature, entry.item.expected));
    return;
  }
  // With no hash to compare with, the signature has to say whether it is what was expected.
  const bool same = entry.content == Hash{} ? same_but_ctime(seen->signature, entry.item.expected)
                                            : seen->content == entry.content;
  const bool news = !entry.told && seen->signature.kind == Kind::file;
  if (!same || news) {
    if (!make_durable(entry.at, {entry.item.file, *seen, false, false})) {
      return;
    }
    surface({entry.item.name, entry.item.file, *seen, same ? seen->content : entry.content});
    entry.reported = true;
    entry.told = true;
  }
  entry.content = seen->content;
  entry.looked = seen->signature;
  entry.waiting = !closed;
}

/// True: it is in `.p2psync/versions` and can be looked at.
bool Limbo::move_in(Entry& entry) {
  auto stray = fs_.stat(entry.at);
  if (stray && (stray->special || stray->signature.kind == Kind::directory)) {
    if (!put_back(entry.item, entry.at)) {
      return false;
    }
    stray = fs_.stat(entry.at);
    if (!stray || stray->signature.inode == entry.item.slot_inode) {
      entry.waiting = !stray && stray.error().code != ErrorCode::not_found;
      return false;
    }
  }
  const std::string kept = kept_path(entry.item.file);
  if (entry.at == kept) {
    return true;
  }
  const auto mode = fs_.can_exchange() ? RenameMode::no_replace : RenameMode::replace;
  if (!fs_.rename(entry.at, kept, mode)) {
    return false;
  }
  entry.at = kept;
  return true;
}

Lease Limbo::lease_on(const std::string& path) {
  const auto file = fs_.open_read(path);
  if (!file) {
    return file.error().code == ErrorCode::denied ? Lease::unknown : Lease::refused;
  }
  return (*file)->try_lease();
}

Limbo::Entry& Limbo::enter(const IntentItem& item, std::uint64_t intent) {
  Entry entry;
  entry.item = item;
  entry.intent = intent;
  entry.at = kept_path(item.file);
  entry.content = item.content;
  entry.since = fs_.wall_time();
  return entries_.insert_or_assign(item.file, std::move(entry)).first->second;
}

void Limbo::close_finished(std::uint64_t next_number) {
  if (const std::uint64_t intent = std::exchange(finished_, 0); intent != 0) {
    close(intent, next_number);
  }
}

void Limbo::close(std::uint64_t intent, std::uint64_t next_number) {
  std::vector<IntentItem> left;
  for (const auto& [file, entry] : entries_) {
    if (entry.intent == intent) {
      left.push_back(entry.item);
    }
  }
  if (left.empty()) {
    std::ignore = fs_.unlink(intent_path(intent));
    return;
  }
  // Not cut down: the old one serves as well, it is only longer.
  if (!write_intent(fs_, next_number, left, true)) {
    std::ignore = fs_.unlink(intent_path(next_number));
    return;
  }
  for (auto& [file, entry] : entries_) {
    if (entry.intent == intent) {
      entry.intent = next_number;
    }
  }
  std::ignore = fs_.unlink(intent_path(intent));
}

void Limbo::drop_intent_if_done(std::uint64_t intent) {
  const bool left =
      std::ranges::any_of(entries_, [&](const auto& item) { return item.second.intent == intent; });
  if (!left && intent != finished_) {
    std::ignore = fs_.unlink(intent_path(intent));
  }
}

bool Limbo::is_stray(const std::string& path) const {
  return std::ranges::any_of(entries_, [&](const auto& item) { return item.second.at == path; });
}

std::size_t Limbo::still_open() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(entries_, [](const auto& item) { return item.second.waiting; }));
}

}  // namespace p2psync::storage
