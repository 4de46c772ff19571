#include "tests/sim/crash_points_scenes.h"

#include <array>
#include <string>

#include "engine/disk.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using World = CrashWorld;

constexpr engine::NodeId s = subject_id, p = 2, q = 3;
constexpr int early = 1, late = 1'000'000, later_still = 2'000'000;

/// Everybody has what was done so far.
void settle(World& w) {
  std::ignore = w.come_to_rest(100s);
}

std::string many_blocks(char fill) {
  return std::string(2 * chunk_sizes.max + 100, fill);
}

// --- What stands there before

void nothing(World&) {}

void file_a(World& w) {
  w.write({p, "a"}, "a, old");
}

void files(World& w) {
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    w.write({p, name}, std::string(name) + ", old");
  }
  w.mkdir({p, "f"});
}

void tree_d(World& w) {
  w.mkdir({p, "d"});
  w.write({p, "d/a"}, "d/a, old");
  w.mkdir({p, "d/e"});
  w.write({p, "d/e/b"}, "d/e/b, old");
}

void link_a(World& w) {
  w.link({p, "a"}, "old target");
}

/// a of n2 and a.conflict-n1.
void conflict(World& w) {
  w.cut_off_subject(true);
  w.write({s, "a"}, "a of n1", early);
  w.write({p, "a"}, "a of n2", late);
  w.cut_off_subject(false);
}

void two_versions(World& w) {
  w.write({p, "a"}, "a, first");
  settle(w);
  w.write({p, "a"}, "a, second");
}

// --- What the subject hears of

void write_a(World& w) {
  w.write({p, "a"}, "a, new");
}

void remove_a(World& w) {
  w.remove({p, "a"});
}

void rename_a(World& w) {
  w.rename({p, "a"}, "b");
}

void both_edit(World& w) {
  w.write({s, "a"}, "a of n1", early);
  w.write({p, "a"}, "a of n2", late);
}

void directory_wins(World& w) {
  w.write({s, "a"}, "a of n1", early);
  w.mkdir({p, "a"});
  w.write({p, "a/b"}, "a/b, new");
}

void copy_wins(World& w) {
  w.write({s, "a.conflict-n1"}, "a of n1, edited", later_still);
  w.remove({p, "a"});
}

void many_jobs(World& w) {
  write_a(w);
  w.remove({p, "b"});
  w.rename({p, "c"}, "g");
  w.remove({p, "d"});
  w.mkdir({p, "d"}, 0700);
  w.write({p, "d/x"}, "d/x, new");
  w.chmod({p, "e"}, 0600);
  w.remove({p, "f"});
  w.write({p, "f"}, "f, new");
}

// --- What a user does meanwhile

void user_saves_a(World& w) {
  w.write({s, "a"}, "a of the user", late);
  w.fsync({s, "a"});
}

void user_saves_a_early(World& w) {
  w.write({s, "a"}, "a of the user", early);
  w.fsync({s, "a"});
}

void user_writes_a_in_place(World& w) {
  w.write({s, "a"}, "a of the user", early, true);
  w.fsync({s, "a"});
}

void user_writes_a_unsynced(World& w) {
  w.write({s, "a"}, "a of the user", early);
}

void user_removes_a(World& w) {
  w.remove({s, "a"});
  w.fsync({s, "a"});
}

void user_writes_b(World& w) {
  w.write({s, "b"}, "b of the user", late);
  w.fsync({s, "b"});
}

void user_writes_below_d(World& w) {
  w.write({s, "d/new"}, "d/new of the user");
  w.fsync({s, "d/new"});
}

void user_makes_directory_a(World& w) {
  w.mkdir({s, "a"});
  w.fsync({s, "a"});
}

const auto scenes = std::to_array<CrashScene>({
    {.name = "new-file", .before = nothing, .meanwhile = write_a},
    {.name = "empty-file", .before = nothing, .meanwhile = [](World& w) { w.write({p, "a"}, ""); }},
    {.name = "new-tree", .before = nothing, .meanwhile = tree_d},
    {.name = "replace", .before = file_a, .meanwhile = write_a},
    {.name = "replace-while-user-saves-later",
     .before = file_a,
     .meanwhile = write_a,
     .during = {{"rename", "a", 1, user_saves_a}}},
    {.name = "replace-while-user-saves-earlier",
     .before = file_a,
     .meanwhile = write_a,
     .during = {{"rename", "a", 1, user_saves_a_early}}},
    {.name = "replace-while-user-writes-in-place",
     .before = file_a,
     .meanwhile = write_a,
     .during = {{"rename", "a", 1, user_writes_a_in_place}}},
    {.name = "replace-while-user-writes-unsynced",
     .before = file_a,
     .meanwhile = write_a,
     .during = {{"rename", "a", 1, user_writes_a_unsynced}}},
    {.name = "replace-while-user-removes",
     .before = file_a,
     .meanwhile = write_a,
     .during = {{"rename", "a", 1, user_removes_a}}},
    {.name = "replaced-then-user-saves",
     .before = file_a,
     .meanwhile = write_a,
     .during = {{"rename", ".p2psync/versions", 1, user_saves_a}}},
    {.name = "new-file-where-user-writes",
     .before = nothing,
     .meanwhile = write_a,
     .during = {{"rename", "a", 1, user_saves_a}}},
    {.name = "new-file-where-user-makes-directory",
     .before = nothing,
     .meanwhile = write_a,
     .during = {{"rename", "a", 1, user_makes_directory_a}}},
    {.name = "delete", .before = file_a, .meanwhile = remove_a},
    {.name = "delete-while-user-writes",
     .before = file_a,
     .meanwhile = remove_a,
     .during = {{"rename", ".p2psync/versions", 1, user_writes_a_in_place}}},
    {.name = "rename", .before = file_a, .meanwhile = [](World& w) { w.rename({p, "a"}, "b"); }},
    {.name = "rename-over-another",
     .before = files,
     .meanwhile = [](World& w) { w.rename({p, "a"}, "b"); }},
    {.name = "rename-while-user-saves",
     .before = file_a,
     .meanwhile = rename_a,
     .during = {{"rename", ".p2psync/tmp/slot", 1, user_saves_a}}},
    {.name = "rename-while-user-writes-in-place",
     .before = file_a,
     .meanwhile = rename_a,
     .during = {{"rename", ".p2psync/tmp/slot", 1, user_writes_a_in_place}}},
    {.name = "rename-while-user-removes",
     .before = file_a,
     .meanwhile = rename_a,
     .during = {{"rename", ".p2psync/tmp/slot", 1, user_removes_a}}},
    {.name = "rename-where-user-writes-new-name",
     .before = file_a,
     .meanwhile = rename_a,
     .during = {{"rename", "b", 1, user_writes_b}}},
    {.name = "rename-where-user-writes-old-name-anew",
     .before = file_a,
     .meanwhile = rename_a,
     .during = {{"rename", "b", 1, user_saves_a}}},
    {.name = "rename-directory",
     .before = tree_d,
     .meanwhile = [](World& w) { w.rename({p, "d"}, "g"); }},
    {.name = "make-directory",
     .before = nothing,
     .meanwhile = [](World& w) { w.mkdir({p, "d"}, 0750); }},
    {.name = "remove-tree",
     .before = tree_d,
     .meanwhile =
         [](World& w) {
           for (const char* name : {"d/e/b", "d/e", "d/a", "d"}) {
             w.remove({p, name});
           }
         }},
    {.name = "remove-directory-where-user-writes",
     .before = tree_d,
     .meanwhile =
         [](World& w) {
           for (const char* name : {"d/e/b", "d/e", "d/a", "d"}) {
             w.remove({p, name});
           }
         },
     .during = {{"remove_directory", "d", 1, user_writes_below_d}}},
    {.name = "file-to-directory",
     .before = file_a,
     .meanwhile =
         [](World& w) {
           remove_a(w);
           w.mkdir({p, "a"});
           w.write({p, "a/b"}, "a/b, new");
         }},
    {.name = "directory-to-file",
     .before = tree_d,
     .meanwhile =
         [](World& w) {
           for (const char* name : {"d/e/b", "d/e", "d/a", "d"}) {
             w.remove({p, name});
           }
           w.write({p, "d"}, "d, new");
         }},
    {.name = "make-symlink", .before = nothing, .meanwhile = link_a},
    {.name = "replace-symlink",
     .before = link_a,
     .meanwhile =
         [](World& w) {
           remove_a(w);
           w.link({p, "a"}, "new target");
         }},
    {.name = "replace-symlink-of-another-owner",
     .before = [](World& w) { w.link({s, "a"}, "old target"); },
     .meanwhile =
         [](World& w) {
           remove_a(w);
           w.link({p, "a"}, "new target");
         }},
    {.name = "file-to-symlink",
     .before = file_a,
     .meanwhile =
         [](World& w) {
           remove_a(w);
           link_a(w);
         }},
    {.name = "symlink-to-file",
     .before = link_a,
     .meanwhile =
         [](World& w) {
           remove_a(w);
           write_a(w);
         }},
    {.name = "loser-moves", .before = file_a, .meanwhile = both_edit},
    {.name = "loser-comes",
     .before = file_a,
     .meanwhile =
         [](World& w) {
           w.write({s, "a"}, "a of n1", late);
           w.write({p, "a"}, "a of n2", early);
         }},
    {.name = "loser-moves-for-directory", .before = nothing, .meanwhile = directory_wins},
    {.name = "loser-moves-by-removal", .before = conflict, .meanwhile = copy_wins},
    {.name = "three-siblings",
     .before = file_a,
     .meanwhile =
         [](World& w) {
           w.write({s, "a"}, "a of n1", early);
           w.write({p, "a"}, "a of n2", late);
           w.write({q, "a"}, "a of n3", later_still);
         },
     .hosts = 3},
    {.name = "copy-removed",
     .before = conflict,
     .meanwhile = [](World& w) { w.remove({p, "a.conflict-n1"}); }},
    {.name = "copy-edited",
     .before = conflict,
     .meanwhile = [](World& w) { w.write({p, "a.conflict-n1"}, "a of n1, edited"); }},
    {.name = "copy-stays", .before = conflict, .meanwhile = remove_a},
    {.name = "copy-renamed-onto-name",
     .before = conflict,
     .meanwhile = [](World& w) { w.rename({p, "a.conflict-n1"}, "a"); }},
    {.name = "mode-only", .before = file_a, .meanwhile = [](World& w) { w.chmod({p, "a"}, 0600); }},
    {.name = "mtime-only", .before = file_a, .meanwhile = [](World& w) { w.touch({p, "a"}); }},
    {.name = "directory-mode",
     .before = tree_d,
     .meanwhile = [](World& w) { w.chmod({p, "d"}, 0700); }},
    {.name = "equal-bytes",
     .before = nothing,
     .meanwhile =
         [](World& w) {
           w.write({s, "a"}, "a of both", early);
           w.write({p, "a"}, "a of both", late);
         }},
    {.name = "loser-found-at-start", .before = file_a, .meanwhile = both_edit, .asleep = true},
    {.name = "acts-found-at-start",
     .before = files,
     .meanwhile =
         [](World& w) {
           w.write({s, "a"}, "a of n1");
           w.remove({s, "b"});
           w.rename({s, "c"}, "g");
           w.chmod({s, "e"}, 0600);
         },
     .asleep = true},
    {.name = "many-jobs", .before = files, .meanwhile = many_jobs},
    {.name = "many-files",
     .before = nothing,
     .meanwhile =
         [](World& w) {
           for (char name = 'a'; name < 'k'; ++name) {
             w.write({p, std::string(1, name)}, std::string(1, name) + ", new");
           }
         },
     .depth_max = 1},
    {.name = "kept-version-returns",
     .before = two_versions,
     .meanwhile = [](World& w) { w.write({p, "a"}, "a, first"); }},
    {.name = "copy-of-local-file",
     .before = file_a,
     .meanwhile = [](World& w) { w.write({p, "b"}, "a, old"); }},
    {.name = "swap-names",
     .before = files,
     .meanwhile =
         [](World& w) {
           w.rename({p, "a"}, "t");
           w.rename({p, "b"}, "a");
           w.rename({p, "t"}, "b");
         }},
    {.name = "blocks",
     .before = nothing,
     .meanwhile = [](World& w) { w.write({p, "a"}, many_blocks('n')); }},
    {.name = "no-room-at-first", .before = files, .meanwhile = many_jobs, .full_calls = 6},
    {.name = "open-as-far-as-anyone-knows",
     .before = file_a,
     .meanwhile = write_a,
     .lease = storage::Lease::unknown},
    {.name = "open-files",
     .before = files,
     .meanwhile = many_jobs,
     .lease = storage::Lease::refused},
    {.name = "no-exchange-replace", .before = file_a, .meanwhile = write_a, .exchange = false},
    {.name = "no-exchange-delete", .before = file_a, .meanwhile = remove_a, .exchange = false},
    {.name = "no-exchange-rename",
     .before = file_a,
     .meanwhile = [](World& w) { w.rename({p, "a"}, "b"); },
     .exchange = false},
    {.name = "no-exchange-loser-moves",
     .before = file_a,
     .meanwhile = both_edit,
     .exchange = false},
    {.name = "no-exchange-loser-moves-for-directory",
     .before = nothing,
     .meanwhile = directory_wins,
     .exchange = false},
    {.name = "no-exchange-loser-moves-by-removal",
     .before = conflict,
     .meanwhile = copy_wins,
     .exchange = false},
    {.name = "no-exchange-many-jobs", .before = files, .meanwhile = many_jobs, .exchange = false},
    {.name = "sqlite-replace",
     .before = file_a,
     .meanwhile = write_a,
     .sqlite = true,
     .depth_max = 1},
    {.name = "sqlite-loser-moves",
     .before = file_a,
     .meanwhile = both_edit,
     .sqlite = true,
     .depth_max = 1},
});

}  // namespace

std::span<const CrashScene> crash_scenes() {
  return scenes;
}

}  // namespace p2psync::sim
