// The steps of a batch, one by one: puts and removals, and moves in either.
#include <tuple>
#include <utility>
#include <variant>

#include "engine/path.h"
#include "storage/apply_batch.h"
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
    return unlinked_if_failed(work, put(work, *wanted));
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
  return unlinked_if_failed(work, remove(work, gone));
}

/// Without exchange the second name comes first: it goes when the old one stays.
ApplyBatch::Outcome ApplyBatch::unlinked_if_failed(Work& work, Outcome outcome) {
  if (!outcome && work.moved && !std::holds_alternative<engine::Unsure>(outcome.error())) {
    take_link_back(work.item->name, work.moved->name, work.moved->signature.inode);
    work.moved.reset();
  }
  return outcome;
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
  // Where renames cannot refuse to replace, a link can; the slot then goes.
  const auto done = exchange_ ? fs_.rename(work.slot->path, put.name, RenameMode::no_replace)
                              : fs_.link(work.slot->path, put.name);
  if (!done) {
    return obstructed_or(done.error());
  }
  if (!exchange_) {
    std::ignore = fs_.unlink(work.slot->path);
  }
  laid(work, put.name, work.slot->signature);
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

/// A user put a directory or a special file there between the check and the move.
ApplyBatch::Outcome ApplyBatch::came_out_wrong(Work& work, const std::string& at) {
  if (!limbo_.put_back(*work.item, at)) {
    consume_slot(work);
    limbo_.keep_stray(*work.item, intent_, at);
    return because(Obstructed{});
  }
  const auto back = fs_.stat(at);
  if (back && back->signature.inode != work.item->slot_inode) {
    consume_slot(work);
    limbo_.keep_stray(*work.item, intent_, at);  // and something else again, in between
  }
  return because(Obstructed{});
}

ApplyBatch::Outcome ApplyBatch::replace_without_exchange(Work& work, const Put& put,
                                                         const Stat& now) {
  const std::string kept = kept_path(work.item->file);
  if (put.moved) {
    if (auto linked = link(work, put.name, *put.moved, now); !linked) {
      return because(std::move(linked.error()));
    }
  }
  if (put.wanted.kind == Kind::directory) {
    if (const auto moved = fs_.rename(put.name, kept, RenameMode::replace); !moved) {
      return obstructed_or(moved.error());
    }
    work.moved_in = true;
    auto out = settle(work);
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
  const auto aside = fs_.stat(kept);
  if (!aside || !same_but_ctime(aside->signature, now.signature)) {
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
  return settle(work);
}

/// Where nothing can be exchanged: a second name first, then what has the old one goes.
Stepped<void> ApplyBatch::link(Work& work, const engine::Path& from, const engine::Moved& moved,
                               const Stat& now) {
  if (const auto done = fs_.link(from, moved.name); !done) {
    return obstructed_or(done.error());
  }
  const auto out = fs_.stat(moved.name);
  if (!out) {
    take_link_back(from, moved.name, now.signature.inode);
    return obstructed_or(out.error());
  }
  if (out->special || !same_but_ctime(out->signature, now.signature)) {
    take_link_back(from, moved.name, out->signature.inode);
    return because(Obstructed{});
  }
  // Durable before the old name goes: a power cut must not leave it without one.
  if (const auto synced = fs_.sync_directory(parent(moved.name)); !synced) {
    take_link_back(from, moved.name, out->signature.inode);
    return because(synced.error());
  }
  work.moved = Laid{moved.name, out->signature};
  return {};
}

/// The link caught something that a user had just written, which has its own name. What is not
/// surely that second name of it is a user's and stays.
void ApplyBatch::take_link_back(const engine::Path& from, const engine::Path& name,
                                std::uint64_t inode) {
  const auto caught = [&](std::string_view path) {
    const auto stat = fs_.stat(path);
    return stat && stat->signature.inode == inode;
  };
  if (!caught(from)) {
    return;
  }
  const std::string file = names_.next();
  const std::string kept = kept_path(file);
  if (!fs_.rename(name, kept, aside())) {
    return;
  }
  if (caught(kept)) {
    if (caught(from)) {
      std::ignore = fs_.unlink(kept);
    }
  } else if (!fs_.rename(kept, name, aside())) {
    const IntentItem item{name, "", 0, file, {}, {}};
    if (auto out = limbo_.settle(item, intent_)) {
      limbo_.surface({name, file, std::move(out->seen), {}});
    }
  }
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
  if (remove.moved) {
    if (auto linked = link(work, remove.name, *remove.moved, *now); !linked) {
      return because(std::move(linked.error()));
    }
  }
  const std::string kept = kept_path(work.item->file);
  if (const auto moved = fs_.rename(remove.name, kept, aside()); !moved) {
    return obstructed_or(moved.error());
  }
  work.moved_in = true;
  const auto out = fs_.stat(kept);
  if (!out) {
    limbo_.keep_stray(*work.item, intent_, kept);
    return unsure(out.error());
  }
  if (!is_file_like(*out)) {
    return came_out_wrong(work, kept);
  }
  return settle(work);
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
  if (moved && same_but_ctime(out.signature, work.item->expected) &&
      fs_.rename(from, moved->name, RenameMode::no_replace)) {
    work.moved = Laid{moved->name, out.signature};
    return Done{};
  }
  if (const auto done = fs_.rename(from, kept_path(work.item->file), aside()); !done) {
    limbo_.keep_stray(*work.item, intent_, from);
    return unsure(done.error());
  }
  work.moved_in = true;
  return settle(work);
}

ApplyBatch::Outcome ApplyBatch::settle(Work& work) {
  if (shows_kept(work)) {
    std::ignore = fs_.unlink(kept_path(work.item->file));
    return Done{};
  }
  auto out = limbo_.settle(*work.item, intent_);
  if (!out) {
    return unsure(out.error());
  }
  if (!options_.keep && out->as_expected && !out->still_open && fs_.unlink(kept_path(out->file))) {
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

/// Without exchange: what was kept is there a second time, under its new name.
bool ApplyBatch::shows_kept(const Work& work) {
  if (!work.moved) {
    return false;
  }
  const auto kept = fs_.stat(kept_path(work.item->file));
  const auto there = fs_.stat(work.moved->name);
  return kept && there && kept->signature.inode == there->signature.inode;
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
