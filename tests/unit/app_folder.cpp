#include <doctest/doctest.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "apps/p2psync/disk_watch.h"
#include "apps/p2psync/disk_work.h"
#include "apps/p2psync/folder.h"
#include "tests/unit/app_scratch.h"

using namespace p2psync;
using namespace p2psync::app;
namespace fs = std::filesystem;

namespace {

Config config_for(const std::string& folder, char key = 'a') {
  Config config;
  config.members.push_back(
      {"node1", std::string(64, key), static_cast<engine::NodeId>(key), std::nullopt});
  config.folder = folder;
  return config;
}

void write(const std::string& file, std::string_view text) {
  std::ofstream(file, std::ios::binary) << text;
}

/// A folder that is watched, and what was said of it.
struct Watched {
  Scratch scratch;
  asio::io_context context;
  Folder folder = *open_folder(config_for(scratch.at("data")));
  std::vector<engine::Path> touched;
  std::size_t rescans = 0;
  std::string lost;
  std::vector<engine::Input> answers;
  DiskWork work{context, *folder.fs, *folder.applier, folder.watcher.get(),
                [this](engine::Input answer) { answers.push_back(std::move(answer)); }};
  DiskWatch watch{context,
                  *folder.lock,
                  folder.watcher.get(),
                  {.watch = true, .scan_interval = std::chrono::hours(1)},
                  {.touched =
                       [this](const engine::Touched& events) {
                         std::ranges::copy(events.names, std::back_inserter(touched));
                       },
                   .rescan = [this] { ++rescans; },
                   .folder_lost = [this](const Error& error) { lost = error.message(); },
                   .uncovered = [](const std::string&) {}}};

  void run_until(const std::function<bool()>& done) {
    context.restart();  // it stops by itself when the last guard goes
    const auto guard = asio::make_work_guard(context);
    while (!done()) {
      context.run_one();
    }
  }
  /// Lists the root, which sets its watch.
  void list_root() {
    work.perform(engine::List{""});
    run_until([this] { return !answers.empty(); });
    REQUIRE(std::holds_alternative<engine::Listed>(answers.back()));
  }
};

}  // namespace

TEST_CASE("folder: it is made, with its state directory, and is fresh") {
  const Scratch scratch;
  const auto folder = open_folder(config_for(scratch.at("a/b/data")));
  REQUIRE(folder.has_value());
  CHECK(folder->index->fresh());
  CHECK(folder->watcher != nullptr);
  CHECK(folder->notes.empty());
  CHECK((fs::status(scratch.at("a/b/data/.p2psync")).permissions() & fs::perms::all) ==
        fs::perms::owner_all);
}

TEST_CASE("folder: one process at a time") {
  const Scratch scratch;
  const auto first = open_folder(config_for(scratch.at("data")));
  REQUIRE(first.has_value());
  const auto second = open_folder(config_for(scratch.at("data")));
  REQUIRE(!second.has_value());
  CHECK(second.error().code == ErrorCode::busy);
}

TEST_CASE("folder: another node's folder is refused and stays as it was") {
  const Scratch scratch;
  {
    REQUIRE(open_folder(config_for(scratch.at("data"), 'a')).has_value());
  }
  const auto copied = open_folder(config_for(scratch.at("data"), 'b'));
  REQUIRE(!copied.has_value());
  CHECK(copied.error().code == ErrorCode::invalid);
  CHECK(open_folder(config_for(scratch.at("data"), 'a')).has_value());
}

TEST_CASE("folder: a damaged index is kept aside and a new one begun") {
  const Scratch scratch;
  {
    REQUIRE(open_folder(config_for(scratch.at("data"))).has_value());
  }
  const std::string garbage(10000, 'x');
  write(scratch.at("data/.p2psync/index.db"), garbage);
  const auto folder = open_folder(config_for(scratch.at("data")));
  REQUIRE(folder.has_value());
  CHECK(folder->index->fresh());
  REQUIRE(folder->notes.size() == 1);
  CHECK(folder->notes[0].text.contains("index.db.damaged-1"));
  CHECK(fs::file_size(scratch.at("data/.p2psync/index.db.damaged-1")) == garbage.size());
}

TEST_CASE("folder: a pause is there at the next start, until it is ended") {
  const Scratch scratch;
  for (const bool paused : {true, false}) {
    auto folder = open_folder(config_for(scratch.at("data")));
    REQUIRE(folder.has_value());
    CHECK(folder->paused != paused);
    for (int i = 0; i < 2; ++i) {
      REQUIRE(record_paused(*folder, paused).has_value());
      CHECK(folder->paused == paused);
    }
  }
  auto folder = open_folder(config_for(scratch.at("data")));
  REQUIRE(folder.has_value());
  CHECK(!folder->paused);
  fs::rename(scratch.at("data/.p2psync"), scratch.at("data/away"));
  CHECK(!record_paused(*folder, true).has_value());
  CHECK(!folder->paused);
}

TEST_CASE("disk watch: a change below a listed directory is said soon") {
  Watched watched;
  watched.list_root();
  watched.watch.start();
  write(watched.scratch.at("data/file"), "x");
  watched.run_until([&] { return !watched.touched.empty(); });
  CHECK(watched.touched == std::vector<engine::Path>{"file"});
  CHECK(watched.rescans == 0);
  watched.watch.stop();
}

TEST_CASE("disk watch: draining says everything at once") {
  Watched watched;
  watched.list_root();
  watched.watch.start();
  write(watched.scratch.at("data/file"), "x");
  watched.watch.drain();
  CHECK(watched.touched == std::vector<engine::Path>{"file"});
  CHECK(watched.rescans == 0);  // everything is covered
}

TEST_CASE("disk watch: without a watcher, draining is a scan") {
  Watched watched;
  DiskWatch blind(
      watched.context, *watched.folder.lock, nullptr,
      {.watch = false, .scan_interval = std::chrono::hours(1)},
      {.touched = {}, .rescan = [&] { ++watched.rescans; }, .folder_lost = {}, .uncovered = {}});
  blind.drain();
  CHECK(watched.rescans == 1);
  CHECK(blind.uncovered().empty());  // nobody wanted to watch
}

TEST_CASE("disk watch: a folder that is taken away is lost before its files are missing") {
  Watched watched;
  write(watched.scratch.at("data/file"), "x");
  watched.list_root();
  watched.watch.start();
  SUBCASE("moved") {
    fs::rename(watched.scratch.at("data"), watched.scratch.at("elsewhere"));
    fs::create_directory(watched.scratch.at("data"));
  }
  SUBCASE("deleted") {
    fs::remove_all(watched.scratch.at("data"));
  }
  SUBCASE("emptied of its state") {
    fs::remove_all(watched.scratch.at("data/.p2psync"));
    fs::remove(watched.scratch.at("data/file"));
  }
  CHECK(!watched.watch.folder_is_ours());
  CHECK(watched.lost.contains(watched.scratch.at("data")));
  watched.watch.drain();
  CHECK(watched.touched.empty());
  CHECK(watched.rescans == 0);
}

TEST_CASE("disk work: after a stop what was not begun is dropped") {
  Watched watched;
  watched.work.stop();
  watched.work.perform(engine::List{""});
  CHECK(watched.work.busy());
  watched.run_until([&] { return !watched.work.busy(); });
  CHECK(watched.answers.empty());
}
