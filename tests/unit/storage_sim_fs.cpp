// The simulated disk itself: what the users see, handles, hooks, crashes.
#include <doctest/doctest.h>

#include <array>
#include <cerrno>

#include "tests/sim/sim_fs.h"

namespace p2psync::sim {
namespace {

using storage::Lease;
using storage::RenameMode;

TEST_CASE("sim disk: an open file keeps its inode after the name is gone") {
  SimFs fs;
  REQUIRE(fs.write_file("a", "one"));
  auto file = fs.open_read("a");
  REQUIRE(file);
  const auto before = (*file)->stat();
  CHECK(fs.save_file("a", "two"));
  std::array<std::uint8_t, 8> bytes{};
  CHECK((*file)->read(0, bytes) == 3);
  CHECK(bytes[0] == 'o');
  CHECK((*file)->stat()->links == 0);
  CHECK((*file)->stat()->signature.inode == before->signature.inode);
  CHECK(fs.stat("a")->signature.inode != before->signature.inode);
  CHECK(fs.read("a") == "two");
}

TEST_CASE("sim disk: the number of a freed inode goes to the next file") {
  SimFs fs;
  REQUIRE(fs.write_file("a", "one"));
  const auto number = fs.stat("a")->signature.inode;
  CHECK(fs.remove("a"));
  CHECK(fs.write_file("b", "two"));
  CHECK(fs.stat("b")->signature.inode == number);
}

TEST_CASE("sim disk: a lease is refused while a user holds the file open for writing") {
  SimFs fs;
  REQUIRE(fs.write_file("a", "one"));
  auto file = fs.open_read("a");
  CHECK((*file)->try_lease() == Lease::granted);
  {
    const auto writer = fs.open_writer("a");
    CHECK((*file)->try_lease() == Lease::refused);
    fs.lease = Lease::unknown;
    CHECK((*file)->try_lease() == Lease::unknown);
    fs.lease.reset();
  }
  CHECK((*file)->try_lease() == Lease::granted);
}

TEST_CASE("sim disk: a write changes the signature, even of equal length") {
  SimFs fs;
  REQUIRE(fs.write_file("a", "one"));
  const auto before = fs.stat("a")->signature;
  CHECK(fs.write_file("a", "two"));
  CHECK(fs.stat("a")->signature.mtime > before.mtime);
  fs.disk().grain_ns = 10'000'000;
  fs.disk().now -= fs.disk().now % 10'000'000;
  CHECK(fs.write_file("a", "six"));
  const auto coarse = fs.stat("a")->signature;
  CHECK(fs.write_file("a", "ten"));
  CHECK(fs.stat("a")->signature == coarse);  // within the grain nothing shows
}

TEST_CASE("sim disk: hooks see every call and users act between two of them") {
  SimFs fs;
  std::vector<std::string> seen;
  fs.before_call = [&](std::string_view operation, std::string_view path) {
    seen.push_back(std::string(operation) + " " + std::string(path));
    if (operation == "rename") {
      fs.write_file("b", "faster");
    }
  };
  auto file = fs.create("a");
  REQUIRE(file);
  REQUIRE((*file)->sync());
  const auto moved = fs.rename("a", "b", RenameMode::no_replace);
  REQUIRE(!moved);
  CHECK(moved.error().code == ErrorCode::changed);
  CHECK(seen == std::vector<std::string>{"create a", "File::sync a", "rename b"});
  CHECK(fs.calls == 3);
  CHECK(fs.calls_by_operation["File::sync"] == 1);
}

TEST_CASE("sim disk: after a crash the old process changes nothing, a new one goes on") {
  SimFs fs;
  REQUIRE(fs.write_file("user", "writes"));
  const auto user = fs.open_writer("user");
  {
    auto file = fs.create("a");
    REQUIRE(file);
    fs.before_call = [](std::string_view operation, std::string_view) {
      if (operation == "unlink") {
        throw Crash{};
      }
    };
    CHECK_THROWS_AS((void)fs.unlink("a"), Crash);
    CHECK(fs.crashed());
    CHECK(fs.remove_directory("a").error().error_number == EIO);
    fs.restart();
    CHECK((*file)->set_mode(0777).error().error_number == EIO);
  }
  fs.before_call = nullptr;
  CHECK(fs.stat("a")->signature.mode == 0600);
  CHECK(fs.disk().inode(fs.stat("a")->signature.inode).handles == 0);
  CHECK((*fs.open_read("user"))->try_lease() == Lease::refused);
}

TEST_CASE("sim disk: a copy is another disk") {
  SimFs fs;
  REQUIRE(fs.mkdir("d"));
  REQUIRE(fs.write_file("d/a", "one"));
  auto open = fs.open_read("d/a");
  REQUIRE(fs.remove("d/a"));
  SimFs other(fs.image());
  CHECK(other.tree() == fs.tree());
  CHECK(!other.disk().exists((*open)->stat()->signature.inode));
  REQUIRE(other.write_file("d/b", "two"));
  CHECK(!fs.exists("d/b"));
}

TEST_CASE("sim disk: faults are the errno that was asked for") {
  SimFs fs;
  fs.fault = [](std::string_view operation, std::string_view) {
    return operation == "create" ? ENOSPC : 0;
  };
  CHECK(fs.create("a").error().code == ErrorCode::no_space);
  CHECK(fs.stat("a").error().code == ErrorCode::not_found);
}

}  // namespace
}  // namespace p2psync::sim
