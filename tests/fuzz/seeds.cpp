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
#include "storage/staging.h"
#include "tests/fuzz/some_manifest.h"
#include "tests/sim/sim_fs.h"
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
}

void manifests(Seeds& seeds) {
  const storage::Manifest base = some_manifest(4);
  storage::Manifest next = base;
  next[1].hash.bytes.fill(9);
  for (const storage::Manifest& manifest : {base, next}) {
    const std::uint64_t steps = base.size() * storage::ChunkSizes{}.min / 4096;
    const Written claimed{4, static_cast<std::uint8_t>(steps),
                          static_cast<std::uint8_t>(steps >> 8)};
    seeds.add("manifest", joined(claimed, storage::difference(base, manifest)));
  }
}

void announcements(Seeds& seeds) {
  const net::MemberTag member = net::member_tag("demo", net::KeyId{});
  for (const bool asks : {false, true}) {
    const auto bytes = net::encode_announcement({asks, 7744, member});
    seeds.add("discovery", Written(bytes.begin(), bytes.end()));
  }
}

void texts(Seeds& seeds) {
  for (const char* path :
       {"a", "a/b.c/d", "a.conflict-n1", ".p2psync/x", "../a", "a//b", "a/./b", "\xff"}) {
    seeds.add("path", path);
  }
  seeds.add("config", R"(# comment
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
)" + app::every_key);
  storage::IntentItem item{"a/my text", ".p2psync/tmp/slot-4", 77, "1767322984000000000", {}, {}};
  item.content.bytes.fill(7);
  const std::string intent = storage::encode_intent({item, item});
  seeds.add("intent", 0, Written(intent.begin(), intent.end()));
  sim::SimFs disk;
  storage::Fs& fs = disk;
  storage::LoggedStep step{"a", "a", storage::LoggedStep::What::put, "", ".p2psync/tmp/slot-4", 77,
                           5,   {}};
  if (storage::prepare_state(fs) && storage::write_batch_log(fs, 3, {step, step})) {
    const auto log = disk.read(".p2psync/tmp/batch-log");
    seeds.add("intent", 1, Written(log->begin(), log->end()));
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
  p2psync::fuzz::texts(seeds);
  return 0;
}
