// Contents on their way in, on a real file system.
#include "storage/staging.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

#include "storage/hash.h"
#include "storage/manifest.h"
#include "storage_staged.h"

using namespace p2psync;
using namespace p2psync::storage;
using engine::block_bytes;
using engine::StageState;
using tests::Begun;
using tests::count;
using tests::Folder;
using tests::Made;
using tests::small;
using tests::SpyFs;
using tests::Stage;

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

TEST_CASE("staging: without a manifest one is wanted, and with one the chunks") {
  Stage stage;
  const Made content(50'000);
  auto opening = content.opening();
  opening.list = nullptr;
  auto opened = stage.staging.open(opening);
  CHECK(opened.state == StageState::incomplete);
  CHECK(opened.chunks.empty());
  CHECK(opened.wanted == engine::ListOf{content.hash, {}});
  CHECK(stage.nothing_left());

  opened = stage.staging.open(content.opening());
  CHECK(opened.state == StageState::incomplete);
  CHECK(opened.chunks == content.chunks);
  CHECK(count(opened.there) == 0);
  // Now it is known.
  CHECK(Staging(*stage.fs).open(opening).chunks == content.chunks);
}

TEST_CASE("staging: a manifest of something else is refused") {
  Stage stage;
  auto opening = Made(50'000).opening();
  SUBCASE("of another content") {
    opening.list = Made(50'000, 7).opening().list;
  }
  SUBCASE("of nothing") {
    opening.list = Made(0).opening().list;
  }
  SUBCASE("garbage") {
    opening.list = engine::Bytes::of(std::vector<std::uint8_t>(100, 0xFF));
  }
  CHECK(stage.staging.open(opening).state == StageState::mismatch);
  CHECK(stage.nothing_left());
}

TEST_CASE("staging: chunks in any order become the content") {
  Stage stage;
  const Made content(50'000);
  const std::size_t last = content.chunks.size() - 1;
  REQUIRE(stage.staging.open(content.opening()).state == StageState::incomplete);
  for (std::size_t i = last; i > 0; --i) {
    CHECK(stage.staging.write(content.chunk(i)).state == StageState::incomplete);
  }
  SUBCASE("finished with the last chunk") {
    CHECK(stage.staging.write(content.chunk(0, true)).state == StageState::complete);
  }
  SUBCASE("finished by itself") {
    CHECK(stage.staging.write(content.chunk(0)).state == StageState::incomplete);
    CHECK(stage.staging.write({content.hash, 50'000, 50'000, {}, nullptr, true}).state ==
          StageState::complete);
  }
  CHECK(stage.content(staged_path(content.hash)) == content.bytes);
  CHECK(stage.fs->list(staging_directory)->size() == 1);
  CHECK(stage.staging.open(content.opening()).state == StageState::complete);
}

TEST_CASE("staging: an unfinished content is found again with the chunks that are right") {
  Stage stage;
  const Made content(50'000);
  REQUIRE(stage.staging.open(content.opening()).state == StageState::incomplete);
  for (const std::size_t index : {1U, 2U, 4U}) {
    REQUIRE(stage.staging.write(content.chunk(index)).state == StageState::incomplete);
  }
  // What a power cut leaves of a chunk.
  const auto torn = content.chunk(4);
  const auto file = stage.fs->open_write(unfinished_path(content.hash));
  REQUIRE((*file)->write(torn.offset + 100, tests::bytes_of("garbage")));

  Staging again(*stage.fs);
  const auto opened = again.open(content.opening());
  CHECK(count(opened.there) == 2);
  CHECK(opened.there[1]);
  CHECK(opened.there[2]);
  for (std::size_t i = 0; i < content.chunks.size(); ++i) {
    if (i != 3 && !opened.there[i]) {
      REQUIRE(again.write(content.chunk(i)).state == StageState::incomplete);
    }
  }
  CHECK(again.write(content.chunk(3, true)).state == StageState::complete);
  CHECK(stage.content(staged_path(content.hash)) == content.bytes);
}

TEST_CASE("staging: stopped when all was written, it is complete when it is opened") {
  Stage stage;
  const Made content(20'000);
  REQUIRE(stage.staging.open(content.opening()).state == StageState::incomplete);
  for (std::size_t i = 0; i < content.chunks.size(); ++i) {
    REQUIRE(stage.staging.write(content.chunk(i)).state == StageState::incomplete);
  }
  CHECK(stage.staging.open(content.opening()).state == StageState::complete);
  CHECK(stage.content(staged_path(content.hash)) == content.bytes);
}

TEST_CASE("staging: chunks of the old version are taken from there, if it is what it was") {
  Stage stage;
  const Made old(50'000);
  const Made edited("in front " + old.bytes);
  auto opening = edited.opening(old.chunks);
  opening.bases = {stage.base("none", Made(30'000, 9)), stage.base("name", old)};
  REQUIRE(stage.fs->unlink("none"));
  const auto manifest = std::exchange(opening.list, nullptr);
  CHECK(stage.staging.open(opening).wanted == engine::ListOf{edited.hash, old.hash});
  opening.list = manifest;
  CHECK(manifest->size() < 100);
  SUBCASE("it is") {
    SUBCASE("at its name") {}
    SUBCASE("among the kept versions") {
      REQUIRE(stage.fs->rename("name", ".p2psync/versions/kept", RenameMode::replace));
      opening.bases[1].name = "kept";
      opening.bases[1].kept = true;
    }
    const auto opened = stage.staging.open(opening);
    REQUIRE(opened.chunks == edited.chunks);
    CHECK(count(opened.there) + 2 >= opened.there.size());
    std::size_t left = opened.there.size() - count(opened.there);
    for (std::size_t i = 0; i < opened.there.size(); ++i) {
      if (!opened.there[i]) {
        const bool last = --left == 0;
        CHECK(stage.staging.write(edited.chunk(i, last)).state ==
              (last ? StageState::complete : StageState::incomplete));
      }
    }
    CHECK(stage.content(staged_path(edited.hash)) == edited.bytes);
  }
  SUBCASE("it was written to meanwhile") {
    stage.write("name", Made(50'000, 3).bytes);
    const auto opened = stage.staging.open(opening);
    CHECK(opened.chunks == edited.chunks);
    CHECK(count(opened.there) == 0);
  }
  SUBCASE("it is gone") {
    REQUIRE(stage.fs->unlink("name"));
    CHECK(count(stage.staging.open(opening).there) == 0);
  }
}

TEST_CASE("staging: of a large old version all is taken but what was changed in it") {
  Stage stage;
  const Made old(10'000'000);  // read and checked in several goes
  Made edited("in front " + old.bytes);
  edited.bytes.replace(5'000'000, 4, "edit");
  edited = Made(edited.bytes);
  auto opening = edited.opening(old.chunks);
  opening.bases = {stage.base("name", old)};
  store_manifest(*stage.fs, old.hash, old.chunks);
  const std::string rotten = "rotten";
  REQUIRE(stage.fs->open_write("name").value()->write(8'000'000, tests::bytes_of(rotten)));
  const auto opened = stage.staging.open(opening);
  REQUIRE(opened.chunks == edited.chunks);
  CHECK(count(opened.there) + 6 >= opened.there.size());
  const std::string found = stage.content(unfinished_path(edited.hash));
  std::size_t offset = 0;
  for (std::size_t i = 0; i < opened.there.size(); offset += edited.chunks[i++].length) {
    const std::string_view part = std::string_view(found).substr(offset, edited.chunks[i].length);
    CHECK(opened.there[i] == (part == edited.bytes.substr(offset, part.size())));
  }
}

TEST_CASE("staging: what comes in one piece has its mode at once, if it can be opened with it") {
  const Stage stage;
  SpyFs spy{*stage.fs};
  spy.chunk_sizes = small;
  Staging staging(spy);
  for (const auto& [wanted, given] : {std::pair(0644, 0644), {0600, 0600}, {0444, 0600}}) {
    const Made content("of mode " + std::to_string(wanted));
    engine::WriteBlock write = content.chunk(0, true);
    write.mode = static_cast<std::uint16_t>(wanted);
    REQUIRE(staging.write(write).state == StageState::complete);
    CHECK(stage.fs->stat(staged_path(content.hash))->signature.mode == given);
  }
}

TEST_CASE("staging: bytes that do not match their hash are not written") {
  Stage stage;
  SUBCASE("one chunk") {
    const Made content(1000);
    engine::WriteBlock wrong = content.chunk(0, true);
    wrong.chunk = sha256("something else");
    CHECK(stage.staging.write(wrong).state == StageState::mismatch);
    CHECK(stage.nothing_left());
  }
  SUBCASE("several chunks") {
    const Made content(50'000);
    REQUIRE(stage.staging.open(content.opening()).state == StageState::incomplete);
    engine::WriteBlock wrong = content.chunk(1);
    wrong.bytes = content.chunk(2).bytes;
    CHECK(stage.staging.write(wrong).state == StageState::mismatch);
    CHECK(count(stage.staging.open(content.opening()).there) == 0);
  }
}

TEST_CASE("staging: a damaged complete content is not believed after a restart") {
  Stage stage;
  const Made content(20'000);
  stage.write(staged_path(content.hash), content.bytes);
  CHECK(stage.staging.open(content.opening()).state == StageState::complete);
  stage.write(staged_path(content.hash), std::string(content.bytes.size(), '\0'));
  CHECK(count(stage.staging.open(content.opening()).there) == 0);
  CHECK(stage.fs->stat(staged_path(content.hash)).error().code == ErrorCode::not_found);
}

TEST_CASE("staging: what a crash left with a second name is not used, and not written to") {
  for (const std::size_t size : {5'000U, 20'000U}) {
    CAPTURE(size);
    Stage stage;
    const Made content(size);
    stage.write("user's", content.bytes);
    REQUIRE(stage.fs->link("user's", staged_path(content.hash)));
    const auto inode = [&](const std::string& path) {
      return stage.fs->stat(path)->signature.inode;
    };
    if (content.chunks.size() > 1) {
      REQUIRE(stage.staging.open(content.opening()).state == StageState::incomplete);
      for (std::size_t i = 0; i < content.chunks.size(); ++i) {
        std::ignore = stage.staging.write(content.chunk(i, i + 1 == content.chunks.size()));
      }
    } else {
      REQUIRE(stage.staging.write(content.chunk(0, true)).state == StageState::complete);
    }
    CHECK(stage.content(staged_path(content.hash)) == content.bytes);
    CHECK(inode(staged_path(content.hash)) != inode("user's"));
  }
}

TEST_CASE("staging: an unfinished file that somebody took away is not made anew by a chunk") {
  Stage stage;
  const Made content(20'000);
  REQUIRE(stage.staging.open(content.opening()).state == StageState::incomplete);
  REQUIRE(stage.fs->unlink(unfinished_path(content.hash)));
  CHECK(stage.staging.write(content.chunk(0)).state == StageState::failed);
  CHECK(stage.staging.write({content.hash, 20'000, 20'000, {}, nullptr, true}).state ==
        StageState::failed);
  CHECK(stage.nothing_left());
}

TEST_CASE("staging: an empty content has no chunks") {
  Stage stage;
  const Made empty(0);
  const auto none = engine::Bytes::of({});
  CHECK(stage.staging.write({empty.hash, 0, 0, empty.hash, none, true}).state ==
        StageState::complete);
  CHECK(stage.content(staged_path(empty.hash)).empty());
  stage.staging.drop({empty.hash});
  CHECK(stage.nothing_left());
}

TEST_CASE("staging: a full disk fails the chunk and keeps the others") {
  Begun begun;
  auto& [stage, spy, staging, content] = begun;
  REQUIRE(staging.write(content.chunk(0)).state == StageState::incomplete);
  spy.on_write = [](const std::string& path) {
    return Result<void>(std::unexpected(system_error("write", path, ENOSPC)));
  };
  const auto failed = staging.write(content.chunk(1));
  CHECK(failed.state == StageState::failed);
  REQUIRE(failed.error);
  CHECK(failed.error->code == ErrorCode::no_space);
  spy.on_write = nullptr;
  CHECK(count(staging.open(content.opening()).there) == 1);
}

TEST_CASE("staging: a chunk outside of its content is refused") {
  Stage stage;
  const Made content(8192);
  engine::WriteBlock outside = content.chunk(0);
  outside.offset = 1;
  CHECK(stage.staging.write(outside).state == StageState::failed);
  outside.offset = ~std::uint64_t{0};
  CHECK(stage.staging.write(outside).state == StageState::failed);
  CHECK(stage.nothing_left());
}

TEST_CASE("staging: a manifest is served as it was kept, or made from the file") {
  Stage stage;
  const Made old(50'000);
  const Made edited("in front " + old.bytes);
  stage.write("name", edited.bytes);
  const auto ask = [&](const engine::Hash& content, const engine::Hash& against) {
    return stage.staging.read({1,
                               1,
                               content,
                               engine::AtName{"name"},
                               {},
                               0,
                               block_bytes,
                               engine::ListOf{content, against}});
  };
  const auto alone = ask(edited.hash, {});
  REQUIRE(alone.bytes);
  CHECK(std::ranges::equal(*alone.bytes, difference({}, edited.chunks)));
  // The base is not known here: it comes as a whole.
  CHECK(std::ranges::equal(*ask(edited.hash, old.hash).bytes, *alone.bytes));
  store_manifest(*stage.fs, old.hash, old.chunks);
  CHECK(
      std::ranges::equal(*ask(edited.hash, old.hash).bytes, difference(old.chunks, edited.chunks)));
  // It is another content by now.
  CHECK(!ask(Made(30'000, 9).hash, {}).bytes);
}

TEST_CASE("staging: blocks are read from names, kept versions and complete contents") {
  Stage stage;
  const Made content(8192 + 5);
  stage.write("name", content.bytes);
  stage.write(".p2psync/versions/kept", content.bytes);
  const auto signature = stage.fs->stat("name")->signature;
  const auto read = [&](engine::Source source, std::uint64_t offset, std::uint32_t length,
                        std::optional<engine::Signature> expected = {}) -> std::string {
    const auto answer =
        stage.staging.read({7, 8, content.hash, std::move(source), expected, offset, length, {}});
    CHECK(answer.peer == 7);
    CHECK(answer.request == 8);
    CHECK(answer.content == content.hash);
    return answer.bytes ? std::string(answer.bytes->begin(), answer.bytes->end()) : "null";
  };
  const std::string tail = content.bytes.substr(8192);
  CHECK(read(engine::AtName{"name"}, 8192, 5, signature) == tail);
  CHECK(read(engine::AtName{"name"}, 0, 8192, signature) == content.bytes.substr(0, 8192));
  CHECK(read(engine::Kept{"kept"}, 8192, 5) == tail);
  CHECK(read(engine::Kept{"kept"}, 8192 + 6, 5) == "null");
  CHECK(read(engine::Kept{"../name"}, 8192, 5) == "null");
  CHECK(read(engine::AtName{".p2psync/versions/kept"}, 8192, 5) == "null");
  CHECK(read(engine::AtName{"none"}, 0, 5) == "null");
  CHECK(read(engine::Nothing{}, 0, 5) == "null");
  CHECK(read(engine::AtName{"name"}, 0, block_bytes + 1) == "null");
  CHECK(read(engine::Staged{}, 0, 5) == "null");
  stage.write(staged_path(content.hash), content.bytes);
  CHECK(read(engine::Staged{}, 8192, 5) == tail);
  CHECK(read(engine::Unfinished{}, 8192, 5) == tail);  // it was unfinished a moment ago
  engine::Signature uncertain = signature;
  uncertain.ctime = 0;
  CHECK(read(engine::AtName{"name"}, 8192, 5, uncertain) == tail);
  stage.write("name", "other");
  CHECK(read(engine::AtName{"name"}, 0, 5, signature) == "null");
  CHECK(read(engine::AtName{"name"}, 0, 5, uncertain) == "null");
}

TEST_CASE("staging: an unfinished one that shrinks while a block is read gives nothing") {
  // Its signature is not compared: it changes all the time. What was not read is no byte of
  // anybody.
  Stage stage;
  SpyFs spy(*stage.fs);
  const Made content(8192);
  stage.write(staged_path(content.hash), content.bytes);
  const engine::ReadBlock request{1, 1, content.hash, engine::Unfinished{}, {}, 0, 8192, {}};
  CHECK(Staging(spy).read(request).bytes != nullptr);
  spy.before_read = [&](const std::string&, std::uint64_t) {
    std::filesystem::resize_file(stage.path + "/" + staged_path(content.hash), 5000);
  };
  CHECK(Staging(spy).read(request).bytes == nullptr);
}

TEST_CASE("staging: a file that changes while a block is read is not served") {
  Stage stage;
  SpyFs spy(*stage.fs);
  stage.write("name", "before");
  spy.before_read = [&](const std::string&, std::uint64_t) { stage.write("name", "longer after"); };
  const auto answer = Staging(spy).read({1, 1, {}, engine::AtName{"name"}, {}, 0, 6, {}});
  CHECK(answer.bytes == nullptr);
}
