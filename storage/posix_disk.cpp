// What PosixFs knows of the file system as a whole: its room, its clock, and whether it exchanges.
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <tuple>

#include "storage/posix_fs.h"

namespace p2psync::storage {

namespace {

constexpr std::string_view probe_directory = ".p2psync/tmp";

}  // namespace

Space PosixFs::space() {
  struct statvfs found{};
  if (::fstatvfs(root_.get(), &found) != 0 || found.f_blocks == 0) {
    return {};
  }
  return {found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize};
}

std::int64_t PosixFs::wall_time() {
  struct timespec now{};
  invariant(::clock_gettime(CLOCK_REALTIME, &now) == 0, "there is a clock");
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

bool PosixFs::can_exchange() {
  if (exchange_ == Exchange::untried) {
    if (!stat(probe_directory)) {
      return true;
    }
    exchange_ = try_exchange() ? Exchange::works : Exchange::missing;
  }
  return exchange_ == Exchange::works;
}

// False only if the file system says so: a full disk is no reason to give the exchange up.
bool PosixFs::try_exchange() {
  static std::atomic<unsigned> attempts = 0;
  const std::string base = std::string(probe_directory) + "/exchange-" +
                           std::to_string(::getpid()) + '-' + std::to_string(++attempts);
  const std::string a = base + "-a";
  const std::string b = base + "-b";
  bool works = true;
  if (create(a) && create(b)) {
    const auto result = rename(a, b, RenameMode::exchange);
    works = result || result.error().code != ErrorCode::unsupported;
  }
  std::ignore = unlink(a);
  std::ignore = unlink(b);
  return works;
}

}  // namespace p2psync::storage
