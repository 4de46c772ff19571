#include "tests/sim/sim_fs_disk.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/path.h"

namespace p2psync::sim {

using engine::Kind;
using storage::RenameMode;

namespace {

constexpr std::size_t links_max = 65000;  // ext4's

bool is_directory(const Inode& inode) {
  return inode.kind == Kind::directory && !inode.special;
}

Inodes only_root(std::int64_t now) {
  Inode inode;
  inode.kind = Kind::directory;
  inode.mode = 0755;
  inode.parent = Disk::root;
  inode.links = 1;
  inode.mtime = inode.ctime = now;
  return {{Disk::root, std::move(inode)}};
}

}  // namespace

Disk::Disk() : inodes_(only_root(now)), journal_(inodes_) {}

Disk::Disk(const Disk& settings, Inodes inodes)
    : now(settings.now),
      grain_ns(settings.grain_ns),
      inodes_(std::move(inodes)),
      next_id_(settings.next_id_),
      journal_(inodes_) {}

namespace {

void close_all(Inodes& inodes) {
  for (auto& [number, inode] : inodes) {
    inode.handles = 0;
    inode.writers = 0;
  }
  std::erase_if(inodes, [](const auto& item) { return item.second.links == 0; });
}

}  // namespace

Disk Disk::image() const {
  Inodes inodes = inodes_;
  close_all(inodes);
  return {*this, std::move(inodes)};
}

Disk Disk::without_processes() const {
  Disk disk = *this;
  close_all(disk.inodes_);
  return disk;
}

Disk Disk::power_cut(engine::Random& random) const {
  return {*this, journal_.power_cut(random)};
}

Disk::PowerCuts Disk::power_cuts(std::size_t cap, std::uint64_t count_max) const {
  Journal::PowerCuts cuts = journal_.power_cuts(cap, count_max);
  PowerCuts disks{{}, cuts.total};
  for (Inodes& inodes : cuts.images) {
    disks.images.push_back(Disk(*this, std::move(inodes)));
  }
  return disks;
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
  // A name with an empty file is durable before its bytes are; a symlink is one piece.
  std::string bytes;
  if (made.kind == Kind::file) {
    bytes = std::exchange(made.bytes, {});
  }
  made.mtime = made.ctime = stamp();
  made.links = 0;
  made.id = next_id_++;
  NameChange names{.entries = {{at->directory, at->name, 0, number}}};
  if (is_directory(made)) {
    names.directories = NameChange::Directories::one_more;
  }
  names.made = std::move(made);
  change(std::move(names));
  write(number, 0, bytes);
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
  change({.entries = {{at->directory, at->name, 0, *number}}});
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
  NameChange names;
  names.entries = {
      {source->directory, source->name, moved, mode == RenameMode::exchange ? there : 0},
      {target->directory, target->name, there, moved}};
  if (is_directory(inodes_.at(moved)) || (there != 0 && is_directory(inodes_.at(there)))) {
    names.directories = NameChange::Directories::moved_or_removed;
  }
  change(std::move(names));
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
  const auto at = place(path);
  change({.entries = {{at->directory, at->name, *number, 0}}});
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
  const auto at = place(path);
  change({.entries = {{at->directory, at->name, *number, 0}},
          .directories = NameChange::Directories::moved_or_removed});
  return {};
}

void Disk::write(InodeNumber number, std::uint64_t offset, std::string_view bytes) {
  if (!bytes.empty()) {
    change(number, Write{offset, std::string(bytes)});
  }
}

void Disk::resize(InodeNumber number, std::uint64_t size) {
  change(number, Resize{size});
}

void Disk::set_mode(InodeNumber number, std::uint16_t mode) {
  change(number, SetMode{static_cast<std::uint16_t>(mode & 0777U)});
}

void Disk::set_mtime(InodeNumber number, std::int64_t ns) {
  change(number, SetMtime{to_grain(ns)});
}

void Disk::set_owner(InodeNumber number, std::uint32_t uid, std::uint32_t gid) {
  change(number, SetOwner{uid, gid});
}

bool Disk::rot(InodeNumber number, std::uint64_t offset) {
  Inode& inode = inodes_.at(number);
  if (inode.kind != Kind::file || offset >= inode.bytes.size()) {
    return false;
  }
  flip_bit(inode.bytes, offset);
  journal_.rot(number, inode.id, offset);
  return true;
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

/// Downwards, also before 1970.
std::int64_t Disk::to_grain(std::int64_t ns) const {
  const std::int64_t rest = ns % grain_ns;
  return ns - (rest < 0 ? rest + grain_ns : rest);
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

void Disk::change(NameChange names) {
  names.time = stamp();
  carry_out(inodes_, names);
  journal_.record(std::move(names));
}

void Disk::change(InodeNumber number, decltype(DataChange::what) what) {
  DataChange data{stamp(), number, inodes_.at(number).id, std::move(what)};
  carry_out(inodes_, data);
  journal_.record(std::move(data));
}

void Disk::collect(InodeNumber number) {
  const auto found = inodes_.find(number);
  if (found != inodes_.end() && found->second.links == 0 && found->second.handles == 0) {
    inodes_.erase(found);
  }
}

}  // namespace p2psync::sim
