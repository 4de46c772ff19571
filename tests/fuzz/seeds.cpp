// Where the fuzzers begin: one good input of each kind, of what this program itself would write.
//
//   fuzz-seeds DIRECTORY      writes DIRECTORY/<target>/<name>
//
// Written by the program and not kept as files, so that they follow the protocol.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/codec.h"
#include "net/announcement.h"
#include "net/wire.h"
#include "storage/batch_log.h"
#include "storage/intent.h"
#include "storage/manifest.h"
#include "tests/fuzz/some_disk.h"
#include "tests/fuzz/some_manifest.h"
#include "tests/unit/app_every_key.h"
#include "tests/unit/net_messages.h"

namespace p2psync::fuzz {
namespace {

using Written = std::vector<std::uint8_t>;

class Seeds {
 public:
  explicit Seeds(std::filesystem::path directory) : directory_(std::move(directory)) {}

  void add(const std::string& target, const Written& bytes) {
    const std::filesystem::path into = directory_ / target;
    std::filesystem::create_directories(into);
    std::ofstream file(into / ("seed-" + std::to_string(++count_)), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  void add(const std::string& target, std::uint8_t first, const Written& rest) {
    Written bytes{first};
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    add(target, bytes);
  }
  void add(const std::string& target, std::string_view text) {
    add(target, Written(text.begin(), text.end()));
  }

 private:
  std::filesystem::path directory_;
  int count_ = 0;
};

Written joined(Written one, const Written& other) {
  one.insert(one.end(), other.begin(), other.end());
  return one;
}

/// As fuzz-node takes a frame.
Written command(const Written& frame) {
  const std::size_t length = frame.size() - net::header_bytes;
  Written bytes{static_cast<std::uint8_t>(frame[4] - 1), static_cast<std::uint8_t>(length),
                static_cast<std::uint8_t>(length >> 8)};
  bytes.insert(bytes.end(), frame.begin() + net::header_bytes, frame.end());
  return bytes;
}

void messages(Seeds& seeds) {
  Written stream;
  Written commands;
  for (const engine::Message& message : net::one_of_every_message()) {
    const Written frame = net::encode_message(message);
    stream = joined(std::move(stream), frame);
    commands = joined(joined(std::move(commands), command(frame)), {240});
    seeds.add("message", frame[4], Written(frame.begin() + net::header_bytes, frame.end()));
    seeds.add("node", command(frame));
    seeds.add("frame", 1, frame);
  }
  seeds.add("frame", 0x21, stream);
  seeds.add("node", commands);
  // A large frame, and one behind it; most of the body are the target's own zeros.
  const auto large = net::frame_header(net::FrameKind::block, net::block_body_bytes_max);
  seeds.add("frame", 0x23, Written(large.begin(), large.end()));
  // Vectors that members hold: the sender's own, another, that again.
  const engine::VersionVector one{{{1, 2}, 3}};
  const engine::VersionVector other{{{1, 2}, 4}};
  const engine::Vectors rows{one, {{1, 9, one}, {2, 9, other}, {3, 9, other}}, {}, false, {}};
  seeds.add("message", static_cast<std::uint8_t>(net::FrameKind::vectors), engine::encode(rows));
}

engine::Sibling sibling() {
  engine::Sibling made{{{7, 8}, 300}, {}};
  made.version.mode = 0644;
  made.version.mtime = 1'700'000'000'123'456'789;
  made.version.size = 12;
  made.version.content.bytes.fill(0xab);
  made.version.rank = made.version.mtime;
  made.version.label = "node1";
  made.version.tag = engine::tag_of(made.dot);
  return made;
}

void stored(Seeds& seeds) {
  const engine::Sibling one = sibling();
  engine::Record record = engine::record_of("p", {one, 5, 6});
  seeds.add("stored", 1, engine::encode(engine::PlainRecord{one, 5, 6}));
  seeds.add("stored", 0, engine::encode(record));
  record.entry.deletions.push_back({{{7, 9}, 3}, {1, 2}});
  record.entry.context.add({{7, 9}, 3});
  record.doubts.push_back({"p.conflict-node1", record.shown[0]});
  record.doubts.push_back({"q", std::nullopt});
  seeds.add("stored", 0, engine::encode(record));
  seeds.add("stored", 2, engine::encode(engine::KeptVersion{"1", "a/b", one.version}));
  const engine::VersionVector vector{{{1, 2}, 3}, {{4, 5}, 6}};
  seeds.add("stored", 3, engine::encode(engine::HeldRow{1, 99, vector}));
  seeds.add("stored", 4, engine::encode(vector));
  seeds.add("stored", 5, engine::encode(engine::Ending{5, 6}));
  seeds.add("stored", 6, engine::encode(engine::PathEntry{"a/b", record.entry}));
  seeds.add("stored", 7, engine::encode(record.entry));
  seeds.add("stored", 8, engine::encode(one.dot));
  seeds.add("stored", 9, engine::encode(one.version));
  for (const engine::Message& message : net::one_of_every_message()) {
    seeds.add("stored", 10, engine::encode(message));
  }
}

void manifests(Seeds& seeds) {
  const storage::Manifest base = some_manifest(4);
  storage::Manifest next = base;
  next[1].hash.bytes.fill(9);
  const storage::Manifest large = some_manifest(225);
  const std::uint64_t claims = large.size() * storage::ChunkSizes{}.min / 4096;
  const Written large_claimed{15, static_cast<std::uint8_t>(claims),
                              static_cast<std::uint8_t>(claims >> 8)};
  seeds.add("manifest", joined(large_claimed, storage::difference(large, large)));
  const auto outline = storage::bytes_of(storage::Outline{{4096, 10, {}}, {8192, 8192, {}}});
  seeds.add("manifest", joined(Written{0, 3, 0}, outline));
  for (const int how : {16, 17, 18, 19, 21, 25}) {
    seeds.add("manifest", static_cast<std::uint8_t>(how), outline);
  }
  for (const storage::Manifest& manifest : {base, next}) {
    const std::uint64_t steps = base.size() * storage::ChunkSizes{}.min / 4096;
    const Written claimed{2, static_cast<std::uint8_t>(steps),
                          static_cast<std::uint8_t>(steps >> 8)};
    seeds.add("manifest", joined(claimed, storage::difference(base, manifest)));
    for (const int how : {16, 17, 18, 19, 21, 25}) {
      seeds.add("manifest", static_cast<std::uint8_t>(how), storage::bytes_of(manifest));
    }
  }
}

void announcements(Seeds& seeds) {
  const net::MemberTag member = net::member_tag("demo", net::KeyId{});
  for (const bool asks : {false, true}) {
    const auto bytes = net::encode_announcement({asks, 7744, member});
    seeds.add("discovery", Written(bytes.begin(), bytes.end()));
  }
}

std::string repeated(std::string_view part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) {
    text += part;
  }
  return text;
}

void paths(Seeds& seeds) {
  for (const std::string& path :
       {std::string("a"), std::string("a/b.c/d"), std::string("a.conflict-n1"),
        std::string(".p2psync/x"), std::string("../a"), std::string("a//b"), std::string("a/./b"),
        std::string("\xff"), std::string(1, '\0'), std::string(engine::name_bytes_max + 1, 'n'),
        repeated("d/", engine::path_depth_max) + "f", repeated("long/", 1000) + "f"}) {
    seeds.add("path", path);
  }
}

/// Rules of three directories, then paths.
void ignores(Seeds& seeds) {
  using namespace std::string_literals;
  for (const std::string& parts :
       {"*.o\n!keep.o\n/build/\n# comment\n\\#x\na\\ \r\n\0"
        "!*.o\n\0/c\0a/x.o\0a/b/c\0build/x\0keep.o"s,
        "\xef\xbb\xbf**/x\nd/**\na/**/z\nq**\\/y\n***\0\0\0d/e\0a/y/z\0x\0a/.p2pignore"s,
        "[[:alnum:][:blank:][:cntrl:][:lower:]]\n[[:graph:][:print:]]\n"
        "[![:punct:]]\n[[:space:]]\n[[:upper:][:xdigit:]]\0\0\0b"s,
        "[a-c]\n[!]x]\n[[:alpha:]][[:digit:]]\n[[:foo:]]\n[\n"
        "\\\n?\0[\\]-]\n[a-\\z-]\0\0b\0a/]\0a1\0z"s,
        "a*a*a*a*a*b\n**/**/*a*/**/b\0\0\0aaaaaaaaaaaaaaaaaaaaa\0a/a/a/a/a/a/a"s}) {
    seeds.add("ignore", parts);
  }
}

/// Good, and with each thing that may be wrong.
void configurations(Seeds& seeds) {
  const std::string good = R"(# comment
[cluster]
name = "demo"
[[member]]
name = "node1"
address = "node1:7744"
id = ")" + std::string(64, 'a') +
                           R"("
[[member]]
name = "node2"
id = ")" + std::string(64, 'b') +
                           R"("
[node]
folder = "/data"
key = "/key"
)" + app::every_key;
  seeds.add("config", good);
  seeds.add("config", "");
  const std::string b_id = std::string(64, 'b');
  const std::vector<std::pair<std::string, std::string>> changes{
      {"\"demo\"", "7"},
      {"demo", std::string(65, 'd')},
      {"name = \"demo\"", ""},
      {"[cluster]\nname = \"demo\"", "cluster = 1"},
      {"[cluster]\nname = \"demo\"", "member = 1\ncolour = 2\n[colours]"},
      {"\"node1\"", "\"No de\""},
      {"\"node2\"", "\"node1\""},
      {"name = \"node2\"", "colour = \"red\""},
      {b_id, "b"},
      {b_id, std::string(64, 'a')},
      {b_id, std::string(16, 'a') + std::string(48, 'b')},
      {"id = \"" + b_id + "\"", "id = 7"},
      {"node1:7744", "[::1]:7744"},
      {"node1:7744", "[::1:7744"},
      {"node1:7744", "::1"},
      {"node1:7744", "no de:1"},
      {"node1:7744", "node1"},
      {"node1:7744", "node1:0"},
      {"\"node1:7744\"", "1979-05-27"},
      {"/data", ""},
      {"/data", "\\u0000"},
      {"/data", "/dev/null"},
      {"\"/data\"", "[1]"},
      {"folder = \"/data\"", ""},
      {"/key", "key"},
      {"/key", "/key?"},
      {"/key", "/key!"},
      {"listen = \"127.0.0.9:99\"", ""},
      {"200ms", "0s"},
      {"200ms", "1.5 d"},
      {"200ms", "1.0000000001s"},
      {"200ms", "0.000001ms"},
      {"200ms", "5m"},
      {"200ms", "2h"},
      {"200ms", "9999999999999999999d"},
      {"watch = false", "watch = \"no\""},
      {"50%", "0%"},
      {"4096", "-1"},
      {"4096", "1.5"},
      {"1MiB", "1 apple"},
      {"1MiB", "1."},
      {"1MiB", "9999999999999TiB"},
      {"1KiB", "1.5GiB"},
      {"1KiB", "7"},
      {"\"0\"", "\"15s\""},
      {"listen = \"\"", "listen = \"localhost:80\""},
      {"\"debug\"", "\"loud\""},
      {"[log]", "[log"},
      {"[log]", "[[ = 1"},
  };
  for (const auto& [from, to] : changes) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    seeds.add("config", text);
  }
  using namespace std::string_literals;
  seeds.add("config", good + "\0P2PSYNC_SCAN_WATCH=true\nP2PSYNC_LOG_LEVEL=warn\nHOME=/"s);
  seeds.add("config", good + "\0P2PSYNC_SCAN_WATCH=maybe\nP2PSYNC_MEMBER_NAME=x"s);
  seeds.add("config", good + "\0\0/other\0/key\000127.0.0.1:1"s);
  seeds.add("config", "[cluster]\nname = \"demo\""s);
  seeds.add("config", "member = [1]\ncolours = 2\n[colour]\n[log]\nlevel = \"info\""s);
}

void json(Seeds& seeds) {
  for (
      const char* text :
      {R"({"command": "status", "wait": 5, "a": [true, false, null, -1.5e3, 9223372036854775807]})",
       R"("\u00e4\ud83d\ude00\n\"")", "[[[[]]]]", "{\"a\":{}}", "12345678901234567890",
       "\"\xff\""}) {
    seeds.add("json", text);
  }
}

void after_a_crash(Seeds& seeds) {
  sim::SimFs disk;
  fill(disk);
  const auto log_of = [&](std::uint8_t how, std::uint8_t fails,
                          const std::vector<storage::LoggedStep>& steps) {
    if (storage::write_batch_log(disk, 3, steps)) {
      const auto log = disk.read(".p2psync/tmp/batch-log");
      seeds.add("intent", how | 1U, joined({fails}, Written(log->begin(), log->end())));
    }
  };
  using What = storage::LoggedStep::What;
  const std::string slot = ".p2psync/tmp/slot-4";
  const std::string kept = ".p2psync/versions/1";
  const std::uint64_t ready = inode_of(disk, slot);
  const std::uint64_t user = inode_of(disk, "a");
  const engine::Wanted file{engine::Kind::file, 0644, 5, 9, {}, ""};
  const engine::Wanted directory{engine::Kind::directory, 0755, 0, 0, {}, ""};
  const std::vector<storage::LoggedStep> steps{
      {"a", "a", What::put, "", slot, ready, 5, file},
      {"a", "a", What::put, "", slot, 99, 5, file},
      {"d", "d", What::put, "", "", 0, 0, directory},
      {"a", "a.conflict-n1", What::move, "a", slot, user, 5, file},
      {"a", "a", What::remove, "", kept, user, 5, file},
      {"x", "x", What::remove, slot, ".p2psync/versions/2", ready, 5, file},
      {"y", "y", What::put, kept, slot, ready, 5, file},
      {"gone", "gone", What::remove, "", "", 98, 0, directory},
  };
  for (const std::uint8_t how : {std::uint8_t{0}, std::uint8_t{2}}) {
    for (const storage::LoggedStep& step : steps) {
      log_of(how, 0, {step});
    }
    log_of(how, 0, steps);
    log_of(how, 0, {steps[3], steps[0]});
    storage::IntentItem item{"a", slot, 77, "1767322984000000000", {}, {}};
    storage::IntentItem not_laid{"a/my text", slot, ready, "2", {}, {}};
    storage::IntentItem removed{"d/b", "", 0, "1", {}, {}};
    item.content.bytes.fill(7);
    for (const auto& items :
         {std::vector{item}, {not_laid}, {removed}, {item, not_laid, removed}}) {
      const std::string intent = storage::encode_intent(items);
      seeds.add("intent", how, joined({0}, Written(intent.begin(), intent.end())));
    }
  }
  for (std::uint8_t fails = 1; fails < 10; ++fails) {
    log_of(0, fails, {steps[0]});
  }
}

}  // namespace
}  // namespace p2psync::fuzz

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: fuzz-seeds DIRECTORY\n");
    return 2;
  }
  p2psync::fuzz::Seeds seeds(arguments[1]);
  p2psync::fuzz::messages(seeds);
  p2psync::fuzz::stored(seeds);
  p2psync::fuzz::manifests(seeds);
  p2psync::fuzz::announcements(seeds);
  p2psync::fuzz::paths(seeds);
  p2psync::fuzz::ignores(seeds);
  p2psync::fuzz::configurations(seeds);
  p2psync::fuzz::json(seeds);
  p2psync::fuzz::after_a_crash(seeds);
  return 0;
}
