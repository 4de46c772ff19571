// The fence binds for good, so each case puts it up in a child of its own, which exits with the
// number of the first thing that was not as it should be.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

#include "storage/fence.h"
#include "tests/unit/storage_folder.h"

using namespace p2psync;
using namespace p2psync::storage;
using tests::Folder;

namespace {

/// 0: all was as it should be; 100: there is no Landlock here.
int in_a_child(const std::string& folder, const std::function<int()>& act) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const Descriptor directory(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const auto version = put_up_fence(directory);
    if (!version) {
      ::_exit(version.error().code == ErrorCode::unsupported ? 100 : 101);
    }
    ::_exit(act());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

bool denied(int descriptor) {
  return descriptor < 0 && (errno == EACCES || errno == EPERM);
}

/// Exit status 100 is no failure, and no proof either: said aloud.
void expect_all(int status) {
  if (status == 100) {
    MESSAGE("no Landlock here: not tested");
    return;
  }
  CHECK(status == 0);
}

}  // namespace

TEST_CASE("fence: below the folder everything that a node does goes on") {
  const Folder folder;
  const std::string& top = folder.path;
  expect_all(in_a_child(top, [&]() -> int {
    const auto at = [&top](const char* name) { return top + "/" + name; };
    if (::mkdir(at("a").c_str(), 0755) != 0 || ::mkdir(at("b").c_str(), 0755) != 0) {
      return 1;
    }
    const Descriptor file(::open(at("a/f").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file || ::ftruncate(file.get(), 10) != 0) {
      return 2;
    }
    if (::symlink("/anywhere", at("b/link").c_str()) != 0) {
      return 3;
    }
    if (::renameat2(AT_FDCWD, at("a/f").c_str(), AT_FDCWD, at("b/link").c_str(), RENAME_EXCHANGE) !=
        0) {
      return 4;
    }
    if (::link(at("b/link").c_str(), at("a/second").c_str()) != 0) {
      return 5;
    }
    if (::unlink(at("a/second").c_str()) != 0 || ::unlink(at("a/f").c_str()) != 0 ||
        ::rmdir(at("a").c_str()) != 0) {
      return 6;
    }
    return 0;
  }));
}

TEST_CASE("fence: outside of it nothing is read, made, moved or executed") {
  const Folder folder;
  const Folder outside;
  outside.write("secret", "text");
  folder.write("mine", "text");
  const std::string secret = outside.path + "/secret";
  const std::string made = outside.path + "/made";
  const std::string mine = folder.path + "/mine";
  expect_all(in_a_child(folder.path, [&]() -> int {
    if (!denied(::open(secret.c_str(), O_RDONLY | O_CLOEXEC))) {
      return 1;
    }
    if (!denied(::open(secret.c_str(), O_WRONLY | O_CLOEXEC))) {
      return 2;
    }
    if (!denied(::open(made.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600))) {
      return 3;
    }
    if (!denied(::unlink(secret.c_str())) || !denied(::mkdir(made.c_str(), 0755))) {
      return 4;
    }
    // EXDEV: it is as if these were two file systems.
    if (::rename(mine.c_str(), made.c_str()) == 0 || ::rename(secret.c_str(), mine.c_str()) == 0 ||
        ::link(secret.c_str(), (mine + "2").c_str()) == 0) {
      return 5;
    }
    if (!denied(::execl("/bin/true", "true", nullptr))) {
      return 6;
    }
    if (!denied(::mkfifo((mine + "-fifo").c_str(), 0600))) {
      return 7;
    }
    struct stat seen{};
    return ::stat(secret.c_str(), &seen) == 0 ? 0 : 8;
  }));
  CHECK(outside.content("secret") == "text");
}

TEST_CASE("fence: what a name lookup reads can be read, and not be written") {
  const Folder folder;
  expect_all(in_a_child(folder.path, [&]() -> int {
    const Descriptor hosts(::open("/etc/hosts", O_RDONLY | O_CLOEXEC));
    if (!hosts) {
      return 1;
    }
    const Descriptor random(::open("/dev/urandom", O_RDONLY | O_CLOEXEC));
    if (!random) {
      return 2;
    }
    return denied(::open("/etc/p2psync-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) ? 0 : 3;
  }));
}
