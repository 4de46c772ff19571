#include "storage/versions.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/path.h"
#include "engine/record.h"
#include "storage/staging.h"

namespace p2psync::storage {

using engine::left_at;

std::string kept_path(std::string_view file) {
  return engine::child_of(versions_directory, file);
}

void VersionNames::start_after(std::string_view file) {
  last_ = std::max(last_, left_at(file));
}

std::string VersionNames::next() {
  last_ = std::max(last_ + 1, fs_.wall_time());
  return fmt::format("{:019}", last_);
}

std::vector<std::string> expire(Fs& fs, const Retention& retention,
                                const std::function<bool(const std::string& file)>& pinned) {
  const auto items = fs.list(versions_directory);
  if (!items) {
    return {};
  }
  std::uint64_t bytes = 0;
  for (const DirItem& item : *items) {
    bytes += item.stat.signature.size;
  }
  const std::int64_t now = fs.wall_time();
  std::vector<std::string> gone;
  for (const DirItem& item : *items) {  // in byte order: the oldest first
    const bool old =
        retention.keep.count() == 0 || now - left_at(item.name) > retention.keep.count();
    if (!old && bytes <= retention.bytes_max && !retention.thinned.contains(item.name)) {
      continue;
    }
    if (item.stat.signature.kind == engine::Kind::directory || pinned(item.name)) {
      continue;
    }
    if (fs.unlink(kept_path(item.name))) {
      bytes -= item.stat.signature.size;
      gone.push_back(item.name);
    }
  }
  return gone;
}

}  // namespace p2psync::storage
