#include "engine/record.h"

#include <algorithm>
#include <charconv>

namespace p2psync::engine {
namespace {

constexpr std::size_t time_digits = 19;

/// As the disk shows the version at that inode.
Signature signature_of(const Version& version, std::uint64_t inode, std::int64_t ctime) {
  return {version.kind, version.mode, inode, version.size, version.mtime, ctime};
}

}  // namespace

std::string departure_name(std::int64_t at) {
  const std::string digits = std::to_string(at);
  return std::string(time_digits - std::min(digits.size(), time_digits), '0') + digits + '-';
}

bool is_departure(std::string_view name) {
  return name.size() == time_digits + 1 && name.ends_with('-') && left_at(name) > 0;
}

std::int64_t left_at(std::string_view name) {
  if (name.size() == time_digits + 1 && name.ends_with('-')) {
    name.remove_suffix(1);
  }
  std::int64_t time = 0;
  if (name.size() != time_digits) {
    return 0;
  }
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), time);
  return error == std::errc() && end == name.data() + name.size() ? time : 0;
}

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
