#pragma once
// Folder: everything that a start takes hold of in the synchronised directory, in the order in
// which it must happen: the folder itself (made if absent), its state directory, the lock, the
// index, and what a crash left.
#include <memory>
#include <string>
#include <vector>

#include "apps/p2psync/config.h"
#include "engine/node.h"
#include "storage/applier.h"
#include "storage/folder_lock.h"
#include "storage/index_store.h"
#include "storage/posix_fs.h"
#include "storage/watcher.h"

namespace p2psync::app {

struct Folder {
  std::string path;  ///< absolute, links resolved
  std::unique_ptr<storage::PosixFs> fs;
  std::unique_ptr<storage::FolderLock> lock;
  storage::Descriptor state;  ///< `.p2psync`, for the control socket
  std::unique_ptr<storage::IndexStore> index;
  std::unique_ptr<storage::Applier> applier;
  std::unique_ptr<storage::Watcher> watcher;  ///< null: not wanted, or not to be had
  engine::Loaded loaded;
  std::vector<engine::Surfaced> surfaced;
  bool paused = false;              ///< as record_paused() has left it
  std::vector<engine::Note> notes;  ///< what a person should know of this start
};

/// busy: another process works on it; invalid: it belongs to another node; newer: a newer version
/// of the program has written its state.
[[nodiscard]] Result<Folder> open_folder(const Config& config);
/// Durably, for this run and the next ones. After an error this run goes on as before, and the next
/// start may find either.
[[nodiscard]] Result<void> record_paused(Folder& folder, bool paused);
/// By its own path, links and all: where a link leads elsewhere one day, the lock notices.
[[nodiscard]] Result<std::unique_ptr<storage::PosixFs>> open_fs(const Config& config);
/// What a stopped node remembers of its folder, and the folder's lock for as long as that is looked
/// at. Changes nothing in it. not_found: no node was ever here; else as open_folder.
struct Memory {
  std::unique_ptr<storage::PosixFs> fs;
  std::unique_ptr<storage::FolderLock> lock;
  engine::Loaded loaded;
};
[[nodiscard]] Result<Memory> read_memory(const Config& config);
/// storage/fence.h around it, from now on and for this whole process, which has one thread yet. A
/// system that cannot is no reason not to start: a note says so.
void put_up_fence(Folder& folder);

}  // namespace p2psync::app
