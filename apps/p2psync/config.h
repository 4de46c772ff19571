#pragma once
// The configuration: one TOML file, the same on every node, judged together with environment and
// flags (see interface.md for the keys and their defaults).
//
// load_config() finds every problem there is, not only the first. A relative folder or key in the
// file is relative to the file's directory; in the environment and in flags to the working
// directory. Reads the file and, where asked to, the private key; writes nothing.
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/p2psync/quantity.h"
#include "apps/p2psync/settings.h"
#include "engine/error.h"
#include "engine/message.h"

namespace p2psync::app {

struct Member {
  std::string name;
  std::string key_id;              ///< 64 hex digits, lower case: SHA-256 of the public key
  engine::NodeId node = 0;         ///< its first 8 bytes
  std::optional<Address> address;  ///< none: found on the LAN
};

/// Where a member listens whose address is left out, unless it says otherwise.
inline constexpr std::uint16_t default_port = 7744;

enum class LogFormat : std::uint8_t { text, json };
enum class LogLevel : std::uint8_t { error, warn, info, debug };

struct Config {
  std::string file;
  std::string cluster;
  std::vector<Member> members;
  std::size_t self = 0;  ///< index into members; meaningful only if the key was read
  std::string folder;    ///< as given; absolute or relative to the working directory
  std::string key_file;
  Address listen;  ///< no host: all interfaces; meaningful only if set or if the key was read

  std::chrono::nanoseconds gossip_interval = std::chrono::seconds(1);
  bool watch = true;
  std::chrono::nanoseconds scan_interval = std::chrono::hours(1);
  std::optional<int> max_delete_percent;
  std::uint64_t upload_limit = 0;                                  ///< bytes a second, 0 = none
  std::uint64_t download_limit = 0;                                ///< bytes a second, 0 = none
  std::chrono::nanoseconds keep_versions = std::chrono::days(30);  ///< 0 keeps none
  std::uint64_t versions_bytes_max = std::uint64_t{10} << 30;
  bool thin_versions = true;
  std::optional<Address> http = Address{"127.0.0.1", 7745};
  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::text;

  [[nodiscard]] const Member& me() const { return members[self]; }
  /// The member's name, or its number in hex for one that is not in the list.
  [[nodiscard]] std::string name_of(engine::NodeId node) const;
};

struct ConfigSource {
  std::string file;
  Environment environment;
  Flags flags;
  /// Reads the id of a private key. Without it neither key nor folder are looked at and `self`
  /// stays unset: for commands that only ask a running node.
  std::function<Result<std::string>(const std::string& key_file)> read_key_id;
};

/// Every problem on its own line, in the order of the file.
using ConfigProblems = std::vector<std::string>;

[[nodiscard]] std::expected<Config, ConfigProblems> load_config(const ConfigSource& source);
/// The same, of a text that is already read.
[[nodiscard]] std::expected<Config, ConfigProblems> parse_config(const ConfigSource& source,
                                                                 std::string_view text);

/// 1-32 of a-z 0-9 -.
[[nodiscard]] bool is_member_name(std::string_view name);

}  // namespace p2psync::app
