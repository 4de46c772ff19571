// The watcher on a real kernel. inotify's events are there when the call that caused them returns.
#include "storage/watcher.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "storage/scanner.h"
#include "storage/staging.h"
#include "storage_folder.h"

using namespace p2psync;
using namespace p2psync::storage;
using tests::Folder;

namespace {

/// How many more watches the kernel gives; the real limit can only be set by an administrator.
std::atomic<int> watches_left = 1'000'000;

struct Watched : Folder {
  Watched() {
    auto opened = Watcher::open(*fs);
    REQUIRE(opened.has_value());
    watcher = std::move(*opened);
    watcher->add("");
  }
  /// Watches it and everything below, and returns what is there.
  std::set<std::string> read_in(const std::string& directory) const {
    watcher->add(directory);
    std::set<std::string> names;
    const auto listed = list(*fs, {directory});
    if (!listed.items) {
      return names;
    }
    for (const engine::Listing& item : *listed.items) {
      const std::string path = engine::child_of(directory, item.name);
      names.insert(path);
      if (!item.special && item.signature.kind == engine::Kind::directory) {
        names.merge(read_in(path));
      }
    }
    return names;
  }
  [[nodiscard]] std::vector<std::string> touched() const {
    const Watcher::Events events = watcher->read();
    CHECK_FALSE(events.overflow);
    CHECK_FALSE(events.limit_reached);
    CHECK_FALSE(events.folder_in_doubt);
    return events.names;
  }

  std::unique_ptr<Watcher> watcher;
};

using Names = std::vector<std::string>;

}  // namespace

/// Stands before the C library's.
extern "C" int inotify_add_watch(int descriptor, const char* name, std::uint32_t mask) noexcept {
  if (watches_left.fetch_sub(1) <= 0) {
    errno = ENOSPC;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_inotify_add_watch, descriptor, name, mask));
}

TEST_CASE("watcher: every kind of change touches its name, once a reading") {
  const Watched folder;
  CHECK(folder.watcher->read().empty());
  folder.write("f", "1");
  folder.write("f", "2");
  CHECK(folder.touched() == Names{"f"});
  CHECK(folder.watcher->read().empty());
  ::chmod((folder.path + "/f").c_str(), 0600);
  CHECK(folder.touched() == Names{"f"});
  {
    const auto file = folder.fs->open_write("f");
    REQUIRE((*file)->write(0, tests::bytes_of("3")));
    const Watcher::Events events = folder.watcher->read();
    CHECK(events.names.empty());
    CHECK(events.writing == Names{"f"});
    REQUIRE((*file)->write(0, tests::bytes_of("4")));
  }
  CHECK(folder.touched() == Names{"f"});
  REQUIRE(folder.fs->make_symlink("f", "link"));
  REQUIRE(folder.fs->rename("f", "\n\xff", RenameMode::no_replace));
  CHECK(folder.touched() == Names{"\n\xff", "f", "link"});
  REQUIRE(folder.fs->rename("link", "\n\xff", RenameMode::exchange));
  CHECK(folder.touched() == Names{"\n\xff", "link"});
  REQUIRE(folder.fs->unlink("link"));
  CHECK(folder.touched() == Names{"link"});
}

TEST_CASE("watcher: reading a file touches nothing") {
  const Watched folder;
  folder.write("f", "1");
  CHECK(folder.touched() == Names{"f"});
  CHECK(folder.content("f") == "1");
  CHECK(list(*folder.fs, {""}).items);
  CHECK(folder.watcher->read().empty());
}

TEST_CASE("watcher: what the program lays is no news, what users do to it is") {
  const Folder made;
  REQUIRE(prepare_state(*made.fs));
  const auto watcher = std::move(*Watcher::open(*made.fs));
  watcher->add("");
  const std::string staged = engine::child_of(staging_directory, "staged");
  const auto lay = [&](const std::string& name, RenameMode mode) {
    made.write(staged, "1");
    REQUIRE(made.fs->rename(staged, name, mode));
  };
  lay("f", RenameMode::no_replace);
  CHECK(watcher->read().empty());
  SUBCASE("a write, a change of mode, a move, a deletion") {
    made.write("f", "2");
    CHECK(watcher->read().names == Names{"f"});
    ::chmod((made.path + "/f").c_str(), 0600);
    CHECK(watcher->read().names == Names{"f"});
    REQUIRE(made.fs->rename("f", "g", RenameMode::no_replace));
    CHECK(watcher->read().names == Names{"f", "g"});
    REQUIRE(made.fs->unlink("g"));
    CHECK(watcher->read().names == Names{"g"});
  }
  SUBCASE("a write before it is told") {
    lay("g", RenameMode::no_replace);
    made.write("g", "2");
    CHECK(watcher->read().names == Names{"g"});
  }
  SUBCASE("another file in its place") {
    made.write("h", "2");
    REQUIRE(made.fs->rename("h", "f", RenameMode::replace));
    CHECK(watcher->read().names == Names{"f", "h"});
  }
  SUBCASE("a directory that comes from there is listed") {
    REQUIRE(made.fs->make_directory(staged, 0755));
    REQUIRE(made.fs->rename(staged, "d", RenameMode::no_replace));
    CHECK(watcher->read().names == Names{"d"});
  }
  SUBCASE("what has gone in between is not forgotten") {
    lay("g", RenameMode::no_replace);
    REQUIRE(made.fs->rename("g", "h", RenameMode::no_replace));
    CHECK(watcher->read().names == Names{"g", "h"});
  }
  SUBCASE("where it was laid into a directory that had moved after it was found") {
    REQUIRE(made.fs->make_directory("d", 0755));
    watcher->add("d");
    const auto found = made.fs->open_directory("d");
    REQUIRE(found.has_value());
    REQUIRE(made.fs->rename("d", "e", RenameMode::no_replace));
    std::ignore = watcher->read();
    watcher->add("e");  // and listed, so that no event but its own tells of what comes now
    for (const char* const name : {"g", "h"}) {
      made.write(staged, "1");
      const std::string from = made.path + "/" + staged;
      REQUIRE(::renameat(AT_FDCWD, from.c_str(), found->get(), name) == 0);
    }
    // The second was found after the first was laid, so by the name that it has now.
    CHECK(watcher->read().names == Names{"e/g"});
  }
}

TEST_CASE("watcher: the program's own directory makes no events, unless it goes") {
  const Watched folder;
  REQUIRE(prepare_state(*folder.fs));
  folder.write(".p2psync/tmp/x", "1");
  ::chmod((folder.path + "/.p2psync").c_str(), 0700);
  CHECK(folder.watcher->read().empty());
  REQUIRE(folder.fs->rename(".p2psync", "moved", RenameMode::no_replace));
  const auto events = folder.watcher->read();
  CHECK(events.folder_in_doubt);
  CHECK(events.names == Names{"moved"});
}

TEST_CASE("watcher: a symbolic link to a directory is not watched") {
  const Watched folder;
  const Watched outside;
  REQUIRE(folder.fs->make_symlink(outside.path, "link"));
  CHECK(folder.touched() == Names{"link"});
  folder.watcher->add("link");
  CHECK(folder.watcher->watched() == 1);
  outside.write("f", "1");
  CHECK(folder.watcher->read().empty());
  CHECK(folder.watcher->uncovered().empty());
}

TEST_CASE("watcher: a new subtree has no gap, however its growth and the reading interleave") {
  const Watched folder;
  constexpr int chains = 200;
  std::atomic<bool> done = false;
  std::set<std::string> made;
  std::jthread maker([&] {
    const auto other = open_posix_fs(folder.path).value();
    for (int i = 0; i < chains; ++i) {
      std::string path = "d" + std::to_string(i);
      for (int depth = 0; depth < 4; ++depth) {
        std::ignore = other->make_directory(path, 0755);
        made.insert(path);
        std::ignore = other->create(path + "/f");
        made.insert(path + "/f");
        path += "/e";
      }
    }
    done = true;
    std::ignore = other->create("end");
    made.insert("end");
  });
  std::set<std::string> found;
  for (bool last = false; !last;) {
    struct pollfd wait{folder.watcher->descriptor(), POLLIN, 0};
    if (!found.contains("end")) {
      REQUIRE(::poll(&wait, 1, 60'000) == 1);
    }
    const auto events = folder.watcher->read();
    CHECK_FALSE(events.overflow);
    last = events.empty() && found.contains("end");
    for (const std::string& name : events.names) {
      found.insert(name);
      const auto stat = folder.fs->stat(name);
      if (stat && stat->signature.kind == engine::Kind::directory) {
        found.merge(folder.read_in(name));
      }
    }
  }
  maker.join();
  CHECK(done);
  CHECK(found == made);
  CHECK(folder.watcher->watched() == 1 + 4 * chains);
}

TEST_CASE("watcher: a renamed directory is followed to its new name") {
  const Watched folder;
  REQUIRE(folder.fs->make_directory("a", 0755));
  REQUIRE(folder.fs->make_directory("a/b", 0755));
  REQUIRE(folder.fs->make_directory("a c", 0755));
  folder.read_in("");
  std::ignore = folder.watcher->read();
  REQUIRE(folder.watcher->watched() == 4);

  REQUIRE(folder.fs->rename("a", "z", RenameMode::no_replace));
  SUBCASE("after its events were read") {
    CHECK(folder.touched() == Names{"a", "a/b", "z"});
    CHECK(folder.watcher->watched() == 2);
    folder.read_in("z");
  }
  SUBCASE("before its events were read") {
    folder.read_in("z");
    CHECK(folder.touched() == Names{"a", "z"});
  }
  SUBCASE("half of it before its events were read") {
    folder.watcher->add("z");
    CHECK(folder.touched() == Names{"a", "a/b", "z"});
    folder.read_in("z");
  }
  CHECK(folder.watcher->watched() == 4);
  folder.write("z/b/f", "1");
  folder.write("a c/f", "1");
  CHECK(folder.touched() == Names{"a c/f", "z/b/f"});
}

TEST_CASE("watcher: a directory that comes from elsewhere is told apart from one that is made") {
  const Watched folder;
  REQUIRE(folder.fs->make_directory("a", 0755));
  folder.write("f", "1");
  folder.read_in("");
  CHECK(folder.watcher->read().arrived.empty());
  REQUIRE(folder.fs->rename("a", "b", RenameMode::no_replace));
  REQUIRE(folder.fs->rename("f", "g", RenameMode::no_replace));
  const Watcher::Events events = folder.watcher->read();
  CHECK(events.arrived == Names{"b"});
  CHECK(events.names == Names{"a", "b", "f", "g"});
}

TEST_CASE("watcher: a directory that took a moved one's name in time is listed and added again") {
  const Watched folder;
  REQUIRE(folder.fs->make_directory("a", 0755));
  folder.read_in("");
  std::ignore = folder.watcher->read();
  REQUIRE(folder.fs->rename("a", "b", RenameMode::no_replace));
  REQUIRE(folder.fs->make_directory("a", 0755));
  REQUIRE(folder.fs->make_directory("a/new", 0755));
  folder.read_in("");
  for (const std::string& name : folder.touched()) {
    if (folder.fs->stat(name)) {
      folder.read_in(name);
    }
  }
  std::ignore = folder.watcher->read();
  folder.write("a/new/f", "1");
  folder.write("b/f", "1");
  CHECK(folder.touched() == Names{"a/new/f", "b/f"});
}

TEST_CASE("watcher: a directory that goes takes its watch along") {
  const Watched folder;
  REQUIRE(folder.fs->make_directory("a", 0755));
  folder.read_in("");
  std::ignore = folder.watcher->read();
  REQUIRE(folder.fs->remove_directory("a"));
  CHECK(folder.touched() == Names{"a"});
  CHECK(folder.watcher->watched() == 1);
  REQUIRE(folder.fs->make_directory("a", 0755));
  CHECK(folder.touched() == Names{"a"});
  folder.watcher->add("a");
  folder.write("a/f", "1");
  CHECK(folder.touched() == Names{"a/f"});

  const Folder elsewhere;
  REQUIRE(::rename((folder.path + "/a").c_str(), (elsewhere.path + "/a").c_str()) == 0);
  CHECK(folder.touched() == Names{"a"});
  CHECK(folder.watcher->watched() == 1);
  elsewhere.write("a/f", "2");
  CHECK(folder.watcher->read().empty());
}

TEST_CASE("watcher: lost events are reported") {
  const Watched folder;
  folder.write("a", "");
  folder.write("b", "");
  const std::string a = folder.path + "/a";
  const std::string b = folder.path + "/b";
  // Equal events in a row are one, so they alternate; the queue holds 16384 by default.
  bool overflow = false;
  std::set<std::string> names;
  for (int i = 0; i < 3'000'000 && !overflow; i += 100'000) {
    for (int j = 0; j < 50'000; ++j) {
      ::chmod(a.c_str(), 0600);
      ::chmod(b.c_str(), 0600);
    }
    for (Watcher::Events events = folder.watcher->read(); !events.empty();
         events = folder.watcher->read()) {
      overflow |= events.overflow;
      names.insert(events.names.begin(), events.names.end());
    }
  }
  CHECK(overflow);
  CHECK(names == std::set<std::string>{"a", "b"});
  folder.write("c", "");
  CHECK(folder.touched() == Names{"c"});
}

TEST_CASE("watcher: past the kernel's limit directories are uncovered, which is told once") {
  const Watched folder;
  for (const char* const name : {"a", "b", "c", "c/d"}) {
    REQUIRE(folder.fs->make_directory(name, 0755));
  }
  std::ignore = folder.watcher->read();
  const int before = watches_left.exchange(2);  // the root once more, and a
  folder.read_in("");
  CHECK(folder.watcher->uncovered() == Names{"b", "c", "c/d"});
  CHECK(folder.watcher->read().limit_reached);
  folder.watcher->add("b");
  CHECK_FALSE(folder.watcher->read().limit_reached);

  watches_left = before;
  folder.watcher->add("b");
  CHECK(folder.watcher->uncovered() == Names{"c", "c/d"});
  REQUIRE(folder.fs->remove_directory("c/d"));
  folder.watcher->add("c/d");
  CHECK(folder.watcher->uncovered() == Names{"c"});
  REQUIRE(folder.fs->rename("c", "e", RenameMode::no_replace));
  CHECK(folder.touched() == Names{"c", "e"});
  CHECK(folder.watcher->uncovered().empty());
}

TEST_CASE("watcher: the folder's own end is reported") {
  const Folder parent;
  const std::string inner = parent.path + "/folder";
  REQUIRE(parent.fs->make_directory("folder", 0755));
  const auto fs = open_posix_fs(inner).value();
  const auto watcher = Watcher::open(*fs).value();
  watcher->add("");
  SUBCASE("moved") {
    REQUIRE(parent.fs->rename("folder", "moved", RenameMode::no_replace));
  }
  SUBCASE("moved, and another in its place") {
    REQUIRE(parent.fs->rename("folder", "moved", RenameMode::no_replace));
    REQUIRE(parent.fs->make_directory("folder", 0755));
  }
  CHECK(watcher->read().folder_in_doubt);
  CHECK_FALSE(watcher->read().folder_in_doubt);
}
