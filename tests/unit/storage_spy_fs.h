#pragma once
// An Fs that passes every call on to another one and lets a test act in between.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "storage/fs.h"

namespace p2psync::tests {

class SpyFs final : public storage::Fs {
 public:
  explicit SpyFs(storage::Fs& fs) : fs_(fs) {}

  /// Called before a block of an opened file is read, with its path and offset.
  std::function<void(const std::string& path, std::uint64_t offset)> before_read;
  std::function<void(std::string_view from, std::string_view to)> before_rename;
  /// Instead of the real one, when set.
  std::function<Result<void>()> on_sync_all;
  std::function<Result<void>(const std::string& path)> on_write;
  storage::Space free_space;
  std::int64_t clock_offset = 0;
  int stats = 0;   ///< of names
  int opened = 0;  ///< files for reading
  int files_synced = 0;
  int directories_synced = 0;
  int all_synced = 0;
  int asked_for_room = 0;
  /// What files were told of their parts: [begin, end).
  std::vector<std::pair<std::uint64_t, std::uint64_t>> sync_begun;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> uncached;

  Result<storage::Stat> stat(std::string_view path) override {
    ++stats;
    return fs_.stat(path);
  }
  Result<std::vector<storage::DirItem>> list(std::string_view path) override {
    return fs_.list(path);
  }
  Result<std::unique_ptr<storage::File>> open_read(std::string_view path) override {
    ++opened;
    return spied(path, fs_.open_read(path));
  }
  Result<std::unique_ptr<storage::File>> open_write(std::string_view path) override {
    return spied(path, fs_.open_write(path));
  }
  Result<std::unique_ptr<storage::File>> create(std::string_view path,
                                                std::uint16_t mode = 0600) override {
    return spied(path, fs_.create(path, mode));
  }
  Result<std::string> read_link(std::string_view path) override { return fs_.read_link(path); }
  Result<void> make_directory(std::string_view path, std::uint16_t mode) override {
    return fs_.make_directory(path, mode);
  }
  Result<void> make_symlink(std::string_view target, std::string_view path) override {
    return fs_.make_symlink(target, path);
  }
  Result<void> link(std::string_view from, std::string_view to) override {
    return fs_.link(from, to);
  }
  Result<void> rename(std::string_view from, std::string_view to,
                      storage::RenameMode mode) override {
    if (before_rename) {
      before_rename(from, to);
    }
    return fs_.rename(from, to, mode);
  }
  Result<void> unlink(std::string_view path) override { return fs_.unlink(path); }
  Result<void> remove_directory(std::string_view path) override {
    return fs_.remove_directory(path);
  }
  Result<void> set_directory_mode(std::string_view path, std::uint16_t mode) override {
    return fs_.set_directory_mode(path, mode);
  }
  Result<void> set_mtime(std::string_view path, std::int64_t ns) override {
    return fs_.set_mtime(path, ns);
  }
  void set_link_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid) override {
    fs_.set_link_owner(path, uid, gid);
  }
  Result<void> sync_directory(std::string_view path) override {
    ++directories_synced;
    return fs_.sync_directory(path);
  }
  Result<void> sync_all() override {
    ++all_synced;
    return on_sync_all ? on_sync_all() : fs_.sync_all();
  }
  storage::Space space() override {
    ++asked_for_room;
    return free_space;
  }
  std::int64_t wall_time() override { return fs_.wall_time() + clock_offset; }
  bool can_exchange() override { return fs_.can_exchange(); }

 private:
  class SpyFile final : public storage::File {
   public:
    SpyFile(SpyFs& spy, std::string path, std::unique_ptr<storage::File> file)
        : spy_(spy), path_(std::move(path)), file_(std::move(file)) {}
    Result<storage::Stat> stat() override { return file_->stat(); }
    Result<storage::Stat> stat_when_opened() override { return file_->stat_when_opened(); }
    Result<std::size_t> read(std::uint64_t offset, std::span<std::uint8_t> into) override {
      if (spy_.before_read) {
        spy_.before_read(path_, offset);
      }
      return file_->read(offset, into);
    }
    Result<void> write(std::uint64_t offset, std::span<const std::uint8_t> bytes) override {
      if (spy_.on_write) {
        if (auto answer = spy_.on_write(path_); !answer) {
          return answer;
        }
      }
      return file_->write(offset, bytes);
    }
    Result<void> resize(std::uint64_t size) override { return file_->resize(size); }
    Result<void> set_mode(std::uint16_t mode) override { return file_->set_mode(mode); }
    Result<void> set_mtime(std::int64_t ns) override { return file_->set_mtime(ns); }
    void set_owner(std::uint32_t uid, std::uint32_t gid) override { file_->set_owner(uid, gid); }
    Result<void> sync() override {
      ++spy_.files_synced;
      return file_->sync();
    }
    void begin_sync(std::uint64_t offset, std::uint64_t length) override {
      spy_.sync_begun.emplace_back(offset, offset + length);
      file_->begin_sync(offset, length);
    }
    void uncache(std::uint64_t offset, std::uint64_t length) override {
      spy_.uncached.emplace_back(offset, offset + length);
      file_->uncache(offset, length);
    }
    Result<void> copy_from(storage::File& from, std::uint64_t offset,
                           std::uint64_t length) override {
      auto* const spied = dynamic_cast<SpyFile*>(&from);
      return file_->copy_from(spied != nullptr ? *spied->file_ : from, offset, length);
    }
    storage::Lease try_lease() override { return file_->try_lease(); }
    Result<std::vector<std::pair<std::uint64_t, std::uint64_t>>> data_extents() override {
      return file_->data_extents();
    }

   private:
    SpyFs& spy_;
    std::string path_;
    std::unique_ptr<storage::File> file_;
  };

  Result<std::unique_ptr<storage::File>> spied(std::string_view path,
                                               Result<std::unique_ptr<storage::File>> file) {
    if (!file) {
      return file;
    }
    return std::make_unique<SpyFile>(*this, std::string(path), std::move(*file));
  }

  storage::Fs& fs_;
};

}  // namespace p2psync::tests
