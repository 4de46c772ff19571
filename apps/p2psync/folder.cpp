#include "apps/p2psync/folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "apps/p2psync/control_socket.h"
#include "storage/fence.h"
#include "storage/staging.h"

namespace p2psync::app {
namespace {

using Level = engine::Note::Level;

const std::string index_file = ".p2psync/index.db";
constexpr std::string_view paused_file = ".p2psync/paused";  ///< empty: that it is there says it

Result<void> make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error && !std::filesystem::is_directory(path)) {
    return std::unexpected(system_error("make the folder", path, error.value()));
  }
  return {};
}

Result<void> open_index(Folder& folder, engine::NodeId self) {
  for (int attempt = 0;; ++attempt) {
    auto index = storage::IndexStore::open(*folder.fs, index_file, self);
    Error error;
    if (index) {
      auto loaded = (*index)->load();
      if (loaded) {
        folder.index = std::move(*index);
        folder.loaded = std::move(*loaded);
        return {};
      }
      error = loaded.error();
      index->reset();
    } else {
      error = index.error();
    }
    if (error.code != ErrorCode::corrupt || attempt > 0) {
      return std::unexpected(error);
    }
    const auto aside = storage::IndexStore::set_aside(*folder.fs, index_file);
    if (!aside) {
      return std::unexpected(aside.error());
    }
    folder.notes.push_back(
        {Level::warn, fmt::format("the index is damaged ({}): it is kept as {}, and the folder is "
                                  "read anew",
                                  error.message(), *aside)});
  }
}

Result<void> recover(Folder& folder, const Config& config) {
  folder.applier = std::make_unique<storage::Applier>(
      *folder.fs, storage::ApplierOptions{.keep = config.keep_versions.count() > 0});
  std::map<std::string, engine::Hash> recorded;
  for (const engine::KeptVersion& kept : folder.loaded.kept) {
    recorded.emplace(kept.file, kept.version.content);
  }
  auto surfaced =
      folder.applier->recover([&recorded](const std::string& file) -> std::optional<engine::Hash> {
        const auto found = recorded.find(file);
        return found == recorded.end() ? std::nullopt : std::optional(found->second);
      });
  if (!surfaced) {
    return std::unexpected(std::move(surfaced.error()));
  }
  folder.surfaced = std::move(*surfaced);
  folder.loaded.relaid = folder.applier->relaid();
  folder.loaded.staged = storage::contents_in_staging(*folder.fs);
  if (!folder.surfaced.empty()) {
    folder.notes.push_back(
        {Level::info, fmt::format("taking in what an interrupted run had set aside: {}",
                                  folder.surfaced.size())});
  }
  return {};
}

void open_watcher(Folder& folder, const Config& config) {
  if (!config.watch) {
    return;
  }
  auto watcher = storage::Watcher::open(*folder.fs);
  if (watcher) {
    folder.watcher = std::move(*watcher);
  } else {
    folder.notes.push_back(
        {Level::warn, fmt::format("no change events from the kernel ({}): everything is scanned "
                                  "every minute",
                                  watcher.error().message())});
  }
}

}  // namespace

Result<Folder> open_folder(const Config& config) {
  if (const auto made = make_folder(config.folder); !made) {
    return std::unexpected(made.error());
  }
  Folder folder;
  folder.path = canonical_folder(config.folder);
  auto fs = open_fs(config);
  if (!fs) {
    return std::unexpected(fs.error());
  }
  folder.fs = std::move(*fs);
  if (const auto prepared = storage::prepare_state(*folder.fs); !prepared) {
    return std::unexpected(prepared.error());
  }
  auto lock = storage::FolderLock::take(*folder.fs, config.me().key_id);
  if (!lock) {
    return std::unexpected(lock.error());
  }
  folder.lock = std::move(*lock);
  if (const auto kept = folder.fs->keep_open(storage::staging_directory); !kept) {
    return std::unexpected(kept.error());
  }
  auto state = folder.fs->open_directory(engine::own_directory);
  if (!state) {
    return std::unexpected(state.error());
  }
  folder.state = std::move(*state);
  if (const auto opened = open_index(folder, config.me().node); !opened) {
    return std::unexpected(opened.error());
  }
  if (auto recovered = recover(folder, config); !recovered) {
    return std::unexpected(std::move(recovered.error()));
  }
  folder.paused = folder.fs->stat(paused_file).has_value();
  open_watcher(folder, config);
  if (folder.fs->resolution() == storage::Resolution::walk) {
    folder.notes.push_back({Level::warn,
                            "openat2 is missing or filtered here (an old kernel or container "
                            "run-time): paths are resolved name by name, which is slower"});
  }
  if (!folder.fs->can_exchange()) {
    folder.notes.push_back(
        {Level::warn,
         "the file system cannot exchange two names: an editor that saves in the very "
         "moment of a replacement may lose that save"});
  }
  return folder;
}

Result<void> record_paused(Folder& folder, bool paused) {
  auto& fs = *folder.fs;
  Result<void> recorded;
  if (paused) {
    const auto file = fs.create(paused_file);
    if (!file && file.error().code != ErrorCode::changed) {  // else it is there
      recorded = std::unexpected(file.error());
    }
  } else if (auto gone = fs.unlink(paused_file);
             !gone && gone.error().code != ErrorCode::not_found) {
    recorded = gone;
  }
  if (recorded) {
    recorded = fs.sync_directory(engine::own_directory);
  }
  if (recorded) {
    folder.paused = paused;
  }
  return recorded;
}

Result<std::unique_ptr<storage::PosixFs>> open_fs(const Config& config) {
  return storage::open_posix_fs(std::filesystem::absolute(config.folder));
}

Result<Memory> read_memory(const Config& config) {
  auto fs = open_fs(config);
  if (!fs) {
    return std::unexpected(fs.error());
  }
  Memory memory;
  memory.fs = std::move(*fs);
  if (const auto index = memory.fs->stat(index_file); !index) {
    return std::unexpected(index.error());
  }
  auto lock = storage::FolderLock::take(*memory.fs, config.me().key_id);
  if (!lock) {
    return std::unexpected(lock.error());
  }
  memory.lock = std::move(*lock);
  const auto index = storage::IndexStore::open(*memory.fs, index_file, config.me().node);
  if (!index) {
    return std::unexpected(index.error());
  }
  auto loaded = (*index)->load();
  if (!loaded) {
    return std::unexpected(loaded.error());
  }
  memory.loaded = std::move(*loaded);
  return memory;
}

void put_up_fence(Folder& folder) {
  const auto root = folder.fs->open_directory("");
  const auto version = root ? storage::put_up_fence(*root) : std::unexpected(root.error());
  if (version) {
    folder.notes.push_back(
        {Level::debug, fmt::format("Landlock {}: outside the folder nothing can be written, nor "
                                   "read but what libraries need",
                                   *version)});
  } else {
    const bool missing = version.error().code == ErrorCode::unsupported;
    folder.notes.push_back(
        {missing ? Level::info : Level::warn,
         fmt::format("without a second fence around the folder: {}", version.error().message())});
  }
}

}  // namespace p2psync::app
