#pragma once
// Staging: contents on their way in, in `.p2psync/tmp`, under their hash.
//
//   .p2psync/tmp/<64 hex digits>.part   unfinished: blocks are written where they belong, in any
//   order;
//                                       a block that is not there is a hole
//   .p2psync/tmp/<64 hex digits>        complete, its SHA-256 checked; laying it moves it to its
//   name. One of a single chunk is written here at once, and is complete once write() says so: a
//   rename is a fifth of what a small file costs
//
// Every chunk is checked against its hash before it is written, and again when a file is found
// after a restart; so a complete one is right. Nothing in here is synced: the applier makes a batch
// durable before it gives it a name.
//
// Threads: different contents may be handled at the same time; calls for one content may not
// overlap, with each other or with an apply that lays it, which takes it from here. No state beside
// the files, but for what was known of the disk's room. Zero-size contents are complete as soon as
// they are opened.
#include <string>
#include <vector>

#include "storage/gather.h"
#include "storage/reserve.h"

namespace p2psync::storage {

inline constexpr std::string_view staging_directory = ".p2psync/tmp";
inline constexpr std::string_view versions_directory = ".p2psync/versions";

/// Where the complete content stands, or will.
[[nodiscard]] std::string staged_path(const engine::Hash& content);
/// Where it stands while it is unfinished.
[[nodiscard]] std::string unfinished_path(const engine::Hash& content);

/// Where its bytes are.
[[nodiscard]] std::string path_of(const engine::Base& base);

/// The contents that stand there, whole or not: what an earlier run left. Empty if that cannot be
/// read.
[[nodiscard]] std::vector<engine::Hash> contents_in_staging(Fs& fs);

/// Makes `.p2psync`, its `tmp` and its `versions` (mode 0700) where they are missing, durably.
/// Something else at one of these names: changed.
[[nodiscard]] Result<void> prepare_state(Fs& fs);

class Staging {
 public:
  explicit Staging(Fs& fs) : fs_(fs), reserve_(fs) {}

  /// Takes from the bases, and from what an earlier run left, whatever chunks of the next section
  /// are there. Once no more is wanted the content is complete under staged_path. Reads all that it
  /// takes.
  [[nodiscard]] engine::StageOpened open(const engine::OpenStage& request);
  /// On failure (no_space above all) what was written before stays. With `last` and no bytes
  /// nothing is written.
  [[nodiscard]] engine::StageWritten write(const engine::WriteBlock& request);
  void drop(const engine::DropStage& request);
  /// No bytes: they are not here any more, or not those that `expected` described.
  [[nodiscard]] engine::BlockRead read(const engine::ReadBlock& request);

 private:
  Result<engine::StageOpened> find(const engine::OpenStage& request);
  /// What is known of a content's chunks.
  struct Lists {
    std::optional<Outline> outline;
    std::optional<Manifest> manifest;  ///< as a peer gave it just now
    engine::Hash manifest_of;
  };
  Result<bool> take(const engine::OpenStage& request, Lists& lists);
  engine::ListOf list_of(const Place& place, const std::vector<engine::Base>& bases);
  void make_lists_of_one(const std::vector<engine::Base>& bases);
  std::optional<Outline> make_lists(File& file, std::uint64_t size, const engine::Hash& content);
  Result<engine::StageState> put(const engine::WriteBlock& request);
  Result<void> finish(const engine::Hash& content);
  /// Of a file; null: it is not all there.
  engine::Bytes part(const engine::ReadBlock& request, File& file, std::uint64_t size);
  engine::Bytes list_part(const engine::ReadBlock& request, File& file, std::uint64_t size);
  std::optional<std::vector<std::uint8_t>> list_bytes(const engine::ListOf& wanted);
  Result<bool> holds(const std::string& path, const engine::Hash& content, std::uint64_t size);

  Fs& fs_;
  Reserve reserve_;
};

}  // namespace p2psync::storage
