#include "storage/slot.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <variant>

#include "engine/path.h"
#include "storage/content.h"
#include "storage/hash.h"
#include "storage/scanner.h"
#include "storage/staging.h"
#include "storage/versions.h"

namespace p2psync::storage {

using engine::Kind;
using engine::Put;
using engine::SourceGone;

namespace {

std::unexpected<engine::StepResult> because(engine::StepResult result) {
  return std::unexpected(std::move(result));
}

/// The source is not there, or not what it was.
std::unexpected<engine::StepResult> gone_or(const Error& error) {
  const bool gone = error.code == ErrorCode::not_found || error.code == ErrorCode::changed;
  return because(gone ? engine::StepResult(SourceGone{}) : engine::StepResult(error));
}

/// Mode, time and owner, each only where it differs. The owner last: afterwards the file may not be
/// ours to change.
Result<void> dress(File& file, const engine::Wanted& wanted, const std::optional<Stat>& replaced) {
  const auto now = file.stat_when_opened();
  if (!now) {
    return std::unexpected(now.error());
  }
  if (now->signature.mode != wanted.mode) {
    if (auto done = file.set_mode(wanted.mode); !done) {
      return done;
    }
  }
  if (now->signature.mtime != wanted.mtime) {
    if (auto done = file.set_mtime(wanted.mtime); !done) {
      return done;
    }
  }
  if (replaced && (replaced->uid != now->uid || replaced->gid != now->gid)) {
    file.set_owner(replaced->uid, replaced->gid);
  }
  return {};
}

/// By its name alone where only the time is left to set: most of what comes is new, and was staged
/// with its mode. Nothing: it has to be opened.
Result<std::optional<Stat>> dress(Fs& fs, const std::string& path, const engine::Wanted& wanted) {
  auto now = fs.stat(path);
  if (now &&
      (now->special || now->signature.kind != Kind::file || now->signature.mode != wanted.mode)) {
    return std::nullopt;
  }
  if (now && now->signature.mtime != wanted.mtime) {
    const auto set = fs.set_mtime(path, wanted.mtime);
    now = set ? fs.stat(path) : std::unexpected(set.error());
  }
  return now ? Result<std::optional<Stat>>(std::move(*now)) : std::unexpected(now.error());
}

Stepped<Slot> slot_of(const Put& put, std::string path, const Stat& ready) {
  if (ready.signature.size != put.wanted.size) {
    return because(SourceGone{});
  }
  return Slot{std::move(path), ready.signature, {}};
}

/// What is written under `path` becomes what is wanted.
Stepped<Slot> dressed(Fs& fs, const Put& put, std::string path, const std::optional<Stat>& replaced,
                      bool sync) {
  if (!replaced && !sync) {
    const auto ready = dress(fs, path, put.wanted);
    if (!ready) {
      return gone_or(ready.error());
    }
    if (*ready) {
      return slot_of(put, std::move(path), **ready);
    }
  }
  const auto file = fs.open_read(path);
  if (!file) {
    return gone_or(file.error());
  }
  auto done = dress(**file, put.wanted, replaced);
  if (done && sync) {
    done = (*file)->sync();
    if (!done) {
      discard_slot(fs, path);
    }
  }
  if (!done) {
    return because(std::move(done.error()));
  }
  const auto ready = (*file)->stat();
  return ready ? slot_of(put, std::move(path), *ready) : because(ready.error());
}

/// Holes stay holes. Reads the copy and not the source: what a user writes there meanwhile cannot
/// slip between.
Stepped<void> copy(Fs& fs, const std::string& from, const std::string& to,
                   const engine::Wanted& wanted) {
  const auto source = fs.open_read(from);
  if (!source) {
    return gone_or(source.error());
  }
  const auto made = fs.create(to);
  if (!made) {
    return because(made.error());
  }
  const auto data = (*source)->data_extents();
  if (!data) {
    return gone_or(data.error());
  }
  for (const auto& [begin, end] : *data) {
    const std::uint64_t length = std::min(end, wanted.size) - std::min(begin, wanted.size);
    if (const auto copied = (*made)->copy_from(**source, begin, length); !copied) {
      return gone_or(copied.error());
    }
  }
  if (data->empty() || data->back().second < wanted.size) {
    if (const auto sized = (*made)->resize(wanted.size); !sized) {  // a hole up to the end
      return because(sized.error());
    }
  }
  const auto content = read_content(**made, wanted.size, fs.chunk_sizes);
  if (!content) {
    return gone_or(content.error());
  }
  if (content->name != wanted.content) {
    return because(SourceGone{});
  }
  return {};
}

std::string slot_path(std::uint64_t number) {
  return engine::child_of(staging_directory, fmt::format("slot-{}", number));
}

/// It has the name of its content and no number.
bool is_staged(const std::string& path) {
  return from_hex(engine::name_of(path)).has_value();
}

Stepped<Slot> make_found(Fs& fs, const Put& put, const std::string& file, bool sync) {
  const std::string path = kept_path(file);
  {
    const auto open = fs.open_read(path);
    if (!open) {
      return gone_or(open.error());
    }
    auto done = dress(**open, put.wanted, std::nullopt);
    if (done && sync) {
      done = (*open)->sync();
    }
    if (!done) {
      return because(std::move(done.error()));
    }
  }
  // A process may have it open still: only now, with its time set, does a write show.
  const auto seen = see(fs, path);
  if (!seen) {
    return gone_or(seen.error());
  }
  if (seen->content != put.wanted.content) {
    return because(SourceGone{});
  }
  return Slot{path, seen->signature, file};
}

Stepped<Slot> make_link(Fs& fs, const Put& put, std::string path,
                        const std::optional<Stat>& replaced) {
  auto done = fs.make_symlink(put.wanted.target, path);
  if (done) {
    done = fs.set_mtime(path, put.wanted.mtime);
  }
  if (!done) {
    return because(std::move(done.error()));
  }
  auto ready = fs.stat(path);
  if (ready && replaced && (replaced->uid != ready->uid || replaced->gid != ready->gid)) {
    fs.set_link_owner(path, replaced->uid, replaced->gid);
    ready = fs.stat(path);
  }
  if (!ready) {
    return because(ready.error());
  }
  return Slot{std::move(path), ready->signature, {}};
}

Stepped<Slot> make_directory(Fs& fs, std::string path, std::uint16_t mode) {
  const bool movable = (mode & 0300) == 0300;
  if (const auto made = fs.make_directory(path, movable ? mode : unmovable_mode); !made) {
    return because(made.error());
  }
  const auto ready = fs.stat(path);
  if (!ready) {
    return because(ready.error());
  }
  return Slot{std::move(path), ready->signature, {}};
}

Stepped<Slot> make_file(Fs& fs, const Put& put, std::string path,
                        const std::optional<Stat>& replaced, bool sync) {
  if (const auto* at = std::get_if<engine::AtName>(&put.source)) {
    if (auto copied = copy(fs, at->name, path, put.wanted); !copied) {
      return because(std::move(copied.error()));
    }
  } else if (const auto* kept = std::get_if<engine::Kept>(&put.source)) {
    if (auto copied = copy(fs, kept_path(kept->file), path, put.wanted); !copied) {
      return because(std::move(copied.error()));
    }
  } else if (put.wanted.size == 0) {
    if (const auto made = fs.create(path); !made) {
      return because(made.error());
    }
  } else {
    return because(SourceGone{});
  }
  return dressed(fs, put, std::move(path), replaced, sync);
}

}  // namespace

Stepped<Slot> make_slot(Fs& fs, const Put& put, std::uint64_t number,
                        const std::optional<Stat>& replaced, bool sync) {
  const auto* kept = std::get_if<engine::Kept>(&put.source);
  invariant(kept == nullptr || !kept->file.contains('/'), "a kept version is a plain file name");
  if (put.wanted.kind == Kind::file && kept != nullptr && kept->move) {
    return make_found(fs, put, kept->file, sync);
  }
  std::string path = slot_path(number);
  Stepped<Slot> slot;
  if (put.wanted.kind == Kind::directory) {
    slot = make_directory(fs, path, put.wanted.mode);
  } else if (put.wanted.kind == Kind::symlink) {
    slot = make_link(fs, put, path, replaced);
  } else if (std::holds_alternative<engine::Staged>(put.source) && put.wanted.size != 0) {
    const std::string staged = staged_path(put.wanted.content);
    if (!put.expected) {
      path = staged;  // nothing comes out in its place
    } else {
      path += '-' + to_hex(put.wanted.content);
      if (const auto moved = fs.rename(staged, path, RenameMode::replace); !moved) {
        return gone_or(moved.error());
      }
    }
    slot = dressed(fs, put, path, replaced, sync);
  } else {
    slot = make_file(fs, put, path, replaced, sync);
  }
  if (!slot) {
    drop_slot(fs, {path, {}, {}});
  }
  return slot;
}

Result<Slot> make_placeholder(Fs& fs, std::uint64_t number) {
  std::string path = slot_path(number);
  const auto made = fs.create(path);
  if (!made) {
    return std::unexpected(made.error());
  }
  const auto ready = (*made)->stat();
  if (!ready) {
    std::ignore = fs.unlink(path);
    return std::unexpected(ready.error());
  }
  return Slot{std::move(path), ready->signature, {}};
}

void drop_slot(Fs& fs, const Slot& slot) {
  if (!slot.found.empty() || is_staged(slot.path)) {
    return;  // it is where it was
  }
  if (const auto content = staged_in(engine::name_of(slot.path))) {
    std::ignore = fs.rename(slot.path, staged_path(*content), RenameMode::replace);
  } else if (!fs.unlink(slot.path)) {
    std::ignore = fs.remove_directory(slot.path);
  }
}

void discard_slot(Fs& fs, const std::string& path) {
  if (!fs.unlink(path) && (is_staged(path) || staged_in(engine::name_of(path)))) {
    // Neither we nor the next start may take it for that content again. Slots count from 1.
    const std::string plain = slot_path(0);
    if (fs.rename(path, plain, RenameMode::replace)) {
      std::ignore = fs.unlink(plain);
    }
  }
}

std::optional<engine::Hash> staged_in(std::string_view file) {
  const auto dash = file.rfind('-');
  return dash == std::string_view::npos ? std::nullopt : from_hex(file.substr(dash + 1));
}

}  // namespace p2psync::storage
