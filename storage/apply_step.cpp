// The steps of a batch, one by one: puts, links and removals.
#include <tuple>
#include <utility>
#include <variant>

#include "engine/path.h"
#include "storage/apply_batch.h"
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

/// Something is there that should not be, or the name or its directory is not there.
std::unexpected<engine::StepResult> obstructed_or(const Error& error) {
  const bool moved_on = error.code == ErrorCode::not_found || error.code == ErrorCode::changed;
  return because(moved_on ? engine::StepResult(Obstructed{}) : engine::StepResult(error));
}

bool is_file_like(const Stat& stat) {
  return !stat.special && stat.signature.kind != Kind::directory;
}

std::string parent(const engine::Path& name) {
  return std::string(engine::parent_of(name));
}

}  // namespace

ApplyBatch::Outcome ApplyBatch::carry_out(Job& job, Work& work) {
  if (const auto* wanted = std::get_if<Put>(work.step)) {
    work.touched = parent(wanted->name);
    return put(job, work, *wanted);
  }
  if (const auto* second = std::get_if<engine::Link>(work.step)) {
    work.touched = parent(second->name);
    return link(job, work, *second);
  }
  if (const auto* same = std::get_if<engine::Check>(work.step)) {
    const auto now = check(job, same->name, same->expected);
    return now ? Outcome(Done{now->signature, std::nullopt}) : because(now.error());
  }
  const auto& gone = std::get<engine::Remove>(*work.step);
  work.touched = parent(gone.name);
  return remove(job, work, gone);
}

ApplyBatch::Outcome ApplyBatch::put(Job& job, Work& work, const Put& put) {
  if (!put.expected) {
    return lay_new(work, put);
  }
  const auto now = check(job, put.name, *put.expected);
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
    return lay_new(work, put);
  }
  return exchange_ ? exchange(job, work, put) : replace_without_exchange(job, work, put, *now);
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

ApplyBatch::Outcome ApplyBatch::exchange(Job& job, Work& work, const Put& put) {
  const std::string at = work.slot->path;
  if (const auto done = fs_.rename(at, put.name, RenameMode::exchange); !done) {
    return obstructed_or(done.error());
  }
  laid(work, put.name, work.slot->signature);
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
  auto kept = keep(job, work, at, *out);
  const bool directory = put.wanted.kind == Kind::directory;
  if (kept && directory && work.laid->signature.mode != put.wanted.mode) {
    if (const auto set = fs_.set_directory_mode(put.name, put.wanted.mode)) {
      work.laid->signature.mode = put.wanted.mode;
    } else {
      work.result = std::move(*kept);
      fail(work, engine::Unsure{set.error()});
      return unsure(set.error());
    }
  }
  return kept;
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

ApplyBatch::Outcome ApplyBatch::replace_without_exchange(Job& job, Work& work, const Put& put,
                                                         const Stat& now) {
  const std::string kept = kept_path(work.item->file);
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
  if (shown_elsewhere(job, aside->signature.inode)) {
    std::ignore = fs_.unlink(kept);
    return Done{};
  }
  work.moved_in = true;
  return settle(work);
}

ApplyBatch::Outcome ApplyBatch::link(Job& job, Work& work, const engine::Link& link) {
  const auto now = check(job, link.from, link.expected);
  if (!now) {
    return because(now.error());
  }
  if (const auto done = fs_.link(link.from, link.name); !done) {
    return obstructed_or(done.error());
  }
  const auto out = fs_.stat(link.name);
  if (!out) {
    return obstructed_or(out.error());
  }
  if (out->special || !same_but_ctime(out->signature, now->signature)) {
    take_link_back(link, out->signature.inode);
    return because(Obstructed{});
  }
  job.linked[out->signature.inode] = link.name;
  laid(work, link.name, out->signature);
  // Durable before the old name is exchanged: a power cut must not leave the loser without a name.
  if (const auto synced = fs_.sync_directory(parent(link.name)); !synced) {
    return unsure(synced.error());
  }
  return Done{};
}

/// The link caught something that a user had just written, which has its own name. What is not
/// surely that second name of it is a user's and stays.
void ApplyBatch::take_link_back(const engine::Link& link, std::uint64_t inode) {
  const auto caught = [&](std::string_view path) {
    const auto stat = fs_.stat(path);
    return stat && stat->signature.inode == inode;
  };
  if (!caught(link.from)) {
    return;
  }
  const std::string file = names_.next();
  const std::string kept = kept_path(file);
  if (!fs_.rename(link.name, kept, aside())) {
    return;
  }
  if (caught(kept)) {
    if (caught(link.from)) {
      std::ignore = fs_.unlink(kept);
    }
  } else if (!fs_.rename(kept, link.name, aside())) {
    const IntentItem item{link.name, "", 0, file, {}, {}};
    if (auto out = limbo_.settle(item, intent_)) {
      limbo_.surface({link.name, file, std::move(out->seen), {}});
    }
  }
}

ApplyBatch::Outcome ApplyBatch::remove(Job& job, Work& work, const engine::Remove& remove) {
  if (const auto now = check(job, remove.name, remove.expected); !now) {
    return because(now.error());
  }
  if (remove.expected.kind == Kind::directory) {
    if (const auto removed = fs_.remove_directory(remove.name); !removed) {
      return removed.error().code == ErrorCode::changed ? because(NotEmpty{})
                                                        : obstructed_or(removed.error());
    }
    return Done{};
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
  if (shown_elsewhere(job, out->signature.inode)) {
    std::ignore = fs_.unlink(kept);
    return Done{};
  }
  return settle(work);
}

/// What came out at `from` moves to the kept versions, unless the tree shows it under another name.
ApplyBatch::Outcome ApplyBatch::keep(Job& job, Work& work, const std::string& from,
                                     const Stat& out) {
  if (shown_elsewhere(job, out.signature.inode)) {
    std::ignore = fs_.unlink(from);
    return Done{};
  }
  if (const auto moved = fs_.rename(from, kept_path(work.item->file), aside()); !moved) {
    limbo_.keep_stray(*work.item, intent_, from);
    return unsure(moved.error());
  }
  work.moved_in = true;
  return settle(work);
}

ApplyBatch::Outcome ApplyBatch::settle(Work& work) {
  auto out = limbo_.settle(*work.item, intent_);
  if (!out) {
    return unsure(out.error());
  }
  if (!options_.keep && out->as_expected && !out->still_open && fs_.unlink(kept_path(out->file))) {
    return Done{};
  }
  return Done{std::nullopt, std::move(*out)};
}

Stepped<Stat> ApplyBatch::check(const Job& job, const engine::Path& name,
                                const engine::Signature& expected) {
  const auto now = fs_.stat(name);
  if (!now) {
    return obstructed_or(now.error());
  }
  // Our own link has changed the ctime of what it linked; of a directory ctime tells nothing.
  const bool any_ctime =
      expected.kind == Kind::directory || job.linked.contains(now->signature.inode);
  const bool same =
      any_ctime ? same_but_ctime(now->signature, expected) : now->signature == expected;
  if (now->special || !same) {
    return because(Obstructed{});
  }
  return *now;
}

bool ApplyBatch::shown_elsewhere(const Job& job, std::uint64_t inode) {
  const auto linked = job.linked.find(inode);
  if (linked == job.linked.end()) {
    return false;
  }
  const auto there = fs_.stat(linked->second);
  return there && there->signature.inode == inode;
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
    limbo_.forget(work.slot->found);  // it has a name in the tree
  }
  work.slot.reset();
}

}  // namespace p2psync::storage
