#pragma once
// Journal: what a power cut leaves of a simulated disk.
//
// Beside the page cache (the Disk, where every change shows at once) stands the durable state, and
// between them the log of the changes that are in the one and not known to be in the other. What
// the rules are, pessimistic POSIX but no worse than Linux file systems with a journal:
//
// - A name change is there wholly or not at all, and only after every earlier one of the same
//   entry, of the same inode and of the same inode number, and after the making of the directories
//   it happens in. Moving or removing a directory comes after every earlier change to the tree of
//   directories, removing one also after all that happened in it. So every image is a legal tree,
//   and no inode loses its last name by half of what a user did.
// - Data changes of an inode are there or not, each on its own, and no name waits for them. A write
//   may be torn (carry_out_torn). Bytes without the size and times of their write do not happen: no
//   program could notice them but by reading everything.
// - Syncing an inode forces its data changes, and for a directory all name changes in it with those
//   that they come after. A file's sync does not force its name.
// - A failed sync loses the data changes that were pending: the page cache shows them, but no later
//   sync brings them to the disk. Only writing them again does.
//
// Recording costs O(1), syncing too: what is forced is worked out when somebody asks, in
// O(n log n). The log has a limit, beyond which its older half becomes durable.
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/random.h"
#include "tests/sim/sim_fs_inode.h"

namespace p2psync::sim {

class Journal {
 public:
  static constexpr std::size_t changes_max = 2000;
  static constexpr std::size_t bytes_max = std::size_t{8} << 20U;
  static constexpr std::uint64_t total_max = 1U << 16U;

  explicit Journal(Inodes durable) : durable_(std::move(durable)) {}

  void record(NameChange change);
  void record(DataChange change);
  void sync(InodeNumber number, InodeId id);
  void sync_all();
  void sync_failed(InodeNumber number, InodeId id);
  /// The kernel's own flush: the oldest changes, or those of some inode, become durable.
  void write_back(engine::Random& random);
  /// Flips a bit wherever that byte is or is on its way to.
  void rot(InodeNumber number, InodeId id, std::uint64_t offset);

  /// What is pending, counting what was forced but waits for what was not.
  [[nodiscard]] std::size_t size() const { return log_.size(); }
  /// Counts changes and syncs since the beginning.
  [[nodiscard]] std::uint64_t recorded() const { return recorded_; }
  /// Journals that leave the same at every cut append the same (sim_fs_digest.cpp).
  void append_to(std::string& digest) const;
  /// One image, of a random kind: with little, with much, with a prefix, with torn writes, ...
  [[nodiscard]] Inodes power_cut(engine::Random& random) const;
  struct PowerCuts {
    std::vector<Inodes> images;
    std::uint64_t total = 0;  ///< of choices; counted up to count_max
  };
  /// All images where writes are whole, not there, or there with the first half of their pieces.
  /// Should there be more than `cap`, then with nothing that was not forced, with everything, and a
  /// sample between. Deterministic. Counting ends at `count_max`.
  [[nodiscard]] PowerCuts power_cuts(std::size_t cap, std::uint64_t count_max = total_max) const;

 private:
  /// A sync, for what is before it.
  struct Mark {
    InodeNumber number = 0;
    InodeId id = 0;
    bool failed = false;
  };
  using Item = std::variant<NameChange, DataChange, Mark>;
  enum class State : std::uint8_t { free, forced, lost };
  enum class Fate : std::uint8_t { absent, whole, first_half, torn };
  using Needs = std::vector<std::vector<std::size_t>>;
  /// Of each item of the log.
  struct Survey {
    Needs needs;  ///< the items that it comes after
    std::vector<State> states;
  };

  void add(Item item);
  /// The first `count` become durable.
  void fold(std::size_t count);
  void fold_forced();
  [[nodiscard]] Needs needs() const;
  /// What sync marks say, without what follows from it.
  [[nodiscard]] std::vector<State> marked() const;
  [[nodiscard]] Survey survey() const;
  /// The nearest legal choice: what must survive does, what cannot does not.
  static void make_legal(const Survey& survey, std::vector<Fate>& fates);
  [[nodiscard]] std::vector<Fate> draw(const Survey& survey, engine::Random& random) const;
  [[nodiscard]] Inodes replay(const std::vector<Fate>& fates, engine::Random& random) const;
  /// Calls `visit` with each legal choice until it says false.
  void for_each(const Survey& survey,
                const std::function<bool(const std::vector<Fate>&)>& visit) const;

  Inodes durable_;
  std::deque<Item> log_;
  std::size_t bytes_ = 0;         ///< of the writes in the log
  std::size_t failed_syncs_ = 0;  ///< in the log
  std::uint64_t recorded_ = 0;
};

}  // namespace p2psync::sim
