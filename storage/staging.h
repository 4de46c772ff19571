#pragma once
// Staging: contents on their way in, in `.p2psync/tmp`, under their hash.
//
//   .p2psync/tmp/<64 hex digits>.part   unfinished: blocks are written where they belong, in any
//   order;
//                                       a block that is not there is a hole
//   .p2psync/tmp/<64 hex digits>        complete, its SHA-256 checked; laying it moves it to its
//   name
//
// An unfinished file is found again after a restart: a block counts as there when it lies in parts
// that hold data. Where that is wrong (a file system that knows no holes, a power cut) the hash at
// the end tells, and everything is fetched again. Nothing in here is synced: the applier makes a
// batch durable before it gives it a name.
//
// Threads: different contents may be handled at the same time; calls for one content may not
// overlap. No state beside the files. Zero-size contents are complete as soon as they are opened.
#include <string>
#include <vector>

#include "storage/fs.h"

namespace p2psync::storage {

inline constexpr std::string_view staging_directory = ".p2psync/tmp";
inline constexpr std::string_view versions_directory = ".p2psync/versions";

/// Where the complete content stands, or will.
[[nodiscard]] std::string staged_path(const engine::Hash& content);
/// Where it stands while it is unfinished.
[[nodiscard]] std::string unfinished_path(const engine::Hash& content);

/// The contents that stand there, whole or not: what an earlier run left. Empty if that cannot be
/// read.
[[nodiscard]] std::vector<engine::Hash> contents_in_staging(Fs& fs);

/// Makes `.p2psync`, its `tmp` and its `versions` (mode 0700) where they are missing, durably.
/// Something else at one of these names: changed.
[[nodiscard]] Result<void> prepare_state(Fs& fs);

class Staging {
 public:
  explicit Staging(Fs& fs) : fs_(fs) {}

  /// All blocks there (or none needed) means: complete under staged_path and checked just now.
  [[nodiscard]] engine::StageOpened open(const engine::OpenStage& request);
  /// Creates the unfinished file if need be. With `last` the whole is checked: complete, or
  /// mismatch and nothing of it is left. On failure (no_space above all) what was written before
  /// stays. A content that is complete takes blocks too and is checked anew.
  [[nodiscard]] engine::StageWritten write(const engine::WriteBlock& request);
  void drop(const engine::DropStage& request);
  /// No bytes: they are not here any more, or not those that `expected` described.
  [[nodiscard]] engine::BlockRead read(const engine::ReadBlock& request);

 private:
  Result<std::vector<bool>> find(const engine::OpenStage& request);
  Result<engine::StageState> put(const engine::WriteBlock& request);
  Result<bool> holds(const std::string& path, const engine::Hash& content, std::uint64_t size);

  Fs& fs_;
};

}  // namespace p2psync::storage
