#pragma once
// One batch with every kind of step, on a simulated disk, and the questions that the tests about
// users, crashes and faults ask afterwards: where is each content, and are the answers true?
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/storage_apply.h"

namespace p2psync::tests {

/// `names` below are what users act on.
struct Scene {
  sim::SimFs disk;
  engine::Apply apply;
  std::set<std::string> old_bytes;  ///< stood in the tree before
  std::set<std::string> new_bytes;  ///< are to be laid
  std::vector<engine::Applied> answers;
  std::vector<engine::Surfaced> surfaced;

  static constexpr std::array names = {"a", "b", "c", "d", "e", "f", "g", "m", "n", "a.conflict-n"};

  enum class Hashes { known, unknown };  ///< of what is expected

  explicit Scene(bool exchange = true, Hashes hashes = Hashes::known) {
    disk.exchange = exchange;
    storage::Fs& fs = disk;
    REQUIRE(storage::prepare_state(fs).has_value());
    for (const char* name : {"a", "b", "d", "e", "g", "m"}) {
      const std::string bytes = std::string("old ") + name;
      make_file(fs, name, bytes);
      old_bytes.insert(bytes);
    }
    make_file(fs, storage::kept_path("found"), "new g");
    old_bytes.insert("new g");  // somebody's only copy
    REQUIRE(fs.make_directory("f", 0755).has_value());
    for (const char* name : {"a", "b", "c", "f", "g"}) {
      new_bytes.insert(std::string("new ") + name);
    }
    new_bytes.insert("old m");  // goes to n
    disk.disk().now += 1'000'000'000;
    const auto put = [&](const char* name) {
      return put_file(fs, name, std::string("new ") + name);
    };
    engine::Put moving = put("a");
    moving.moved = engine::Moved{"a.conflict-n", wanted_file("old a")};
    apply =
        batch({{"a", {moving}},
               {"b", {put("b")}},
               {"c", {put("c")}},
               {"d", {remove_at(fs, "d")}},
               {"e", {put_at(fs, "e", wanted_directory(), engine::Nothing{})}},
               {"f", {put("f")}},
               {"g", {put_at(fs, "g", wanted_file("new g"), engine::Kept{"found", true})}},
               {"n", {put_at(fs, "n", wanted_file("old m", old_time, 0644), engine::AtName{"m"})}},
               {"m", {remove_at(fs, "m")}}});
    if (hashes == Hashes::unknown) {
      forget_hashes();
    }
    disk.calls = 0;
  }

  /// Everything in the tree and in `.p2psync`, whatever the name.
  [[nodiscard]] bool holds(const std::string& bytes) const {
    return shows(bytes) || is_kept(bytes) || is_in(storage::staging_directory, bytes);
  }
  [[nodiscard]] bool shows(const std::string& bytes) const { return is_in("", bytes); }
  [[nodiscard]] bool is_kept(const std::string& bytes) const {
    return is_in(storage::versions_directory, bytes);
  }
  /// In the tree, or kept and told of.
  [[nodiscard]] bool owns_up_to(const std::string& bytes) const {
    return shows(bytes) || (is_kept(bytes) && told_of(bytes));
  }
  [[nodiscard]] bool told_of(const std::string& bytes) const {
    const engine::Hash hash = storage::sha256(bytes);
    const auto tells = [&](const engine::StepResult& result) {
      const auto* done = std::get_if<engine::Done>(&result);
      return done != nullptr && done->displaced && !done->displaced->as_expected &&
             done->displaced->seen.content == hash;
    };
    return std::ranges::any_of(surfaced,
                               [&](const auto& one) { return one.seen.content == hash; }) ||
           std::ranges::any_of(answers, [&](const engine::Applied& job) {
             return std::ranges::any_of(job.results, tells);
           });
  }

  void recover(storage::Applier& applier) {
    auto found = applier.recover(nothing_recorded);
    REQUIRE(found.has_value());
    add(std::move(*found));
  }
  void revisit(storage::Applier& applier) { add(applier.revisit()); }
  void add(std::vector<engine::Surfaced> more) {
    surfaced.insert(surfaced.end(), more.begin(), more.end());
  }
  [[nodiscard]] bool has_slots() const {
    return std::ranges::any_of(disk.tree(storage::staging_directory),
                               [](const auto& item) { return item.first.contains("/slot-"); });
  }
  /// Until nothing is open any more: all writers are closed, the grace is over.
  void settle(storage::Applier& applier) {
    for (int round = 0; round < 3; ++round) {
      disk.disk().now += 61'000'000'000;
      revisit(applier);
    }
  }

  /// What a Done claims: while the name has the signature, it holds what was wanted.
  void check_answers() const {
    for (std::size_t job = 0; job < answers.size(); ++job) {
      const auto& steps = apply.jobs[job].steps;
      REQUIRE(answers[job].results.size() <= steps.size());
      REQUIRE(!answers[job].results.empty());
      for (std::size_t i = 0; i < answers[job].results.size(); ++i) {
        const auto* done = std::get_if<engine::Done>(&answers[job].results[i]);
        const bool unsure = std::holds_alternative<engine::Unsure>(answers[job].results[i]);
        CHECK((done != nullptr || unsure || i + 1 == answers[job].results.size()));
        const auto* put = std::get_if<engine::Put>(&steps[i]);
        if (done == nullptr) {
          continue;
        }
        if (put != nullptr && put->wanted.kind == engine::Kind::file) {
          check_put(*put, *done);
        }
        if (done->displaced && done->displaced->as_expected && !done->displaced->still_open) {
          const auto kept = disk.read(storage::kept_path(done->displaced->file));
          REQUIRE(kept.has_value());
          CHECK(storage::sha256(*kept) == done->displaced->seen.content);
          CHECK(old_bytes.contains(*kept));
        }
      }
    }
  }

 private:
  void forget_hashes() {
    for (engine::ApplyJob& job : apply.jobs) {
      for (engine::Step& step : job.steps) {
        if (auto* put = std::get_if<engine::Put>(&step)) {
          put->expected_content = {};
        } else if (auto* remove = std::get_if<engine::Remove>(&step)) {
          remove->expected_content = {};
        }
      }
    }
  }
  void check_put(const engine::Put& put, const engine::Done& done) const {
    REQUIRE(done.signature.has_value());
    const auto found = disk.disk().find(put.name);
    if (found && disk.disk().stat(*found).signature == *done.signature) {
      CHECK(storage::sha256(disk.disk().inode(*found).bytes) == put.wanted.content);
    }
  }
  [[nodiscard]] bool is_in(std::string_view directory, const std::string& bytes) const {
    return std::ranges::any_of(disk.tree(directory), [&](const auto& item) {
      return item.second.kind == engine::Kind::file && item.second.bytes == bytes;
    });
  }
};

}  // namespace p2psync::tests
