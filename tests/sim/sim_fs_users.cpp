// What users do on the simulated disk.
#include <utility>

#include "engine/path.h"
#include "tests/sim/sim_fs.h"

namespace p2psync::sim {

using engine::Kind;
using storage::RenameMode;

namespace {

constexpr std::uint32_t user_uid = 1001;
constexpr std::uint32_t user_gid = 1001;

}  // namespace

UserFile::UserFile(SimFs& fs, InodeNumber inode)
    : fs_(&fs), inode_(inode), generation_(fs.generation_) {
  fs_->disk_.open(inode_, true);
}

UserFile::UserFile(UserFile&& other) noexcept
    : fs_(std::exchange(other.fs_, nullptr)),
      inode_(other.inode_),
      generation_(other.generation_) {}

UserFile::~UserFile() {
  if (fs_ != nullptr && generation_ == fs_->generation_) {
    fs_->disk_.close(inode_, true);
  }
}

void UserFile::write(std::uint64_t offset, std::string_view bytes) {
  invariant(generation_ == fs_->generation_, "the user's file is on the disk in the machine");
  fs_->tick();
  fs_->disk_.write(inode_, offset, bytes);
}

void UserFile::resize(std::uint64_t size) {
  invariant(generation_ == fs_->generation_, "the user's file is on the disk in the machine");
  fs_->tick();
  fs_->disk_.resize(inode_, size);
}

const std::string& UserFile::bytes() const {
  invariant(generation_ == fs_->generation_, "the user's file is on the disk in the machine");
  return fs_->disk_.inode(inode_).bytes;
}

bool UserFile::has_name() const {
  invariant(generation_ == fs_->generation_, "the user's file is on the disk in the machine");
  return fs_->disk_.inode(inode_).links > 0;
}

std::optional<InodeNumber> SimFs::find_file(std::string_view path) const {
  const auto found = disk_.find(path);
  if (!found || disk_.inode(*found).kind != Kind::file || disk_.inode(*found).special) {
    return std::nullopt;
  }
  return *found;
}

bool SimFs::write_file(std::string_view path, std::string_view bytes) {
  tick();
  if (const auto file = find_file(path)) {
    disk_.resize(*file, 0);
    disk_.write(*file, 0, bytes);
    return true;
  }
  return disk_
      .create(path, {.mode = 0644, .uid = user_uid, .gid = user_gid, .bytes = std::string(bytes)})
      .has_value();
}

bool SimFs::save_file(std::string_view path, std::string_view bytes) {
  tick();
  Inode made{.mode = 0644, .uid = user_uid, .gid = user_gid, .bytes = std::string(bytes)};
  if (const auto file = find_file(path)) {
    made.mode = disk_.inode(*file).mode;
  }
  const std::string temporary = engine::child_of(engine::parent_of(path), editor_temporary);
  if (!disk_.create(temporary, std::move(made))) {
    return false;
  }
  if (!disk_.rename(temporary, path, RenameMode::replace)) {
    disk_.unlink(temporary);  // there is a directory
    return false;
  }
  return true;
}

bool SimFs::remove(std::string_view path) {
  tick();
  return disk_.unlink(path) || disk_.remove_directory(path);
}

bool SimFs::rename_path(std::string_view from, std::string_view to) {
  tick();
  return disk_.rename(from, to, RenameMode::replace).has_value();
}

bool SimFs::mkdir(std::string_view path, std::uint16_t mode) {
  tick();
  const Inode made{.kind = Kind::directory, .mode = mode, .uid = user_uid, .gid = user_gid};
  return disk_.create(path, made).has_value();
}

bool SimFs::symlink(std::string_view target, std::string_view path) {
  tick();
  const Inode made{.kind = Kind::symlink,
                   .mode = 0777,
                   .uid = user_uid,
                   .gid = user_gid,
                   .bytes = std::string(target)};
  return disk_.create(path, made).has_value();
}

bool SimFs::hard_link(std::string_view from, std::string_view to) {
  tick();
  return disk_.link(from, to).has_value();
}

bool SimFs::make_special(std::string_view path) {
  tick();
  const Inode made{.special = true, .mode = 0644, .uid = user_uid, .gid = user_gid};
  return disk_.create(path, made).has_value();
}

bool SimFs::chmod(std::string_view path, std::uint16_t mode) {
  tick();
  const auto found = disk_.find(path);
  if (!found || disk_.inode(*found).kind == Kind::symlink) {
    return false;
  }
  disk_.set_mode(*found, mode);
  return true;
}

bool SimFs::chown(std::string_view path, std::uint32_t owner, std::uint32_t group) {
  tick();
  const auto found = disk_.find(path);
  if (!found) {
    return false;
  }
  disk_.set_owner(*found, owner, group);
  return true;
}

bool SimFs::utimes(std::string_view path, std::int64_t mtime_ns) {
  tick();
  const auto found = disk_.find(path);
  if (!found) {
    return false;
  }
  disk_.set_mtime(*found, mtime_ns);
  return true;
}

bool SimFs::sync_file(std::string_view path) {
  tick();
  const auto found = disk_.find(path);
  if (!found) {
    return false;
  }
  disk_.sync(*found);
  return true;
}

bool SimFs::rot(std::string_view path, std::uint64_t offset) {
  const auto file = find_file(path);
  return file && disk_.rot(*file, offset);
}

std::optional<std::string> SimFs::read(std::string_view path) const {
  const auto file = find_file(path);
  return file ? std::optional(disk_.inode(*file).bytes) : std::nullopt;
}

std::optional<UserFile> SimFs::open_writer(std::string_view path) {
  tick();
  const auto file = find_file(path);
  return file ? std::optional(UserFile(*this, *file)) : std::nullopt;
}

Tree SimFs::tree(std::string_view directory) const {
  Tree tree;
  collect_tree(directory, tree);
  return tree;
}

void SimFs::collect_tree(std::string_view directory, Tree& into) const {
  const auto found = disk_.find(directory);
  if (!found) {
    return;
  }
  for (const auto& [name, number] : disk_.inode(*found).names) {
    const std::string path = engine::child_of(directory, name);
    if (path == engine::own_directory) {
      continue;
    }
    const Inode& inode = disk_.inode(number);
    const bool is_directory = inode.kind == Kind::directory;
    into.emplace(path, TreeNode{inode.kind, inode.special, inode.mode,
                                is_directory ? 0 : inode.mtime, inode.bytes});
    if (is_directory) {
      collect_tree(path, into);
    }
  }
}

}  // namespace p2psync::sim
