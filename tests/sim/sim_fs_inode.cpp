#include "tests/sim/sim_fs_inode.h"

#include <algorithm>

#include "engine/error.h"

namespace p2psync::sim {

namespace {

Inode* inode_of(Inodes& inodes, const DataChange& change) {
  const auto found = inodes.find(change.number);
  return found == inodes.end() || found->second.id != change.id ? nullptr : &found->second;
}

void make_room(std::string& bytes, const Write& write) {
  bytes.resize(std::max<std::size_t>(bytes.size(), write.offset + write.bytes.size()));
}

struct Carry {
  Inode& inode;
  std::int64_t time;

  void operator()(const Write& write) const {
    make_room(inode.bytes, write);
    inode.bytes.replace(write.offset, write.bytes.size(), write.bytes);
    inode.mtime = time;
  }
  void operator()(const Resize& resize) const {
    inode.bytes.resize(resize.size);
    inode.mtime = time;
  }
  void operator()(const SetMode& set) const { inode.mode = set.mode; }
  void operator()(const SetMtime& set) const { inode.mtime = set.ns; }
  void operator()(const SetOwner& set) const {
    inode.uid = set.uid;
    inode.gid = set.gid;
  }
};

}  // namespace

void carry_out(Inodes& inodes, const NameChange& change) {
  if (change.made) {
    const bool is_new = inodes.emplace(change.entries.front().after, *change.made).second;
    invariant(is_new, "an inode number in use is not given away");
  }
  for (const EntryChange& entry : change.entries) {
    Inode& directory = inodes.at(entry.directory);
    directory.mtime = directory.ctime = change.time;
    if (entry.before != 0) {
      const auto there = directory.names.find(entry.name);
      invariant(there != directory.names.end() && there->second == entry.before,
                "a name changes from what it was");
      directory.names.erase(there);
      Inode& before = inodes.at(entry.before);
      before.links--;
      before.ctime = change.time;
    }
  }
  for (const EntryChange& entry : change.entries) {
    if (entry.after != 0) {
      const bool is_free = inodes.at(entry.directory).names.emplace(entry.name, entry.after).second;
      invariant(is_free, "a name changes from what it was");
      Inode& after = inodes.at(entry.after);
      after.links++;
      after.parent = entry.directory;
      after.ctime = change.time;
    }
  }
  for (const EntryChange& entry : change.entries) {
    const auto before = inodes.find(entry.before);
    if (before != inodes.end() && before->second.links == 0 && before->second.handles == 0) {
      inodes.erase(before);
    }
  }
}

void carry_out(Inodes& inodes, const DataChange& change) {
  if (Inode* inode = inode_of(inodes, change)) {
    std::visit(Carry{*inode, change.time}, change.what);
    inode->ctime = change.time;
  }
}

void flip_bit(std::string& bytes, std::uint64_t offset) {
  bytes[offset] = static_cast<char>(static_cast<unsigned char>(bytes[offset]) ^ 1U);
}

std::size_t piece_count(const Write& write) {
  const std::uint64_t end = write.offset + write.bytes.size();
  return ((end + piece_bytes - 1) / piece_bytes) - (write.offset / piece_bytes);
}

void carry_out_torn(Inodes& inodes, const DataChange& change,
                    const std::function<bool(std::size_t piece)>& survives) {
  Inode* inode = inode_of(inodes, change);
  if (inode == nullptr) {
    return;
  }
  const Write& write = std::get<Write>(change.what);
  make_room(inode->bytes, write);
  std::uint64_t from = write.offset;
  for (std::size_t piece = 0; piece < piece_count(write); ++piece) {
    const std::uint64_t next = ((from / piece_bytes) + 1) * piece_bytes;
    const std::uint64_t to = std::min(next, write.offset + write.bytes.size());
    if (survives(piece)) {
      inode->bytes.replace(from, to - from, write.bytes, from - write.offset, to - from);
    }
    from = to;
  }
  inode->mtime = inode->ctime = change.time;
}

}  // namespace p2psync::sim
