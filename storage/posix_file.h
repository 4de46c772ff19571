#pragma once
// PosixFile: an open regular file; and what PosixFs and it share: EINTR and statx.
//
// try_lease() takes F_SETLEASE(F_RDLCK) and gives it back at once. Should somebody open the file
// for writing in between, the kernel signals the holder: F_SETSIG makes that SIGURG, which is
// ignored by default, instead of SIGIO, which ends a process. The file must be open for reading
// only, otherwise its own descriptor counts as a writer.
#include <cerrno>
#include <utility>

#include "storage/descriptor.h"
#include "storage/fs.h"

struct statx;

namespace p2psync::storage {

/// Repeats a system call that a signal interrupted.
template <class Call>
auto uninterrupted(Call&& call) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) {
      return result;
    }
  }
}

/// The most that is written in one call. The kernel takes memory for a file's pages in blocks as
/// large as the call; up to this size (its PAGE_ALLOC_COSTLY_ORDER) they are what was freed last,
/// beyond it only large free blocks will do. Those a hypervisor may have taken back, and each of
/// their pages is brought anew: 512 MiB in calls of 4 MiB took 1.5 s of CPU time, in calls of
/// 32 KiB 0.13 s. With its memory in place a call of 1 MiB is no faster.
inline constexpr std::size_t write_bytes_max = 32 * 1024;

/// statx of a descriptor (empty name) or of a name in a directory; links are not followed.
/// Returns 0 or the errno.
[[nodiscard]] int stat_at(int descriptor, const char* name, struct ::statx& into);
[[nodiscard]] Stat stat_from(const struct ::statx& raw);
[[nodiscard]] struct timespec timespec_of(std::int64_t ns);

class PosixFile final : public File {
 public:
  PosixFile(Descriptor descriptor, std::string path, std::optional<Stat> when_opened)
      : descriptor_(std::move(descriptor)),
        path_(std::move(path)),
        when_opened_(std::move(when_opened)) {}

  Result<Stat> stat() override;
  Result<Stat> stat_when_opened() override { return when_opened_ ? *when_opened_ : stat(); }
  Result<std::size_t> read(std::uint64_t offset, std::span<std::uint8_t> into) override;
  Result<void> write(std::uint64_t offset, std::span<const std::uint8_t> bytes) override;
  Result<void> resize(std::uint64_t size) override;
  Result<void> set_mode(std::uint16_t mode) override;
  Result<void> set_mtime(std::int64_t ns) override;
  void set_owner(std::uint32_t uid, std::uint32_t gid) override;
  Result<void> sync() override;
  void begin_sync(std::uint64_t offset, std::uint64_t length) override;
  void uncache(std::uint64_t offset, std::uint64_t length) override;
  Result<void> copy_from(File& from, std::uint64_t offset, std::uint64_t length) override;
  Lease try_lease() override;
  Result<std::vector<std::pair<std::uint64_t, std::uint64_t>>> data_extents() override;

 private:
  Error failed(std::string_view operation) const;

  Descriptor descriptor_;
  std::string path_;  ///< for messages
  std::optional<Stat> when_opened_;
};

}  // namespace p2psync::storage
