#include "tests/sim/sim_fs_disk.h"

#include <algorithm>
#include <cerrno>

#include "engine/path.h"

namespace p2psync::sim {

using engine::Kind;
using storage::RenameMode;

namespace {

constexpr std::size_t links_max = 65000;  // ext4's

bool is_directory(const Inode& inode) {
  return inode.kind == Kind::directory && !inode.special;
}

}  // namespace

Disk::Disk() {
  Inode inode;
  inode.kind = Kind::directory;
  inode.mode = 0755;
  inode.parent = root;
  inode.links = 1;
  inode.mtime = inode.ctime = now;
  inodes_.emplace(root, std::move(inode));
}

Disk Disk::image() const {
  Disk copy = *this;
  for (auto& [number, inode] : copy.inodes_) {
    inode.handles = 0;
    inode.writers = 0;
  }
  std::erase_if(copy.inodes_, [](const auto& item) { return item.second.links == 0; });
  return copy;
}

Sys<InodeNumber> Disk::find(std::string_view path) const {
  if (path.empty()) {
    return root;
  }
  const auto at = place(path);
  if (!at) {
    return std::unexpected(at.error());
  }
  const auto number = child(*at);
  return number && *number == 0 ? std::unexpected(ENOENT) : number;
}

storage::Stat Disk::stat(InodeNumber number) const {
  const Inode& inode = inodes_.at(number);
  storage::Stat stat;
  stat.signature.kind = inode.kind;
  stat.signature.mode = inode.mode;
  stat.signature.inode = number;
  stat.signature.size = inode.kind == Kind::file ? inode.bytes.size() : 0;
  stat.signature.mtime = inode.kind == Kind::directory ? 0 : inode.mtime;
  stat.signature.ctime = inode.ctime;
  stat.special = inode.special;
  stat.uid = inode.uid;
  stat.gid = inode.gid;
  stat.links = inode.links;
  if (is_directory(inode)) {
    stat.links =
        2 + static_cast<std::uint64_t>(std::ranges::count_if(inode.names, [&](const auto& item) {
          return is_directory(inodes_.at(item.second));
        }));
  }
  return stat;
}

Sys<InodeNumber> Disk::create(std::string_view path, Inode made) {
  const auto at = place(path);
  if (!at) {
    return std::unexpected(at.error());
  }
  if (const auto there = child(*at); !there || *there != 0) {
    return std::unexpected(there ? EEXIST : there.error());
  }
  if (made.kind == Kind::symlink && made.bytes.empty()) {
    return std::unexpected(ENOENT);
  }
  if (made.kind == Kind::symlink && made.bytes.size() > engine::target_bytes_max) {
    return std::unexpected(ENAMETOOLONG);
  }
  InodeNumber number = root + 1;
  for (auto next = inodes_.upper_bound(root); next != inodes_.end() && next->first == number;
       ++next) {
    ++number;
  }
  made.mtime = made.ctime = stamp();
  made.links = 0;
  inodes_.emplace(number, std::move(made));
  attach(*at, number);
  return number;
}

Sys<void> Disk::link(std::string_view from, std::string_view to) {
  const auto source = place(from);
  if (!source) {
    return std::unexpected(source.error());
  }
  const auto at = place(to);
  if (!at) {
    return std::unexpected(at.error());
  }
  const auto number = find(from);
  if (!number) {
    return std::unexpected(number.error());
  }
  if (const auto there = child(*at); !there || *there != 0) {
    return std::unexpected(there ? EEXIST : there.error());
  }
  if (is_directory(inodes_.at(*number))) {
    return std::unexpected(EPERM);
  }
  if (inodes_.at(*number).links >= links_max) {
    return std::unexpected(EMLINK);
  }
  attach(*at, *number);
  inodes_.at(*number).ctime = stamp();
  return {};
}

Sys<void> Disk::rename(std::string_view from, std::string_view to, RenameMode mode) {
  const auto source = place(from);
  if (!source) {
    return std::unexpected(source.error());
  }
  const auto target = place(to);
  if (!target) {
    return std::unexpected(target.error());
  }
  const auto found = find(from);
  if (!found) {
    return std::unexpected(found.error());
  }
  const auto in_the_way = child(*target);
  if (!in_the_way) {
    return std::unexpected(in_the_way.error());
  }
  const InodeNumber moved = *found;
  const InodeNumber there = *in_the_way;
  if (mode == RenameMode::no_replace && there != 0) {
    return std::unexpected(EEXIST);
  }
  if (mode == RenameMode::exchange && there == 0) {
    return std::unexpected(ENOENT);
  }
  if (is_directory(inodes_.at(moved)) && is_inside(target->directory, moved)) {
    return std::unexpected(EINVAL);
  }
  if (there != 0 && is_directory(inodes_.at(there)) && is_inside(source->directory, there)) {
    return std::unexpected(mode == RenameMode::exchange ? EINVAL : ENOTEMPTY);
  }
  if (moved == there) {
    return {};  // two names of one inode: the kernel does nothing and is content
  }
  if (mode == RenameMode::replace && there != 0) {
    const bool from_directory = is_directory(inodes_.at(moved));
    const bool onto_directory = is_directory(inodes_.at(there));
    if (from_directory && !onto_directory) {
      return std::unexpected(ENOTDIR);
    }
    if (!from_directory && onto_directory) {
      return std::unexpected(EISDIR);
    }
    if (onto_directory && !inodes_.at(there).names.empty()) {
      return std::unexpected(ENOTEMPTY);
    }
  }
  inodes_.at(moved).handles++;  // neither may vanish while it has no name
  if (there != 0) {
    inodes_.at(there).handles++;
    detach(*target);
  }
  detach(*source);
  attach(*target, moved);
  inodes_.at(moved).ctime = stamp();
  inodes_.at(moved).handles--;
  if (there != 0) {
    inodes_.at(there).ctime = stamp();
    inodes_.at(there).handles--;
    if (mode == RenameMode::exchange) {
      attach(*source, there);
    }
    collect(there);
  }
  return {};
}

Sys<void> Disk::unlink(std::string_view path) {
  const auto number = find(path);
  if (!number) {
    return std::unexpected(number.error());
  }
  if (is_directory(inodes_.at(*number))) {
    return std::unexpected(EISDIR);
  }
  inodes_.at(*number).ctime = stamp();
  detach(*place(path));
  return {};
}

Sys<void> Disk::remove_directory(std::string_view path) {
  const auto number = find(path);
  if (!number) {
    return std::unexpected(number.error());
  }
  const Inode& inode = inodes_.at(*number);
  if (!is_directory(inode)) {
    return std::unexpected(ENOTDIR);
  }
  if (*number == root) {
    return std::unexpected(EBUSY);
  }
  if (!inode.names.empty()) {
    return std::unexpected(ENOTEMPTY);
  }
  detach(*place(path));
  return {};
}

void Disk::write(InodeNumber number, std::uint64_t offset, std::string_view bytes) {
  if (bytes.empty()) {
    return;
  }
  Inode& inode = inodes_.at(number);
  if (inode.bytes.size() < offset + bytes.size()) {
    inode.bytes.resize(offset + bytes.size());
  }
  inode.bytes.replace(offset, bytes.size(), bytes);
  inode.mtime = inode.ctime = stamp();
}

void Disk::resize(InodeNumber number, std::uint64_t size) {
  Inode& inode = inodes_.at(number);
  inode.bytes.resize(size);
  inode.mtime = inode.ctime = stamp();
}

void Disk::set_mode(InodeNumber number, std::uint16_t mode) {
  inodes_.at(number).mode = mode & 0777;
  inodes_.at(number).ctime = stamp();
}

void Disk::set_mtime(InodeNumber number, std::int64_t ns) {
  inodes_.at(number).mtime = ns;
  inodes_.at(number).ctime = stamp();
}

void Disk::set_owner(InodeNumber number, std::uint32_t uid, std::uint32_t gid) {
  inodes_.at(number).uid = uid;
  inodes_.at(number).gid = gid;
  inodes_.at(number).ctime = stamp();
}

void Disk::open(InodeNumber number, bool writer) {
  inodes_.at(number).handles++;
  inodes_.at(number).writers += writer ? 1 : 0;
}

void Disk::close(InodeNumber number, bool writer) {
  inodes_.at(number).handles--;
  inodes_.at(number).writers -= writer ? 1 : 0;
  collect(number);
}

Sys<Disk::Place> Disk::place(std::string_view path) const {
  invariant(!path.empty(), "the root has no place of its own");
  if (path.size() > engine::path_bytes_max) {
    return std::unexpected(ENAMETOOLONG);
  }
  Place at{root, ""};
  while (true) {
    const auto slash = path.find('/');
    at.name = path.substr(0, slash);
    invariant(!at.name.empty() && at.name != "." && at.name != "..", "path is normal");
    if (!is_directory(inodes_.at(at.directory))) {
      return std::unexpected(ENOTDIR);
    }
    if (slash == std::string_view::npos) {
      return at;
    }
    const auto next = child(at);
    if (!next || *next == 0) {
      return std::unexpected(next ? ENOENT : next.error());
    }
    at.directory = *next;
    path.remove_prefix(slash + 1);
  }
}

Sys<InodeNumber> Disk::child(const Place& at) const {
  if (at.name.size() > engine::name_bytes_max) {
    return std::unexpected(ENAMETOOLONG);
  }
  const auto& names = inodes_.at(at.directory).names;
  const auto found = names.find(at.name);
  return found == names.end() ? 0 : found->second;
}

bool Disk::is_inside(InodeNumber directory, InodeNumber ancestor) const {
  for (InodeNumber at = directory;; at = inodes_.at(at).parent) {
    if (at == ancestor) {
      return true;
    }
    if (at == root) {
      return false;
    }
  }
}

void Disk::attach(const Place& at, InodeNumber number) {
  Inode& inode = inodes_.at(number);
  inodes_.at(at.directory).names.emplace(at.name, number);
  inode.links++;
  inode.parent = at.directory;
  touch_directory(at.directory);
}

void Disk::detach(const Place& at) {
  auto& names = inodes_.at(at.directory).names;
  const auto found = names.find(at.name);
  const InodeNumber number = found->second;
  names.erase(found);
  inodes_.at(number).links--;
  touch_directory(at.directory);
  collect(number);
}

void Disk::touch_directory(InodeNumber number) {
  inodes_.at(number).mtime = inodes_.at(number).ctime = stamp();
}

void Disk::collect(InodeNumber number) {
  const auto found = inodes_.find(number);
  if (found != inodes_.end() && found->second.links == 0 && found->second.handles == 0) {
    inodes_.erase(found);
  }
}

}  // namespace p2psync::sim
