#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "apps/p2psync/config.h"
#include "tests/unit/app_every_key.h"

using namespace p2psync;
using namespace p2psync::app;
using namespace std::chrono_literals;

namespace {

const std::string id1 = std::string(63, 'a') + "1";
const std::string id2 = std::string(63, 'b') + "2";

/// Two members; what is added at the end belongs to [node].
const std::string two_members = R"([cluster]
name = "demo"

[[member]]
name = "node1"
address = "node1:7744"
id = ")" + id1 + R"("

[[member]]
name = "node2"
address = "node2:7745"
id = ")" + id2 + R"("

[node]
folder = "/data"
key = "/key"
)";

ConfigSource source() {
  ConfigSource out;
  out.file = "cluster.toml";
  out.read_key_id = [](const std::string& file) -> Result<std::string> {
    if (file == "/key") {
      return id2;
    }
    if (file == "/stranger") {
      return std::string(64, 'c');
    }
    return std::unexpected(Error{ErrorCode::not_found, "read key", file, 0});
  };
  return out;
}

ConfigProblems problems_of(std::string_view text, const ConfigSource& from = source()) {
  const auto config = parse_config(from, text);
  REQUIRE(!config.has_value());
  return config.error();
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("config: what is left out has the documented default") {
  const auto config = parse_config(source(), two_members);
  REQUIRE(config.has_value());
  CHECK(config->cluster == "demo");
  REQUIRE(config->members.size() == 2);
  CHECK(config->members[0].address == Address{"node1", 7744});
  CHECK(config->members[0].node == 0xaaaaaaaaaaaaaaaaU);
  CHECK(config->me().name == "node2");
  CHECK(config->listen == Address{"", 7745});
  CHECK(config->folder == "/data");
  CHECK(config->gossip_interval == 1s);
  CHECK(config->watch);
  CHECK(config->scan_interval == 1h);
  CHECK(!config->max_delete_percent.has_value());
  CHECK(config->upload_limit == 0);
  CHECK(config->keep_versions == 720h);
  CHECK(config->versions_bytes_max == std::uint64_t{10} << 30);
  CHECK(config->thin_versions);
  CHECK(config->http == Address{"127.0.0.1", 7745});
  CHECK(config->log_level == LogLevel::info);
  CHECK(config->log_format == LogFormat::text);
  CHECK(config->name_of(config->members[0].node) == "node1");
}

TEST_CASE("config: every key is read") {
  const auto config = parse_config(source(), two_members + every_key);
  REQUIRE(config.has_value());
  CHECK(config->listen == Address{"127.0.0.9", 99});
  CHECK(config->gossip_interval == 200ms);
  CHECK(!config->watch);
  CHECK(config->scan_interval == 10min);
  CHECK(config->max_delete_percent == 50);
  CHECK(config->upload_limit == 1 << 20);
  CHECK(config->download_limit == 4096);
  CHECK(config->keep_versions == 0s);
  CHECK(config->versions_bytes_max == 1024);
  CHECK(!config->thin_versions);
  CHECK(!config->http.has_value());
  CHECK(config->log_level == LogLevel::debug);
  CHECK(config->log_format == LogFormat::json);
}

TEST_CASE("config: each fault has one line with file, line and key") {
  struct Case {
    std::string added;  ///< from line 17 on
    Lines lines;
  };
  const std::vector<Case> cases{
      {"colour = 1", {"cluster.toml:17: node.colour: unknown key"}},
      {"[colour]\nx = 1", {"cluster.toml:17: colour: unknown section"}},
      {"[gossip]\ninterval = \"0s\"",
       {"cluster.toml:18: gossip.interval: must be more than zero (it is \"0s\")"}},
      {"[gossip]\ninterval = 1", {"cluster.toml:18: gossip.interval: must be a string"}},
      {"[gossip]\ninterval = \"1 week\"",
       {"cluster.toml:18: gossip.interval: must be a duration such as \"10s\" (ms, s, m, h or d) "
        "(it is \"1 week\")"}},
      {"[scan]\nwatch = \"true\"", {"cluster.toml:18: scan.watch: must be true or false"}},
      {"[scan]\ninterval = 1979-05-27", {"cluster.toml:18: scan.interval: must be a string"}},
      {"[scan]\nmax_delete = \"50\"",
       {"cluster.toml:18: scan.max_delete: must be a share such as \"50%\", from 1% to 100% (it is "
        "\"50\")"}},
      {"[transfer]\nupload_limit = -1",
       {"cluster.toml:18: transfer.upload_limit: must not be negative"}},
      {"[transfer]\nupload_limit = 1.5",
       {"cluster.toml:18: transfer.upload_limit: must be a size: a string such as \"10GiB\", or a "
        "number of bytes"}},
      {"[versions]\nmax_bytes = \"10GB\"",
       {"cluster.toml:18: versions.max_bytes: must be a size such as \"10GiB\" (B, KiB, MiB, GiB "
        "or TiB) (it is \"10GB\")"}},
      {"[http]\nlisten = \"7745\"",
       {"cluster.toml:18: http.listen: has no port: must be HOST:PORT (it is \"7745\")"}},
      {"[log]\nlevel = \"loud\"",
       {"cluster.toml:18: log.level: must be one of error, warn, info, debug (it is \"loud\")"}},
      {"[log]\nformat = true", {"cluster.toml:18: log.format: must be a string"}},
      {"listen = \"node1\"",
       {"cluster.toml:17: node.listen: has no port: must be HOST:PORT (it is \"node1\")"}},
      {"[[member]]\nname = \"node1\"\nid = \"cccccccccccccccc" + std::string(48, '0') + "\"",
       {"cluster.toml:18: member.name: \"node1\" is the name of another member"}},
      {"[[member]]\nname = \"Node_3\"\nid = \"cccccccccccccccc" + std::string(48, '0') + "\"",
       {"cluster.toml:18: member.name: must be 1 to 32 of a-z 0-9 - (it is \"Node_3\")"}},
      {"[[member]]\nname = \"node3\"\naddress = \"node3\"\nid = \"cccccccccccccccc" +
           std::string(48, '0') + "\"",
       {"cluster.toml:19: member.address: has no port: must be HOST:PORT (it is \"node3\")"}},
      {"[[member]]\nname = \"node3\"\nid = \"" + id1 + "\"",
       {"cluster.toml:19: member.id: is also the id of \"node1\""}},
      {"[[member]]\nname = \"node3\"\nid = \"aaaaaaaaaaaaaaaa" + std::string(48, '0') + "\"",
       {"cluster.toml:19: member.id: begins with the same 16 digits as the id of \"node1\": one "
        "of the two needs a new key"}},
      {"[[member]]\nname = \"node3\"\nid = \"" + std::string(64, 'A') + "\"",
       {"cluster.toml:19: member.id: must be what `p2psync id` prints: 64 digits of 0-9 a-f"}},
      {"[[member]]\nport = 1",
       {"cluster.toml:17: member.name: is missing", "cluster.toml:17: member.id: is missing",
        "cluster.toml:18: member.port: unknown key"}},
  };
  for (const auto& [added, lines] : cases) {
    CAPTURE(added);
    CHECK(problems_of(two_members + added) == lines);
  }
}

TEST_CASE("config: all faults are listed, in the order of the file") {
  CHECK(problems_of("cluster = 3\nmember = 4\n[node]\nkey = 5\n[log]\nlevel = 6\ncolour = 7\n") ==
        Lines{"cluster.toml:1: cluster: must be a section, headed [cluster]",
              "cluster.toml:2: member: must be a list of sections, each headed [[member]]",
              "cluster.toml:3: node.folder: is missing",
              "cluster.toml:4: node.key: must be a string",
              "cluster.toml:6: log.level: must be a string",
              "cluster.toml:7: log.colour: unknown key",
              "cluster.toml: cluster.name: is missing (there is no section [cluster])",
              "cluster.toml: member: there must be at least one [[member]]"});
}

TEST_CASE("config: an empty file lacks everything that has no default") {
  CHECK(problems_of("") ==
        Lines{"cluster.toml: cluster.name: is missing (there is no section [cluster])",
              "cluster.toml: member: there must be at least one [[member]]",
              "cluster.toml: node.folder: is missing (there is no section [node])",
              "cluster.toml: node.key: is missing (there is no section [node])"});
}

TEST_CASE("config: a file that is no TOML is one problem with its line") {
  const Lines lines = problems_of("[cluster]\nname = \n");
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with("cluster.toml:2: "));
}

TEST_CASE("config: what the parser did not expect at all is a problem with its line, too") {
  // A header without a key, after which the parser asserts that there is one.
  for (const std::string_view line : {"[[ = 1", "[ = 1", "[[= ]]", "[[ , ]]"}) {
    const std::string text = "[cluster]\nname = \"demo\"\n" + std::string(line) + "\n[node]\n";
    CAPTURE(line);
    const Lines lines = problems_of(text);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].starts_with("cluster.toml:3: "));
  }
}

TEST_CASE("config: letters of other languages where none may stand are a problem with its line") {
  for (const std::string_view line :
       {"\u00e9 = 1", "na\u0463me = 1", "name = \"x\" \u00e9", "\u0444"}) {
    CAPTURE(line);
    const Lines lines = problems_of("[cluster]\n" + std::string(line) + "\n");
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].starts_with("cluster.toml:2: "));
  }
}

TEST_CASE("config: a key that belongs to no member, or cannot be read, is named") {
  ConfigSource from = source();
  from.flags.key = "/stranger";
  CHECK(problems_of(two_members, from) ==
        Lines{"--key: node.key: \"/stranger\" is the key " + std::string(64, 'c') +
              ", which belongs to no member"});
  from.flags.key = "/nowhere";
  CHECK(problems_of(two_members, from) == Lines{"--key: node.key: read key /nowhere: not found"});
}

TEST_CASE("config: a folder that is a file is said before anything is started") {
  ConfigSource from = source();
  from.flags.folder = "/etc/passwd";
  CHECK(problems_of(two_members, from) ==
        Lines{"--folder: node.folder: \"/etc/passwd\" is not a directory"});
}

TEST_CASE("config: a member without an address listens on every interface, port 7744") {
  std::string text = two_members;
  text.erase(text.find("address = \"node2:7745\"\n"), 23);
  ConfigSource from = source();
  const auto plain = parse_config(from, text);
  REQUIRE(plain.has_value());
  CHECK(plain->listen == Address{"", 7744});
  from.flags.listen = "127.0.0.1:7000";
  const auto config = parse_config(from, text);
  REQUIRE(config.has_value());
  CHECK(config->listen == Address{"127.0.0.1", 7000});
  CHECK(!config->members[1].address.has_value());
}

TEST_CASE("config: a command that asks a running node needs no readable key") {
  ConfigSource from = source();
  from.flags.key = "/nowhere";
  from.read_key_id = nullptr;
  CHECK(parse_config(from, two_members).has_value());
}

TEST_CASE("config: the environment overrides the file, and a flag the environment") {
  ConfigSource from = source();
  from.environment = {{"P2PSYNC_NODE_FOLDER", "/from-environment"},
                      {"P2PSYNC_GOSSIP_INTERVAL", "3s"},
                      {"P2PSYNC_SCAN_WATCH", "false"},
                      {"P2PSYNC_SCAN_MAX_DELETE", "10%"},
                      {"P2PSYNC_TRANSFER_UPLOAD_LIMIT", "1024"},
                      {"P2PSYNC_HTTP_LISTEN", ""},
                      {"P2PSYNC_CONFIG", "/elsewhere.toml"},
                      {"P2PSYNC_SEED", "42"},
                      {"NODE_FOLDER", "/no"}};
  const std::string text = two_members + "[gossip]\ninterval = \"9s\"\n";
  const auto config = parse_config(from, text);
  REQUIRE(config.has_value());
  CHECK(config->folder == "/from-environment");
  CHECK(config->gossip_interval == 3s);
  CHECK(!config->watch);
  CHECK(config->max_delete_percent == 10);
  CHECK(config->upload_limit == 1024);
  CHECK(!config->http.has_value());

  from.flags.folder = "/from-flag";
  CHECK(parse_config(from, text)->folder == "/from-flag");
}

TEST_CASE("config: a fault names the variable or flag it came from") {
  ConfigSource from = source();
  from.environment = {{"P2PSYNC_GOSSIP_INTERVAL", "0s"},
                      {"P2PSYNC_MEMBER_NAME", "x"},
                      {"P2PSYNC_NODE_COLOUR", "red"},
                      {"P2PSYNC_SCAN_WATCH", "yes"}};
  from.flags.listen = "7744";
  CHECK(problems_of(two_members, from) ==
        Lines{"P2PSYNC_MEMBER_NAME: member: members can only be set in the file",
              "--listen: node.listen: has no port: must be HOST:PORT (it is \"7744\")",
              "P2PSYNC_GOSSIP_INTERVAL: gossip.interval: must be more than zero (it is \"0s\")",
              "P2PSYNC_SCAN_WATCH: scan.watch: must be true or false",
              "P2PSYNC_NODE_COLOUR: node.colour: unknown key"});
}

TEST_CASE("config: relative paths in the file are relative to it, others to the shell") {
  ConfigSource from = source();
  from.file = "etc/cluster.toml";
  from.read_key_id = nullptr;
  std::string text = two_members;
  text.replace(text.find("\"/data\""), 7, "\"data\"");
  CHECK(parse_config(from, text)->folder == "etc/data");
  from.flags.folder = "data";
  CHECK(parse_config(from, text)->folder == "data");
}

TEST_CASE("config: a file that is not there is said with its name") {
  ConfigSource from = source();
  from.file = "/nonexistent/cluster.toml";
  const auto config = load_config(from);
  REQUIRE(!config.has_value());
  CHECK(config.error() ==
        Lines{"read configuration /nonexistent/cluster.toml: No such file or directory"});
}
