#include "storage/posix_lookup.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "storage/posix_file.h"

namespace p2psync::storage {

namespace {

constexpr int open_always = O_CLOEXEC | O_NOFOLLOW;
/// O_NONBLOCK: a FIFO does not wait for its other end; regular files ignore it.
constexpr int open_file_always = open_always | O_NONBLOCK | O_NOCTTY;
/// openat2 says EAGAIN when a rename or mount elsewhere disturbed it.
constexpr int open_attempts_max = 1000;

}  // namespace

int open_beneath(int directory, const char* path, int flags, std::uint16_t mode) {
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

}  // namespace p2psync::storage
