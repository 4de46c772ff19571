// What users do in the small world of the crash points.
#include "engine/path.h"
#include "tests/sim/crash_points_world.h"

namespace p2psync::sim {
namespace {

using namespace engine;

constexpr std::int64_t old_time = 1'600'000'000'000'000'000;
constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t act_apart_s = 1000;

}  // namespace

void CrashWorld::acted(const At& at, std::uint64_t times) {
  invariants_.user_acted(at.host, times);
  if (at.host == subject_id) {
    unsynced_.insert(at.name);
    look_at_disk();
  }
  note("user of n" + std::to_string(at.host) + " acts on " + at.name);
  later(Duration(1'000'000), [this, at] { host(at.host).tell(Touched{{at.name}}); });
}

void CrashWorld::write(const At& at, const std::string& bytes, int age, bool in_place) {
  SimFs& disk = host(at.host).disk();
  host(at.host).tell_time();
  const Tree before = disk.tree();
  invariant(in_place ? disk.write_file(at.name, bytes) : disk.save_file(at.name, bytes),
            "the scene's user can write");
  ++writes_;
  const std::int64_t seconds = age < 0 ? static_cast<std::int64_t>(writes_) * act_apart_s : age;
  disk.utimes(at.name, old_time + seconds * second_ns);
  if (const auto was = before.find(at.name); was != before.end()) {
    oracle_.superseded(at.host, at.name, was->second);
  }
  oracle_.wrote(at.name, disk.tree().at(at.name));
  acted(at, 1);
}

void CrashWorld::remove(const At& at) {
  SimFs& disk = host(at.host).disk();
  const Tree before = disk.tree();
  invariant(disk.remove(at.name), "the scene's user can remove");
  oracle_.superseded(at.host, at.name, before.at(at.name));
  acted(at, 1);
}

void CrashWorld::rename(const At& at, const std::string& to) {
  SimFs& disk = host(at.host).disk();
  const Tree before = disk.tree();
  invariant(disk.rename_path(at.name, to), "the scene's user can rename");
  if (const auto was = before.find(to); was != before.end()) {
    oracle_.superseded(at.host, to, was->second);
  }
  const Tree after = disk.tree();
  for (const auto& [name, node] : before) {
    if (name == at.name || is_below(name, at.name)) {
      oracle_.superseded(at.host, name, node);
      const std::string moved = to + name.substr(at.name.size());
      oracle_.wrote(moved, after.at(moved));
      acted({at.host, name}, 1);
      acted({at.host, moved}, 1);
    }
  }
}

void CrashWorld::chmod(const At& at, std::uint16_t mode) {
  SimFs& disk = host(at.host).disk();
  const Tree before = disk.tree();
  disk.chmod(at.name, mode);
  oracle_.changed_metadata(at.host, at.name, before.at(at.name), disk.tree());
  acted(at, 1);
}

void CrashWorld::touch(const At& at) {
  SimFs& disk = host(at.host).disk();
  const Tree before = disk.tree();
  ++writes_;
  disk.utimes(at.name, old_time + static_cast<std::int64_t>(writes_) * act_apart_s * second_ns);
  oracle_.changed_metadata(at.host, at.name, before.at(at.name), disk.tree());
  acted(at, 1);
}

void CrashWorld::mkdir(const At& at, std::uint16_t mode) {
  invariant(host(at.host).disk().mkdir(at.name, mode), "the scene's user can make a directory");
  acted(at, 1);
}

void CrashWorld::link(const At& at, const std::string& target) {
  SimFs& disk = host(at.host).disk();
  invariant(disk.symlink(target, at.name), "the scene's user can link");
  ++writes_;
  disk.utimes(at.name, old_time + static_cast<std::int64_t>(writes_) * act_apart_s * second_ns);
  oracle_.wrote(at.name, disk.tree().at(at.name));
  acted(at, 1);
}

void CrashWorld::fsync(const At& at) {
  SimFs& disk = host(at.host).disk();
  disk.sync_file(at.name);
  disk.sync_file(parent_of(at.name));
  unsynced_.clear();
}

}  // namespace p2psync::sim
