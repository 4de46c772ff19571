#pragma once
// Applier: makes the disk show what the engine wants, and loses nothing that a user wrote
// meanwhile.
//
// A batch goes through these phases, every job's steps in their order:
//   1. stage     each content to be laid becomes a slot, `.p2psync/tmp/slot-<n>` (or stays where it
//                was staged, for a free name), with its mode, time and owner; the whole batch is
//                made durable, once
//   2. intend    what will be displaced is written down, durably (intent.h)
//   3. lay       puts: into a free name by a rename that replaces nothing, else by
//                RENAME_EXCHANGE, so readers never see the name missing. What came out is looked
//                at: not what was expected, then a user wrote in between and it is a version of its
//                own. It moves to `.p2psync/versions` (limbo.h), or to the conflict name that it
//                is to have, and is never under two names
//   4. remove    deepest names first: files by the same move and look, directories by rmdir
//   5. finish    each touched directory is synced; what was not looked at when it was laid now is,
//                for its signature
// Trouble with one job is that job's answer and never stops the others. Names are checked against
// `expected` before they are touched; the check saves work, the look afterwards is what counts.
//
// An answer Done{signature} says what was laid: kind, inode, size and mtime as it was laid, and the
// ctime of the look that followed. If a user was faster than that, the signature is that of before,
// and the next look at the name finds the user's write. Steps after the first that is not Done may
// have been carried out all the same; bytes that they displaced unexpectedly come out of revisit().
//
// Where the disk has no exchange (NFS), the old file is linked to where it is kept and then renamed
// over: an editor that saves by rename between the look and that rename loses that version. The
// owner is warned. A loser goes on from there to its conflict name (naming.h), so there, too, no
// inode has two names in the tree.
//
// One thread at a time. recover() once before the first apply(); an apply() begins when the answers
// of the one before are on record, durably. Errors: ENOSPC and EIO come back as Error of the steps,
// or as Unsure when names had changed by then; a failed sync makes every step in that directory
// Unsure.
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/batch_log.h"
#include "storage/limbo.h"
#include "storage/versions.h"

namespace p2psync::storage {

struct ApplierOptions {
  bool keep = true;  ///< false: what was expected and that nobody can write to is deleted at once
  std::chrono::nanoseconds grace = std::chrono::seconds(60);  ///< where a lease proves nothing
};

/// More files than this in a batch: one sync of the whole file system is cheaper than one each.
inline constexpr std::size_t single_fsyncs_max = 8;

class Applier {
 public:
  /// The content that the index has on record for a file in `.p2psync/versions`.
  using Recorded = std::function<std::optional<engine::Hash>(const std::string& file)>;

  explicit Applier(Fs& fs, ApplierOptions options = {});

  /// Puts right what a crash left: slots go back or away, displaced files are hashed and matched.
  /// Returns the bytes that nobody has on record; they stay in `.p2psync/versions` and are returned
  /// by every recover() until they are recorded or laid. An error: what is there could not be read,
  /// nothing may be applied, and recover() may be tried again.
  [[nodiscard]] Result<std::vector<engine::Surfaced>> recover(const Recorded& recorded);

  /// Steps that the batches before the crash had carried out: for engine::Loaded. See
  /// carried_out.h.
  [[nodiscard]] const std::vector<engine::Relaid>& relaid() const { return relaid_; }

  [[nodiscard]] std::vector<engine::Applied> apply(const engine::Apply& batch);

  /// Looks again at what is still open. To be called every few seconds while still_open() is not 0,
  /// and after each apply().
  [[nodiscard]] std::vector<engine::Surfaced> revisit() { return limbo_.revisit(); }
  /// Displaced files that a process may still write to.
  [[nodiscard]] std::size_t still_open() const { return limbo_.still_open(); }

  /// Deletes kept versions past their time, never what is in limbo or `pinned`, and lists of chunks
  /// that have no room. Returns the names of the versions.
  [[nodiscard]] std::vector<std::string> expire(const Retention& retention,
                                                const std::set<std::string>& pinned = {});

 private:
  [[nodiscard]] Result<bool> recover_intent(std::uint64_t number, const Recorded& recorded);
  [[nodiscard]] Result<void> recover_item(const IntentItem& item, std::uint64_t number,
                                          const Recorded& recorded);
  [[nodiscard]] Result<void> recover_slot(const std::string& name, bool all_whole);

  Fs& fs_;
  ApplierOptions options_;
  std::vector<engine::Relaid> relaid_;
  std::vector<LoggedStep> log_;  ///< of the last batch
  VersionNames names_;
  Limbo limbo_;
  std::uint64_t number_ = 0;  ///< the last given to a slot or an intent
};

}  // namespace p2psync::storage
