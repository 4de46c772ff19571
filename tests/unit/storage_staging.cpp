// Contents on their way in, on a real file system.
#include "storage/staging.h"

#include <doctest/doctest.h>

#include "storage/hash.h"
#include "storage_folder.h"
#include "storage_spy_fs.h"

using namespace p2psync;
using namespace p2psync::storage;
using engine::block_bytes;
using engine::StageState;
using tests::Folder;
using tests::SpyFs;

namespace {

struct Content {
  explicit Content(std::size_t size) : bytes(size, '\0') {
    std::uint32_t state = 12345;
    for (char& byte : bytes) {
      state = state * 1664525 + 1013904223;
      byte = static_cast<char>(state >> 24U);
    }
    hash = sha256(bytes);
  }
  [[nodiscard]] engine::WriteBlock block(std::size_t index, bool last = false) const {
    const std::string part = bytes.substr(index * block_bytes, block_bytes);
    return {hash, bytes.size(), index * block_bytes,
            std::make_shared<const std::vector<std::uint8_t>>(part.begin(), part.end()), last};
  }
  [[nodiscard]] engine::OpenStage opening() const { return {hash, bytes.size()}; }

  std::string bytes;
  engine::Hash hash;
};

struct Stage : Folder {
  Stage() { REQUIRE(prepare_state(*fs).has_value()); }
  [[nodiscard]] bool nothing_left() const { return fs->list(staging_directory)->empty(); }
  Staging staging{*fs};
};

using Blocks = std::vector<bool>;

}  // namespace

TEST_CASE("staging: the state directories are made once, and only as directories") {
  const Folder folder;
  REQUIRE(prepare_state(*folder.fs));
  REQUIRE(prepare_state(*folder.fs));
  CHECK(folder.fs->stat(".p2psync")->signature.mode == 0700);
  CHECK(folder.fs->stat(versions_directory)->signature.kind == engine::Kind::directory);
  const Folder other;
  REQUIRE(other.fs->make_symlink("/tmp", ".p2psync"));
  CHECK(prepare_state(*other.fs).error().code == ErrorCode::changed);
}

TEST_CASE("staging: blocks in any order become the content, checked at the last") {
  Stage stage;
  const Content content(2 * block_bytes + 1000);
  CHECK(stage.staging.open(content.opening()).blocks == Blocks{false, false, false});
  CHECK(stage.staging.write(content.block(2)).state == StageState::incomplete);
  CHECK(stage.staging.write(content.block(0)).state == StageState::incomplete);
  CHECK(stage.staging.write(content.block(1, true)).state == StageState::complete);
  CHECK(stage.content(staged_path(content.hash)) == content.bytes);
  CHECK(stage.fs->list(staging_directory)->size() == 1);
  CHECK(stage.staging.open(content.opening()).blocks == Blocks{true, true, true});
}

TEST_CASE("staging: an unfinished content is found again with the blocks that are there") {
  Stage stage;
  const Content content(5 * block_bytes + 1);
  REQUIRE(stage.staging.write(content.block(1)).state == StageState::incomplete);
  REQUIRE(stage.staging.write(content.block(2)).state == StageState::incomplete);
  // Half a block, as a process leaves it that was killed while it wrote.
  engine::WriteBlock half = content.block(4);
  half.bytes = std::make_shared<const std::vector<std::uint8_t>>(half.bytes->begin(),
                                                                 half.bytes->begin() + 131072);
  REQUIRE(stage.staging.write(half).state == StageState::incomplete);

  Staging again(*stage.fs);
  const auto opened = again.open(content.opening());
  REQUIRE_FALSE(opened.error);
  CHECK(opened.blocks == Blocks{false, true, true, false, false, false});
  for (const std::size_t index : {0U, 3U, 5U}) {
    REQUIRE(again.write(content.block(index)).state == StageState::incomplete);
  }
  CHECK(again.open(content.opening()).blocks == Blocks{true, true, true, true, false, true});
  CHECK(again.write(content.block(4, true)).state == StageState::complete);
  CHECK(stage.content(staged_path(content.hash)) == content.bytes);
}

TEST_CASE("staging: stopped between the last block and its check, it is checked at the opening") {
  Stage stage;
  const Content content(2 * block_bytes);
  REQUIRE(stage.staging.write(content.block(0)).state == StageState::incomplete);
  engine::WriteBlock second = content.block(1);
  SUBCASE("right bytes are complete") {
    REQUIRE(stage.staging.write(second).state == StageState::incomplete);
    CHECK(stage.staging.open(content.opening()).blocks == Blocks{true, true});
    CHECK(stage.content(staged_path(content.hash)) == content.bytes);
    // The engine fetches the last block again, to have the whole checked.
    CHECK(stage.staging.write(content.block(1, true)).state == StageState::complete);
    CHECK(stage.content(staged_path(content.hash)) == content.bytes);
    CHECK(stage.fs->list(staging_directory)->size() == 1);
  }
  SUBCASE("wrong bytes are dropped") {
    second.bytes = content.block(0).bytes;
    REQUIRE(stage.staging.write(second).state == StageState::incomplete);
    CHECK(stage.staging.open(content.opening()).blocks == Blocks{false, false});
    CHECK(stage.nothing_left());
  }
}

TEST_CASE("staging: bytes that do not match their hash leave nothing behind") {
  Stage stage;
  SUBCASE("one block") {
    const Content content(1000);
    engine::WriteBlock wrong = content.block(0, true);
    wrong.content = sha256("something else");
    CHECK(stage.staging.write(wrong).state == StageState::mismatch);
  }
  SUBCASE("several blocks") {
    const Content content(block_bytes + 1000);
    engine::WriteBlock wrong = content.block(1);
    wrong.offset = 0;
    REQUIRE(stage.staging.write(wrong).state == StageState::incomplete);
    CHECK(stage.staging.write(content.block(1, true)).state == StageState::mismatch);
  }
  SUBCASE("a block is missing") {
    const Content content(3 * block_bytes);
    REQUIRE(stage.staging.write(content.block(0)).state == StageState::incomplete);
    CHECK(stage.staging.write(content.block(2, true)).state == StageState::mismatch);
  }
  CHECK(stage.nothing_left());
}

TEST_CASE("staging: a damaged complete content is not believed after a restart") {
  Stage stage;
  const Content content(block_bytes + 10);
  REQUIRE(stage.staging.write(content.block(0)).state == StageState::incomplete);
  REQUIRE(stage.staging.write(content.block(1, true)).state == StageState::complete);
  stage.write(staged_path(content.hash), std::string(content.bytes.size(), '\0'));
  CHECK(stage.staging.open(content.opening()).blocks == Blocks{false, false});
  CHECK(stage.nothing_left());
}

TEST_CASE("staging: an empty content is complete when it is opened") {
  Stage stage;
  const Content empty(0);
  const auto opened = stage.staging.open(empty.opening());
  CHECK_FALSE(opened.error);
  CHECK(opened.blocks.empty());
  CHECK(stage.content(staged_path(empty.hash)).empty());
  stage.staging.drop({empty.hash});
  CHECK(stage.nothing_left());
  CHECK(stage.staging.write({empty.hash, 0, 0, nullptr, true}).state == StageState::complete);
  CHECK(stage.staging.open({sha256("not empty"), 0}).error);
}

TEST_CASE("staging: a full disk fails the block and keeps the others") {
  Stage stage;
  SpyFs spy(*stage.fs);
  Staging staging(spy);
  const Content content(2 * block_bytes);
  REQUIRE(staging.write(content.block(0)).state == StageState::incomplete);
  spy.on_write = [](const std::string& path) {
    return Result<void>(std::unexpected(system_error("write", path, ENOSPC)));
  };
  const auto failed = staging.write(content.block(1, true));
  CHECK(failed.state == StageState::failed);
  REQUIRE(failed.error);
  CHECK(failed.error->code == ErrorCode::no_space);
  spy.on_write = nullptr;
  CHECK(staging.open(content.opening()).blocks == Blocks{true, false});
  CHECK(staging.write(content.block(1, true)).state == StageState::complete);
}

TEST_CASE("staging: a block outside of its content is refused") {
  Stage stage;
  const Content content(block_bytes);
  engine::WriteBlock outside = content.block(0);
  outside.offset = 1;
  CHECK(stage.staging.write(outside).state == StageState::failed);
  outside.offset = ~std::uint64_t{0};
  CHECK(stage.staging.write(outside).state == StageState::failed);
  CHECK(stage.nothing_left());
}

TEST_CASE("staging: blocks are read from names, kept versions and complete contents") {
  Stage stage;
  const Content content(block_bytes + 5);
  stage.write("name", content.bytes);
  stage.write(".p2psync/versions/kept", content.bytes);
  const auto signature = stage.fs->stat("name")->signature;
  const auto read = [&](engine::Source source, std::uint64_t offset, std::uint32_t length,
                        std::optional<engine::Signature> expected = {}) -> std::string {
    const auto answer =
        stage.staging.read({7, 8, content.hash, std::move(source), expected, offset, length});
    CHECK(answer.peer == 7);
    CHECK(answer.request == 8);
    CHECK(answer.content == content.hash);
    return answer.bytes ? std::string(answer.bytes->begin(), answer.bytes->end()) : "null";
  };
  const std::string tail = content.bytes.substr(block_bytes);
  CHECK(read(engine::AtName{"name"}, block_bytes, 5, signature) == tail);
  CHECK(read(engine::AtName{"name"}, 0, block_bytes, signature) ==
        content.bytes.substr(0, block_bytes));
  CHECK(read(engine::Kept{"kept"}, block_bytes, 5) == tail);
  CHECK(read(engine::Kept{"kept"}, block_bytes + 6, 5) == "null");
  CHECK(read(engine::Kept{"../name"}, block_bytes, 5) == "null");
  CHECK(read(engine::AtName{".p2psync/versions/kept"}, block_bytes, 5) == "null");
  CHECK(read(engine::AtName{"none"}, 0, 5) == "null");
  CHECK(read(engine::Nothing{}, 0, 5) == "null");
  CHECK(read(engine::AtName{"name"}, 0, block_bytes + 1) == "null");
  REQUIRE(stage.staging.write(content.block(0)).state == StageState::incomplete);
  CHECK(read(engine::Staged{}, 0, 5) == "null");
  REQUIRE(stage.staging.write(content.block(1, true)).state == StageState::complete);
  CHECK(read(engine::Staged{}, block_bytes, 5) == tail);
  engine::Signature uncertain = signature;
  uncertain.ctime = 0;
  CHECK(read(engine::AtName{"name"}, block_bytes, 5, uncertain) == tail);
  stage.write("name", "other");
  CHECK(read(engine::AtName{"name"}, 0, 5, signature) == "null");
  CHECK(read(engine::AtName{"name"}, 0, 5, uncertain) == "null");
}

TEST_CASE("staging: a file that changes while a block is read is not served") {
  Stage stage;
  SpyFs spy(*stage.fs);
  stage.write("name", "before");
  spy.before_read = [&](const std::string&, std::uint64_t) { stage.write("name", "longer after"); };
  const auto answer = Staging(spy).read({1, 1, {}, engine::AtName{"name"}, {}, 0, 6});
  CHECK(answer.bytes == nullptr);
}
