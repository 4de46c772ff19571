// The power goes at every system call of a batch: whatever of the page cache is lost, no user's
// bytes are, and what was answered as done is durable.
#include <cerrno>

#include "engine/random.h"
#include "storage/scanner.h"
#include "tests/unit/storage_apply_scene.h"

namespace p2psync::tests {
namespace {

using namespace engine;
using storage::Applier;

constexpr std::size_t cuts_max = 16;

/// A folder that has stood there for long.
void settle_disk(Scene& scene) {
  scene.disk.disk().sync_all();
}

/// The machine starts again on what is left.
void restart_on(Scene& scene, sim::Disk image) {
  scene.disk.before_call = nullptr;
  scene.disk.load(std::move(image));
  scene.answers.clear();
  scene.surfaced.clear();
}

void check_recovered(const Scene& scene) {
  const auto held = [&](const std::string& bytes) { return scene.holds(bytes); };
  CHECK(std::ranges::all_of(scene.old_bytes, held));
  for (const auto& [name, node] : scene.disk.tree()) {
    INFO("under " << name << ": " << node.bytes);
    CHECK((node.kind == Kind::directory || scene.old_bytes.contains(node.bytes) ||
           scene.new_bytes.contains(node.bytes)));
  }
  // Nothing is news; what was displaced is told of until it is on record.
  CHECK(std::ranges::all_of(scene.surfaced, [](const engine::Surfaced& surfaced) {
    return surfaced.seen.content == surfaced.replaced;
  }));
}

std::string listed(const sim::Tree& tree) {
  std::string text;
  for (const auto& [name, node] : tree) {
    text += name + " " + std::to_string(node.mode) + " " + std::to_string(node.mtime) + " " +
            node.bytes + "; ";
  }
  return text;
}

TEST_CASE("apply: a power cut at any system call loses nothing of what was durable") {
  for (const bool exchange : {true, false}) {
    Scene scene(exchange);
    Scene after(exchange);
    settle_disk(scene);
    std::size_t images = 0;
    scene.disk.before_call = [&](std::string_view operation, std::string_view path) {
      for (sim::Disk& image : scene.disk.disk().power_cuts(cuts_max).images) {
        ++images;
        INFO("cut " << images << " before call " << scene.disk.calls << ", " << operation << " "
                    << path << (exchange ? "" : ", without exchange"));
        restart_on(after, std::move(image));
        Applier applier(after.disk);
        after.recover(applier);
        check_recovered(after);
      }
    };
    Applier applier(scene.disk);
    std::ignore = applier.apply(scene.apply);
    CHECK(images > 500);
  }
}

/// What the log says was laid or removed, and nothing else, is what the disk shows.
void check_relaid(const Scene& scene, const Applier& applier) {
  std::map<std::string, std::optional<Wanted>> relaid;
  for (const Relaid& step : applier.relaid()) {
    relaid[step.name] = step.wanted;  // what took the place of what moved comes after it
  }
  for (const auto& [name, wanted] : relaid) {
    const auto found = scene.disk.disk().find(name);
    INFO(name << (wanted ? " laid" : " removed"));
    REQUIRE(found.has_value() == wanted.has_value());
    if (found && wanted->kind == Kind::file) {
      CHECK(storage::sha256(scene.disk.disk().inode(*found).bytes) == wanted->content);
    }
  }
  for (const auto& [name, node] : scene.disk.tree()) {
    CHECK((!scene.new_bytes.contains(node.bytes) || name == "m" || relaid.contains(name)));
  }
  CHECK((scene.disk.exists("d") || relaid.contains("d")));
  CHECK((scene.disk.exists("m") || relaid.contains("m")));
}

/// More files than are synced one by one, and a user who makes one of the steps fail.
TEST_CASE("apply: a power cut leaves the log of a large batch, some of whose steps failed") {
  Scene scene;
  Scene after;
  std::vector<ApplyJob> jobs;
  for (std::size_t i = 0; i < storage::single_fsyncs_max + 2; ++i) {
    const std::string name = "many" + std::to_string(i);
    make_file(scene.disk, name, "old " + name);
    scene.disk.disk().now += 1'000'000'000;
    jobs.push_back({name, {put_file(scene.disk, name, "new " + name)}});
    after.new_bytes.insert("new " + name);
  }
  scene.apply = batch(jobs);
  settle_disk(scene);
  bool acted = false;
  scene.disk.before_call = [&](std::string_view operation, std::string_view path) {
    if (operation == "rename" && path == "many0" && !acted) {
      acted = true;
      REQUIRE(scene.disk.save_file("many1", "users"));
    }
    for (sim::Disk& image : scene.disk.disk().power_cuts(cuts_max).images) {
      INFO("cut before call " << scene.disk.calls << ", " << operation << " " << path);
      restart_on(after, std::move(image));
      Applier applier(after.disk);
      after.recover(applier);
      check_relaid(after, applier);
    }
  };
  Applier applier(scene.disk);
  scene.answers = applier.apply(scene.apply);
  scene.disk.before_call = nullptr;
  REQUIRE(acted);
  CHECK(std::holds_alternative<Obstructed>(scene.answers[1].results[0]));
}

TEST_CASE("apply: after a power cut the log of the batch says what was laid, no more and no less") {
  for (const bool exchange : {true, false}) {
    Scene scene(exchange);
    Scene after(exchange);
    settle_disk(scene);
    scene.disk.before_call = [&](std::string_view operation, std::string_view path) {
      for (sim::Disk& image : scene.disk.disk().power_cuts(cuts_max).images) {
        INFO("cut before call " << scene.disk.calls << ", " << operation << " " << path
                                << (exchange ? "" : ", without exchange"));
        restart_on(after, std::move(image));
        Applier applier(after.disk);
        after.recover(applier);
        check_relaid(after, applier);
      }
    };
    Applier applier(scene.disk);
    std::ignore = applier.apply(scene.apply);
  }
}

TEST_CASE("apply: a power cut while recovering from a power cut loses nothing either") {
  for (const bool exchange : {true, false}) {
    engine::Random random(1);
    Scene scene(exchange);
    Scene after(exchange);
    Scene again(exchange);
    settle_disk(scene);
    scene.disk.before_call = [&](std::string_view, std::string_view) {
      restart_on(after, scene.disk.disk().power_cut(random));
      after.disk.before_call = [&](std::string_view, std::string_view) {
        INFO("before call " << scene.disk.calls << ", then " << after.disk.calls);
        restart_on(again, after.disk.disk().power_cut(random));
        Applier applier(again.disk);
        again.recover(applier);
        check_recovered(again);
      };
      after.disk.calls = 0;
      Applier applier(after.disk);
      after.recover(applier);
    };
    Applier applier(scene.disk);
    std::ignore = applier.apply(scene.apply);
  }
}

TEST_CASE("apply: without exchange a loser is kept for good before it leaves its name") {
  OnPlainDisk disk;
  make_file(disk.fs, "a", "loser");
  REQUIRE(disk.fs.sync_all());
  Put put = put_file(disk.fs, "a", "winner");
  put.moved = Moved{"a.conflict-n", wanted_file("loser")};
  std::size_t images = 0;
  disk.disk.before_call = [&](std::string_view operation, std::string_view path) {
    if (operation != "rename" || path != "a") {
      return;
    }
    for (sim::Disk& image : disk.disk.disk().power_cuts(cuts_max).images) {
      ++images;
      sim::SimFs after(std::move(image));
      const auto kept = after.list(storage::versions_directory);
      REQUIRE(kept.has_value());
      REQUIRE(kept->size() == 1);
      CHECK(after.read(storage::kept_path(kept->front().name)) == "loser");
    }
  };
  Applier applier(disk.fs);
  CHECK(only<Done>(apply_one(applier, {put})) != nullptr);
  CHECK(images > 0);
}

TEST_CASE("apply: what was answered as done no power cut takes back") {
  for (const bool exchange : {true, false}) {
    Scene scene(exchange);
    Scene after(exchange);
    settle_disk(scene);
    {
      Applier applier(scene.disk);
      scene.answers = applier.apply(scene.apply);
    }
    scene.check_answers();
    const sim::Tree expected = scene.disk.tree();
    for (sim::Disk& image : scene.disk.disk().power_cuts(cuts_max).images) {
      restart_on(after, std::move(image));
      Applier applier(after.disk);
      after.recover(applier);
      check_recovered(after);
      CHECK(listed(after.disk.tree()) == listed(expected));
      CHECK(after.is_kept("old b"));
      CHECK(after.is_kept("old d"));
    }
  }
}

TEST_CASE("apply: the mode of a directory that was answered as done no power cut takes back") {
  for (const bool over_directory : {true, false}) {
    OnSimDisk disk;
    if (over_directory) {
      REQUIRE(disk.disk.mkdir("d"));
    } else {
      make_file(disk.fs, "d", "file");
    }
    REQUIRE(disk.fs.sync_all());
    Applier applier(disk.fs);
    const auto results =
        apply_one(applier, {put_at(disk.fs, "d", wanted_directory(0751), engine::Nothing{})});
    REQUIRE(only<Done>(results) != nullptr);
    for (sim::Disk& image : disk.disk.disk().power_cuts(cuts_max).images) {
      sim::SimFs after(std::move(image));
      CHECK(after.stat("d")->signature.mode == 0751);
    }
  }
}

TEST_CASE("apply: what a user synced during a batch survives every later cut and is owned up to") {
  static constexpr std::array edited = {"a", "b", "d", "e", "g"};
  for (const bool in_place : {true, false}) {
    bool over = false;
    for (std::uint64_t call = 1; !over; ++call) {
      engine::Random random(call);
      Scene scene;
      Scene after;
      settle_disk(scene);
      const std::string name = edited[call % edited.size()];
      bool written = false;
      const auto cut = [&] {
        INFO("written to " << name << " before call " << call << (in_place ? " in place" : "")
                           << ", cut before call " << scene.disk.calls);
        restart_on(after, scene.disk.disk().power_cut(random));
        Applier applier(after.disk);
        after.recover(applier);
        CHECK(after.owns_up_to("mine"));
      };
      scene.disk.before_call = [&](std::string_view, std::string_view) {
        if (scene.disk.calls == call) {
          written =
              in_place ? scene.disk.write_file(name, "mine") : scene.disk.save_file(name, "mine");
          written = written && scene.disk.sync_file(name) && scene.disk.sync_file("");
        }
        if (written) {
          cut();
        }
      };
      Applier applier(scene.disk);
      std::ignore = applier.apply(scene.apply);
      over = scene.disk.calls < call;
    }
  }
}

TEST_CASE("apply: what a user wrote meanwhile is durable when it is told of") {
  for (const bool later : {false, true}) {
    Scene scene;
    settle_disk(scene);
    auto editor = scene.disk.open_writer("b");
    scene.disk.before_call = [&](std::string_view operation, std::string_view path) {
      if (!later && operation == "rename" && path == "b") {
        editor->write(0, "mine!");
      }
    };
    Applier applier(scene.disk);
    scene.answers = applier.apply(scene.apply);
    const std::string file = std::get<Done>(scene.answers[1].results[0]).displaced->file;
    if (later) {
      editor->write(0, "mine!");
      scene.revisit(applier);
    }
    REQUIRE(scene.told_of("mine!"));
    for (sim::Disk& image : scene.disk.disk().power_cuts(cuts_max).images) {
      const sim::SimFs after(std::move(image));
      CHECK(after.read(storage::kept_path(file)) == "mine!");
    }
  }
}

TEST_CASE("apply: bytes that a sync did not make durable are not laid later, whatever else fails") {
  for (const int files : {1, 20}) {  // synced each, and all at once
    for (const bool restarts : {false, true}) {
      OnSimDisk disk;
      Apply many;
      for (int i = 0; i < files; ++i) {
        const std::string name = "f" + std::to_string(i);
        many.jobs.push_back({name, {put_file(disk.fs, name, "new " + name)}});
      }
      bool failed = false;
      disk.disk.fault = [&](std::string_view operation, std::string_view path) {
        const bool ready = path.starts_with(storage::staging_directory);
        if (!failed && (operation == "sync_all" || ready)) {
          failed = operation == "sync_all" || operation == "File::sync";
          return failed ? EIO : 0;
        }
        return operation == "unlink" && ready ? EIO : 0;
      };
      Applier applier(disk.fs);
      std::ignore = applier.apply(many);
      REQUIRE(failed);
      disk.disk.fault = nullptr;
      Applier next(disk.fs);
      if (restarts) {
        REQUIRE(next.recover(nothing_recorded).has_value());
      }
      for (const Applied& job : (restarts ? next : applier).apply(many)) {
        CHECK(only<SourceGone>(job.results) != nullptr);
      }
    }
  }
}

TEST_CASE("apply: found bytes are told of until the name they were laid at is durable") {
  Scene scene;
  Scene after;
  settle_disk(scene);
  bool written = false;
  scene.disk.before_call = [&](std::string_view operation, std::string_view path) {
    if (!written && operation == "rename" && path == "b") {
      written = scene.disk.save_file("b", "mine") && scene.disk.sync_file("b") &&
                scene.disk.sync_file("");
    }
  };
  Applier applier(scene.disk);
  scene.answers = applier.apply(scene.apply);
  const auto& displaced = std::get<Done>(scene.answers[1].results[0]).displaced;
  REQUIRE(displaced.has_value());
  REQUIRE(!displaced->as_expected);
  const auto laying = batch(
      {{"b", {put_at(scene.disk, "found", wanted_file("mine"), Kept{displaced->file, true})}}});
  std::size_t images = 0;
  const auto cut = [&](std::string_view operation, std::string_view path) {
    for (sim::Disk& image : scene.disk.disk().power_cuts(cuts_max).images) {
      ++images;
      INFO("cut before call " << scene.disk.calls << ", " << operation << " " << path);
      restart_on(after, std::move(image));
      Applier again(after.disk);
      after.recover(again);
      CHECK(after.owns_up_to("mine"));
    }
  };
  scene.disk.before_call = cut;
  const auto laid = applier.apply(laying);
  REQUIRE(std::holds_alternative<Done>(laid[0].results[0]));
  cut("at", "rest");
  CHECK(images > 50);
}

TEST_CASE("scanner: the mode of a directory that was seen no power cut takes back") {
  OnSimDisk disk;
  REQUIRE(disk.disk.mkdir("d", 0755));
  REQUIRE(disk.fs.sync_all());
  REQUIRE(disk.disk.chmod("d", 0700));
  std::ignore = storage::look_all(disk.fs, Look{{{"d", std::nullopt}}});
  for (sim::Disk& image : disk.disk.disk().power_cuts(cuts_max).images) {
    sim::SimFs after(std::move(image));
    CHECK(after.stat("d")->signature.mode == 0700);
  }
}

TEST_CASE("scanner: what was seen to be gone no power cut brings back") {
  OnSimDisk disk;
  REQUIRE(disk.disk.mkdir("d"));
  for (const char* name : {"a", "b", "d/c"}) {
    make_file(disk.fs, name, name);
  }
  REQUIRE(disk.fs.sync_all());
  for (const char* name : {"a", "d/c", "d"}) {
    REQUIRE(disk.disk.remove(name));
  }
  Look request;
  for (const char* name : {"a", "d/c"}) {
    request.names.push_back({name, std::nullopt});
  }
  for (const Looked& looked : storage::look_all(disk.fs, request)) {
    CHECK(std::holds_alternative<Absent>(looked.sight));
  }
  for (sim::Disk& image : disk.disk.disk().power_cuts(cuts_max).images) {
    const sim::SimFs after(std::move(image));
    CHECK(listed(after.tree()).starts_with("b "));
  }
}

}  // namespace
}  // namespace p2psync::tests
