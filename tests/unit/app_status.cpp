#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "apps/p2psync/status_document.h"
#include "apps/p2psync/status_table.h"

using namespace p2psync;
using namespace p2psync::app;
using namespace std::chrono_literals;

namespace {

Config config() {
  Config out;
  for (const engine::NodeId node : {1U, 2U, 3U}) {
    out.members.push_back(
        {"node" + std::to_string(node), std::string(64, 'a'), node,
         node == 3 ? std::nullopt : std::optional(Address{"host" + std::to_string(node), 7744})});
  }
  return out;
}

const engine::Instant now{1000s};

engine::Status status() {
  engine::Status out;
  out.state = engine::State::syncing;
  out.files = 2;
  out.directories = 1;
  out.bytes = 2048;
  out.conflicts = 1;
  out.root = {.low = 0xab, .high = 0xcd};
  out.safe_to_power_off = true;
  out.pending_files = 1;
  out.pending_bytes = 512;
  out.incoming = {{"dir/\xfe", 2048, 1536}};
  out.holding_up = {3};
  engine::PeerStatus three{.peer = 3};
  engine::PeerStatus two{.peer = 2,
                         .connected = true,
                         .in_sync = true,
                         .root = engine::Fingerprint{.low = 0xab, .high = 0xcd},
                         .last_exchange = now - 230ms,
                         .round_trip = 400us,
                         .version = "0.1.0",
                         .list_differences = {"node4 is not in its list"}};
  out.peers = {three, two};
  out.problems = {{"a/\xff", "permission denied", now - 5s}};
  return out;
}

DaemonStatus daemon_status() {
  return {.folder = "/data",
          .started = now - 12500ms,
          .now = now,
          .wall_now = std::chrono::sys_days(std::chrono::year(2026) / 1 / 2) + 3h + 4min + 10s,
          .sent_bytes = 100,
          .received_bytes = 3'000'000'000,
          .bytes_per_s = 100,
          .seconds_left = 6,
          .broken = false,
          .problems = {},
          .found_at = {},
          .troubles = {{3, "connection refused"}}};
}

}  // namespace

TEST_CASE("status: the document is that of the contract") {
  const std::string expected =
      R"({"node":"node1","id":")" + std::string(64, 'a') +
      R"(","version":")" P2PSYNC_VERSION R"(","uptime_s":12.5,"folder":"/data","state":"syncing",)"
      R"("files":2,"directories":1,"symlinks":0,"bytes":2048,"conflicts":1,"tombstones":0,)"
      R"("skipped":0,"held_deletions":0,"root_digest":"00000000000000cd00000000000000ab","still_open":0,)"
      R"("safe_to_power_off":true,"pending":{"files":1,"bytes":512,"bytes_per_s":100,)"
      R"("seconds_left":6},"transfers":[{"path":"dir/)"
      "\uFFFD"
      R"(","path_bytes":"ZGlyL/4=","bytes":2048,"done_bytes":1536}],"holding_up":["node3"],)"
      R"("peers":[{"name":"node2","address":"host2:7744","connected":true,"in_sync":true,)"
      R"("root_digest":"00000000000000cd00000000000000ab","last_exchange_ms_ago":230,)"
      R"("rtt_ms":0.4,"version":"0.1.0","list_differences":["node4 is not in its list"],)"
      R"("trouble":null},)"
      R"({"name":"node3","address":"","connected":false,"in_sync":false,"root_digest":null,)"
      R"("last_exchange_ms_ago":null,"rtt_ms":null,"version":"","list_differences":[],)"
      R"("trouble":"connection refused"}],)"
      R"("sent_bytes":100,"received_bytes":3000000000,"errors":[{"path":"a/)"
      "\uFFFD"
      R"(","path_bytes":"YS//","message":"permission denied","since":"2026-01-02T03:04:05Z"}]})";
CHECK(status_document(config(), status(), daemon_status()).dump() == expected);
}

TEST_CASE("status: a broken node says error, whatever the engine last said, and is not safe") {
  DaemonStatus broken = daemon_status();
  broken.broken = true;
  broken.problems = {{"", "the folder is gone", now}};
  const Json document = status_document(config(), status(), broken);
  CHECK(document["state"].text() == "error");
  CHECK(!document["safe_to_power_off"].boolean());
  CHECK(document["errors"].items()[0]["message"].text() == "the folder is gone");
}

TEST_CASE("status: the table says the same to people") {
  const Json document = status_document(config(), status(), daemon_status());
  CHECK(status_table(document, {}) ==
        "node        node1  syncing\n"
        "folder      /data\n"
        "holds       2 files, 1 directory, 0 symlinks, 2.0 KiB\n"
        "conflicts   1 copy\n"
        "pending     1 file, 512 B, 100 B/s, 6 s left\n"
        "traffic     100 B sent, 2.8 GiB received\n"
        "digest      00000000000000cd00000000000000ab\n"
        "safety      another member holds all that is here\n"
        "\n"
        "coming in  here  of\n"
        "dir/\uFFFD      75%   2.0 KiB\n"
        "\n"
        "peer   address     connection  in sync  round trip  last exchange\n"
        "node2  host2:7744  up          yes      0.4 ms      230 ms ago\n"
        "node3  -           down        no       -           never\n"
        "\n"
        "node3: connection refused\n"
        "\n"
        "the member list of node2 differs:\n"
        "  node4 is not in its list\n"
        "\n"
        "1 problem:\n"
        "  a/\uFFFD: permission denied (since 2026-01-02T03:04:05Z)\n");
}

TEST_CASE("status: colour and a progress bar only where asked for") {
  const Json document = status_document(config(), status(), daemon_status());
  CHECK(!status_table(document, {}).contains('\033'));
  const std::string table = status_table(document, {.colour = true, .most_bytes = 2048});
  CHECK(table.contains("\033[33msyncing\033[0m"));
  CHECK(table.contains("512 B, 100 B/s, 6 s left  [##################......] 75%"));
  CHECK(table.contains("75%   \033[33m[##################......]\033[0m  2.0 KiB"));
}

TEST_CASE("status: with nothing coming in there is no saying how long it takes") {
  DaemonStatus daemon = daemon_status();
  daemon.bytes_per_s = 0;
  daemon.seconds_left.reset();
  engine::Status idle = status();
  const Json stalled = status_document(config(), idle, daemon);
  CHECK(stalled["pending"]["seconds_left"].is_null());
  CHECK(stalled["pending"]["bytes_per_s"].dump() == "0");
  CHECK(status_table(stalled, {}).contains("pending     1 file, 512 B\n"));
  idle.pending_files = idle.pending_bytes = 0;
  idle.incoming.clear();
  const Json document = status_document(config(), idle, daemon);
  CHECK(document["transfers"].dump() == "[]");
  CHECK(status_table(document, {}).contains("pending     nothing\n"));
  CHECK(!status_table(document, {}).contains("coming in"));
}

TEST_CASE("status: the table of what comes in has few lines, and short ones") {
  engine::Status busy = status();
  busy.incoming.clear();
  const auto lines_with = [&](std::size_t count) {
    while (busy.incoming.size() < count) {
      busy.incoming.push_back({std::string(200, 'x') + "\u00e4/end", 100, 0});
    }
    const std::string table = status_table(status_document(config(), busy, daemon_status()), {});
    CHECK(table.contains("\u2026" + std::string(34, 'x') + "\u00e4/end"));
    CHECK(!table.contains(std::string(35, 'x')));
    const auto begin = table.find("coming in");
    const auto end = table.find("\n\n", begin);
    return table.substr(begin, end - begin);
  };
  busy.pending_files = 14;  // the other two are no contents
  CHECK(std::ranges::count(lines_with(10), '\n') == 10);
  CHECK(lines_with(12).ends_with("\nand 2 more"));
  busy.pending_files = 5000;
  CHECK(lines_with(engine::incoming_max).ends_with("\nand 4990 more"));
}

TEST_CASE("status: names cannot write to the terminal") {
  engine::Status sly = status();
  sly.problems[0].path = "a\033[2Jb\n";
  const std::string table = status_table(status_document(config(), sly, daemon_status()), {});
  CHECK(table.contains("  a?[2Jb?: permission denied"));
}
