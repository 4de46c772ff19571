// Simulated disks as bytes, to tell whether two are the same.
#include "tests/sim/sim_fs_disk.h"

namespace p2psync::sim {
namespace {

void append(std::string& digest, std::uint64_t value) {
  for (int byte = 0; byte < 8; ++byte) {
    digest.push_back(static_cast<char>(value >> (8 * byte)));
  }
}

void append(std::string& digest, std::int64_t value) {
  append(digest, static_cast<std::uint64_t>(value));
}

void append(std::string& digest, std::string_view text) {
  append(digest, std::uint64_t{text.size()});
  digest += text;
}

/// Without the id: only a journal's changes ask for it.
void append(std::string& digest, const Inode& inode) {
  append(digest, std::uint64_t{inode.mode} | std::uint64_t{inode.special} << 16U |
                     static_cast<std::uint64_t>(inode.kind) << 17U);
  append(digest, std::uint64_t{inode.uid} << 32U | inode.gid);
  append(digest, inode.mtime);
  append(digest, inode.ctime);
  append(digest, inode.bytes);
  append(digest, inode.parent);
  append(digest, inode.links);
  for (const auto& [name, number] : inode.names) {
    append(digest, name);
    append(digest, number);
  }
}

void append(std::string& digest, const Inodes& inodes) {
  for (const auto& [number, inode] : inodes) {
    append(digest, number);
    append(digest, inode);
  }
}

void append(std::string& digest, const NameChange& change) {
  append(digest, change.time);
  for (const EntryChange& entry : change.entries) {
    append(digest, entry.directory);
    append(digest, entry.name);
    append(digest, entry.before);
    append(digest, entry.after);
  }
  if (change.made) {
    append(digest, change.made->id);
    append(digest, *change.made);
  }
}

void append(std::string& digest, const DataChange& change) {
  append(digest, change.time);
  append(digest, change.number);
  append(digest, change.id);
  append(digest, std::uint64_t{change.what.index()});
  if (const auto* write = std::get_if<Write>(&change.what)) {
    append(digest, write->offset);
    append(digest, write->bytes);
  } else if (const auto* resize = std::get_if<Resize>(&change.what)) {
    append(digest, resize->size);
  } else if (const auto* mode = std::get_if<SetMode>(&change.what)) {
    append(digest, std::uint64_t{mode->mode});
  } else if (const auto* mtime = std::get_if<SetMtime>(&change.what)) {
    append(digest, mtime->ns);
  } else if (const auto* owner = std::get_if<SetOwner>(&change.what)) {
    append(digest, std::uint64_t{owner->uid} << 32U | owner->gid);
  }
}

}  // namespace

void Journal::append_to(std::string& digest) const {
  append(digest, durable_);
  for (const Item& item : log_) {
    if (const auto* names = std::get_if<NameChange>(&item)) {
      append(digest, *names);
    } else if (const auto* data = std::get_if<DataChange>(&item)) {
      append(digest, *data);
    } else {
      const Mark& mark = std::get<Mark>(item);
      append(digest, mark.number);
      append(digest, mark.id << 1U | std::uint64_t{mark.failed});
    }
  }
}

void Disk::append_to(std::string& digest) const {
  append(digest, inodes_);
  journal_.append_to(digest);
}

}  // namespace p2psync::sim
