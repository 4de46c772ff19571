#pragma once
// The index on disk: what a node must not forget, in SQLite.
//
// One connection, used by one thread: SQLite 3.40 can corrupt a WAL that several connections write
// or checkpoint at once. It takes the file for its own (locking_mode=EXCLUSIVE), so that the WAL's
// index lies on the heap and nothing is mapped; that nobody else opens it is FolderLock's matter.
// synchronous=FULL: what commit() has confirmed is on the disk. A crash at any time leaves a prefix
// of the commits. All files are reached through the Fs, which must outlive the store; what the Fs
// throws comes out of every function but the destructor.
//
// Schema 5 (PRAGMA application_id 0x70327073, user_version 5); values are encoded by
// engine/codec.h, numbers as eight bytes, little endian. Each is followed by eight bytes with its
// XXH3, seeded with that of its key: a rotten bit makes the index damaged and never another one.
//   meta(key TEXT PRIMARY KEY, value BLOB)      node, epoch, scanned, applied: numbers; braked, 0
//                                               or 1, and absent for 0; knowledge
//   entry(path BLOB PRIMARY KEY, data BLOB)     a PlainRecord if it is one, as nearly all are, else
//                                               a Record (is_plain() tells); '/' in a path stands
//                                               as NUL, which is in no path, so that SQLite's order
//                                               is the order of paths
//   held(member INTEGER PRIMARY KEY, data BLOB) a HeldRow
//   kept(file BLOB PRIMARY KEY, data BLOB)      a KeptVersion
// A member's unsigned number stands as the signed one with the same bits.
// Schema 4 had no PlainRecord. It is read all the same, and is one of schema 5 from then on.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "engine/record.h"
#include "storage/fs.h"

namespace p2psync::storage {

class IndexStore {
 public:
  /// Opens the index, or makes it where there is none (its directory must exist), and checks it:
  /// linear in its size. Errors:
  ///   newer    a newer version of the program wrote it
  ///   corrupt  damaged, or not an index: set_aside() and open again, the folder is read anew then
  ///   invalid  it belongs to another node: the folder was copied
  /// `file` is a path below the root of the Fs. `seed`: see SqliteVfs; none outside a simulator.
  [[nodiscard]] static Result<std::unique_ptr<IndexStore>> open(
      Fs& fs, const std::string& file, engine::NodeId self,
      std::optional<std::uint64_t> seed = std::nullopt);
  /// Renames a damaged index to `<file>.damaged-<n>`, n from 1, and returns that name.
  [[nodiscard]] static Result<std::string> set_aside(Fs& fs, const std::string& file);

  ~IndexStore();
  IndexStore(const IndexStore&) = delete;
  IndexStore& operator=(const IndexStore&) = delete;

  /// No scan has been completed with this index yet: the files in the folder are imports.
  [[nodiscard]] bool fresh() const { return fresh_; }
  /// The first scan is complete; from the next start on, fresh() is false.
  [[nodiscard]] Result<void> scanned();
  /// When the index was made, ms since 1970.
  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }

  /// Everything, records in path order. `corrupt` if some value does not decode.
  [[nodiscard]] Result<engine::Loaded> load();
  /// All changes, in order, as one transaction. Durable on success; after an error none is stored,
  /// and the same changes may be tried again.
  [[nodiscard]] Result<void> commit(std::span<const engine::Change> changes);

 private:
  struct Database;

  IndexStore(std::unique_ptr<Database> database, std::uint64_t epoch, bool fresh);

  std::unique_ptr<Database> database_;
  std::uint64_t epoch_ = 0;
  bool fresh_ = false;
};

}  // namespace p2psync::storage
