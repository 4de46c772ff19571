// A user at every system call of a batch: no byte is lost, no answer is false.
#include <functional>

#include "tests/unit/storage_apply_scene.h"

namespace p2psync::tests {
namespace {

using namespace engine;
using storage::Applier;

constexpr std::uint64_t call_max = 1000;
/// As long as the old bytes: only the time gives the write away.
const std::string users = "user!";

/// What a user may do to a name between two system calls; true: `users` stands somewhere then.
struct Act {
  std::string what;
  std::function<bool(sim::SimFs& disk, const std::string& name)> act;
};

const std::vector<Act>& acts() {
  static const std::vector<Act> all = {
      {"saves by rename", [](auto& disk, auto& name) { return disk.save_file(name, users); }},
      {"writes in place",
       [](auto& disk, auto& name) { return disk.exists(name) && disk.write_file(name, users); }},
      {"makes it anew",
       [](auto& disk, auto& name) {
         disk.remove(name);
         return disk.write_file(name, users);
       }},
      {"deletes it", [](auto& disk, auto& name) { return disk.remove(name) && false; }},
      {"puts a directory there",
       [](auto& disk, auto& name) {
         disk.remove(name);
         return disk.mkdir(name) && disk.write_file(name + "/below", users);
       }},
      {"puts a symlink there",
       [](auto& disk, auto& name) {
         disk.remove(name);
         return disk.symlink("target", name) && false;
       }},
      {"puts a FIFO there",
       [](auto& disk, auto& name) {
         disk.remove(name);
         return disk.make_special(name) && false;
       }},
      {"renames it away and writes anew",
       [](auto& disk, auto& name) {
         disk.rename_path(name, name + ".moved");
         return disk.write_file(name, users);
       }},
  };
  return all;
}

/// Everything that nobody touched must be there, what was touched must be accounted for.
void check_scene(const Scene& scene, const std::string& touched, bool wrote) {
  scene.check_answers();
  if (wrote) {
    CHECK(scene.owns_up_to(users));
  }
  const std::string job = touched == "a.conflict-n" ? "a" : touched;
  for (const std::string& bytes : scene.old_bytes) {
    CHECK((bytes.ends_with(job) || scene.holds(bytes)));
  }
  for (const std::string& bytes : scene.new_bytes) {
    CHECK((bytes.ends_with(job) || scene.shows(bytes)));
  }
  CHECK(!scene.has_slots());
}

/// Runs the batch with `disturb` at its k-th call, for every k.
void at_every_call(bool exchange, const std::function<void(Scene&, std::uint64_t call)>& run) {
  for (std::uint64_t call = 1;; ++call) {
    REQUIRE(call < call_max);
    Scene scene(exchange);
    run(scene, call);
    if (scene.disk.calls < call) {
      return;  // the batch was over before
    }
  }
}

TEST_CASE("apply: a user at any system call loses nothing") {
  for (const Act& act : acts()) {
    for (const std::string name : Scene::names) {
      at_every_call(true, [&](Scene& scene, std::uint64_t call) {
        bool wrote = false;
        scene.disk.before_call = [&](std::string_view, std::string_view) {
          if (scene.disk.calls == call) {
            wrote = act.act(scene.disk, name);
          }
        };
        Applier applier(scene.disk);
        scene.answers = applier.apply(scene.apply);
        const std::uint64_t calls = scene.disk.calls;
        scene.settle(applier);
        INFO("the user " << act.what << ": " << name << " at call " << call);
        check_scene(scene, name, wrote);
        CHECK(applier.still_open() == 0);
        scene.disk.calls = calls;
      });
    }
  }
}

}  // namespace
}  // namespace p2psync::tests
