#pragma once
// How PosixFs finds what a path names; for posix_fs.cpp and posix_lookup.cpp only.
#include <string_view>

#include "storage/posix_fs.h"

namespace p2psync::storage {

/// openat2 of a Beneath's text, or ".", that leaves the directory by no way. -1: see errno.
[[nodiscard]] int open_beneath(int directory, const char* path, int flags, std::uint16_t mode = 0);

/// With errno.
[[nodiscard]] inline std::unexpected<Error> failed(std::string_view operation,
                                                   std::string_view path) {
  return std::unexpected(system_error(operation, path, errno));
}

[[nodiscard]] inline Error not_regular(std::string_view path) {
  return {ErrorCode::changed, "open", std::string(path) + ", which is not a regular file"};
}

/// Where a path's last component lives. The directory is one that is open anyway, or `opened`.
struct PosixFs::Place {
  Beneath path;
  Descriptor opened = Descriptor();
  int directory = -1;
  [[nodiscard]] const char* name() const { return path.name(); }
};

}  // namespace p2psync::storage
