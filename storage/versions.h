#pragma once
// `.p2psync/versions`: files and symlinks that were replaced or deleted, and for how long.
//
// A name there is the instant at which the file left the tree: nanoseconds since 1970 in 19 digits.
// Byte order is age. Example:
//   1767322984000000000
// The engine's index knows which version of which path a file is; the file itself tells nothing. It
// reads the instant off the name (engine/record.h).
#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "storage/fs.h"

namespace p2psync::storage {

[[nodiscard]] std::string kept_path(std::string_view file);

/// Gives out names for `.p2psync/versions`, each later than all before it, whatever the clock does.
class VersionNames {
 public:
  explicit VersionNames(Fs& fs) : fs_(fs) {}
  /// These are there already.
  void start_after(std::string_view file);
  [[nodiscard]] std::string next();

 private:
  Fs& fs_;
  std::int64_t last_ = 0;
};

struct Retention {
  std::chrono::nanoseconds keep{};  ///< zero keeps none
  std::uint64_t bytes_max = 0;      ///< of all kept files together
  std::set<std::string> thinned;    ///< these need not be kept (engine/thinning.h)
};

/// Deletes what is too old or `thinned`, then the oldest until the rest fits; nothing that is
/// `pinned`, and no directory. Returns the files that went. What cannot be deleted stays and is
/// tried next time.
[[nodiscard]] std::vector<std::string> expire(
    Fs& fs, const Retention& retention, const std::function<bool(const std::string& file)>& pinned);

}  // namespace p2psync::storage
