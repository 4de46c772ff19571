#include "storage/posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace p2psync::storage {

namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::size_t copy_buffer_bytes = 256 * 1024;

std::int64_t ns_of(const statx_timestamp& time) {
  return time.tv_sec * second_ns + static_cast<std::int64_t>(time.tv_nsec);
}

// File systems on top of another one: somebody may write to the inode below without the lease
// noticing.
bool lease_proves_nothing(int descriptor) {
  constexpr std::uint64_t overlayfs = 0x794c7630;
  constexpr std::uint64_t fuse = 0x65735546;
  struct statfs about{};
  if (uninterrupted([&] { return ::fstatfs(descriptor, &about); }) != 0) {
    return true;
  }
  const auto type = static_cast<std::uint64_t>(about.f_type) & 0xffffffffU;
  return type == overlayfs || type == fuse;
}

}  // namespace

int stat_at(int descriptor, const char* name, struct ::statx& into) {
  const int flags = AT_SYMLINK_NOFOLLOW | (*name == '\0' ? AT_EMPTY_PATH : 0);
  const int result =
      uninterrupted([&] { return ::statx(descriptor, name, flags, STATX_BASIC_STATS, &into); });
  return result == 0 ? 0 : errno;
}

Stat stat_from(const struct ::statx& raw) {
  Stat stat;
  stat.signature.mode = raw.stx_mode & 0777;
  stat.signature.inode = raw.stx_ino;
  stat.signature.mtime = ns_of(raw.stx_mtime);
  stat.signature.ctime = ns_of(raw.stx_ctime);
  stat.uid = raw.stx_uid;
  stat.gid = raw.stx_gid;
  stat.links = raw.stx_nlink;
  if (S_ISREG(raw.stx_mode)) {
    stat.signature.kind = engine::Kind::file;
    stat.signature.size = raw.stx_size;
  } else if (S_ISDIR(raw.stx_mode)) {
    stat.signature.kind = engine::Kind::directory;
    stat.signature.mtime = 0;
  } else if (S_ISLNK(raw.stx_mode)) {
    stat.signature.kind = engine::Kind::symlink;
  } else {
    stat.special = true;
  }
  return stat;
}

struct timespec timespec_of(std::int64_t ns) {
  // Times before 1970 have a negative second and a positive rest.
  std::int64_t seconds = ns / second_ns;
  std::int64_t rest = ns % second_ns;
  if (rest < 0) {
    --seconds;
    rest += second_ns;
  }
  return {seconds, rest};
}

Error PosixFile::failed(std::string_view operation) const {
  return system_error(operation, path_, errno);
}

Result<Stat> PosixFile::stat() {
  struct ::statx raw{};
  if (const int number = stat_at(descriptor_.get(), "", raw); number != 0) {
    return std::unexpected(system_error("stat", path_, number));
  }
  return stat_from(raw);
}

Result<std::size_t> PosixFile::read(std::uint64_t offset, std::span<std::uint8_t> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t count = uninterrupted([&] {
      return ::pread(descriptor_.get(), into.data() + done, into.size() - done,
                     static_cast<off_t>(offset + done));
    });
    if (count < 0) {
      return std::unexpected(failed("read"));
    }
    if (count == 0) {
      break;
    }
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<void> PosixFile::write(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::size_t up_to_boundary = write_bytes_max - (offset + done) % write_bytes_max;
    const std::size_t piece = std::min(bytes.size() - done, up_to_boundary);
    const ssize_t count = uninterrupted([&] {
      return ::pwrite(descriptor_.get(), bytes.data() + done, piece,
                      static_cast<off_t>(offset + done));
    });
    if (count < 0) {
      return std::unexpected(failed("write"));
    }
    if (count == 0) {
      return std::unexpected(system_error("write", path_, EIO));
    }
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Result<void> PosixFile::resize(std::uint64_t size) {
  if (uninterrupted([&] { return ::ftruncate(descriptor_.get(), static_cast<off_t>(size)); }) !=
      0) {
    return std::unexpected(failed("resize"));
  }
  return {};
}

Result<void> PosixFile::set_mode(std::uint16_t mode) {
  if (uninterrupted([&] { return ::fchmod(descriptor_.get(), mode & 0777U); }) != 0) {
    return std::unexpected(failed("set the mode of"));
  }
  return {};
}

Result<void> PosixFile::set_mtime(std::int64_t ns) {
  const struct timespec times[2] = {{0, UTIME_OMIT}, timespec_of(ns)};
  if (uninterrupted([&] { return ::futimens(descriptor_.get(), times); }) != 0) {
    return std::unexpected(failed("set the time of"));
  }
  return {};
}

void PosixFile::set_owner(std::uint32_t uid, std::uint32_t gid) {
  if (uninterrupted([&] { return ::fchown(descriptor_.get(), uid, gid); }) != 0) {
    std::ignore =
        uninterrupted([&] { return ::fchown(descriptor_.get(), static_cast<uid_t>(-1), gid); });
  }
}

Result<void> PosixFile::sync() {
  if (uninterrupted([&] { return ::fsync(descriptor_.get()); }) != 0) {
    return std::unexpected(failed("sync"));
  }
  return {};
}

void PosixFile::begin_sync(std::uint64_t offset, std::uint64_t length) {
  std::ignore = ::sync_file_range(descriptor_.get(), static_cast<off64_t>(offset),
                                  static_cast<off64_t>(length), SYNC_FILE_RANGE_WRITE);
}

void PosixFile::uncache(std::uint64_t offset, std::uint64_t length) {
  std::ignore = ::posix_fadvise(descriptor_.get(), static_cast<off64_t>(offset),
                                static_cast<off64_t>(length), POSIX_FADV_DONTNEED);
}

Result<void> PosixFile::copy_from(File& from, std::uint64_t offset, std::uint64_t length) {
  auto* const source = dynamic_cast<PosixFile*>(&from);
  invariant(source != nullptr, "files of one Fs copy from each other");
  const std::uint64_t end = offset + length;
  // The kernel shares blocks where the file system can. It refuses in too many ways, and on some
  // file systems says 0, for an error to mean more than: copy by hand.
  while (offset < end) {
    auto in = static_cast<off_t>(offset);
    auto out = static_cast<off_t>(offset);
    const ssize_t count = uninterrupted([&] {
      return ::copy_file_range(source->descriptor_.get(), &in, descriptor_.get(), &out,
                               end - offset, 0);
    });
    if (count < 0 && (errno == ENOSPC || errno == EDQUOT)) {
      return std::unexpected(failed("copy to"));
    }
    if (count <= 0) {
      break;
    }
    offset += static_cast<std::uint64_t>(count);
  }
  std::vector<std::uint8_t> buffer(std::min<std::uint64_t>(end - offset, copy_buffer_bytes));
  while (offset < end) {
    const auto part = std::span(buffer).first(std::min<std::uint64_t>(end - offset, buffer.size()));
    const auto count = source->read(offset, part);
    if (!count) {
      return std::unexpected(count.error());
    }
    if (*count < part.size()) {
      return std::unexpected(Error{ErrorCode::changed, "copy from", source->path_});
    }
    if (auto written = write(offset, part); !written) {
      return written;
    }
    offset += part.size();
  }
  return {};
}

Lease PosixFile::try_lease() {
  const int number = descriptor_.get();
  if (uninterrupted([&] { return ::fcntl(number, F_SETSIG, SIGURG); }) != 0) {
    return Lease::unknown;
  }
  if (uninterrupted([&] { return ::fcntl(number, F_SETLEASE, F_RDLCK); }) != 0) {
    // Not ours to take, or nothing that this file system has. Else it is taken, or asked for again.
    const bool never = errno == EACCES || errno == EINVAL || errno == EOPNOTSUPP;
    return never ? Lease::unknown : Lease::refused;
  }
  uninterrupted([&] { return ::fcntl(number, F_SETLEASE, F_UNLCK); });
  return lease_proves_nothing(number) ? Lease::unknown : Lease::granted;
}

Result<std::vector<std::pair<std::uint64_t, std::uint64_t>>> PosixFile::data_extents() {
  const auto about = stat();
  if (!about) {
    return std::unexpected(about.error());
  }
  const auto size = static_cast<off_t>(about->signature.size);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extents;
  for (off_t at = 0; at < size;) {
    const off_t begin = uninterrupted([&] { return ::lseek(descriptor_.get(), at, SEEK_DATA); });
    if (begin < 0 && errno == ENXIO) {
      break;  // a hole up to the end
    }
    const off_t end =
        begin < 0 ? -1
                  : uninterrupted([&] { return ::lseek(descriptor_.get(), begin, SEEK_HOLE); });
    if (end <= begin) {
      return {{{0, about->signature.size}}};  // this file system cannot tell
    }
    extents.emplace_back(begin, end);
    at = end;
  }
  return extents;
}

}  // namespace p2psync::storage
