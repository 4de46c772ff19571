// Which contents are asked for, and when.
#include "engine/transfer.h"

#include <doctest/doctest.h>

using namespace p2psync::engine;

TEST_CASE("transfer: a content that nobody can send keeps no other from being asked for") {
  const auto need = [](std::uint8_t text) {
    Need need;
    need.content.bytes[0] = need.size = text;
    return need;
  };
  Transfer transfer(1, block_bytes);
  const auto asked = [&] {
    std::vector<Output> out;
    transfer.next(
        {}, [](NodeId, const Need&) { return true; }, [](const Path&) { return std::nullopt; },
        out);
    std::vector<Get> asked;
    for (const Output& output : out) {
      asked.push_back(std::get<Get>(std::get<Send>(output).message));
    }
    return asked;
  };
  transfer.peer_up(2);
  transfer.set_needs("unreadable", {need(1)});
  const auto first = asked();
  REQUIRE(first.size() == 1);
  std::vector<Output> out;
  REQUIRE(transfer.on_block({}, 2, {first[0].request, nullptr}, out));
  transfer.set_needs("larger", {need(2)});
  const auto second = asked();
  REQUIRE(second.size() == 1);
  CHECK(second[0].content == need(2).content);
}
