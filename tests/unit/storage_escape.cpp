// Whatever paths are asked for, and whatever links users swap in meanwhile: nothing outside of the
// folder is touched or read. What lies outside is looked at afterwards, to the nanosecond; what is
// read inside must not be what lies there.
//
// P2PSYNC_HOSTILE=1000000 has each case go on for that many paths, or swaps.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "engine/random.h"
#include "tests/unit/storage_folder.h"

using namespace p2psync;
using namespace p2psync::storage;
using tests::Folder;

namespace {

constexpr std::string_view secret = "what nobody may read";

std::uint64_t rounds() {
  const char* given = std::getenv("P2PSYNC_HOSTILE");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 20'000;
}

/// A directory outside, and all that can be seen of it.
class Outside {
 public:
  Outside() {
    folder_.write("file", secret);
    REQUIRE(folder_.fs->make_directory("directory", 0755));
    folder_.write("directory/file", secret);
    REQUIRE(folder_.fs->make_symlink("file", "link"));
    before_ = picture();
  }

  [[nodiscard]] const std::string& path() const { return folder_.path; }
  [[nodiscard]] bool untouched() const { return picture() == before_; }
  [[nodiscard]] bool holds(std::uint64_t inode) const {
    return std::ranges::any_of(before_,
                               [inode](const auto& item) { return item.second.inode == inode; });
  }

 private:
  struct Seen {
    ino_t inode = 0;
    mode_t mode = 0;
    uid_t owner = 0;
    nlink_t links = 0;
    off_t size = 0;
    std::int64_t mtime = 0, ctime = 0;
    bool operator==(const Seen&) const = default;
  };

  [[nodiscard]] std::map<std::string, Seen> picture() const {
    std::map<std::string, Seen> all;
    const auto look = [&all](const std::string& name) {
      struct stat seen{};
      REQUIRE(::lstat(name.c_str(), &seen) == 0);
      const auto ns = [](const timespec& time) {
        return time.tv_sec * 1'000'000'000 + time.tv_nsec;
      };
      all[name] = {seen.st_ino,  seen.st_mode,     seen.st_uid,     seen.st_nlink,
                   seen.st_size, ns(seen.st_mtim), ns(seen.st_ctim)};
    };
    look(folder_.path);
    for (const auto& item : std::filesystem::recursive_directory_iterator(folder_.path)) {
      look(item.path());
    }
    return all;
  }

  Folder folder_;
  std::map<std::string, Seen> before_;
};

/// All that can be asked of a path, one after the other.
class Visitor {
 public:
  Visitor(Fs& fs, const Outside& outside, engine::Random& random)
      : fs_(fs), outside_(outside), random_(random) {}

  void visit(const std::string& path, const std::string& other) {
    switch (random_.below(16)) {
      case 0: count(fs_.stat(path).has_value()); break;
      case 1: list(path); break;
      case 2: read(fs_.open_read(path)); break;
      case 3: read(fs_.open_write(path)); break;
      case 4: write(fs_.create(path)); break;
      case 5: write(fs_.open_write(path)); break;
      case 6: read_link(path); break;
      case 7: count(fs_.make_directory(path, 0755).has_value()); break;
      case 8: count(fs_.make_symlink("nowhere", path).has_value()); break;
      case 9: count(fs_.link(path, other).has_value()); break;
      case 10: count(fs_.rename(path, other, RenameMode::no_replace).has_value()); break;
      case 11: count(fs_.rename(path, other, RenameMode::exchange).has_value()); break;
      case 12: count(fs_.rename(path, other, RenameMode::replace).has_value()); break;
      case 13: count(fs_.set_mtime(path, 1'000'000'000).has_value()); break;
      case 14: count(fs_.set_directory_mode(path, 0700).has_value()); break;
      default:
        count(fs_.unlink(path).has_value() || fs_.remove_directory(path).has_value());
        std::ignore = fs_.sync_directory(path);
        fs_.set_link_owner(path, ::geteuid(), ::getegid());
        break;
    }
  }

  std::uint64_t done = 0, refused = 0;

 private:
  void count(bool good) { ++(good ? done : refused); }

  void list(const std::string& path) {
    const auto items = fs_.list(path);
    count(items.has_value());
    for (const DirItem& item : items ? *items : std::vector<DirItem>()) {
      REQUIRE(!outside_.holds(item.stat.signature.inode));
    }
  }
  void read(const Result<std::unique_ptr<File>>& file) {
    count(file.has_value());
    if (file) {
      std::array<std::uint8_t, 64> bytes{};
      const auto length = (*file)->read(0, bytes);
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                                  length ? *length : 0);
      REQUIRE(!text.contains(secret));
    }
  }
  void write(const Result<std::unique_ptr<File>>& file) {
    count(file.has_value());
    if (file) {
      std::ignore = (*file)->write(0, tests::bytes_of("from within"));
      std::ignore = (*file)->set_mtime(1'000'000'000);
      std::ignore = (*file)->set_mode(0600);
    }
  }
  void read_link(const std::string& path) {
    const auto target = fs_.read_link(path);
    count(target.has_value());
    REQUIRE((!target || *target != "file"));  // no link inside says that
  }

  Fs& fs_;
  const Outside& outside_;
  engine::Random& random_;
};

}  // namespace

TEST_CASE("escape: no path, however it is put together, leads outside") {
  for (const Resolution resolution : {Resolution::openat2, Resolution::walk}) {
    const Outside outside;
    const Folder folder(resolution);
    REQUIRE(folder.fs->make_directory("d", 0755));
    REQUIRE(folder.fs->make_symlink(outside.path(), "out"));
    REQUIRE(folder.fs->make_symlink("../..", "up"));
    const std::vector<std::string> parts{"..",
                                         ".",
                                         "",
                                         "d",
                                         "out",
                                         "up",
                                         "x",
                                         "file",
                                         "directory",
                                         "link",
                                         "\xff",
                                         "~",
                                         "...",
                                         ". ",
                                         outside.path(),
                                         "/",
                                         "\\",
                                         std::string(1, '\0'),
                                         "..\0",
                                         "proc/self/root",
                                         std::string(300, 'n')};
    engine::Random random(resolution == Resolution::walk ? 1 : 2);
    const auto path = [&] {
      std::string made;
      for (std::uint64_t left = random.below(5) + 1; left > 0; --left) {
        made += parts[random.below(parts.size())];
        if (left > 1 && random.below(8) != 0) {
          made += '/';
        }
      }
      return made;
    };
    Visitor visitor(*folder.fs, outside, random);
    for (std::uint64_t i = 0; i < rounds(); ++i) {
      // Users put back what visits have moved away.
      if (i % 64 == 0) {
        std::ignore = folder.fs->make_directory("d", 0755);
        std::ignore = folder.fs->make_symlink(outside.path(), "out");
      }
      visitor.visit(path(), path());
    }
    CHECK(visitor.done > 0);
    CHECK(visitor.refused > visitor.done);
    CHECK(outside.untouched());
  }
}

TEST_CASE("escape: while a directory and a link outside change places all the time") {
  for (const Resolution resolution : {Resolution::openat2, Resolution::walk}) {
    const Outside outside;
    const Folder folder(resolution);
    const std::string directory = folder.path + "/d";
    const std::string link = folder.path + "/l";
    REQUIRE(folder.fs->make_directory("d", 0755));
    REQUIRE(::symlink(outside.path().c_str(), link.c_str()) == 0);
    std::atomic<std::uint64_t> swaps = 0;
    std::atomic<bool> over = false;
    std::thread swapper([&] {
      while (!over) {
        swaps +=
            ::renameat2(AT_FDCWD, directory.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE) == 0;
      }
    });
    engine::Random random(3);
    Visitor visitor(*folder.fs, outside, random);
    const std::vector<std::string> names{"file", "directory", "link", "directory/file", "x", "y"};
    const auto path = [&] { return "d/" + names[random.below(names.size())]; };
    // The names outside are never made inside, so whoever finds one is outside.
    while (swaps < rounds()) {
      const std::string one = path();
      std::string other = "d/" + names[4 + random.below(2)];
      const bool inside = one.ends_with("/x") || one.ends_with("/y");
      if (inside) {
        visitor.visit(one, other);
      } else {
        CHECK(!folder.fs->stat(one).has_value());
        CHECK(!folder.fs->open_read(one).has_value());
        CHECK(!folder.fs->open_write(one).has_value());
        CHECK(!folder.fs->unlink(one).has_value());
        CHECK(!folder.fs->rename(one, other, RenameMode::replace).has_value());
        CHECK(!folder.fs->link(one, other).has_value());
      }
    }
    over = true;
    swapper.join();
    CHECK(visitor.done > 0);
    CHECK(visitor.refused > 0);
    CHECK(outside.untouched());
  }
}
