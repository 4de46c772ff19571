// Random users, crashes and faults together, in one batch and what follows it, against a model of
// what is owed: every content that stood in the tree or was written, less what a user replaced or
// deleted himself.
#include <cerrno>
#include <cstdlib>
#include <random>

#include "tests/unit/storage_apply_scene.h"

namespace p2psync::tests {
namespace {

using storage::Applier;

constexpr std::uint64_t runs = 1500;
constexpr int crashes_max = 3;

class Storm {
 public:
  explicit Storm(std::uint64_t seed)
      : random_(seed),
        scene_(draw(4) != 0, draw(2) == 0 ? Scene::Hashes::known : Scene::Hashes::unknown) {
    // Where renames take no flag an editor's save can fall between two calls; see applier.h.
    saves_ = scene_.disk.exchange;
    if (draw(4) == 0) {
      scene_.disk.lease = storage::Lease::unknown;
    }
    faulty_ = draw(2) == 0;
    scene_.disk.before_call = [this](std::string_view, std::string_view) { between_calls(); };
    scene_.disk.fault = [this](std::string_view operation, std::string_view) {
      constexpr std::array numbers = {EIO, ENOSPC, EACCES, EMFILE};
      return faulty_ && operation != "File::try_lease" && draw(60) == 0
                 ? numbers[draw(numbers.size())]
                 : 0;
    };
  }

  void run() {
    for (int lives = 0; lives <= crashes_max; ++lives) {
      try {
        live(lives);
        break;
      } catch (const sim::Crash&) {
        forget_told();
      }
    }
    calm_ = true;
    faulty_ = false;
    editors_.clear();
    // A last start, with nothing on record: it has to tell of everything again.
    forget_told();
    Applier applier(scene_.disk);
    scene_.recover(applier);
    scene_.settle(applier);
    CHECK(applier.still_open() == 0);
    check();
  }

 private:
  std::size_t draw(std::size_t below) { return static_cast<std::size_t>(random_() % below); }

  void live(int lives) {
    Applier applier(scene_.disk);
    if (lives > 0) {
      auto surfaced = applier.recover(nothing_recorded);
      if (!surfaced) {
        throw sim::Crash{};  // it does not start
      }
      scene_.add(std::move(*surfaced));
    }
    scene_.answers = applier.apply(scene_.apply);
    scene_.revisit(applier);
    if (!faulty_) {
      scene_.check_answers();
    }
    if (!scene_.disk.lease) {  // where it proves nothing, who writes after the grace is not seen
      scene_.settle(applier);
    }
    scene_.revisit(applier);
  }

  void forget_told() {
    scene_.answers.clear();
    scene_.surfaced.clear();
    scene_.disk.restart();
  }

  void between_calls() {
    if (calm_) {
      return;
    }
    if (draw(12) == 0) {
      act();
    }
    if (crashes_ < crashes_max && draw(120) == 0) {
      ++crashes_;
      throw sim::Crash{};
    }
  }

  std::string fresh() { return "user " + std::to_string(100 + written_.size()); }
  void write_at(const std::string& name, bool in_place) {
    const std::string bytes = fresh();
    const auto before = scene_.disk.read(name);
    if (!in_place) {
      orphan(name);
    }
    const bool done = in_place ? before && scene_.disk.write_file(name, bytes)
                               : scene_.disk.save_file(name, bytes);
    if (done) {
      superseded_.insert(before.value_or(""));
      written_.push_back(bytes);
    }
  }
  /// A user is about to take this name from its inode. Who goes on writing to that, writes to
  /// nothing that he could find again, though a crash may have left it a kept name.
  void orphan(const std::string& name) {
    if (const auto found = scene_.disk.disk().find(name)) {
      orphans_.insert(*found);
    }
  }

  void act() {
    sim::SimFs& disk = scene_.disk;
    std::string name = Scene::names[draw(Scene::names.size())];
    if (draw(8) == 0) {
      name += draw(2) == 0 ? "/below" : ".moved";
    }
    switch (draw(9)) {
      case 0:
      case 1:
        if (saves_) {
          write_at(name, false);
        }
        break;
      case 2: write_at(name, true); break;
      case 3:
        orphan(name);
        if (const auto bytes = disk.read(name); disk.remove(name)) {
          superseded_.insert(bytes.value_or(""));
        }
        break;
      case 4: {
        const std::string to = name + ".moved";
        const auto bytes = disk.read(to);
        const bool same = disk.read(name) == bytes;
        orphan(to);
        if (saves_ && !same && disk.rename_path(name, to)) {
          superseded_.insert(bytes.value_or(""));
        }
        break;
      }
      case 5:
        if (saves_) {
          disk.mkdir(name);
        }
        break;
      case 6:
        if (auto editor = disk.open_writer(name)) {
          editors_.push_back(std::move(*editor));
        }
        break;
      case 7:
        if (!editors_.empty()) {
          sim::UserFile& editor = editors_[draw(editors_.size())];
          superseded_.insert(editor.bytes());
          const std::string bytes = fresh();
          editor.resize(0);
          editor.write(0, bytes);
          if (editor.has_name() && !orphans_.contains(editor.inode())) {
            written_.push_back(bytes);
          }
        }
        break;
      default:
        if (!editors_.empty()) {
          editors_.pop_back();
        }
        break;
    }
  }

  void check() {
    for (const std::string& bytes : scene_.old_bytes) {
      INFO(bytes);
      CHECK((superseded_.contains(bytes) || scene_.holds(bytes)));
    }
    for (const std::string& bytes : written_) {
      INFO(bytes);
      CHECK((superseded_.contains(bytes) || scene_.owns_up_to(bytes)));
    }
  }

  std::mt19937_64 random_;
  Scene scene_;
  bool saves_ = true;
  bool faulty_ = false;
  bool calm_ = false;
  int crashes_ = 0;
  std::vector<std::string> written_;
  std::set<std::string> superseded_;
  std::set<sim::InodeNumber> orphans_;
  std::vector<sim::UserFile> editors_;  // closed before the disk goes
};

TEST_CASE("apply: in a storm of users, crashes and faults every byte that is owed is there") {
  const char* given = std::getenv("P2PSYNC_SEED");
  const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  for (std::uint64_t seed = first; seed < first + (given != nullptr ? 1 : runs); ++seed) {
    INFO("P2PSYNC_SEED=" << seed);
    Storm(seed).run();
  }
}

}  // namespace
}  // namespace p2psync::tests
