#include "storage/posix_fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "storage/posix_file.h"
#include "storage/posix_lookup.h"

namespace p2psync::storage {

namespace {

Result<void> done_or(int result, std::string_view operation, std::string_view path) {
  if (result != 0) {
    return failed(operation, path);
  }
  return {};
}

/// To be read without leaving a time of access, which only the owner may, and who may act as one.
template <class Open>
auto open_to_read(const Open& open) {
  auto opened = open(O_RDONLY | O_NOATIME);
  const bool may_not = !opened && opened.error().error_number == EPERM;
  return may_not ? open(O_RDONLY) : std::move(opened);
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

PosixFs::PosixFs(std::string folder, Descriptor root, Resolution resolution)
    : folder_(std::move(folder)), root_(std::move(root)), resolution_(resolution) {}

Result<std::unique_ptr<PosixFs>> PosixFs::open(const std::string& folder) {
  auto fs = open(folder, Resolution::openat2);
  if (fs) {
    const Descriptor probe(open_beneath((*fs)->root_.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!probe) {
      (*fs)->resolution_ = Resolution::walk;
    }
  }
  return fs;
}

Result<std::unique_ptr<PosixFs>> PosixFs::open(const std::string& folder, Resolution resolution) {
  Descriptor root(
      uninterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!root) {
    return failed("open", folder);
  }
  std::error_code ignored;
  std::string absolute = std::filesystem::absolute(folder, ignored).string();
  if (absolute.empty()) {
    absolute = folder;
  }
  return std::unique_ptr<PosixFs>(new PosixFs(std::move(absolute), std::move(root), resolution));
}

Result<Stat> PosixFs::stat(std::string_view path) {
  struct ::statx raw{};
  int number = 0;
  if (path.empty()) {
    number = stat_at(root_.get(), "", raw);
  } else {
    const auto place = place_of("stat", path);
    if (!place) {
      return std::unexpected(place.error());
    }
    number = stat_at(place->directory, place->name(), raw);
  }
  if (number != 0) {
    return std::unexpected(system_error("stat", path, number));
  }
  return stat_from(raw);
}

Result<std::vector<DirItem>> PosixFs::list(std::string_view directory) {
  auto opened =
      open_to_read([&](int flags) { return resolve("list", directory, flags | O_DIRECTORY); });
  if (!opened) {
    return std::unexpected(std::move(opened.error()));
  }
  // fdopendir takes the descriptor over; statx below goes through the same one.
  const int descriptor = opened->get();
  const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(descriptor));
  if (!stream) {
    return failed("list", directory);
  }
  opened->release();
  std::vector<DirItem> items;
  for (;;) {
    errno = 0;
    const struct dirent* const entry = ::readdir(stream.get());
    if (entry == nullptr) {
      if (errno != 0) {
        return failed("list", directory);
      }
      break;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") {
      continue;
    }
    struct ::statx raw{};
    if (const int number = stat_at(descriptor, entry->d_name, raw); number == ENOENT) {
      continue;
    } else if (number != 0) {
      return std::unexpected(system_error("stat", engine::child_of(directory, name), number));
    }
    items.push_back({std::string(name), stat_from(raw)});
  }
  std::ranges::sort(items, {}, &DirItem::name);
  return items;
}

Result<std::unique_ptr<File>> PosixFs::open_file(std::string_view path, int flags,
                                                 std::uint16_t mode) {
  auto opened = open_name(path, flags, mode);
  if (!opened) {
    return std::unexpected(std::move(opened.error()));
  }
  if ((flags & O_CREAT) != 0) {  // so it is a regular file
    return std::make_unique<PosixFile>(std::move(*opened), std::string(path), std::nullopt);
  }
  struct ::statx raw{};
  if (const int number = stat_at(opened->get(), "", raw); number != 0) {
    return std::unexpected(system_error("stat", path, number));
  }
  if (!S_ISREG(raw.stx_mode)) {
    return std::unexpected(not_regular(path));
  }
  return std::make_unique<PosixFile>(std::move(*opened), std::string(path), stat_from(raw));
}

Result<std::unique_ptr<File>> PosixFs::open_read(std::string_view path) {
  return open_to_read([&](int flags) { return open_file(path, flags); });
}

Result<std::unique_ptr<File>> PosixFs::open_write(std::string_view path) {
  return open_file(path, O_RDWR);
}

Result<std::unique_ptr<File>> PosixFs::create(std::string_view path, std::uint16_t mode) {
  return open_file(path, O_RDWR | O_CREAT | O_EXCL, mode & 0777U);
}

Result<std::string> PosixFs::read_link(std::string_view path) {
  const auto place = place_of("read the link", path);
  if (!place) {
    return std::unexpected(place.error());
  }
  std::string target(engine::target_bytes_max + 1, '\0');
  const ssize_t count = ::readlinkat(place->directory, place->name(), target.data(), target.size());
  if (count < 0) {
    if (errno == EINVAL) {
      return std::unexpected(
          Error{ErrorCode::changed, "read the link", std::string(path) + ", which is none"});
    }
    return failed("read the link", path);
  }
  target.resize(static_cast<std::size_t>(count));
  return target;
}

Result<void> PosixFs::make_directory(std::string_view path, std::uint16_t mode) {
  const auto place = place_of("make the directory", path);
  if (!place) {
    return std::unexpected(place.error());
  }
  if (::mkdirat(place->directory, place->name(), mode & 0777U) != 0) {
    return failed("make the directory", path);
  }
  return set_directory_mode(path, mode);
}

Result<void> PosixFs::make_symlink(std::string_view target, std::string_view path) {
  const auto place = place_of("make the link", path);
  if (!place) {
    return std::unexpected(place.error());
  }
  if (target.find('\0') != std::string_view::npos) {
    return std::unexpected(Error{ErrorCode::invalid, "make the link", std::string(path)});
  }
  return done_or(::symlinkat(std::string(target).c_str(), place->directory, place->name()),
                 "make the link", path);
}

Result<void> PosixFs::link(std::string_view from, std::string_view to) {
  const auto source = place_of("link", from);
  if (!source) {
    return std::unexpected(source.error());
  }
  const auto target = place_of("link", to);
  if (!target) {
    return std::unexpected(target.error());
  }
  return done_or(::linkat(source->directory, source->name(), target->directory, target->name(), 0),
                 "link", to);
}

Result<PosixFs::Place> PosixFs::renamed(std::string_view from, std::string_view to,
                                        RenameMode mode) {
  auto source = place_of("rename", from);
  if (!source) {
    return source;
  }
  // Where both are in one directory it is opened once.
  const bool same = engine::parent_of(from) == engine::parent_of(to);
  auto target = same ? beside(*source, "rename", to) : place_of("rename", to);
  if (!target) {
    return target;
  }
  const unsigned flags = mode == RenameMode::no_replace ? RENAME_NOREPLACE
                         : mode == RenameMode::exchange ? RENAME_EXCHANGE
                                                        : 0U;
  const int result = uninterrupted([&] {
    return ::renameat2(source->directory, source->name(), target->directory, target->name(), flags);
  });
  // EINVAL of a directory that would go below itself is no lack of the file system.
  if (result != 0 && flags != 0 && (errno == EINVAL || errno == ENOSYS) &&
      !engine::is_below(to, from) && !engine::is_below(from, to)) {
    return std::unexpected(Error{ErrorCode::unsupported, "rename", std::string(from), errno});
  }
  if (result != 0) {
    return failed("rename", from);
  }
  if (same) {
    target->opened = std::move(source->opened);
  }
  return target;
}

Result<void> PosixFs::rename(std::string_view from, std::string_view to, RenameMode mode) {
  const auto done = renamed(from, to, mode);
  return done ? Result<void>() : std::unexpected(done.error());
}

Result<std::optional<Stat>> PosixFs::rename_and_stat(std::string_view from, std::string_view to,
                                                     RenameMode mode) {
  const auto at = renamed(from, to, mode);
  if (!at) {
    return std::unexpected(at.error());
  }
  struct ::statx raw{};
  return stat_at(at->directory, at->name(), raw) == 0 ? std::optional(stat_from(raw))
                                                      : std::nullopt;
}

Result<void> PosixFs::unlink(std::string_view path) {
  const auto place = place_of("remove", path);
  if (!place) {
    return std::unexpected(place.error());
  }
  return done_or(::unlinkat(place->directory, place->name(), 0), "remove", path);
}

Result<void> PosixFs::remove_directory(std::string_view path) {
  const auto place = place_of("remove the directory", path);
  if (!place) {
    return std::unexpected(place.error());
  }
  return done_or(::unlinkat(place->directory, place->name(), AT_REMOVEDIR), "remove the directory",
                 path);
}

Result<void> PosixFs::set_directory_mode(std::string_view path, std::uint16_t mode) {
  constexpr std::string_view operation = "set the mode of";
  const auto opened = resolve(operation, path, O_PATH | O_DIRECTORY);
  if (!opened) {
    return std::unexpected(opened.error());
  }
  struct ::statx raw{};
  if (const int number = stat_at(opened->get(), "", raw); number != 0) {
    return std::unexpected(system_error(operation, path, number));
  }
  const mode_t wanted = (raw.stx_mode & 07000U) | (mode & 0777U);
  if ((raw.stx_mode & 07777U) == wanted) {
    return {};
  }
  // A directory that its owner may not read cannot be opened for fchmod; /proc leads to the very
  // inode that is open, and only where there is no /proc does readability matter.
  const std::string through = "/proc/self/fd/" + std::to_string(opened->get());
  if (::chmod(through.c_str(), wanted) == 0) {
    return {};
  }
  if (errno != ENOENT) {
    return failed(operation, path);
  }
  const auto readable = resolve(operation, path, O_RDONLY | O_DIRECTORY);
  if (!readable) {
    return std::unexpected(readable.error());
  }
  return done_or(::fchmod(readable->get(), wanted), operation, path);
}

Result<void> PosixFs::set_mtime(std::string_view path, std::int64_t ns) {
  const auto place = place_of("set the time of", path);
  if (!place) {
    return std::unexpected(place.error());
  }
  const struct timespec times[2] = {{0, UTIME_OMIT}, timespec_of(ns)};
  return done_or(::utimensat(place->directory, place->name(), times, AT_SYMLINK_NOFOLLOW),
                 "set the time of", path);
}

void PosixFs::set_link_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid) {
  const auto place = place_of("set the owner of", path);
  if (!place) {
    return;
  }
  if (::fchownat(place->directory, place->name(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0) {
    std::ignore = ::fchownat(place->directory, place->name(), static_cast<uid_t>(-1), gid,
                             AT_SYMLINK_NOFOLLOW);
  }
}

Result<void> PosixFs::sync_directory(std::string_view directory) {
  const auto opened = resolve("sync", directory, O_RDONLY | O_DIRECTORY);
  if (!opened && opened.error().code == ErrorCode::denied) {
    return sync_all();  // a directory that may be entered and not read
  }
  if (!opened) {
    return std::unexpected(opened.error());
  }
  return done_or(uninterrupted([&] { return ::fsync(opened->get()); }), "sync", directory);
}

Result<void> PosixFs::sync_all() {
  return done_or(uninterrupted([&] { return ::syncfs(root_.get()); }), "sync", folder_);
}

Result<Identity> PosixFs::identity(std::string_view path) {
  const auto opened = resolve("stat", path, O_PATH | O_DIRECTORY);
  if (!opened) {
    return std::unexpected(opened.error());
  }
  struct stat about{};
  if (::fstat(opened->get(), &about) != 0) {
    return failed("stat", path);
  }
  return Identity{about.st_dev, about.st_ino};
}

Result<Identity> PosixFs::identity_of_folder() const {
  struct stat about{};
  if (::stat(folder_.c_str(), &about) != 0) {
    return failed("stat", folder_);
  }
  return Identity{about.st_dev, about.st_ino};
}

}  // namespace p2psync::storage
