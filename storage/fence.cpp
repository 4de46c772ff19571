#include "storage/fence.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace p2psync::storage {
namespace {

/// The first version that lets names move between directories.
constexpr int version_min = 2;

// Later ones than the oldest header that this is built with knows of.
constexpr std::uint64_t access_truncate = 1ULL << 14;   // version 3
constexpr std::uint64_t access_ioctl_dev = 1ULL << 15;  // version 5

constexpr std::uint64_t access_read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t access_folder =
    access_read | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER |
    access_truncate;
constexpr std::uint64_t access_nowhere = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                         LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                                         LANDLOCK_ACCESS_FS_MAKE_FIFO | access_ioctl_dev;

/// Name lookups read their configuration anew while a node runs, and load what it names.
constexpr std::array readable{"/etc",
                              "/usr",
                              "/lib",
                              "/lib32",
                              "/lib64",
                              "/proc",
                              "/sys",
                              "/dev",
                              "/run/systemd/resolve",
                              "/run/resolvconf",
                              "/run/NetworkManager",
                              "/run/nscd",
                              "/nix/store",
                              "/gnu/store"};

/// What a kernel of this version can forbid.
std::uint64_t known_to(int version) {
  std::uint64_t access = access_folder | access_nowhere;
  if (version < 3) {
    access &= ~access_truncate;
  }
  if (version < 5) {
    access &= ~access_ioctl_dev;
  }
  return access;
}

std::unexpected<Error> failed(std::string_view operation, std::string_view object) {
  return std::unexpected(system_error(operation, object, errno));
}

Result<void> allow(const Descriptor& ruleset, int directory, std::string_view name,
                   std::uint64_t access) {
  const landlock_path_beneath_attr rule{.allowed_access = access, .parent_fd = directory};
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    return failed("add a rule to the fence", name);
  }
  return {};
}

}  // namespace

Result<int> put_up_fence(const Descriptor& folder) {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < version_min) {
    const int number = version < 0 ? errno : 0;
    return std::unexpected(Error{ErrorCode::unsupported, "use Landlock", "this kernel", number});
  }
  const std::uint64_t known = known_to(static_cast<int>(version));
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = known;
  const Descriptor ruleset(static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0)));
  if (!ruleset) {
    return failed("make", "the fence");
  }
  if (auto done = allow(ruleset, folder.get(), "the folder", access_folder & known); !done) {
    return std::unexpected(std::move(done.error()));
  }
  for (const char* name : readable) {
    const Descriptor directory(::open(name, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
      continue;  // not on this system
    }
    if (auto done = allow(ruleset, directory.get(), name, access_read); !done) {
      return std::unexpected(std::move(done.error()));
    }
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return failed("put up", "the fence");
  }
  return static_cast<int>(version);
}

}  // namespace p2psync::storage
