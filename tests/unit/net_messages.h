#pragma once
// One message of every kind, with every field set, for the tests of net/.
#include <memory>
#include <vector>

#include "engine/message.h"

namespace p2psync::net {

inline std::vector<engine::Message> one_of_every_message() {
  using namespace engine;
  const Dot dot{{7, 8}, 300};
  Version version;
  version.mode = 0644;
  version.mtime = 1'700'000'000'123'456'789;
  version.size = 12;
  version.content.bytes.fill(0xab);
  version.rank = version.mtime + 1;
  version.label = "node1";
  version.tag = tag_of(dot);
  version.superseded = {1, 2};
  const Entry entry{VersionVector{dot}, {{dot, version}}, {}};
  const VersionVector vector{{{1, 2}, 3}, {{4, 5}, 6}};
  return {
      Hello{protocol_version, "demo", "0.1.0", {{1, "node1"}, {2, "node2"}}},
      Tick{{1, 2}, 3, {4, 5}, true, true, 6},
      Vectors{vector, {{1, 99, vector}}, {7, 8}, true, {{1, 4, 1, {{5, 6}, {7, 8}}, 9}}},
      Entries{.stream = 9,
              .index = 2,
              .knowledge = vector,
              .ranges = {{{1, 2}, 0, 3}},
              .entries = {{"a/b", entry}}},
      Ranges{.salt = 1,
             .knowledge = vector,
             .split = {{"a", {{"ab", 3, 4}, {"b", 5, 6}}}},
             .listed = {{"c", "d", {7, 8}}},
             .answers = {{"d", "e", {9}, {10}}}},
      Held{{1, 99, vector}},
      Get{5, version.content, 262144, block_bytes, ListOf{version.content, {}}},
      Block{5, engine::Bytes::of(std::vector<std::uint8_t>(100, std::uint8_t{9}))},
      Taken{.stream = 9, .count = 4},
      Have{.content = {}, .from = 1U << 31U, .chunks = {{1, 2}, {5, 900}}, .anew = true},
  };
}

}  // namespace p2psync::net
