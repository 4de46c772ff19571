#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "apps/p2psync/cluster_files.h"
#include "apps/p2psync/key_id.h"
#include "tests/unit/app_scratch.h"

using namespace p2psync;
using namespace p2psync::app;
namespace fs = std::filesystem;

namespace {

std::string read(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<Member> two() {
  return {*parse_member("node1=node1:7744"), *parse_member("node2=[::1]:7745")};
}

}  // namespace

TEST_CASE("init-cluster: the files make a configuration for each member") {
  const Scratch scratch;
  const auto written = write_cluster_files(scratch.at("new/dir"), "demo", two(), IfPresent::refuse);
  REQUIRE(written.has_value());
  REQUIRE(written->size() == 2);

  for (const std::string name : {"node1", "node2"}) {
    const std::string key = scratch.at("new/dir/" + name + ".key");
    struct stat status{};
    REQUIRE(::stat(key.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);

    ConfigSource source;
    source.file = scratch.at("new/dir/cluster.toml");
    source.flags.key = key;
    source.read_key_id = read_key_id;
    const auto config = load_config(source);
    REQUIRE(config.has_value());
    CHECK(config->cluster == "demo");
    CHECK(config->me().name == name);
    CHECK(config->members[1].address == Address{"::1", 7745});
  }
  CHECK(std::distance(fs::directory_iterator(scratch.at("new/dir")), {}) == 3);
}

TEST_CASE("init-cluster: every default that it explains is the default") {
  // The commented lines are taken in: the result must equal what their absence gives.
  std::vector<Member> members = two();
  members[0].key_id = std::string(64, '1');
  members[1].key_id = std::string(64, '2');
  const std::string text = cluster_toml("demo", members);
  std::string enabled;
  std::size_t begin = text.find("# [gossip]");
  enabled = text.substr(0, begin);
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    std::string line = text.substr(begin, end - begin);
    enabled += (line.starts_with("# ") ? line.substr(2) : line) + "\n";
    begin = end + 1;
  }
  ConfigSource source;
  source.file = "cluster.toml";
  const auto plain = parse_config(source, text);
  const auto full = parse_config(source, enabled);
  REQUIRE(plain.has_value());
  REQUIRE(full.has_value());
  CHECK(enabled.contains("\ninterval = \"1s\""));
  CHECK(full->gossip_interval == plain->gossip_interval);
  CHECK(full->watch == plain->watch);
  CHECK(full->scan_interval == plain->scan_interval);
  CHECK(full->upload_limit == plain->upload_limit);
  CHECK(full->download_limit == plain->download_limit);
  CHECK(full->keep_versions == plain->keep_versions);
  CHECK(full->versions_bytes_max == plain->versions_bytes_max);
  CHECK(full->thin_versions == plain->thin_versions);
  CHECK(full->http == plain->http);
  CHECK(full->log_level == plain->log_level);
  CHECK(full->log_format == plain->log_format);
}

TEST_CASE("init-cluster: nothing is overwritten, and a refusal writes nothing") {
  const Scratch scratch;
  fs::create_directory(scratch.at("dir"));
  std::ofstream(scratch.at("dir/node2.key")) << "mine";
  const auto refused = write_cluster_files(scratch.at("dir"), "demo", two(), IfPresent::refuse);
  REQUIRE(!refused.has_value());
  CHECK(refused.error().message() == "write " + scratch.at("dir/node2.key") + ": File exists");
  CHECK(read(scratch.at("dir/node2.key")) == "mine");
  CHECK(!fs::exists(scratch.at("dir/node1.key")));
  CHECK(!fs::exists(scratch.at("dir/cluster.toml")));

  fs::remove(scratch.at("dir/node2.key"));
  REQUIRE(write_cluster_files(scratch.at("dir"), "demo", two(), IfPresent::refuse).has_value());
  const std::string before = read(scratch.at("dir/cluster.toml"));
  CHECK(!write_cluster_files(scratch.at("dir"), "demo", two(), IfPresent::refuse).has_value());
  CHECK(read(scratch.at("dir/cluster.toml")) == before);
}

TEST_CASE("init-cluster: --if-absent keeps what is complete and completes what a crash left") {
  const Scratch scratch;
  const std::string dir = scratch.at("dir");
  const auto first = write_cluster_files(dir, "demo", two(), IfPresent::keep);
  REQUIRE(first.has_value());
  const std::string before = read(dir + "/cluster.toml");

  const auto again = write_cluster_files(dir, "demo", two(), IfPresent::keep);
  REQUIRE(again.has_value());
  CHECK(again->empty());
  CHECK(read(dir + "/cluster.toml") == before);

  // As a crash before the last step leaves it: the keys that are there are used.
  fs::remove(dir + "/cluster.toml");
  fs::remove(dir + "/node2.key");
  const auto completed = write_cluster_files(dir, "demo", two(), IfPresent::keep);
  REQUIRE(completed.has_value());
  CHECK((*completed)[0].key_id == (*first)[0].key_id);
  CHECK((*completed)[1].key_id != (*first)[1].key_id);
  CHECK(read(dir + "/cluster.toml").contains((*completed)[1].key_id));

  fs::remove(dir + "/node1.key");
  const auto incomplete = write_cluster_files(dir, "demo", two(), IfPresent::keep);
  REQUIRE(!incomplete.has_value());
  CHECK(incomplete.error().message() ==
        dir + "/cluster.toml is there, but its key " + dir + "/node1.key: not found");
}

TEST_CASE("init-cluster: a member is NAME=HOST:PORT, or NAME if it is to be found on the LAN") {
  CHECK(parse_member("node1=h:1")->address == Address{"h", 1});
  REQUIRE(parse_member("node1").has_value());
  CHECK(!parse_member("node1")->address.has_value());
  CHECK(parse_member("Node").error() == "Node: the name must be 1 to 32 of a-z 0-9 -");
  CHECK(!parse_member("node=").has_value());
  CHECK(parse_member("Node=h:1").error() == "Node=h:1: the name must be 1 to 32 of a-z 0-9 -");
  CHECK(parse_member("node=h").error() == "node=h: the address has no port: must be HOST:PORT");
}
