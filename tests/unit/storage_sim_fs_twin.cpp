// The twins of Fs against each other: random calls on the simulated disk and on a real one give the
// same answers and the same tree.
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <random>
#include <string>

#include "tests/sim/sim_fs.h"
#include "tests/unit/storage_folder.h"

namespace p2psync::tests {
namespace {

using engine::Kind;
using storage::Fs;
using storage::RenameMode;
using storage::Stat;

constexpr int runs = 40;
constexpr int calls_a_run = 300;

/// What an answer says, without what the twins cannot share: inode numbers and ctimes.
std::string told(const Error& error) {
  return "error " + std::to_string(static_cast<int>(error.code)) + "/" +
         std::to_string(error.error_number);
}
std::string told(const Stat& stat) {
  std::string text = std::to_string(static_cast<int>(stat.signature.kind)) + " mode " +
                     std::to_string(stat.signature.mode) + " size " +
                     std::to_string(stat.signature.size) + (stat.special ? " special" : "");
  if (stat.signature.kind != Kind::directory) {  // file systems count those links differently
    text += " links " + std::to_string(stat.links);
  }
  return text;
}
std::string told(const std::string& text) {
  return text;
}
std::string told(const std::vector<storage::DirItem>& items) {
  std::string text;
  for (const storage::DirItem& item : items) {
    text += item.name + ": " + told(item.stat) + "; ";
  }
  return text;
}
std::string told(const Result<void>& result) {
  return result ? "done" : told(result.error());
}
template <class T>
std::string told(const Result<T>& result) {
  return result ? told(*result) : told(result.error());
}

/// One random call, drawn once and made on both.
struct Call {
  int what = 0;
  std::string path;
  std::string other;
  RenameMode mode = RenameMode::replace;
  std::uint16_t bits = 0;
  std::int64_t time = 0;
  std::string bytes;
};

std::string on_file(storage::File& file, const Call& call) {
  std::string text = told(file.write(call.bits % 9, bytes_of(call.bytes)));
  text += told(file.set_mode(call.bits | 0600U));
  text += told(file.resize(call.bits % 13));
  text += told(file.set_mtime(call.time));
  text += told(file.sync());
  text += told(file.stat());
  std::array<std::uint8_t, 6> into{};
  const auto count = file.read(3, into);
  text += count ? std::to_string(*count) : told(count.error());
  text += file.stat()->signature.mtime == call.time ? " on time" : " late";
  return text + std::string(into.begin(), into.end());
}

std::string make(Fs& fs, const Call& call) {
  switch (call.what) {
    case 0:
    case 1: {
      const auto file = fs.create(call.path);
      return file ? on_file(**file, call) : told(file.error());
    }
    case 2: {
      const auto file = fs.open_write(call.path);
      return file ? on_file(**file, call) : told(file.error());
    }
    case 3: {
      const auto file = fs.open_read(call.path);
      return file ? told((*file)->stat()) : told(file.error());
    }
    case 4:
    case 5: return told(fs.make_directory(call.path, call.bits | 0700U));
    case 6: return told(fs.make_symlink(call.other, call.path));
    case 7: return told(fs.link(call.path, call.other));
    case 8:
    case 9:
    case 10: return told(fs.rename(call.path, call.other, call.mode));
    case 11: return told(fs.unlink(call.path));
    case 12: return told(fs.remove_directory(call.path));
    case 13: return told(fs.set_directory_mode(call.path, call.bits | 0700U));
    case 14: return told(fs.read_link(call.path));
    case 15: return told(fs.list(call.path));
    case 16: return told(fs.sync_directory(call.path));
    case 17: {
      const auto from = fs.open_read(call.path);
      const auto to = fs.create(call.other);
      if (!from || !to) {
        return "no copy";
      }
      return told((*to)->copy_from(**from, 0, (*from)->stat()->signature.size)) +
             told((*to)->stat());
    }
    default: return told(fs.stat(call.path));
  }
}

void list_all(Fs& fs, const std::string& directory, std::string& into) {
  const auto items = fs.list(directory);
  REQUIRE(items.has_value());
  for (const storage::DirItem& item : *items) {
    const std::string path = engine::child_of(directory, item.name);
    into += path + " " + told(item.stat) + "\n";
    if (item.stat.signature.kind == Kind::directory) {
      list_all(fs, path, into);
    }
  }
}

std::uint64_t first_seed() {
  const char* given = std::getenv("P2PSYNC_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

TEST_CASE("sim disk: random calls answer as a real file system does") {
  const std::array<std::string, 9> paths = {
      "a", "b", "d", "d/a", "d/e", "d/e/f", "g/h", "d/" + std::string(256, 'n'), "g"};
  for (std::uint64_t seed = first_seed(); seed < first_seed() + runs; ++seed) {
    std::mt19937_64 random(seed);
    const auto draw = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
    sim::SimFs sim;
    const Folder real;
    for (int step = 0; step < calls_a_run; ++step) {
      Call call;
      call.what = static_cast<int>(draw(19));
      call.path = paths[draw(paths.size())];
      call.other = paths[draw(paths.size())];
      call.mode = static_cast<RenameMode>(draw(3));
      call.bits = static_cast<std::uint16_t>(draw(01000));
      call.time = 1'500'000'000'000'000'000 + static_cast<std::int64_t>(draw(1'000'000'000));
      call.bytes = std::string(draw(20), 'x');
      INFO("seed " << seed << " step " << step << " call " << call.what << " on " << call.path
                   << " and " << call.other << " mode " << static_cast<int>(call.mode));
      const std::string expected = make(*real.fs, call);
      REQUIRE(make(sim, call) == expected);
    }
    std::string expected;
    std::string got;
    list_all(*real.fs, "", expected);
    list_all(sim, "", got);
    CHECK(got == expected);
  }
}

}  // namespace
}  // namespace p2psync::tests
