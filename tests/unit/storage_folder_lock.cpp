// One process and one node for a folder.
#include "storage/folder_lock.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "storage/staging.h"
#include "storage_folder.h"

using namespace p2psync;
using namespace p2psync::storage;
using tests::Folder;

namespace {

struct Prepared : Folder {
  Prepared() { REQUIRE(prepare_state(*fs).has_value()); }
};

}  // namespace

TEST_CASE("folder lock: a second holder is refused and told who has it") {
  const Prepared folder;
  {
    const auto first = FolderLock::take(*folder.fs, "node-a");
    REQUIRE(first);
    CHECK((*first)->check());
    const auto other = open_posix_fs(folder.path).value();
    const auto second = FolderLock::take(*other, "node-a");
    REQUIRE_FALSE(second);
    CHECK(second.error().code == ErrorCode::busy);
    CHECK(second.error().message().contains("another process (pid " + std::to_string(::getpid()) +
                                            ") holds it"));
  }
  CHECK(FolderLock::take(*folder.fs, "node-a"));
}

TEST_CASE("folder lock: the folder of another node is refused") {
  const Prepared folder;
  REQUIRE(FolderLock::take(*folder.fs, "node-a"));
  CHECK(folder.content(".p2psync/node") == "node-a\n");
  const auto refused = FolderLock::take(*folder.fs, "node-b");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::invalid);
  CHECK(refused.error().message().contains("belongs to another node, node-a"));
  folder.write(".p2psync/node", "node-bb\n");
  CHECK_FALSE(FolderLock::take(*folder.fs, "node-b"));
  REQUIRE(folder.fs->unlink(".p2psync/node"));
  CHECK(FolderLock::take(*folder.fs, "node-b"));
}

TEST_CASE("folder lock: without a state directory there is nothing to lock") {
  const Folder folder;
  CHECK(FolderLock::take(*folder.fs, "node-a").error().code == ErrorCode::not_found);
}

TEST_CASE("folder lock: a folder that is not what it was is noticed") {
  const Folder parent;
  REQUIRE(parent.fs->make_directory("folder", 0755));
  const auto fs = open_posix_fs(parent.path + "/folder").value();
  REQUIRE(prepare_state(*fs));
  const auto lock = FolderLock::take(*fs, "node-a");
  REQUIRE(lock);
  REQUIRE((*lock)->check());
  const auto move = [&](const char* from, const char* to) {
    REQUIRE(parent.fs->rename(from, to, RenameMode::no_replace));
  };
  SUBCASE("moved") {
    move("folder", "elsewhere");
  }
  SUBCASE("replaced") {
    move("folder", "elsewhere");
    REQUIRE(parent.fs->make_directory("folder", 0755));
  }
  SUBCASE("without its state directory") {
    move("folder/.p2psync", "elsewhere");
  }
  SUBCASE("with another state directory") {
    move("folder/.p2psync", "elsewhere");
    REQUIRE(prepare_state(*fs));
    REQUIRE(FolderLock::take(*fs, "node-a"));
  }
  SUBCASE("without its lock") {
    REQUIRE(fs->unlink(".p2psync/lock"));
  }
  const auto checked = (*lock)->check();
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == ErrorCode::changed);
}
