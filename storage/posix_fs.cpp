#include "storage/posix_fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "storage/posix_file.h"

namespace p2psync::storage {

namespace {

constexpr int open_always = O_CLOEXEC | O_NOFOLLOW;
/// O_NONBLOCK: a FIFO does not wait for its other end; regular files ignore it.
constexpr int open_file_always = open_always | O_NONBLOCK | O_NOCTTY;
/// openat2 says EAGAIN when a rename or mount elsewhere disturbed it.
constexpr int open_attempts_max = 1000;

/// `path`: of a Beneath, or ".".
int open_beneath(int directory, const char* path, int flags, std::uint16_t mode = 0) {
  struct open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 1;; ++attempt) {
    const long descriptor = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (descriptor >= 0 || (errno != EINTR && (errno != EAGAIN || attempt >= open_attempts_max))) {
      return static_cast<int>(descriptor);
    }
  }
}

std::unexpected<Error> failed(std::string_view operation, std::string_view path) {
  return std::unexpected(system_error(operation, path, errno));
}

Error not_regular(std::string_view path) {
  return {ErrorCode::changed, "open", std::string(path) + ", which is not a regular file"};
}

Result<void> done_or(int result, std::string_view operation, std::string_view path) {
  if (result != 0) {
    return failed(operation, path);
  }
  return {};
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

/// Where a path's last component lives. The directory is one that is open anyway, or `opened`.
struct PosixFs::Place {
  Beneath path;
  Descriptor opened = Descriptor();
  int directory = -1;
  [[nodiscard]] const char* name() const { return path.name(); }
};

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

Result<Descriptor> PosixFs::resolve(std::string_view operation, std::string_view path, int flags) {
  if (path.empty()) {
    Descriptor root(uninterrupted([&] { return ::openat(root_.get(), ".", flags | open_always); }));
    return root ? Result<Descriptor>(std::move(root)) : failed(operation, path);
  }
  const auto beneath = Beneath::of(operation, path);
  return beneath ? resolve(operation, *beneath, flags) : std::unexpected(beneath.error());
}

Result<Descriptor> PosixFs::resolve(std::string_view operation, const Beneath& path, int flags) {
  Descriptor found;
  if (resolution_ == Resolution::openat2) {
    found = Descriptor(open_beneath(root_.get(), path.c_str(), flags | open_always));
  } else {
    const std::string& text = path.text();
    std::size_t begin = 0;
    int directory = root_.get();
    for (;;) {
      const std::size_t end = std::min(text.find('/', begin), text.size());
      const bool last = end == text.size();
      const std::string name = text.substr(begin, end - begin);
      const int how = last ? flags : O_PATH | O_DIRECTORY;
      Descriptor next(
          uninterrupted([&] { return ::openat(directory, name.c_str(), how | open_always); }));
      if (last || !next) {
        found = std::move(next);
        break;
      }
      found = std::move(next);
      directory = found.get();
      begin = end + 1;
    }
  }
  if (!found) {
    // A link where a directory should be: what was asked for is not there.
    return std::unexpected(system_error(operation, path.text(), errno == ELOOP ? ENOTDIR : errno));
  }
  return found;
}

int PosixFs::open_anyway(const Beneath& path) const {
  const std::string_view parent = engine::parent_of(path.text());
  return parent.empty() ? root_.get() : kept_ && parent == kept_path_ ? kept_.get() : -1;
}

Result<PosixFs::Place> PosixFs::place_of(std::string_view operation, std::string_view path) {
  auto beneath = Beneath::of(operation, path);
  if (!beneath) {
    return std::unexpected(std::move(beneath.error()));
  }
  Place place{std::move(*beneath)};
  place.directory = open_anyway(place.path);
  if (place.directory < 0) {
    auto opened = resolve(operation, *place.path.parent(), O_PATH | O_DIRECTORY);
    if (!opened) {
      opened.error().object = path;
      return std::unexpected(std::move(opened.error()));
    }
    place.opened = std::move(*opened);
    place.directory = place.opened.get();
  }
  return place;
}

/// Another name in the directory of this place, and no longer good than that is.
Result<PosixFs::Place> PosixFs::beside(const Place& place, std::string_view operation,
                                       std::string_view path) {
  auto beneath = Beneath::of(operation, path);
  if (!beneath) {
    return std::unexpected(std::move(beneath.error()));
  }
  return Place{std::move(*beneath), Descriptor(), place.directory};
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
  auto opened = resolve("list", directory, O_RDONLY | O_DIRECTORY);
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

/// In one call where the kernel resolves paths. It says ELOOP of a link at any place: then the
/// directory is opened by itself, which tells a link that is no file from one that is no directory.
Result<Descriptor> PosixFs::open_name(std::string_view path, int flags, std::uint16_t mode) {
  const auto refused = [&]() -> std::unexpected<Error> {
    // ELOOP: a symbolic link; ENXIO: a socket, or a FIFO without a reader.
    return errno == ELOOP || errno == ENXIO || errno == ENODEV
               ? std::unexpected(not_regular(path))
               : failed((flags & O_CREAT) != 0 ? "create" : "open", path);
  };
  const auto beneath = Beneath::of("open", path);
  if (!beneath) {
    return std::unexpected(beneath.error());
  }
  if (resolution_ == Resolution::openat2) {
    const int shorter = open_anyway(*beneath);
    Descriptor opened(open_beneath(shorter < 0 ? root_.get() : shorter,
                                   shorter < 0 ? beneath->c_str() : beneath->name(),
                                   flags | open_file_always, mode));
    if (opened || errno != ELOOP) {
      return opened ? Result<Descriptor>(std::move(opened)) : refused();
    }
  }
  const auto place = place_of("open", path);
  if (!place) {
    return std::unexpected(place.error());
  }
  Descriptor opened(uninterrupted(
      [&] { return ::openat(place->directory, place->name(), flags | open_file_always, mode); }));
  return opened ? Result<Descriptor>(std::move(opened)) : refused();
}

Result<std::unique_ptr<File>> PosixFs::open_file(std::string_view path, int flags,
                                                 std::uint16_t mode) {
  auto opened = open_name(path, flags, mode);
  if (!opened) {
    return std::unexpected(std::move(opened.error()));
  }
  struct ::statx raw{};
  const bool made = (flags & O_CREAT) != 0;  // so it is a regular file
  if (const int number = made ? 0 : stat_at(opened->get(), "", raw); number != 0) {
    return std::unexpected(system_error("stat", path, number));
  }
  if (!made && !S_ISREG(raw.stx_mode)) {
    return std::unexpected(not_regular(path));
  }
  return std::make_unique<PosixFile>(std::move(*opened), std::string(path));
}

Result<std::unique_ptr<File>> PosixFs::open_read(std::string_view path) {
  return open_file(path, O_RDONLY);
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

Result<void> PosixFs::rename(std::string_view from, std::string_view to, RenameMode mode) {
  const auto source = place_of("rename", from);
  if (!source) {
    return std::unexpected(source.error());
  }
  // Where both are in one directory it is opened once.
  const bool same = engine::parent_of(from) == engine::parent_of(to);
  const auto target = same ? beside(*source, "rename", to) : place_of("rename", to);
  if (!target) {
    return std::unexpected(target.error());
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
  return done_or(result, "rename", from);
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

Result<void> PosixFs::keep_open(std::string_view directory) {
  auto opened = open_directory(directory);
  if (!opened) {
    return std::unexpected(std::move(opened.error()));
  }
  kept_ = std::move(*opened);
  kept_path_ = directory;
  return {};
}

Result<Descriptor> PosixFs::open_directory(std::string_view path) {
  return resolve("open", path, O_PATH | O_DIRECTORY);
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
