#include "tests/sim/sim_fs.h"

#include <algorithm>
#include <cerrno>

#include "engine/path.h"

namespace p2psync::sim {

using engine::Kind;
using storage::DirItem;
using storage::File;
using storage::Lease;
using storage::RenameMode;
using storage::Stat;

namespace {

std::unexpected<Error> failed(std::string_view operation, std::string_view path, int number) {
  return std::unexpected(system_error(operation, path, number));
}

/// Not what the operation is for: no errno says it, PosixFs says it so.
std::unexpected<Error> wrong_kind(std::string_view operation, std::string_view path) {
  return std::unexpected(Error{ErrorCode::changed, std::string(operation), std::string(path)});
}

/// The answer of a system call as the program gets it.
Result<void> answer(std::string_view operation, std::string_view path, const Sys<void>& done) {
  if (!done) {
    return failed(operation, path, done.error());
  }
  return {};
}

std::string_view as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

// --- The program's open files
// -------------------------------------------------------------------------------------------

class SimFile final : public File {
 public:
  SimFile(SimFs& fs, InodeNumber inode, std::string path, bool writer)
      : fs_(fs), inode_(inode), path_(std::move(path)), writer_(writer), process_(fs.process_) {
    fs_.disk_.open(inode_, writer_);
    fs_.open_files_[{inode_, writer_}]++;
  }
  SimFile(const SimFile&) = delete;
  SimFile& operator=(const SimFile&) = delete;
  ~SimFile() override {
    if (process_ == fs_.process_) {
      fs_.disk_.close(inode_, writer_);
      fs_.open_files_[{inode_, writer_}]--;
    }
  }

  Result<Stat> stat() override {
    if (const int number = enter("File::stat")) {
      return failed("stat", path_, number);
    }
    return fs_.disk_.stat(inode_);
  }

  Result<std::size_t> read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    if (const int number = enter("File::read")) {
      return failed("read", path_, number);
    }
    const std::string& bytes = fs_.disk_.inode(inode_).bytes;
    if (offset >= bytes.size()) {
      return 0;
    }
    const std::size_t length = std::min<std::size_t>(into.size(), bytes.size() - offset);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), length, into.begin());
    return length;
  }

  Result<void> write(std::uint64_t offset, std::span<const std::uint8_t> bytes) override {
    if (const int number = enter_writer("File::write")) {
      return failed("write", path_, number);
    }
    fs_.disk_.write(inode_, offset, as_text(bytes));
    return {};
  }

  Result<void> resize(std::uint64_t size) override {
    if (const int number = enter_writer("File::resize")) {
      return failed("resize", path_, number);
    }
    fs_.disk_.resize(inode_, size);
    return {};
  }

  Result<void> set_mode(std::uint16_t mode) override {
    if (const int number = enter("File::set_mode")) {
      return failed("chmod", path_, number);
    }
    fs_.disk_.set_mode(inode_, mode);
    return {};
  }

  Result<void> set_mtime(std::int64_t ns) override {
    if (const int number = enter("File::set_mtime")) {
      return failed("utimens", path_, number);
    }
    fs_.disk_.set_mtime(inode_, ns);
    return {};
  }

  void set_owner(std::uint32_t uid, std::uint32_t gid) override {
    if (enter("File::set_owner") == 0 && fs_.may_chown) {
      fs_.disk_.set_owner(inode_, uid, gid);
    }
  }

  Result<void> sync() override {
    if (const int number = enter("File::sync")) {
      if (number == EIO && process_ == fs_.process_ && !fs_.crashed_) {
        fs_.disk_.sync_failed(inode_);
      }
      return failed("fsync", path_, number);
    }
    fs_.disk_.sync(inode_);
    return {};
  }

  Result<void> copy_from(File& from, std::uint64_t offset, std::uint64_t length) override {
    if (const int number = enter_writer("File::copy_from")) {
      return failed("copy", path_, number);
    }
    const auto* source = dynamic_cast<SimFile*>(&from);
    invariant(source != nullptr && &source->fs_ == &fs_, "copies stay on one disk");
    const std::string& bytes = fs_.disk_.inode(source->inode_).bytes;
    if (offset < bytes.size()) {
      fs_.disk_.write(inode_, offset, std::string(bytes, offset, length));
    }
    if (offset + length > bytes.size()) {
      return wrong_kind("copy", path_);  // it became shorter
    }
    return {};
  }

  Lease try_lease() override {
    if (const int number = enter("File::try_lease")) {
      return number == EACCES ? Lease::unknown : Lease::refused;
    }
    return fs_.lease.value_or(fs_.disk_.inode(inode_).writers > 0 ? Lease::refused
                                                                  : Lease::granted);
  }

  Result<std::vector<std::pair<std::uint64_t, std::uint64_t>>> data_extents() override {
    if (const int number = enter("File::data_extents")) {
      return failed("seek", path_, number);
    }
    std::vector<std::pair<std::uint64_t, std::uint64_t>> extents;
    if (const auto size = fs_.disk_.inode(inode_).bytes.size(); size > 0) {
      extents.emplace_back(0, size);
    }
    return extents;
  }

 private:
  int enter(std::string_view operation) {
    return process_ == fs_.process_ ? fs_.enter(operation, path_) : EIO;
  }
  int enter_writer(std::string_view operation) {
    const int number = enter(operation);
    return number != 0 || writer_ ? number : EBADF;
  }

  SimFs& fs_;
  InodeNumber inode_;
  std::string path_;
  bool writer_;
  std::uint64_t process_;
};

// --- The program's calls
// ------------------------------------------------------------------------------------------------

int SimFs::enter(std::string_view operation, std::string_view path) {
  if (crashed_) {
    return EIO;
  }
  tick();
  calls++;
  const auto counted = calls_by_operation.find(operation);
  if (counted == calls_by_operation.end()) {
    calls_by_operation.emplace(operation, 1);
  } else {
    counted->second++;
  }
  if (before_call) {
    try {
      before_call(operation, path);
    } catch (const Crash&) {
      crashed_ = true;
      throw;
    }
  }
  return fault ? fault(operation, path) : 0;
}

Result<Stat> SimFs::stat(std::string_view path) {
  if (const int number = enter("stat", path)) {
    return failed("stat", path, number);
  }
  const auto found = disk_.find(path);
  if (!found) {
    return failed("stat", path, found.error());
  }
  return disk_.stat(*found);
}

Result<std::vector<DirItem>> SimFs::list(std::string_view directory) {
  if (const int number = enter("list", directory)) {
    return failed("list", directory, number);
  }
  const auto found = disk_.find(directory);
  if (!found) {
    return failed("list", directory, found.error());
  }
  const Inode& inode = disk_.inode(*found);
  if (inode.special || inode.kind != Kind::directory) {
    return failed("list", directory, ENOTDIR);
  }
  std::vector<DirItem> items;
  for (const auto& [name, number] : inode.names) {
    items.push_back({name, disk_.stat(number)});
  }
  return items;
}

Result<std::unique_ptr<File>> SimFs::open(std::string_view operation, std::string_view path,
                                          bool writer) {
  if (const int number = enter(operation, path)) {
    return failed("open", path, number);
  }
  const auto found = disk_.find(path);
  if (!found) {
    return failed("open", path, found.error());
  }
  const Inode& inode = disk_.inode(*found);
  if (inode.special || inode.kind != Kind::file) {
    const bool directory = !inode.special && inode.kind == Kind::directory;
    return writer && directory ? failed("open", path, EISDIR) : wrong_kind("open", path);
  }
  return std::make_unique<SimFile>(*this, *found, std::string(path), writer);
}

Result<std::unique_ptr<File>> SimFs::open_read(std::string_view path) {
  return open("open_read", path, false);
}

Result<std::unique_ptr<File>> SimFs::open_write(std::string_view path) {
  return open("open_write", path, true);
}

Result<std::unique_ptr<File>> SimFs::create(std::string_view path, std::uint16_t mode) {
  if (const int number = enter("create", path)) {
    return failed("create", path, number);
  }
  const auto made = disk_.create(path, {.mode = mode, .uid = uid, .gid = gid});
  if (!made) {
    return failed("create", path, made.error());
  }
  return std::make_unique<SimFile>(*this, *made, std::string(path), true);
}

Result<std::string> SimFs::read_link(std::string_view path) {
  if (const int number = enter("read_link", path)) {
    return failed("readlink", path, number);
  }
  const auto found = disk_.find(path);
  if (!found) {
    return failed("readlink", path, found.error());
  }
  if (disk_.inode(*found).kind != Kind::symlink) {
    return wrong_kind("readlink", path);
  }
  return disk_.inode(*found).bytes;
}

Result<void> SimFs::make_directory(std::string_view path, std::uint16_t mode) {
  if (const int number = enter("make_directory", path)) {
    return failed("mkdir", path, number);
  }
  const auto made =
      disk_.create(path, {.kind = Kind::directory, .mode = mode, .uid = uid, .gid = gid});
  return made ? Result<void>() : failed("mkdir", path, made.error());
}

Result<void> SimFs::make_symlink(std::string_view target, std::string_view path) {
  if (const int number = enter("make_symlink", path)) {
    return failed("symlink", path, number);
  }
  const auto made = disk_.create(
      path,
      {.kind = Kind::symlink, .mode = 0777, .uid = uid, .gid = gid, .bytes = std::string(target)});
  return made ? Result<void>() : failed("symlink", path, made.error());
}

Result<void> SimFs::link(std::string_view from, std::string_view to) {
  if (const int number = enter("link", to)) {
    return failed("link", to, number);
  }
  return answer("link", to, disk_.link(from, to));
}

Result<void> SimFs::rename(std::string_view from, std::string_view to, RenameMode mode) {
  if (const int number = enter("rename", to)) {
    return failed("rename", to, number);
  }
  if (mode != RenameMode::replace && !exchange) {
    return std::unexpected(Error{ErrorCode::unsupported, "rename", std::string(to), EINVAL});
  }
  return answer("rename", to, disk_.rename(from, to, mode));
}

Result<void> SimFs::unlink(std::string_view path) {
  if (const int number = enter("unlink", path)) {
    return failed("unlink", path, number);
  }
  return answer("unlink", path, disk_.unlink(path));
}

Result<void> SimFs::remove_directory(std::string_view path) {
  if (const int number = enter("remove_directory", path)) {
    return failed("rmdir", path, number);
  }
  return answer("rmdir", path, disk_.remove_directory(path));
}

Result<void> SimFs::set_directory_mode(std::string_view path, std::uint16_t mode) {
  if (const int number = enter("set_directory_mode", path)) {
    return failed("chmod", path, number);
  }
  const auto found = disk_.find(path);
  if (!found) {
    return failed("chmod", path, found.error());
  }
  if (disk_.inode(*found).kind != Kind::directory) {
    return failed("chmod", path, ENOTDIR);
  }
  disk_.set_mode(*found, mode);
  return {};
}

Result<void> SimFs::set_mtime(std::string_view path, std::int64_t ns) {
  if (const int number = enter("set_mtime", path)) {
    return failed("utimens", path, number);
  }
  const auto found = disk_.find(path);
  if (!found) {
    return failed("utimens", path, found.error());
  }
  disk_.set_mtime(*found, ns);
  return {};
}

void SimFs::set_link_owner(std::string_view path, std::uint32_t owner, std::uint32_t group) {
  if (enter("set_link_owner", path) == 0 && may_chown) {
    if (const auto found = disk_.find(path)) {
      disk_.set_owner(*found, owner, group);
    }
  }
}

Result<void> SimFs::sync_directory(std::string_view directory) {
  if (const int number = enter("sync_directory", directory)) {
    return failed("fsync", directory, number);
  }
  const auto found = disk_.find(directory);
  if (!found) {
    return failed("fsync", directory, found.error());
  }
  const Inode& inode = disk_.inode(*found);
  if (inode.special || inode.kind != Kind::directory) {
    return failed("fsync", directory, ENOTDIR);
  }
  disk_.sync(*found);
  return {};
}

Result<void> SimFs::sync_all() {
  if (const int number = enter("sync_all", "")) {
    return failed("syncfs", "", number);
  }
  disk_.sync_all();
  return {};
}

void SimFs::load(Disk disk) {
  resume(disk.image());
}

void SimFs::resume(const Disk& disk) {
  disk_ = disk.without_processes();
  open_files_.clear();
  generation_++;
  process_++;
  crashed_ = false;
}

void SimFs::restart() {
  for (const auto& [file, count] : open_files_) {
    for (std::uint32_t open = 0; open < count; ++open) {
      disk_.close(file.first, file.second);
    }
  }
  open_files_.clear();
  process_++;
  crashed_ = false;
}

}  // namespace p2psync::sim
