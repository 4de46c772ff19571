#include "engine/record.h"

namespace p2psync::engine {
namespace {

/// As the disk shows the version at that inode.
Signature signature_of(const Version& version, std::uint64_t inode, std::int64_t ctime) {
  return {version.kind, version.mode, inode, version.size, version.mtime, ctime};
}

}  // namespace

std::optional<PlainRecord> plain_record(std::string_view path, const Record& record) {
  const auto& [entry, shown, doubts] = record;
  if (entry.versions.size() != 1 || !entry.deletions.empty() || shown.size() != 1 ||
      !doubts.empty()) {
    return std::nullopt;
  }
  const Sibling& version = entry.versions[0];
  const Shown& here = shown[0];
  const Signature& signature = here.signature;
  if (entry.context != VersionVector{version.dot} || here.name != path ||
      here.dots != std::vector{version.dot} || here.version != version.version ||
      signature != signature_of(version.version, signature.inode, signature.ctime)) {
    return std::nullopt;
  }
  return PlainRecord{version, signature.inode, signature.ctime};
}

Record record_of(std::string_view path, const PlainRecord& plain) {
  const auto& [version, inode, ctime] = plain;
  Record record;
  record.entry.context.add(version.dot);
  record.entry.versions = {version};
  record.shown = {
      {Path(path), {version.dot}, version.version, signature_of(version.version, inode, ctime)}};
  return record;
}

}  // namespace p2psync::engine
