#pragma once
// SimFs: storage::Fs on a simulated disk, with users and faults.
//
// Two sides. The program's side is storage::Fs: before every call (also those of its open Files)
// `before_call` runs, which may let users act, count, or throw Crash; then `fault` may make the
// call fail. The users' side are the plain methods below: they do what a user's process does, run
// no hook, never fail by injection, and answer false where the kernel would have said no.
//
// A crash: `before_call` throws Crash. From then on the program is dead: whatever its destructors
// still call changes nothing and fails with EIO. restart() begins a new process on the same disk;
// Files of the old one stay without effect. A crash takes nothing of what was done; power_cut()
// takes what was not synced (sim_fs_journal.h), and also ends every process.
//
// A fault EIO for "File::sync" is a failed fsync as Linux has it: the bytes that were pending are
// lost, though they can be read until the power goes and later fsyncs succeed.
//
// Time: `disk().now` is the wall clock and grows by `call_ns` with every call of either side, so
// that equal timestamps mean "within the grain" and not "the clock stood still". Single-threaded,
// deterministic. Cost: O(log n) a call, but O(n) to create (the lowest free inode number).
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/path.h"
#include "storage/fs.h"
#include "tests/sim/sim_fs_disk.h"

namespace p2psync::sim {

/// The process ends here: thrown by `before_call`, through the storage code, to who drives it.
struct Crash {};

/// The name that save_file() writes to first; a power cut may leave it there.
inline constexpr std::string_view editor_temporary = ".editor-temporary";

/// A name as a user sees it.
struct TreeNode {
  engine::Kind kind = engine::Kind::file;
  bool special = false;
  std::uint16_t mode = 0;
  std::int64_t mtime = 0;  ///< 0 for directories
  std::string bytes;       ///< content, or target
  bool operator==(const TreeNode&) const = default;
};
using Tree = std::map<std::string, TreeNode, engine::PathLess>;

class SimFs;

/// A file that a user's process holds open for writing (or mapped). Closed by the destructor. Must
/// not outlive the SimFs, nor be used after load().
class UserFile {
 public:
  UserFile(UserFile&& other) noexcept;
  UserFile& operator=(UserFile&&) = delete;
  ~UserFile();
  void write(std::uint64_t offset, std::string_view bytes);
  void resize(std::uint64_t size);
  /// What the inode holds now, wherever it is named.
  [[nodiscard]] const std::string& bytes() const;
  /// False: no name leads to it any more.
  [[nodiscard]] bool has_name() const;
  [[nodiscard]] InodeNumber inode() const { return inode_; }

 private:
  friend class SimFs;
  UserFile(SimFs& fs, InodeNumber inode);
  SimFs* fs_;
  InodeNumber inode_;
  std::uint64_t generation_;
};

class SimFs final : public storage::Fs {
 public:
  /// Operation is the method's name ("rename", "File::write"); path is the target for two-path
  /// calls, and the name that it was opened by for Files.
  using Hook = std::function<void(std::string_view operation, std::string_view path)>;
  /// An errno for this call, or 0.
  using Fault = std::function<int(std::string_view operation, std::string_view path)>;

  SimFs() = default;
  explicit SimFs(Disk disk) : disk_(std::move(disk)) {}
  SimFs(const SimFs&) = delete;
  SimFs& operator=(const SimFs&) = delete;
  ~SimFs() override = default;

  // --- Settings and counters
  Hook before_call;
  Fault fault;
  bool exchange = true;                 ///< false: renames take no flag at all, as on NFS
  bool may_chown = true;                ///< false: set_owner does nothing, as for plain users
  std::optional<storage::Lease> lease;  ///< forces every lease's answer
  std::uint32_t uid = 1000;             ///< of what the program creates
  std::uint32_t gid = 1000;
  std::int64_t call_ns = 1000;
  std::uint64_t calls = 0;  ///< of the program, since the beginning
  std::map<std::string, std::uint64_t, std::less<>> calls_by_operation;

  // --- The disk
  [[nodiscard]] Disk& disk() { return disk_; }
  [[nodiscard]] const Disk& disk() const { return disk_; }
  /// As after a reboot; see Disk::image.
  [[nodiscard]] Disk image() const { return disk_.image(); }
  /// Another disk is in the machine: all handles, the users' too, are void.
  void load(Disk disk);
  /// The same disk as it is, with what is pending on it: all processes have ended.
  void resume(const Disk& disk);
  /// The power goes and comes back: load() of what is left.
  void power_cut(engine::Random& random) { load(disk_.power_cut(random)); }
  /// A new process of the program. Users keep their open files.
  void restart();
  /// The process is dead from here on, as after a Crash: what its destructors do does nothing.
  void kill() { crashed_ = true; }
  [[nodiscard]] bool crashed() const { return crashed_; }

  // --- Users
  /// Truncates (or creates, mode 0644) and writes in place: the same inode.
  bool write_file(std::string_view path, std::string_view bytes);
  /// As editors save: a new inode renamed onto the name; keeps the mode.
  bool save_file(std::string_view path, std::string_view bytes);
  /// A file, a symlink or an empty directory.
  bool remove(std::string_view path);
  /// Replaces what is there, as rename(2) does.
  bool rename_path(std::string_view from, std::string_view to);
  bool mkdir(std::string_view path, std::uint16_t mode = 0755);
  bool symlink(std::string_view target, std::string_view path);
  bool hard_link(std::string_view from, std::string_view to);
  bool make_special(std::string_view path);
  bool chmod(std::string_view path, std::uint16_t mode);
  bool chown(std::string_view path, std::uint32_t owner, std::uint32_t group);
  bool utimes(std::string_view path, std::int64_t mtime_ns);
  /// fsync: the bytes, not the name; of a directory the names in it.
  bool sync_file(std::string_view path);
  /// Not a user, but the disk itself: a bit of a file flips, unseen by anybody. The byte that was
  /// written is lost for good, whether or not it was durable.
  bool rot(std::string_view path, std::uint64_t offset);
  [[nodiscard]] std::optional<std::string> read(std::string_view path) const;
  [[nodiscard]] bool exists(std::string_view path) const { return disk_.find(path).has_value(); }
  [[nodiscard]] std::optional<UserFile> open_writer(std::string_view path);
  /// Everything strictly below `directory` by its full path; from the root without `.p2psync`.
  [[nodiscard]] Tree tree(std::string_view directory = "") const;

  // --- The program: storage::Fs
  Result<storage::Stat> stat(std::string_view path) override;
  Result<std::vector<storage::DirItem>> list(std::string_view directory) override;
  Result<std::unique_ptr<storage::File>> open_read(std::string_view path) override;
  Result<std::unique_ptr<storage::File>> open_write(std::string_view path) override;
  Result<std::unique_ptr<storage::File>> create(std::string_view path,
                                                std::uint16_t mode = 0600) override;
  Result<std::string> read_link(std::string_view path) override;
  Result<void> make_directory(std::string_view path, std::uint16_t mode) override;
  Result<void> make_symlink(std::string_view target, std::string_view path) override;
  Result<void> link(std::string_view from, std::string_view to) override;
  Result<void> rename(std::string_view from, std::string_view to,
                      storage::RenameMode mode) override;
  Result<void> unlink(std::string_view path) override;
  Result<void> remove_directory(std::string_view path) override;
  Result<void> set_directory_mode(std::string_view path, std::uint16_t mode) override;
  Result<void> set_mtime(std::string_view path, std::int64_t ns) override;
  void set_link_owner(std::string_view path, std::uint32_t owner, std::uint32_t group) override;
  Result<void> sync_directory(std::string_view directory) override;
  Result<void> sync_all() override;
  storage::Space space() override { return {}; }
  std::int64_t wall_time() override { return disk_.now; }
  bool can_exchange() override { return exchange; }

 private:
  friend class UserFile;
  friend class SimFile;
  /// The hook, then the fault: 0, or the errno that the call fails with.
  int enter(std::string_view operation, std::string_view path);
  Result<std::unique_ptr<storage::File>> open(std::string_view operation, std::string_view path,
                                              bool writer);
  void tick() { disk_.now += call_ns; }
  [[nodiscard]] std::optional<InodeNumber> find_file(std::string_view path) const;
  void collect_tree(std::string_view directory, Tree& into) const;

  Disk disk_;
  bool crashed_ = false;
  std::map<std::pair<InodeNumber, bool>, std::uint32_t> open_files_;  ///< of this process
  std::uint64_t process_ = 0;     ///< counts restarts: Files of an older one are dead
  std::uint64_t generation_ = 0;  ///< counts load()s: users' files of an older one are void
};

}  // namespace p2psync::sim
