#include "storage/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <tuple>

#include "storage/posix_file.h"

namespace p2psync::storage {

namespace {

constexpr const char* lock_name = "lock";
constexpr std::string_view lock_path = ".p2psync/lock";
constexpr std::string_view owner_path = ".p2psync/node";
constexpr std::string_view new_owner_path = ".p2psync/node.new";

Error lock_failed(std::string_view what, ErrorCode code) {
  return {code, "lock the folder", std::string(what)};
}

std::string text_of(int descriptor, std::size_t bytes_max) {
  std::string text(bytes_max, '\0');
  const ssize_t count =
      uninterrupted([&] { return ::pread(descriptor, text.data(), text.size(), 0); });
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text.substr(0, text.find('\n'));
}

Result<std::string> recorded_owner(Fs& fs) {
  const auto file = fs.open_read(owner_path);
  if (!file) {
    return std::unexpected(file.error());
  }
  std::array<std::uint8_t, FolderLock::owner_bytes_max + 1> bytes;
  const auto count = (*file)->read(0, bytes);
  if (!count) {
    return std::unexpected(count.error());
  }
  const std::string text(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*count));
  return text.substr(0, text.find('\n'));
}

/// Under a name of its own first: a mark half written would lock the owner out.
Result<void> record_owner(Fs& fs, std::string_view owner) {
  std::ignore = fs.unlink(new_owner_path);
  const auto file = fs.create(new_owner_path);
  if (!file) {
    return std::unexpected(file.error());
  }
  const std::string line = std::string(owner) + '\n';
  auto written =
      (*file)->write(0, {reinterpret_cast<const std::uint8_t*>(line.data()), line.size()});
  if (written) {
    written = (*file)->sync();
  }
  if (written) {
    written = fs.rename(new_owner_path, owner_path, RenameMode::replace);
  }
  return written ? fs.sync_directory(engine::own_directory) : written;
}

Result<void> claim(Fs& fs, std::string_view owner) {
  const auto recorded = recorded_owner(fs);
  if (!recorded && recorded.error().code == ErrorCode::not_found) {
    return record_owner(fs, owner);
  }
  if (!recorded) {
    return std::unexpected(recorded.error());
  }
  if (*recorded != owner) {
    return std::unexpected(
        lock_failed("its .p2psync belongs to another node, " + *recorded +
                        " (was the folder copied? then remove .p2psync and start again)",
                    ErrorCode::invalid));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<FolderLock>> FolderLock::take(PosixFs& fs, std::string_view owner) {
  invariant(!owner.empty() && owner.size() <= owner_bytes_max && !owner.contains('\n'),
            "a node's id is one short line");
  const auto root = fs.identity("");
  const auto state = fs.identity(engine::own_directory);
  const auto directory = fs.open_directory(engine::own_directory);
  if (!root || !state || !directory) {
    return std::unexpected(!root ? root.error() : !state ? state.error() : directory.error());
  }
  Descriptor lock(uninterrupted([&] {
    return ::openat(directory->get(), lock_name,
                    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
  }));
  if (!lock) {
    return std::unexpected(system_error("open", lock_path, errno));
  }
  if (uninterrupted([&] { return ::flock(lock.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) {
      return std::unexpected(system_error("lock", lock_path, errno));
    }
    const std::string pid = text_of(lock.get(), 20);
    return std::unexpected(
        lock_failed("another process" + (pid.empty() ? "" : " (pid " + pid + ')') + " holds it",
                    ErrorCode::busy));
  }
  struct stat about{};
  if (::fstat(lock.get(), &about) != 0) {
    return std::unexpected(system_error("stat", lock_path, errno));
  }
  if (auto claimed = claim(fs, owner); !claimed) {
    return std::unexpected(claimed.error());
  }
  // Only for messages: a full disk is no reason to refuse.
  const std::string pid = std::to_string(::getpid()) + '\n';
  std::ignore = ::ftruncate(lock.get(), 0);
  std::ignore = ::pwrite(lock.get(), pid.data(), pid.size(), 0);

  std::unique_ptr<FolderLock> held(
      new FolderLock(fs, std::move(lock), about.st_ino, *root, *state));
  // Somebody may have exchanged the directory while it was locked.
  if (auto checked = held->check(); !checked) {
    return std::unexpected(checked.error());
  }
  return held;
}

Result<void> FolderLock::check() const {
  const auto changed = [&](std::string_view what) {
    return std::unexpected(Error{ErrorCode::changed, "check the folder",
                                 fs_.folder() + " (" + std::string(what) + ')'});
  };
  const auto folder = fs_.identity_of_folder();
  if (!folder || *folder != root_) {
    return changed("it was moved, deleted, unmounted or replaced");
  }
  const auto state = fs_.identity(engine::own_directory);
  if (!state || *state != state_) {
    return changed(".p2psync was removed or replaced");
  }
  const auto lock = fs_.stat(lock_path);
  if (!lock || lock->signature.inode != lock_inode_) {
    return changed(".p2psync/lock was removed or replaced");
  }
  return {};
}

}  // namespace p2psync::storage
