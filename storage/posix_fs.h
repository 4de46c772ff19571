#pragma once
// PosixFs: the synchronised directory on a real file system, reached by descriptors only.
//
// The folder is opened once. Every call opens the parent with openat2(RESOLVE_BENEATH |
// RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS) and does one *at call with the last component; a
// file is opened, or made, by such an openat2 itself. So no symbolic link is followed and nothing
// outside is reached, whatever users rename meanwhile. Where openat2 is missing (ENOSYS) or
// filtered (EPERM: old container run-times), each component is opened with O_NOFOLLOW instead,
// which promises the same at more system calls.
//
// Limits: paths up to 4095 bytes. Paths with empty, "." or ".." components or NUL bytes are refused
// (invalid). A symbolic link or file where a directory is needed: not_found. What is not a regular
// file cannot be opened: changed, and nothing blocks (FIFOs are opened with O_NONBLOCK).
// Thread safety: all calls may be made from several threads at once; a File from one at a time.
// Cost: three system calls for a stat or a rename in one directory. Linux 5.6 or newer is fastest.
#include <atomic>
#include <memory>
#include <string>

#include "storage/beneath.h"
#include "storage/descriptor.h"
#include "storage/fs.h"

namespace p2psync::storage {

/// How paths are resolved below the root.
enum class Resolution : std::uint8_t {
  openat2,  ///< by the kernel, in one call
  walk,     ///< component by component
};

/// Which file an inode number is: equal identities, same inode.
struct Identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  bool operator==(const Identity&) const = default;
};

class PosixFs final : public Fs {
 public:
  /// Opens the folder, which must exist; links on the way to it are followed.
  [[nodiscard]] static Result<std::unique_ptr<PosixFs>> open(const std::string& folder);
  /// The same without openat2, for tests of the fallback.
  [[nodiscard]] static Result<std::unique_ptr<PosixFs>> open(const std::string& folder,
                                                             Resolution resolution);

  Result<Stat> stat(std::string_view path) override;
  Result<std::vector<DirItem>> list(std::string_view directory) override;
  Result<std::unique_ptr<File>> open_read(std::string_view path) override;
  Result<std::unique_ptr<File>> open_write(std::string_view path) override;
  Result<std::unique_ptr<File>> create(std::string_view path, std::uint16_t mode = 0600) override;
  Result<std::string> read_link(std::string_view path) override;
  /// The mode is exact, whatever the umask.
  Result<void> make_directory(std::string_view path, std::uint16_t mode) override;
  Result<void> make_symlink(std::string_view target, std::string_view path) override;
  Result<void> link(std::string_view from, std::string_view to) override;
  Result<void> rename(std::string_view from, std::string_view to, RenameMode mode) override;
  Result<std::optional<Stat>> rename_and_stat(std::string_view from, std::string_view to,
                                              RenameMode mode) override;
  Result<void> unlink(std::string_view path) override;
  Result<void> remove_directory(std::string_view path) override;
  /// Set-ID and sticky bits of the directory stay as they are.
  Result<void> set_directory_mode(std::string_view path, std::uint16_t mode) override;
  Result<void> set_mtime(std::string_view path, std::int64_t ns) override;
  void set_link_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid) override;
  Result<void> sync_directory(std::string_view directory) override;
  Result<void> sync_all() override;
  Space space() override;
  std::int64_t wall_time() override;
  /// Tried with two files in `.p2psync/tmp` the first time that it is asked and that directory
  /// exists; true until then.
  bool can_exchange() override;

  [[nodiscard]] Resolution resolution() const { return resolution_; }
  /// From here on names in this directory are not resolved from the root each time. For one that
  /// most names come through and that is the program's own: should it move, it is still the one.
  /// Not while other threads use this.
  [[nodiscard]] Result<void> keep_open(std::string_view directory);
  /// A directory's descriptor (O_PATH) below the root, for the watcher and the lock.
  [[nodiscard]] Result<Descriptor> open_directory(std::string_view path);
  /// Which directory stands at a path below the root just now.
  [[nodiscard]] Result<Identity> identity(std::string_view path);
  /// Which directory the folder's own path names just now (links followed).
  [[nodiscard]] Result<Identity> identity_of_folder() const;
  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  struct Place;
  PosixFs(std::string folder, Descriptor root, Resolution resolution);
  /// The descriptor of the directory where its last name is, if that is kept open; else -1.
  [[nodiscard]] int open_anyway(const Beneath& path) const;
  Result<Place> place_of(std::string_view operation, std::string_view path);
  static Result<Place> beside(const Place& place, std::string_view operation,
                              std::string_view path);
  /// Where it is then.
  Result<Place> renamed(std::string_view from, std::string_view to, RenameMode mode);
  Result<Descriptor> resolve(std::string_view operation, std::string_view path, int flags);
  Result<Descriptor> resolve(std::string_view operation, const Beneath& path, int flags);
  /// With O_CREAT `mode` counts, too.
  Result<Descriptor> open_name(std::string_view path, int flags, std::uint16_t mode = 0);
  Result<std::unique_ptr<File>> open_file(std::string_view path, int flags, std::uint16_t mode = 0);
  bool try_exchange();

  std::string folder_;  ///< absolute
  Descriptor root_;
  Descriptor kept_;
  std::string kept_path_;
  Resolution resolution_;
  enum class Exchange : std::uint8_t { untried, works, missing };
  std::atomic<Exchange> exchange_ = Exchange::untried;
};

/// The way the program opens its folder.
[[nodiscard]] inline Result<std::unique_ptr<PosixFs>> open_posix_fs(const std::string& folder) {
  return PosixFs::open(folder);
}

}  // namespace p2psync::storage
