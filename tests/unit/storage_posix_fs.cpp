// The real file system: what PosixFs promises, in temporary directories.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "storage/posix_file.h"
#include "storage/posix_fs.h"
#include "storage/staging.h"
#include "storage_folder.h"

using namespace p2psync;
using namespace p2psync::storage;
using tests::bytes_of;
using tests::Folder;

namespace {

constexpr Resolution resolutions[] = {Resolution::openat2, Resolution::walk};

ErrorCode code_of(const auto& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error().code;
}

/// The write calls that this thread has made; nothing where the kernel does not count them.
std::optional<std::uint64_t> write_calls() {
  std::ifstream counters("/proc/thread-self/io");
  for (std::string name; counters >> name;) {
    std::uint64_t count = 0;
    counters >> count;
    if (name == "syscw:") {
      return count;
    }
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("posix fs: a file is created, written, read back and described") {
  for (const Resolution resolution : resolutions) {
    const Folder folder(resolution);
    REQUIRE(folder.fs->make_directory("a", 0755));
    {
      const auto file = folder.fs->create("a/f");
      REQUIRE(file);
      REQUIRE((*file)->write(3, bytes_of("world")));
      REQUIRE((*file)->write(0, bytes_of("new")));
      REQUIRE((*file)->set_mode(0640));
      REQUIRE((*file)->set_mtime(-1));
      REQUIRE((*file)->sync());
    }
    const auto stat = folder.fs->stat("a/f");
    REQUIRE(stat);
    CHECK(stat->signature.kind == engine::Kind::file);
    CHECK(stat->signature.size == 8);
    CHECK(stat->signature.mode == 0640);
    CHECK(stat->signature.mtime == -1);
    CHECK(stat->signature.ctime > 0);
    CHECK(stat->links == 1);
    CHECK(folder.content("a/f") == "newworld");
    CHECK(code_of(folder.fs->create("a/f")) == ErrorCode::changed);
    CHECK(code_of(folder.fs->open_read("a/g")) == ErrorCode::not_found);
    CHECK(code_of(folder.fs->open_read("a/f/g")) == ErrorCode::not_found);
    REQUIRE(folder.fs->sync_directory("a"));
    REQUIRE(folder.fs->sync_directory(""));
    REQUIRE(folder.fs->sync_all());
    REQUIRE(folder.fs->unlink("a/f"));
    CHECK(code_of(folder.fs->stat("a/f")) == ErrorCode::not_found);
  }
}

TEST_CASE("posix fs: much is written in pieces that end where pages of a file do") {
  const Folder folder(Resolution::openat2);
  const auto file = folder.fs->create("f");
  REQUIRE(file);
  const std::string head(1000, 'h');
  std::string body;
  for (std::size_t i = 0; i < 16 * write_bytes_max; ++i) {
    body += static_cast<char>('a' + i % 23);
  }
  REQUIRE((*file)->write(0, bytes_of(head)));
  const auto before = write_calls();
  REQUIRE((*file)->write(head.size(), bytes_of(body)));
  const auto after = write_calls();
  CHECK(folder.content("f") == head + body);
  if (before && after) {
    CHECK(*after - *before == 17);  // the first and the last are parts of one
  }
}

TEST_CASE("posix fs: a symbolic link in the middle of a path is never followed") {
  for (const Resolution resolution : resolutions) {
    const Folder folder(resolution);
    REQUIRE(folder.fs->make_directory("real", 0755));
    folder.write("real/f", "inside");
    REQUIRE(folder.fs->make_symlink("real", "link"));
    REQUIRE(folder.fs->make_symlink("/etc", "out"));
    CHECK(code_of(folder.fs->stat("link/f")) == ErrorCode::not_found);
    CHECK(code_of(folder.fs->open_read("link/f")) == ErrorCode::not_found);
    CHECK(code_of(folder.fs->create("link/g")) == ErrorCode::not_found);
    CHECK(code_of(folder.fs->list("link")) == ErrorCode::not_found);
    CHECK(code_of(folder.fs->open_read("out/passwd")) == ErrorCode::not_found);
    CHECK(code_of(folder.fs->rename("real/f", "link/g", RenameMode::no_replace)) ==
          ErrorCode::not_found);
    CHECK(code_of(folder.fs->set_directory_mode("out", 0700)) == ErrorCode::not_found);
    CHECK(code_of(folder.fs->open_read("link")) == ErrorCode::changed);
    CHECK(code_of(folder.fs->open_write("link")) == ErrorCode::changed);
    CHECK(code_of(folder.fs->create("link")) == ErrorCode::changed);
    CHECK(code_of(folder.fs->open_write("real/f/g")) == ErrorCode::not_found);
    CHECK(code_of(folder.fs->create("real/f/g")) == ErrorCode::not_found);
    CHECK(folder.fs->stat("link")->signature.kind == engine::Kind::symlink);
    CHECK(folder.fs->stat("link")->signature.size == 0);
    CHECK(folder.fs->read_link("out").value() == "/etc");
    CHECK(code_of(folder.fs->read_link("real")) == ErrorCode::changed);
  }
}

TEST_CASE("posix fs: no path leads out of the folder") {
  for (const Resolution resolution : resolutions) {
    const Folder folder(resolution);
    REQUIRE(folder.fs->make_directory("a", 0755));
    using namespace std::string_view_literals;
    for (const std::string_view path : {".."sv, "../x"sv, "a/../../x"sv, "a/.."sv, "."sv, "./a"sv,
                                        "a//b"sv, "/etc"sv, "/"sv, "a/"sv, "a\0b"sv}) {
      CAPTURE(path);
      CHECK(code_of(folder.fs->stat(path)) == ErrorCode::invalid);
      CHECK(code_of(folder.fs->create(path)) == ErrorCode::invalid);
      CHECK(code_of(folder.fs->list(path)) == ErrorCode::invalid);
    }
  }
}

TEST_CASE("posix fs: names are any bytes, up to 255, and paths up to 4095") {
  for (const Resolution resolution : resolutions) {
    const Folder folder(resolution);
    const std::string longest(255, '\xff');
    for (const std::string& name : {std::string("line\nbreak"), std::string("\x80\xfe invalid"),
                                    longest, std::string(" -"), std::string("*?")}) {
      folder.write(name, "x");
      CHECK(folder.content(name) == "x");
    }
    CHECK(code_of(folder.fs->create(longest + "x")) == ErrorCode::invalid);
    const auto items = folder.fs->list("");
    REQUIRE(items);
    REQUIRE(items->size() == 5);
    CHECK(items->front().name == " -");
    CHECK(items->back().name == longest);

    std::string path;
    while (path.size() + 256 < 4095) {
      path += path.empty() ? std::string(255, 'd') : '/' + std::string(255, 'd');
      REQUIRE(folder.fs->make_directory(path, 0755));
    }
    REQUIRE(path.size() == 15 * 256 - 1);
    path += '/' + std::string(4095 - path.size() - 1, 'f');
    REQUIRE(path.size() == 4095);
    folder.write(path, "deep");
    CHECK(folder.content(path) == "deep");
    CHECK(code_of(folder.fs->stat(path + "x")) == ErrorCode::invalid);
  }
}

TEST_CASE("posix fs: a listing is in the order of bytes and says what everything is") {
  const Folder folder;
  folder.write("b", "12");
  folder.write("a", "1");
  folder.write("\xc3\xa9", "");
  REQUIRE(folder.fs->make_directory("B", 0700));
  REQUIRE(folder.fs->make_symlink("nowhere", "c"));
  REQUIRE(::mkfifo((folder.path + "/pipe").c_str(), 0600) == 0);
  const auto items = folder.fs->list("");
  REQUIRE(items);
  std::string names;
  for (const DirItem& item : *items) {
    names += item.name + ' ';
    CHECK(item.stat.signature == folder.fs->stat(item.name)->signature);
  }
  CHECK(names == "B a b c pipe \xc3\xa9 ");
  CHECK(items->at(0).stat.signature.kind == engine::Kind::directory);
  CHECK(items->at(0).stat.signature.mtime == 0);
  CHECK(items->at(0).stat.signature.size == 0);
  CHECK(items->at(2).stat.signature.size == 2);
  CHECK(items->at(4).stat.special);
}

TEST_CASE("posix fs: what is not a regular file is refused and blocks nobody") {
  const Folder folder;
  REQUIRE(::mkfifo((folder.path + "/pipe").c_str(), 0600) == 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address{AF_UNIX, {}};
  const std::string name = folder.path + "/socket";
  REQUIRE(name.size() < sizeof address.sun_path);
  name.copy(address.sun_path, name.size());
  REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  ::close(socket);
  REQUIRE(folder.fs->make_directory("directory", 0755));
  CHECK(folder.fs->stat("pipe")->special);
  CHECK(folder.fs->stat("socket")->special);
  for (const char* const path : {"pipe", "socket", "directory"}) {
    CAPTURE(path);
    CHECK(code_of(folder.fs->open_read(path)) == ErrorCode::changed);
    CHECK(code_of(folder.fs->open_write(path)) == ErrorCode::changed);
  }
}

TEST_CASE("posix fs: an exchange swaps two names, no-replace refuses a name that is taken") {
  const Folder folder;
  folder.write("a", "A");
  folder.write("b", "B");
  REQUIRE(folder.fs->rename("a", "b", RenameMode::exchange));
  CHECK(folder.content("a") == "B");
  CHECK(folder.content("b") == "A");
  CHECK(code_of(folder.fs->rename("a", "b", RenameMode::no_replace)) == ErrorCode::changed);
  CHECK(code_of(folder.fs->rename("a", "c", RenameMode::exchange)) == ErrorCode::not_found);
  REQUIRE(folder.fs->rename("a", "c", RenameMode::no_replace));
  REQUIRE(folder.fs->rename("c", "b", RenameMode::replace));
  CHECK(folder.content("b") == "B");
  REQUIRE(folder.fs->make_directory("d", 0755));
  CHECK(code_of(folder.fs->rename("d", "d/e", RenameMode::no_replace)) == ErrorCode::invalid);
  REQUIRE(folder.fs->link("b", "hard"));
  CHECK(folder.fs->stat("b")->links == 2);
  CHECK(code_of(folder.fs->link("b", "hard")) == ErrorCode::changed);
}

TEST_CASE("posix fs: a rename tells what has the name then") {
  for (const Resolution resolution : resolutions) {
    const Folder folder(resolution);
    REQUIRE(folder.fs->make_directory("d", 0755));
    folder.write("a", "A");
    folder.write("d/b", "BB");
    const auto same = [&](const std::optional<Stat>& told, const std::string& name) {
      return told && told->signature == folder.fs->stat(name)->signature;
    };
    CHECK(same(folder.fs->rename_and_stat("a", "c", RenameMode::no_replace).value(), "c"));
    CHECK(same(folder.fs->rename_and_stat("c", "d/a", RenameMode::no_replace).value(), "d/a"));
    CHECK(same(folder.fs->rename_and_stat("d/a", "d/c", RenameMode::no_replace).value(), "d/c"));
    CHECK(same(folder.fs->rename_and_stat("d/c", "d/b", RenameMode::exchange).value(), "d/b"));
    CHECK(folder.content("d/b") == "A");
    CHECK(code_of(folder.fs->rename_and_stat("d/b", "d/c", RenameMode::no_replace)) ==
          ErrorCode::changed);
    CHECK(code_of(folder.fs->rename_and_stat("none", "e", RenameMode::no_replace)) ==
          ErrorCode::not_found);
  }
}

TEST_CASE("posix fs: a file remembers how it was when it was opened") {
  const Folder folder;
  folder.write("a", "A");
  const auto shown = folder.fs->stat("a");
  const auto file = folder.fs->open_read("a");
  folder.write("a", "more");
  CHECK((*file)->stat_when_opened()->signature == shown->signature);
  CHECK((*file)->stat()->signature == folder.fs->stat("a")->signature);
  CHECK((*folder.fs->create("new"))->stat_when_opened()->signature ==
        folder.fs->stat("new")->signature);
}

TEST_CASE("posix fs: reading leaves the times of access as they are") {
  for (const Resolution resolution : resolutions) {
    const Folder folder(resolution);
    REQUIRE(folder.fs->make_directory("d", 0755));
    folder.write("d/f", "F");
    const auto long_ago = [&](const std::string& name) {  // and before it was changed
      const struct timespec times[2] = {{1, 0}, {2, 0}};
      REQUIRE(::utimensat(AT_FDCWD, (folder.path + '/' + name).c_str(), times, 0) == 0);
    };
    const auto accessed = [&](const std::string& name) {
      struct ::stat about{};
      REQUIRE(::stat((folder.path + '/' + name).c_str(), &about) == 0);
      return about.st_atim.tv_sec;
    };
    long_ago("d/f");
    long_ago("d");
    CHECK(folder.content("d/f") == "F");
    CHECK(folder.fs->list("d")->size() == 1);
    CHECK(accessed("d/f") == 1);
    CHECK(accessed("d") == 1);
  }
}

TEST_CASE("posix fs: what belongs to another user is read all the same") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root can become somebody else");
    return;
  }
  for (const Resolution resolution : resolutions) {
    const Folder folder(resolution);
    REQUIRE(::chmod(folder.path.c_str(), 0755) == 0);
    REQUIRE(folder.fs->make_directory("d", 0755));
    folder.write("d/f", "F");
    REQUIRE((*folder.fs->open_write("d/f"))->set_mode(0644));
    std::thread([&] {
      constexpr uid_t nobody = 65534;
      ::setfsuid(nobody);  // of this thread
      if (::setfsuid(nobody) != nobody) {
        MESSAGE("skipped: nobody else is known here");
        return;
      }
      CHECK(folder.fs->open_read("d/f").has_value());
      CHECK(folder.fs->list("d").has_value());
      CHECK(code_of(folder.fs->create("d/g")) == ErrorCode::denied);
    }).join();
  }
}

TEST_CASE("posix fs: exchange is tried once, when there is a place to try it") {
  const Folder folder;
  CHECK(folder.fs->can_exchange());
  REQUIRE(prepare_state(*folder.fs));
  CHECK(folder.fs->can_exchange());
  CHECK(folder.fs->list(staging_directory)->empty());
}

TEST_CASE("posix fs: names in a directory that is kept open are found in it, and no others") {
  for (const Resolution resolution : {Resolution::openat2, Resolution::walk}) {
    const Folder folder;
    const auto opened = PosixFs::open(folder.path, resolution);
    PosixFs& fs = **opened;
    REQUIRE(prepare_state(fs));
    REQUIRE(fs.make_directory("d", 0755));
    REQUIRE(fs.keep_open(staging_directory));
    const std::string in_it = engine::child_of(staging_directory, "f");
    const std::string below = in_it + "/f";
    REQUIRE(fs.create(in_it).value()->write(0, tests::bytes_of("1")));
    CHECK(folder.content(in_it) == "1");
    CHECK(code_of(fs.create(in_it)) == ErrorCode::changed);
    CHECK(code_of(fs.stat(below)) == ErrorCode::not_found);
    CHECK(code_of(fs.open_read(engine::child_of(staging_directory, ".."))) == ErrorCode::invalid);
    for (const std::string place : {"f", "d/f"}) {
      CHECK(code_of(fs.stat(place)) == ErrorCode::not_found);
      REQUIRE(fs.rename(in_it, place, RenameMode::no_replace));
      CHECK(code_of(fs.stat(in_it)) == ErrorCode::not_found);
      CHECK(folder.content(place) == "1");
      REQUIRE(fs.rename(place, in_it, RenameMode::no_replace));
    }
    REQUIRE(fs.make_symlink("../../d", engine::child_of(staging_directory, "link")));
    CHECK(code_of(fs.open_read(engine::child_of(staging_directory, "link"))) == ErrorCode::changed);
    REQUIRE(fs.unlink(in_it));
    CHECK(code_of(fs.open_read(in_it)) == ErrorCode::not_found);
    CHECK(code_of(fs.keep_open("missing")) == ErrorCode::not_found);
  }
}

TEST_CASE("posix fs: directories get the exact mode and go only when empty") {
  const Folder folder;
  const mode_t before = ::umask(077);
  REQUIRE(folder.fs->make_directory("d", 0775));
  ::umask(before);
  CHECK(folder.fs->stat("d")->signature.mode == 0775);
  REQUIRE(::chmod((folder.path + "/d").c_str(), 02755) == 0);
  REQUIRE(folder.fs->set_directory_mode("d", 0311));
  CHECK(folder.fs->stat("d")->signature.mode == 0311);
  struct stat about{};
  REQUIRE(::stat((folder.path + "/d").c_str(), &about) == 0);
  CHECK((about.st_mode & 07777) == 02311);
  REQUIRE(folder.fs->set_directory_mode("d", 0755));
  folder.write("d/f", "");
  CHECK(code_of(folder.fs->remove_directory("d")) == ErrorCode::changed);
  CHECK(code_of(folder.fs->set_directory_mode("d/f", 0755)) == ErrorCode::not_found);
  REQUIRE(folder.fs->unlink("d/f"));
  REQUIRE(folder.fs->remove_directory("d"));
}

TEST_CASE("posix fs: a symbolic link has a time of its own, the file behind it keeps its") {
  const Folder folder;
  folder.write("f", "x");
  const auto before = folder.fs->stat("f")->signature;
  REQUIRE(folder.fs->make_symlink("f", "link"));
  REQUIRE(folder.fs->set_mtime("link", 1'500'000'000'123'456'789));
  folder.fs->set_link_owner("link", ::getuid(), ::getgid());
  CHECK(folder.fs->stat("link")->signature.mtime == 1'500'000'000'123'456'789);
  CHECK(folder.fs->stat("f")->signature == before);
  REQUIRE(folder.fs->link("link", "twin"));
  CHECK(folder.fs->read_link("twin").value() == "f");
}

TEST_CASE("posix fs: a lease is refused while a writer has the file open or mapped") {
  const Folder folder;
  folder.write("f", "content");
  const std::string name = folder.path + "/f";
  const auto lease = [&] { return folder.fs->open_read("f").value()->try_lease(); };
  const Lease free = lease();
  CHECK((free == Lease::granted || free == Lease::unknown));  // overlayfs: a lease proves nothing

  int writer = ::open(name.c_str(), O_WRONLY | O_CLOEXEC);
  CHECK(lease() == Lease::refused);
  ::close(writer);
  CHECK(lease() == free);

  writer = ::open(name.c_str(), O_RDWR | O_CLOEXEC);
  void* const mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0);
  ::close(writer);
  CHECK(lease() == (free == Lease::granted ? Lease::refused : Lease::unknown));
  ::munmap(mapped, 4096);
  CHECK(lease() == free);

  const int reader = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(lease() == free);
  ::close(reader);
}

TEST_CASE("posix fs: a writer that comes while a lease is held ends no process") {
  const Folder folder;
  folder.write("f", "content");
  const auto file = folder.fs->open_read("f").value();
  std::atomic<bool> done = false;
  std::jthread writer([&] {
    const std::string name = folder.path + "/f";
    while (!done) {
      const int descriptor = ::open(name.c_str(), O_WRONLY | O_CLOEXEC);
      ::close(descriptor);
    }
  });
  // The writer may come, or be put to sleep, with the file open: that is refused.
  for (int granted = 0; granted < 1000;) {
    if (file->try_lease() == Lease::refused) {
      std::this_thread::yield();
    } else {
      ++granted;
    }
  }
  done = true;
  writer.join();
  CHECK(file->try_lease() != Lease::refused);
}

TEST_CASE("posix fs: bytes are copied in place, and a source that is too short says so") {
  const Folder folder;
  std::string content(1'000'000, 'x');
  content[777'777] = 'y';
  folder.write("a", content);
  folder.write("b", "");
  {
    const auto from = folder.fs->open_read("a");
    const auto to = folder.fs->open_write("b");
    REQUIRE((from && to));
    REQUIRE((*to)->copy_from(**from, 0, 600'000));
    REQUIRE((*to)->copy_from(**from, 600'000, 400'000));
    CHECK(code_of((*to)->copy_from(**from, 900'000, 200'000)) == ErrorCode::changed);
    REQUIRE((*to)->resize(1'000'000));
  }
  CHECK(folder.content("b") == content);
}

TEST_CASE("posix fs: holes are no data") {
  const Folder folder;
  const auto file = folder.fs->create("sparse");
  REQUIRE(file);
  CHECK((*file)->data_extents()->empty());
  REQUIRE((*file)->write(1 << 20, bytes_of("data")));
  const auto extents = (*file)->data_extents();
  REQUIRE(extents);
  REQUIRE(extents->size() == 1);
  CHECK(extents->front().second == (1 << 20) + 4);
  // Where the file system knows holes, the first mebibyte is one.
  CHECK((extents->front().first == 1 << 20 || extents->front().first == 0));
  REQUIRE((*file)->resize(4 << 20));
  CHECK((*file)->data_extents()->size() == 1);
}

TEST_CASE("posix fs: a folder that is none cannot be opened, a link to one can") {
  const Folder folder;
  folder.write("f", "x");
  REQUIRE(folder.fs->make_directory("d", 0755));
  REQUIRE(folder.fs->make_symlink("d", "link"));
  CHECK(code_of(open_posix_fs(folder.path + "/f")) == ErrorCode::not_found);
  CHECK(code_of(open_posix_fs(folder.path + "/none")) == ErrorCode::not_found);
  const auto through = open_posix_fs(folder.path + "/link");
  REQUIRE(through);
  REQUIRE((*through)->create("inside"));
  CHECK(folder.fs->stat("d/inside"));
  CHECK((*through)->identity_of_folder().value() == folder.fs->identity("d").value());
}
