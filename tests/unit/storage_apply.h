#pragma once
// What the tests of the applier share: a folder with `.p2psync` in it, and short ways to say what
// stands there and what shall.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "storage/applier.h"
#include "storage/hash.h"
#include "storage/staging.h"
#include "tests/sim/sim_fs.h"
#include "tests/unit/storage_folder.h"

namespace p2psync::tests {

inline constexpr std::int64_t old_time = 1'600'000'000'123'456'789;

inline std::string content_of(storage::Fs& fs, std::string_view path) {
  const auto file = fs.open_read(path);
  if (!file) {
    return "(" + std::string(path) + " cannot be read)";
  }
  std::string text((*file)->stat()->signature.size, '\0');
  const std::span<std::uint8_t> into(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
  REQUIRE((*file)->read(0, into).value() == text.size());
  return text;
}

inline bool exists(storage::Fs& fs, std::string_view path) {
  return fs.stat(path).has_value();
}

/// A file as it has stood there for long.
inline void make_file(storage::Fs& fs, std::string_view path, std::string_view bytes,
                      std::int64_t mtime = old_time, std::uint16_t mode = 0644) {
  const auto file = fs.create(path);
  REQUIRE(file.has_value());
  REQUIRE((*file)->write(0, bytes_of(bytes)).has_value());
  REQUIRE((*file)->set_mode(mode).has_value());
  REQUIRE((*file)->set_mtime(mtime).has_value());
}

inline engine::Signature signature_of(storage::Fs& fs, std::string_view path) {
  const auto stat = fs.stat(path);
  REQUIRE(stat.has_value());
  return stat->signature;
}

inline engine::Wanted wanted_file(std::string_view bytes, std::int64_t mtime = old_time + 1,
                                  std::uint16_t mode = 0640) {
  return {engine::Kind::file, mode, mtime, bytes.size(), storage::sha256(bytes), ""};
}

inline engine::Wanted wanted_link(std::string_view target) {
  return {engine::Kind::symlink, 0777, old_time + 1, 0, storage::sha256(target),
          std::string(target)};
}

inline engine::Wanted wanted_directory(std::uint16_t mode = 0750) {
  return {engine::Kind::directory, mode, 0, 0, {}, ""};
}

/// A complete staged content.
inline void stage(storage::Fs& fs, std::string_view bytes) {
  make_file(fs, storage::staged_path(storage::sha256(bytes)), bytes, old_time, 0600);
}

/// A put over what stands there now, or onto a free name.
inline engine::Put put_at(storage::Fs& fs, std::string_view name, engine::Wanted wanted,
                          engine::Source source) {
  engine::Put put{std::string(name), std::move(wanted), std::nullopt, std::move(source)};
  if (const auto now = fs.stat(name)) {
    put.expected = now->signature;
    if (now->signature.kind == engine::Kind::file) {
      put.expected_content = storage::sha256(content_of(fs, name));
    } else if (now->signature.kind == engine::Kind::symlink) {
      put.expected_content = storage::sha256(*fs.read_link(name));
    }
  }
  return put;
}

inline engine::Put put_file(storage::Fs& fs, std::string_view name, std::string_view bytes) {
  stage(fs, bytes);
  return put_at(fs, name, wanted_file(bytes), engine::Staged{});
}

inline engine::Remove remove_at(storage::Fs& fs, std::string_view name) {
  const engine::Put as_put = put_at(fs, name, {}, engine::Nothing{});
  REQUIRE(as_put.expected.has_value());
  return {std::string(name), *as_put.expected, as_put.expected_content};
}

inline engine::Apply batch(std::vector<engine::ApplyJob> jobs) {
  engine::Apply apply;
  apply.jobs = std::move(jobs);
  return apply;
}

/// One job; its results.
inline std::vector<engine::StepResult> apply_one(storage::Applier& applier,
                                                 std::vector<engine::Step> steps) {
  auto applied = applier.apply(batch({{"the path", std::move(steps)}}));
  REQUIRE(applied.size() == 1);
  CHECK(applied[0].path == "the path");
  return std::move(applied[0].results);
}

template <class Result>
const Result* only(const std::vector<engine::StepResult>& results) {
  REQUIRE(results.size() == 1);
  return std::get_if<Result>(&results[0]);
}

inline std::size_t names_in(storage::Fs& fs, std::string_view directory) {
  const auto items = fs.list(directory);
  REQUIRE(items.has_value());
  return items->size();
}

/// How many names in `.p2psync/tmp` begin like this.
inline std::size_t staging_names(storage::Fs& fs, std::string_view beginning) {
  const auto items = fs.list(storage::staging_directory);
  return items
             ? static_cast<std::size_t>(std::ranges::count_if(
                   *items,
                   [&](const storage::DirItem& item) { return item.name.starts_with(beginning); }))
             : 0;
}

/// What is left in `.p2psync/tmp` when a batch is over, but for the log of its steps and its
/// intent.
inline std::size_t left_over(storage::Fs& fs) {
  return names_in(fs, storage::staging_directory) - staging_names(fs, "batch-log") -
         staging_names(fs, "intent-");
}

inline std::optional<engine::Hash> nothing_recorded(const std::string& /*file*/) {
  return std::nullopt;
}

/// Applies in a process that ends at this system call of it, counted from 1. True: there was none
/// such, and it came to its end.
inline bool applied_before(sim::SimFs& disk, std::uint64_t call, const engine::Apply& apply) {
  disk.calls = 0;
  disk.before_call = [&disk, call](std::string_view, std::string_view) {
    if (disk.calls == call) {
      throw sim::Crash{};
    }
  };
  bool over = false;
  try {
    storage::Applier applier(disk);
    std::ignore = applier.apply(apply);
    over = true;
  } catch (const sim::Crash&) {
  }
  disk.before_call = nullptr;
  return over;
}

/// The two twins, for tests that hold on both.
struct OnSimDisk {
  sim::SimFs disk;
  storage::Fs& fs = disk;
  OnSimDisk() { REQUIRE(storage::prepare_state(fs).has_value()); }
};
struct OnRealDisk {
  Folder folder;
  storage::Fs& fs = *folder.fs;
  OnRealDisk() { REQUIRE(storage::prepare_state(fs).has_value()); }
};
/// A simulated disk without RENAME_EXCHANGE and RENAME_NOREPLACE.
struct OnPlainDisk : OnSimDisk {
  OnPlainDisk() { disk.exchange = false; }
};

}  // namespace p2psync::tests
