// The steps of a batch, one by one: puts and removals, and moves in either.
#include <tuple>
#include <utility>
#include <variant>

#include "engine/path.h"
#include "storage/apply_batch.h"
#include "storage/naming.h"
#include "storage/scanner.h"
#include "storage/staging.h"

namespace p2psync::storage {

using engine::Done;
using engine::Kind;
using engine::NotEmpty;
using engine::Obstructed;
using engine::Put;

namespace {

std::unexpected<engine::StepResult> because(engine::StepResult result) {
  return std::unexpected(std::move(result));
}

/// For errors after the step's name had changed.
std::unexpected<engine::StepResult> unsure(const Error& error) {
  return because(engine::Unsure{error});
}

bool is_file_like(const Stat& stat) {
  return !stat.special && stat.signature.kind != Kind::directory;
}

/// What has the name is a loser, that is to be shown under another one.
bool is_to_move(const engine::Step& step) {
  const auto* put = std::get_if<Put>(&step);
  const auto* gone = std::get_if<engine::Remove>(&step);
  return (put != nullptr && put->moved) || (gone != nullptr && gone->moved);
}

std::string parent(const engine::Path& name) {
  return std::string(engine::parent_of(name));
}

}  // namespace

std::unexpected<engine::StepResult> obstructed_or(const Error& error) {
  const bool moved_on = error.code == ErrorCode::not_found || error.code == ErrorCode::changed;
  return because(moved_on ? engine::StepResult(Obstructed{}) : engine::StepResult(error));
}

ApplyBatch::Outcome ApplyBatch::carry_out(Work& work) {
  if (const auto* wanted = std::get_if<Put>(work.step)) {
    work.touched = parent(wanted->name);
    return put(work, *wanted);
  }
  if (const auto* same = std::get_if<engine::Check>(work.step)) {
    const auto now = check(same->name, same->expected, same->expected_content);
    const bool unproven = same->expected.unproven() && now && is_file_like(*now);
    return now ? Outcome(
                     Done{unproven ? same->expected : now->signature, std::nullopt, std::nullopt})
               : because(now.error());
  }
  const auto& gone = std::get<engine::Remove>(*work.step);
  if (work.taken_by != nullptr) {
    return because(Obstructed{});  // its put was not reached: again, when that is planned anew
  }
  work.touched = parent(gone.name);
  return remove(work, gone);
}

ApplyBatch::Outcome ApplyBatch::put(Work& work, const Put& put) {
  if (work.takes != nullptr) {
    return take(work, put);
  }
  if (!put.expected) {
    return lay_new(work, put);
  }
  const auto now = check(put.name, *put.expected, put.expected_content);
  if (!now) {
    return because(now.error());
  }
  if (put.expected->kind == Kind::directory) {
    if (put.wanted.kind == Kind::directory) {
      if (const auto set = fs_.set_directory_mode(put.name, put.wanted.mode); !set) {
        return obstructed_or(set.error());
      }
      engine::Signature signature = now->signature;
      signature.mode = put.wanted.mode;
      laid(work, put.name, signature);
      return Done{};
    }
    if (const auto removed = fs_.remove_directory(put.name); !removed) {
      return removed.error().code == ErrorCode::changed ? because(NotEmpty{})
                                                        : obstructed_or(removed.error());
    }
    return lay_in_place(work, put);
  }
  return exchange_ ? exchange(work, put) : replace_without_exchange(work, put, *now);
}

/// What stood there is gone. Nothing laid is then not nothing done: it would be a user's deletion.
ApplyBatch::Outcome ApplyBatch::lay_in_place(Work& work, const Put& put) {
  auto made = lay_new(work, put);
  if (made) {
    return made;
  }
  const auto* error = std::get_if<Error>(&made.error());
  return because(engine::Unsure{
      error != nullptr ? *error : Error{ErrorCode::changed, "lay", put.name, 0}, true});
}

ApplyBatch::Outcome ApplyBatch::lay_new(Work& work, const Put& put) {
  if (put.wanted.kind == Kind::directory) {
    if (const auto made = fs_.make_directory(put.name, put.wanted.mode); !made) {
      return obstructed_or(made.error());
    }
    const auto now = fs_.stat(put.name);
    if (!now) {
      return now.error().code == ErrorCode::not_found ? obstructed_or(now.error())
                                                      : unsure(now.error());
    }
    // Something else by now: a user was faster. What was laid is known, but not how it looked.
    const bool ours = !now->special && now->signature.kind == Kind::directory;
    laid(work, put.name, ours ? now->signature : engine::Signature{.kind = Kind::directory});
    return Done{};
  }
  if (exchange_) {
    const auto done = fs_.rename_and_stat(work.slot->path, put.name, RenameMode::no_replace);
    if (!done) {
      return obstructed_or(done.error());
    }
    laid(work, put.name, work.slot->signature);
    if (*done) {
      work.laid->answer = signature_of(*work.laid, **done);
    }
  } else {
    // Where renames cannot refuse to replace, a link can; the slot then goes.
    if (const auto done = fs_.link(work.slot->path, put.name); !done) {
      return obstructed_or(done.error());
    }
    std::ignore = fs_.unlink(work.slot->path);
    laid(work, put.name, work.slot->signature);
  }
  consume_slot(work);
  return Done{};
}

ApplyBatch::Outcome ApplyBatch::exchange(Work& work, const Put& put) {
  const std::string at = work.slot->path;
  if (const auto done = fs_.rename(at, put.name, RenameMode::exchange); !done) {
    return obstructed_or(done.error());
  }
  laid(work, put.name, work.slot->signature);
  if (put.wanted.kind == Kind::directory) {
    set_mode(work, put);  // at once, whatever comes out: a look would take another for a user's
  }
  const auto out = fs_.stat(at);
  if (!out) {
    consume_slot(work);
    limbo_.keep_stray(*work.item, intent_, at);
    return unsure(out.error());
  }
  if (!is_file_like(*out)) {
    return came_out_wrong(work, at);
  }
  consume_slot(work);
  return keep(work, at, *out, put.moved);
}

/// Of a directory that could not be moved with its mode (slot.h). The answer tells which it has.
void ApplyBatch::set_mode(Work& work, const Put& put) {
  engine::Signature& signature = work.laid->signature;
  if (signature.mode != put.wanted.mode && fs_.set_directory_mode(put.name, put.wanted.mode)) {
    signature.mode = put.wanted.mode;
  }
}

/// A user put a directory or a special file there between the check and the move. What comes out
/// when that is put back had the name for a moment, so a user may have written to it: it is looked
/// at like whatever else was displaced. If it is what was laid, then that is what is expected of
/// it: unchanged it is nobody's news.
ApplyBatch::Outcome ApplyBatch::came_out_wrong(Work& work, const std::string& at) {
  const bool back = limbo_.put_back(*work.item, at);
  const auto left = fs_.stat(at);
  if (!back || left || left.error().code != ErrorCode::not_found) {
    consume_slot(work);
    IntentItem item = *work.item;
    const auto* put = std::get_if<Put>(work.step);
    if (put != nullptr && work.laid && left && left->signature.inode == item.slot_inode) {
      item.expected = work.laid->signature;
      item.content = put->wanted.content;
    }
    limbo_.keep_stray(item, intent_, at);
  }
  return because(Obstructed{});
}

ApplyBatch::Outcome ApplyBatch::replace_without_exchange(Work& work, const Put& put,
                                                         const Stat& now) {
  const std::string kept = kept_path(work.item->file);
  if (put.wanted.kind == Kind::directory) {
    auto out = take_away(work, put.name, put.moved);
    if (!out) {
      if (auto* unknown = std::get_if<engine::Unsure>(&out.error())) {
        unknown->emptied = true;
      }
      return out;
    }
    if (auto made = lay_new(work, put); !made) {
      work.result = std::move(*out);
      fail(work, made.error());
      return because(engine::Unsure{{ErrorCode::changed, "make directory", put.name, 0}, true});
    }
    return out;
  }
  if (const auto linked = fs_.link(put.name, kept); !linked) {
    return obstructed_or(linked.error());
  }
  // A loser has nothing but this in a moment: a power cut must not leave it without.
  if (put.moved) {
    if (const auto synced = fs_.sync_directory(versions_directory); !synced) {
      std::ignore = fs_.unlink(kept);
      return because(synced.error());
    }
  }
  const auto aside = fs_.stat(kept);
  const auto there = fs_.stat(put.name);
  if (!aside || !there || !same_but_ctime(aside->signature, now.signature) ||
      !same_but_ctime(there->signature, now.signature)) {
    std::ignore = fs_.unlink(kept);  // still at its name, or superseded there by its own user
    return because(Obstructed{});
  }
  if (const auto done = fs_.rename(work.slot->path, put.name, RenameMode::replace); !done) {
    std::ignore = fs_.unlink(kept);
    return obstructed_or(done.error());
  }
  laid(work, put.name, work.slot->signature);
  consume_slot(work);
  work.moved_in = true;
  return put.moved ? look_at(work, kept, put.moved) : settle(work);
}

ApplyBatch::Outcome ApplyBatch::remove(Work& work, const engine::Remove& remove) {
  const auto now = check(remove.name, remove.expected, remove.expected_content);
  if (!now) {
    return because(now.error());
  }
  if (remove.expected.kind == Kind::directory) {
    if (const auto removed = fs_.remove_directory(remove.name); !removed) {
      return removed.error().code == ErrorCode::changed ? because(NotEmpty{})
                                                        : obstructed_or(removed.error());
    }
    return Done{};
  }
  if (remove.moved && exchange_) {
    return move(work, remove, *now);
  }
  if (remove.moved && fs_.stat(remove.moved->name)) {
    return because(Obstructed{});  // a user's: it stays where it is
  }
  return take_away(work, remove.name, remove.moved);
}

/// Out of the tree, where no user comes between the look and what follows.
ApplyBatch::Outcome ApplyBatch::take_away(Work& work, const engine::Path& name,
                                          const std::optional<engine::Moved>& moved) {
  const std::string to = work.slot ? work.slot->path : kept_path(work.item->file);
  if (const auto done = fs_.rename(name, to, aside()); !done) {
    return obstructed_or(done.error());
  }
  work.moved_in = !work.slot;
  work.slot.reset();  // it is no slot to be dropped any more
  return look_at(work, to, moved);
}

ApplyBatch::Outcome ApplyBatch::look_at(Work& work, const std::string& at,
                                        const std::optional<engine::Moved>& moved) {
  const auto out = fs_.stat(at);
  if (out && is_file_like(*out)) {
    return moved ? keep(work, at, *out, moved) : settle(work);
  }
  const auto struck = moved ? not_moved(work) : Result<void>();
  if (!out || !struck) {
    limbo_.keep_stray(*work.item, intent_, at);
    return unsure(out ? struck.error() : out.error());
  }
  return came_out_wrong(work, at);
}

/// In one call, so that no user ever sees it under two names. What a user wrote just before moves
/// as well: it is an edit of what should have, and the next look at the new name finds it.
ApplyBatch::Outcome ApplyBatch::move(Work& work, const engine::Remove& remove, const Stat& now) {
  const engine::Path& name = remove.moved->name;
  if (const auto done = fs_.rename(remove.name, name, RenameMode::no_replace); !done) {
    return obstructed_or(done.error());
  }
  if (const auto out = fs_.stat(name); out && !is_file_like(*out)) {
    std::ignore = fs_.rename(name, remove.name, RenameMode::no_replace);
    return because(Obstructed{});
  }
  work.moved = Laid{name, now.signature};
  return Done{};
}

/// What came out at `from` moves to its new name, if it has one and is what was expected, else to
/// the kept versions.
ApplyBatch::Outcome ApplyBatch::keep(Work& work, const std::string& from, const Stat& out,
                                     const std::optional<engine::Moved>& moved) {
  if (moved && same_but_ctime(out.signature, work.item->expected) && name_it(from, moved->name)) {
    work.moved = Laid{moved->name, out.signature};
    return Done{};
  }
  if (moved) {
    if (auto struck = not_moved(work); !struck) {
      limbo_.keep_stray(*work.item, intent_, from);
      return unsure(struck.error());
    }
  }
  if (from != kept_path(work.item->file)) {
    if (const auto done = fs_.rename(from, kept_path(work.item->file), aside()); !done) {
      limbo_.keep_stray(*work.item, intent_, from);
      return unsure(done.error());
    }
  }
  work.moved_in = true;
  return settle(work);
}

Result<void> ApplyBatch::name_it(const std::string& from, const engine::Path& name) {
  return exchange_ ? fs_.rename(from, name, RenameMode::no_replace) : give_name(fs_, from, name);
}

/// What it displaced is kept instead, and may leave from there one day: to the log, what is not
/// where it waited is what has moved.
Result<void> ApplyBatch::not_moved(const Work& work) {
  using What = LoggedStep::What;
  const std::string kept = kept_path(work.item->file);
  const auto by_slot = std::erase_if(
      log_, [&](const LoggedStep& step) { return step.what == What::put && step.from == kept; });
  std::erase_if(
      log_, [&](const LoggedStep& step) { return step.what == What::move && step.place == kept; });
  return by_slot > 0 && is_logged(fs_, batch_) ? write_batch_log(fs_, batch_, log_)
                                               : Result<void>();
}

ApplyBatch::Outcome ApplyBatch::settle(Work& work) {
  auto out = limbo_.settle(*work.item, intent_);
  if (!out) {
    return unsure(out.error());
  }
  const bool goes = !options_.keep && !is_to_move(*work.step);
  if (goes && out->as_expected && !out->still_open && fs_.unlink(kept_path(out->file))) {
    return Done{};
  }
  return Done{std::nullopt, std::move(*out), std::nullopt};
}

Stepped<Stat> ApplyBatch::check(const engine::Path& name, const engine::Signature& expected,
                                const engine::Hash& content) {
  const auto now = fs_.stat(name);
  if (!now) {
    return obstructed_or(now.error());
  }
  // Of a directory ctime tells nothing.
  const bool read = expected.unproven() && is_file_like(*now);
  const bool same = expected.kind == Kind::directory || read
                        ? same_but_ctime(now->signature, expected)
                        : now->signature == expected;
  if (now->special || !same) {
    return because(Obstructed{});
  }
  if (read) {
    // Where times are coarse it can be seconds until a signature proves anything: to wait for that
    // would hold up whatever follows a change within them.
    const auto seen = see(fs_, name);
    if (!seen || seen->content != content || !same_but_ctime(seen->signature, expected)) {
      return because(Obstructed{});
    }
  }
  return *now;
}

RenameMode ApplyBatch::aside() const {
  // Names of kept versions are new: without a flag nothing is replaced either.
  return exchange_ ? RenameMode::no_replace : RenameMode::replace;
}

void ApplyBatch::laid(Work& work, const engine::Path& name, const engine::Signature& signature) {
  work.laid = Laid{name, signature};
}

void ApplyBatch::consume_slot(Work& work) {
  if (work.slot && !work.slot->found.empty()) {
    found_laid_.push_back(work.slot->found);
  }
  work.slot.reset();
}

}  // namespace p2psync::storage
