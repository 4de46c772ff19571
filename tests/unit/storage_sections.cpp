// A content of many sections, fetched by one node from another's disk.
#include <doctest/doctest.h>

#include "storage_staged.h"

using namespace p2psync;
using namespace p2psync::tests;

namespace {

constexpr ChunkSizes many{1024, 2048, 8192, 4};

struct Disk : Folder {
  Disk() {
    fs->chunk_sizes = many;
    REQUIRE(prepare_state(*fs).has_value());
  }
  Staging staging{*fs};
};

/// What is fetched, and how.
struct Fetched {
  std::size_t sections = 0;  ///< opened with something to fetch
  std::size_t lists = 0;
  std::size_t list_bytes = 0;
  std::size_t chunks = 0;
  bool complete = false;
};

/// As the engine does it, until so many chunks have come.
Fetched fetch(Disk& to, Disk& from, const std::string& name, engine::OpenStage request,
              std::size_t chunks_max = ~std::size_t{0}) {
  Fetched fetched;
  const auto read = [&](std::uint64_t offset, std::uint32_t length,
                        std::optional<engine::ListOf> list) {
    const auto answer =
        from.staging.read({1, 1, request.content, engine::AtName{name}, {}, offset, length, list});
    REQUIRE(answer.bytes);
    return answer.bytes;
  };
  for (;;) {
    auto opened = to.staging.open(request);
    request.list = nullptr;
    if (opened.state == StageState::complete) {
      fetched.complete = true;
      return fetched;
    }
    REQUIRE(opened.state == StageState::incomplete);
    request.from = opened.from;
    if (opened.chunks.empty()) {
      request.list_of = opened.wanted;
      request.list = read(0, engine::block_bytes, opened.wanted);
      ++fetched.lists;
      fetched.list_bytes += request.list->size();
      continue;
    }
    ++fetched.sections;
    std::uint64_t offset = opened.from;
    for (std::size_t i = 0; i < opened.chunks.size(); offset += opened.chunks[i++].length) {
      if (opened.there[i]) {
        continue;
      }
      if (fetched.chunks == chunks_max) {
        return fetched;
      }
      const auto& [length, hash] = opened.chunks[i];
      REQUIRE(
          to.staging.write({request.content, request.size, offset, hash, read(offset, length, {})})
              .state == StageState::incomplete);
      ++fetched.chunks;
    }
    request.from = offset;
  }
}

engine::OpenStage opening(const std::string& bytes) {
  return {storage::name_of(tests::bytes_of(bytes), many), bytes.size(), {}, nullptr, {}};
}

/// Chunks in all sections.
std::size_t chunks_in(Disk& disk, const engine::Hash& content) {
  std::size_t count = 0;
  const Outline outline = find_outline(*disk.fs, content).value();
  for (const Section& section : outline) {
    count += find_manifest(*disk.fs, section.name).value().size();
  }
  return count;
}

}  // namespace

TEST_CASE("sections: one after the other, each with its own list") {
  Disk from, to;
  const std::string bytes = Made(300'000).bytes;
  from.write("name", bytes);
  const auto request = opening(bytes);
  const Fetched fetched = fetch(to, from, "name", request);
  CHECK(fetched.complete);
  CHECK(fetched.sections > 5);
  CHECK(fetched.lists == fetched.sections + 1);
  CHECK(to.content(staged_path(request.content)) == bytes);
  CHECK(fetched.chunks == chunks_in(to, request.content));
}

TEST_CASE("sections: after a cut what was written is found again, in whichever section") {
  Disk from, to;
  const std::string bytes = Made(300'000).bytes;
  from.write("name", bytes);
  const auto request = opening(bytes);
  const std::size_t all = fetch(to, from, "name", request).chunks;
  REQUIRE(to.fs->unlink(staged_path(request.content)));
  const std::size_t first = all / 2;
  CHECK(!fetch(to, from, "name", request, first).complete);
  const Fetched rest = fetch(to, from, "name", request);
  CHECK(rest.complete);
  CHECK(rest.chunks == all - first);
  CHECK(rest.lists == 0);
  CHECK(to.content(staged_path(request.content)) == bytes);
}

TEST_CASE("sections: of an edited content one section comes, as a difference") {
  Disk from, to;
  const std::string old = Made(300'000).bytes;
  std::string edited = old;
  SUBCASE("changed in the middle") {
    edited.replace(150'000, 4, "edit");
  }
  SUBCASE("longer in the middle") {
    edited.insert(150'000, "edit");
  }
  SUBCASE("longer at the front") {
    edited.insert(0, "edit");
  }
  SUBCASE("longer at the end") {
    edited += "edit";
  }
  from.write("name", edited);
  to.write("name", old);
  from.write("old", old);  // it was known there, too
  std::ignore = read_content(**from.fs->open_read("old"), old.size(), many, storing_in(*from.fs));
  auto request = opening(edited);
  request.bases = {{opening(old).content, old.size(), "name"}};
  const Fetched fetched = fetch(to, from, "name", request);
  CHECK(fetched.complete);
  CHECK(to.content(staged_path(request.content)) == edited);
  CHECK(fetched.chunks <= 3);
  CHECK(fetched.lists <= 3);
  const std::size_t outline = bytes_of(find_outline(*to.fs, request.content).value()).size();
  CHECK(fetched.list_bytes < outline + 4 * 50);
}

TEST_CASE("sections: where the unfinished file is gone, what is behind is not taken for all") {
  Disk from, to;
  const std::string bytes = Made(300'000).bytes;
  from.write("name", bytes);
  auto request = opening(bytes);
  REQUIRE(!fetch(to, from, "name", request, 60).complete);
  REQUIRE(to.fs->unlink(unfinished_path(request.content)));
  request.from = find_outline(*to.fs, request.content).value().front().length;
  CHECK(to.staging.open(request).state == StageState::failed);
  request.from = 0;
  CHECK(fetch(to, from, "name", request).complete);
  CHECK(to.content(staged_path(request.content)) == bytes);
}

TEST_CASE("sections: a list that is not what was asked for is refused") {
  Disk from, to;
  const std::string bytes = Made(300'000).bytes;
  from.write("name", bytes);
  auto request = opening(bytes);
  const auto given = [](std::vector<std::uint8_t> list) {
    return engine::Bytes::of(std::move(list));
  };
  request.list_of = {request.content, {}};
  std::vector<Section> outline;
  const auto file = from.fs->open_read("name");
  outline = read_content(**file, bytes.size(), many, storing_in(*from.fs))->sections;
  SUBCASE("an outline of another content") {
    std::swap(outline[0], outline[1]);
    request.list = given(bytes_of(outline));
  }
  SUBCASE("the outline of another size") {
    request.size += 1;
    request.list = given(bytes_of(outline));
  }
  SUBCASE("a manifest where there are several") {
    request.list = given(difference({}, find_manifest(*from.fs, outline[0].name).value()));
  }
  SUBCASE("another section's") {
    REQUIRE(store_outline(*to.fs, request.content, outline));
    request.list_of = {outline[0].name, {}};
    request.list = given(difference({}, find_manifest(*from.fs, outline[1].name).value()));
  }
  SUBCASE("an outline for a section") {
    REQUIRE(store_outline(*to.fs, request.content, outline));
    request.list_of = {outline[0].name, {}};
    request.list = given(bytes_of(outline));
  }
  CHECK(to.staging.open(request).state == StageState::mismatch);
}

TEST_CASE("sections: only the lists of the content that is asked for are served") {
  Disk from;
  const std::string bytes = Made(300'000).bytes;
  const std::string other = Made(300'000, 7).bytes;
  from.write("name", bytes);
  from.write("other", other);
  const engine::Hash content = opening(bytes).content;
  const auto ask = [&](const engine::Hash& list) {
    return from.staging.read({1,
                              1,
                              content,
                              engine::AtName{"name"},
                              {},
                              0,
                              engine::block_bytes,
                              engine::ListOf{list, {}}});
  };
  std::ignore =
      read_content(**from.fs->open_read("other"), other.size(), many, storing_in(*from.fs));
  const Outline others = read_content(**from.fs->open_read("other"), other.size(), many)->sections;
  CHECK(!ask(others[0].name).bytes);
  CHECK(ask(content).bytes);
  const Outline own = find_outline(*from.fs, content).value();
  CHECK(ask(own[3].name).bytes);
  // Made again where it is missing.
  REQUIRE(from.fs->unlink(std::string(manifests_directory) + "/" + to_hex(own[3].name)));
  CHECK(ask(own[3].name).bytes);
}

TEST_CASE(
    "sections: an outline that cannot be kept is no outline, and one that is lost is asked for") {
  Disk from, to;
  const std::string bytes = Made(300'000).bytes;
  from.write("name", bytes);
  auto request = opening(bytes);
  const auto file = from.fs->open_read("name");
  const Outline outline = read_content(**file, bytes.size(), many, storing_in(*from.fs))->sections;
  const auto given = [](std::vector<std::uint8_t> list) {
    return engine::Bytes::of(std::move(list));
  };
  request.list_of = {request.content, {}};
  request.list = given(bytes_of(outline));
  SpyFs spy{*to.fs};
  spy.chunk_sizes = many;
  spy.on_write = [](const std::string& path) -> Result<void> {
    return path.starts_with(manifests_directory)
               ? std::unexpected(Error{ErrorCode::no_space, "write", path})
               : Result<void>();
  };
  CHECK(Staging(spy).open(request).state == StageState::failed);

  request.list_of = {outline[0].name, {}};
  request.list = given(difference({}, find_manifest(*from.fs, outline[0].name).value()));
  auto opened = to.staging.open(request);
  CHECK(opened.state == StageState::incomplete);
  CHECK(opened.wanted == engine::ListOf{request.content, {}});
  // It is there after all, before it comes from elsewhere.
  REQUIRE(store_outline(*to.fs, request.content, outline));
  request.list_of = {request.content, {}};
  request.list = given(bytes_of(outline));
  opened = to.staging.open(request);
  CHECK(opened.state == StageState::incomplete);
  CHECK(opened.wanted == engine::ListOf{outline[0].name, {}});
}
