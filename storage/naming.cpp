#include "storage/naming.h"

#include <fmt/format.h>

#include <string>
#include <tuple>

#include "engine/path.h"
#include "storage/fields.h"
#include "storage/staging.h"

namespace p2psync::storage {

namespace {

std::string note_path() {
  return engine::child_of(staging_directory, "naming");
}

/// It has another ctime than the note says, and is otherwise what was to be named: it was linked.
/// Only later ones: an earlier one is what a power cut leaves.
bool was_linked(Fs& fs, const std::string& at, const engine::Signature& now,
                const engine::Wanted& wanted) {
  const auto note = fs.read_link(note_path());
  if (!note) {
    return false;
  }
  Fields fields(*note);
  const auto ctime = fields.number<std::int64_t>();
  const std::string path = fields.text();
  const bool same = now.kind == wanted.kind && now.mode == wanted.mode && now.size == wanted.size &&
                    now.mtime == wanted.mtime;
  return fields.all_good() && path == at && same && now.ctime > ctime;
}

}  // namespace

Result<void> give_name(Fs& fs, const std::string& at, const engine::Path& name) {
  const auto now = fs.stat(at);
  if (!now) {
    return std::unexpected(now.error());
  }
  auto done = fs.make_symlink(fmt::format("{} {}", now->signature.ctime, escaped(at)), note_path());
  if (!done) {
    return done;
  }
  done = fs.link(at, name);
  if (done) {
    std::ignore = fs.unlink(at);
  }
  std::ignore = fs.unlink(note_path());
  return done;
}

Result<bool> was_named(Fs& fs, const std::string& at, std::uint64_t waiting,
                       const engine::Path& name, const engine::Wanted& wanted) {
  const auto waits = fs.stat(at);
  if (!waits) {
    return waits.error().code == ErrorCode::not_found ? Result<bool>(true)
                                                      : std::unexpected(waits.error());
  }
  if (waits->special || waits->signature.inode == waiting || fs.can_exchange()) {
    return false;
  }
  const auto there = fs.stat(name);
  if (!there && there.error().code != ErrorCode::not_found) {
    return std::unexpected(there.error());
  }
  const bool both = there && there->signature.inode == waits->signature.inode;
  if (!both && !was_linked(fs, at, waits->signature, wanted)) {
    return false;
  }
  const auto gone = fs.unlink(at);
  return gone ? Result<bool>(true) : std::unexpected(gone.error());
}

void forget_naming(Fs& fs) {
  std::ignore = fs.unlink(note_path());
}

}  // namespace p2psync::storage
