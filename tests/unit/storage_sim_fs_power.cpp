// What a power cut leaves of the simulated disk: enough to find a missing fsync, and never a disk
// that no file system would leave.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "engine/random.h"
#include "tests/sim/sim_fs.h"
#include "tests/unit/storage_folder.h"

namespace p2psync::sim {
namespace {

using engine::Kind;
using engine::Random;
using storage::RenameMode;

constexpr std::size_t all_of_them = 60'000;
constexpr InodeNumber numbers_max = 300;

/// Every inode by every path, with all that is known of it.
void dump(const Disk& disk, InodeNumber directory, const std::string& path, std::string& into) {
  for (const auto& [name, number] : disk.inode(directory).names) {
    const Inode& inode = disk.inode(number);
    into += path + name + " " + std::to_string(number) + " " +
            std::to_string(static_cast<int>(inode.kind)) + (inode.special ? "s " : " ") +
            std::to_string(inode.mode) + " " + std::to_string(inode.uid) + " " +
            std::to_string(inode.gid) + " " + std::to_string(inode.mtime) + " " +
            std::to_string(inode.ctime) + " " + std::to_string(inode.links) + " " + inode.bytes +
            "\n";
    if (inode.kind == Kind::directory) {
      dump(disk, number, path + name + "/", into);
    }
  }
}

std::string dump(const Disk& disk) {
  std::string text;
  dump(disk, Disk::root, "/", text);
  return text;
}

void count_names(const Disk& disk, InodeNumber directory,
                 std::map<InodeNumber, std::uint64_t>& counts) {
  for (const auto& [name, number] : disk.inode(directory).names) {
    REQUIRE(disk.exists(number));
    const Inode& inode = disk.inode(number);
    CHECK(inode.handles == 0);
    counts[number]++;
    if (inode.kind == Kind::directory) {
      REQUIRE(counts[number] == 1);
      CHECK(inode.parent == directory);
      count_names(disk, number, counts);
    } else {
      CHECK(inode.names.empty());
    }
  }
}

/// A tree, its link counts right, and nothing beside it.
void check_legal(const Disk& disk) {
  std::map<InodeNumber, std::uint64_t> counts;
  count_names(disk, Disk::root, counts);
  for (InodeNumber number = Disk::root + 1; number < numbers_max; ++number) {
    CHECK(disk.exists(number) == counts.contains(number));
  }
  for (const auto& [number, count] : counts) {
    CHECK(disk.inode(number).links == count);
  }
}

/// What each cut shows under a name; "-" for nothing.
std::set<std::string> seen(const SimFs& fs, std::string_view path) {
  const auto cuts = fs.disk().power_cuts(all_of_them);
  CHECK(cuts.images.size() == cuts.total);
  std::set<std::string> seen;
  for (const Disk& image : cuts.images) {
    check_legal(image);
    seen.insert(SimFs(image).read(path).value_or("-"));
  }
  return seen;
}

using Seen = std::set<std::string>;

void have(SimFs& fs, std::string_view path, std::string_view bytes) {
  REQUIRE(fs.write_file(path, bytes));
  REQUIRE(fs.sync_all());
}

/// What a user or the kernel does in the random histories.
void act(SimFs& fs, Random& random) {
  static constexpr std::array paths = {"a", "b", "d", "d/a", "d/e", "d/e/f", "g", "g/h"};
  const std::string path = paths[random.below(paths.size())];
  const std::string other = paths[random.below(paths.size())];
  switch (random.below(15)) {
    case 0: fs.mkdir(path); break;
    case 1: fs.remove(path); break;
    case 2:
    case 3: fs.rename_path(path, other); break;
    case 4: std::ignore = fs.rename(path, other, RenameMode::exchange); break;
    case 5: fs.hard_link(path, other); break;
    case 6: fs.symlink("target", path); break;
    case 7: fs.save_file(path, std::string(random.below(6000), 's')); break;
    case 8: fs.chmod(path, static_cast<std::uint16_t>(random.below(0777))); break;
    case 9: fs.utimes(path, static_cast<std::int64_t>(random.below(1'000'000))); break;
    case 10: fs.sync_file(path); break;
    case 11:
      if (auto file = fs.open_writer(path)) {
        file->resize(random.below(9000));
        fs.remove(path);
        file->write(random.below(9000), "to the inode, whatever its name");
      }
      break;
    default: fs.write_file(path, std::string(random.below(6000), 'w')); break;
  }
}

TEST_CASE("power cut: bytes that were synced are there wherever their name is") {
  SimFs fs;
  REQUIRE(fs.write_file("a", "one"));
  REQUIRE(fs.sync_file("a"));
  CHECK(seen(fs, "a") == Seen{"-", "one"});
  REQUIRE(fs.sync_directory(""));
  CHECK(seen(fs, "a") == Seen{"one"});
  CHECK(fs.write_file("a", "two"));
  CHECK(fs.sync_file("a"));
  CHECK(seen(fs, "a") == Seen{"two"});
}

TEST_CASE("power cut: a durable name may lead to an empty file, zeros or half of the bytes") {
  SimFs fs;
  const std::string bytes = std::string(4096, 'x') + std::string(4096, 'y');
  REQUIRE(fs.write_file("a", "z"));
  CHECK(seen(fs, "a") == Seen{"-", "", std::string(1, '\0'), "z"});
  REQUIRE(fs.write_file("b", bytes));
  REQUIRE(fs.sync_directory(""));
  CHECK(seen(fs, "b") == Seen{"", std::string(4096, 'x') + std::string(4096, '\0'), bytes});
}

TEST_CASE("power cut: a rename over a file leaves the old or the new one, whole if synced") {
  SimFs fs;
  have(fs, "a", "old");
  REQUIRE(fs.write_file("b", "new"));
  SUBCASE("synced") {
    REQUIRE(fs.sync_file("b"));
    REQUIRE(fs.rename_path("b", "a"));
    CHECK(seen(fs, "a") == Seen{"old", "new"});
    REQUIRE(fs.sync_directory(""));
    CHECK(seen(fs, "a") == Seen{"new"});
  }
  SUBCASE("not synced: what a missing fsync does") {
    REQUIRE(fs.rename_path("b", "a"));
    REQUIRE(fs.sync_directory(""));
    CHECK(seen(fs, "a") == Seen{"", std::string(3, '\0'), "new"});
  }
}

TEST_CASE("power cut: an exchange loses neither file") {
  SimFs fs;
  REQUIRE(fs.mkdir("d"));
  have(fs, "a", "one");
  have(fs, "d/b", "two");
  REQUIRE(fs.rename("a", "d/b", RenameMode::exchange));
  REQUIRE(fs.rename("a", "c", RenameMode::no_replace));
  for (const Disk& image : fs.disk().power_cuts(all_of_them).images) {
    const SimFs after(image);
    const bool moved = after.read("c").has_value();
    CHECK(after.read(moved ? "c" : "a") == (after.read("d/b") == "one" ? "two" : "one"));
    CHECK((!moved || after.read("d/b") == "one"));
  }
  CHECK(fs.disk().power_cuts(all_of_them).total == 3);
  REQUIRE(fs.sync_directory("d"));
  CHECK(seen(fs, "d/b") == Seen{"one"});
  CHECK(seen(fs, "c") == Seen{"two", "-"});
}

TEST_CASE("power cut: a link and the removal of the first name never leave no name") {
  SimFs fs;
  have(fs, "a", "one");
  REQUIRE(fs.hard_link("a", "b"));
  REQUIRE(fs.remove("a"));
  for (const Disk& image : fs.disk().power_cuts(all_of_them).images) {
    const SimFs after(image);
    CHECK((after.exists("a") || after.exists("b")));
  }
  CHECK(fs.disk().power_cuts(all_of_them).total == 3);
}

TEST_CASE("power cut: syncing a directory makes the directories durable that it needs") {
  SimFs fs;
  REQUIRE(fs.mkdir("d"));
  REQUIRE(fs.mkdir("d/e"));
  REQUIRE(fs.mkdir("other"));
  REQUIRE(fs.write_file("d/e/a", "one"));
  REQUIRE(fs.sync_file("d/e/a"));
  CHECK(seen(fs, "d/e/a") == Seen{"-", "one"});
  REQUIRE(fs.sync_directory("d/e"));
  CHECK(seen(fs, "d/e/a") == Seen{"one"});
  CHECK_FALSE(SimFs(fs.disk().power_cuts(all_of_them).images.front()).exists("other"));
}

TEST_CASE("power cut: a directory is not removed before what was in it is gone") {
  SimFs fs;
  REQUIRE(fs.mkdir("d"));
  have(fs, "d/a", "one");
  have(fs, "d/b", "two");
  REQUIRE(fs.rename_path("d/a", "a"));
  REQUIRE(fs.remove("d/b"));
  REQUIRE(fs.remove("d"));
  for (const Disk& image : fs.disk().power_cuts(all_of_them).images) {
    check_legal(image);
    const SimFs after(image);
    CHECK((after.read("a") == "one" || after.read("d/a") == "one"));
  }
  CHECK(fs.disk().power_cuts(all_of_them).total == 5);
}

TEST_CASE("power cut: a number that was used again mixes up no bytes") {
  SimFs fs;
  have(fs, "a", "first");
  const auto number = *fs.disk().find("a");
  REQUIRE(fs.write_file("a", "second"));
  REQUIRE(fs.remove("a"));
  REQUIRE(fs.write_file("b", "other"));
  REQUIRE(*fs.disk().find("b") == number);
  REQUIRE(fs.sync_file("b"));
  CHECK(seen(fs, "b") == Seen{"-", "other"});
  CHECK_FALSE(seen(fs, "a").contains("other"));
  CHECK(seen(fs, "a").contains("first"));
  REQUIRE(fs.sync_directory(""));
  CHECK(seen(fs, "a") == Seen{"-"});
}

TEST_CASE("power cut: what a failed fsync lost stays lost until it is written again") {
  SimFs fs;
  have(fs, "a", "old");
  auto file = fs.open_write("a");
  REQUIRE(file);
  REQUIRE((*file)->write(0, tests::bytes_of("new")));
  fs.fault = [](std::string_view operation, std::string_view) {
    return operation == "File::sync" ? EIO : 0;
  };
  REQUIRE_FALSE((*file)->sync());
  fs.fault = nullptr;
  CHECK((*file)->sync());
  CHECK(fs.read("a") == "new");
  CHECK(seen(fs, "a") == Seen{"old"});
  REQUIRE(fs.sync_all());
  CHECK(fs.read("a") == "new");
  CHECK(seen(fs, "a") == Seen{"old"});
  REQUIRE((*file)->write(0, tests::bytes_of("new")));
  CHECK((*file)->sync());
  CHECK(seen(fs, "a") == Seen{"new"});
}

TEST_CASE("power cut: a torn write leaves whole pieces, and the old bytes between them") {
  constexpr std::size_t pieces = 5;
  SimFs fs;
  have(fs, "a", std::string(pieces * piece_bytes, 'o'));
  auto file = fs.open_writer("a");
  REQUIRE(file);
  file->write(100, std::string((pieces * piece_bytes) - 100, 'n'));
  Random random(1);
  std::set<std::string> patterns;
  for (int draw = 0; draw < 300; ++draw) {
    const std::string bytes = SimFs(fs.disk().power_cut(random)).read("a").value_or("");
    REQUIRE(bytes.size() == pieces * piece_bytes);
    CHECK(bytes.substr(0, 100) == std::string(100, 'o'));
    std::string pattern;
    for (std::size_t piece = 0; piece < pieces; ++piece) {
      const std::size_t from = std::max<std::size_t>(piece * piece_bytes, 100);
      const std::size_t to = (piece + 1) * piece_bytes;
      CHECK(bytes.substr(from, to - from) == std::string(to - from, bytes[from]));
      pattern += bytes[from];
    }
    patterns.insert(pattern);
  }
  CHECK(patterns.contains("ooooo"));
  CHECK(patterns.contains("nnnnn"));
  CHECK(patterns.size() > 10);
}

TEST_CASE("power cut: two new files have sixteen fates, and a small cap samples them") {
  SimFs fs;
  REQUIRE(fs.write_file("a", "one"));
  REQUIRE(fs.write_file("b", "two"));
  const auto cuts = fs.disk().power_cuts(16);
  CHECK(cuts.total == 16);
  std::set<std::string> images;
  for (const Disk& image : cuts.images) {
    images.insert(dump(image));
  }
  CHECK(images.size() == 16);
  const auto sample = fs.disk().power_cuts(8);
  CHECK(sample.total == 16);
  REQUIRE(sample.images.size() == 8);
  CHECK(dump(sample.images[0]).empty());
  CHECK(dump(sample.images[1]) == dump(fs.image()));
}

TEST_CASE("power cut: every image of a small history is a legal file system") {
  std::size_t images = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    SimFs fs;
    REQUIRE(fs.mkdir("d"));
    REQUIRE(fs.mkdir("d/e"));
    have(fs, "d/a", "one");
    for (int step = 0; step < 7; ++step) {
      act(fs, random);
    }
    const auto cuts = fs.disk().power_cuts(2000);
    for (const Disk& image : cuts.images) {
      check_legal(image);
    }
    CHECK(cuts.images.size() == std::min<std::size_t>(cuts.total, 2000));
    images += cuts.images.size();
  }
  CHECK(images > 10'000);
}

TEST_CASE("power cut: random histories go on from image to image, legal and alike for one seed") {
  const auto play = [](std::uint64_t seed) {
    Random random(seed);
    SimFs fs;
    std::string text;
    for (int step = 0; step < 400; ++step) {
      act(fs, random);
      if (random.chance(5)) {
        fs.disk().write_back(random);
      }
      if (random.chance(4)) {
        fs.power_cut(random);
        check_legal(fs.disk());
        CHECK(fs.disk().pending() == 0);
        text += dump(fs.disk()) + "--\n";
      }
    }
    return text;
  };
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    const std::string text = play(seed);
    CHECK(play(seed) == text);
  }
  CHECK(play(1) != play(2));
}

TEST_CASE("power cut: after everything was synced, nothing differs from a reboot") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    SimFs fs;
    for (int step = 0; step < 300; ++step) {
      act(fs, random);
      if (random.chance(3)) {
        fs.disk().write_back(random);
      }
    }
    REQUIRE(fs.sync_all());
    const std::string expected = dump(fs.image());
    for (int draw = 0; draw < 5; ++draw) {
      CHECK(dump(fs.disk().power_cut(random)) == expected);
    }
    CHECK(fs.disk().power_cuts(3).total == 1);
    fs.load(fs.image());
    CHECK(dump(fs.disk().power_cut(random)) == expected);
  }
}

TEST_CASE("power cut: a long log becomes durable from its old end") {
  SimFs fs;
  REQUIRE(fs.write_file("old", "one"));
  for (std::size_t change = 0; change < 3 * Journal::changes_max; ++change) {
    REQUIRE(fs.utimes("old", static_cast<std::int64_t>(change)));
    CHECK(fs.disk().pending() <= Journal::changes_max);
  }
  CHECK(SimFs(fs.disk().power_cuts(2).images.front()).read("old") == "one");
  REQUIRE(fs.write_file("new", std::string(Journal::bytes_max + 1, 'x')));
  CHECK(fs.disk().pending() <= Journal::changes_max);
}

TEST_CASE("sim disk: rot changes bytes for good and no time") {
  SimFs fs;
  have(fs, "a", "abc");
  REQUIRE(fs.write_file("b", "abc"));
  const auto before = fs.stat("a")->signature;
  CHECK(fs.rot("a", 1));
  CHECK(fs.rot("b", 2));
  CHECK_FALSE(fs.rot("a", 3));
  CHECK_FALSE(fs.rot("c", 0));
  CHECK(fs.read("a") == "acc");
  CHECK(fs.stat("a")->signature == before);
  CHECK(seen(fs, "a") == Seen{"acc"});
  CHECK_FALSE(seen(fs, "b").contains("abc"));
  CHECK(seen(fs, "b").contains("abb"));
}

TEST_CASE("sim disk: all times are multiples of the grain, also those that are set") {
  for (const std::int64_t grain : {1L, 100L, 1'000'000'000L, 2'000'000'000L}) {
    SimFs fs;
    fs.disk().grain_ns = grain;
    fs.disk().now += 12'345;
    auto file = fs.create("a");
    REQUIRE(file);
    REQUIRE((*file)->set_mtime(1'600'000'001'999'999'999));
    const auto stat = fs.stat("a")->signature;
    CHECK(stat.mtime == 1'600'000'001'999'999'999 / grain * grain);
    CHECK(stat.ctime % grain == 0);
    REQUIRE(fs.symlink("a", "l"));
    REQUIRE(fs.set_mtime("l", -1));
    CHECK(fs.stat("l")->signature.mtime == -grain);
    REQUIRE(fs.utimes("a", 3'999'999'999));
    CHECK(fs.stat("a")->signature.mtime == 3'999'999'999 / grain * grain);
    REQUIRE(fs.write_file("a", "one"));
    CHECK(fs.stat("a")->signature.mtime % grain == 0);
  }
}

}  // namespace
}  // namespace p2psync::sim
