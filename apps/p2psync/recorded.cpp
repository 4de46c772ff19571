#include "apps/p2psync/recorded.h"

#include "storage/hash.h"

namespace p2psync::app {

engine::Seen seen_of(const engine::Shown& shown) {
  return {shown.signature, shown.version.content, shown.version.target, false};
}

Json recorded_document(const Recorded& recorded) {
  const engine::Signature& signature = recorded.seen.signature;
  Json::Object out;
  add_path(out, "name", recorded.name);
  out.emplace_back("kind", static_cast<int>(signature.kind));
  out.emplace_back("inode", signature.inode);
  out.emplace_back("size", signature.size);
  out.emplace_back("mtime", signature.mtime);
  out.emplace_back("ctime", signature.ctime);
  out.emplace_back("content", storage::to_hex(recorded.seen.content));
  return out;
}

std::optional<Recorded> recorded_in(const Json& document) {
  const auto content = storage::from_hex(document["content"].text());
  const std::int64_t kind = document["kind"].integer();
  if (!content || kind < 0 || kind > static_cast<int>(engine::Kind::symlink)) {
    return std::nullopt;
  }
  Recorded recorded{path_in(document, "name"), {}};
  recorded.seen.content = *content;
  recorded.seen.signature.kind = static_cast<engine::Kind>(kind);
  recorded.seen.signature.inode = static_cast<std::uint64_t>(document["inode"].integer());
  recorded.seen.signature.size = static_cast<std::uint64_t>(document["size"].integer());
  recorded.seen.signature.mtime = document["mtime"].integer();
  recorded.seen.signature.ctime = document["ctime"].integer();
  return recorded;
}

}  // namespace p2psync::app
