#pragma once
// Settings: what the configuration file, the environment and the command line say, before anybody
// judges it.
//
// A flag overrides the environment, the environment overrides the file; each value carries where it
// came from, so that a complaint about it can say so. Whoever reads a key takes it out, and what is
// left at the end is unknown. Pure but for `read_settings`, which reads one file.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace p2psync::app {

/// Anything that TOML can hold and no key of ours is (a date, a float, an array, a table).
struct OtherType {};

struct Setting {
  enum class Source : std::uint8_t { file, environment, flag };
  std::variant<OtherType, bool, std::int64_t, std::string> value;
  Source source = Source::file;
  std::string origin;  ///< "cluster.toml:12", "P2PSYNC_NODE_FOLDER", "--folder"
  std::uint32_t line = 0;
};

/// The keys of one [section] or one [[member]].
struct Section {
  std::string origin;
  std::uint32_t line = 0;
  std::map<std::string, Setting, std::less<>> keys;

  /// Takes a key out; nothing when it is absent.
  [[nodiscard]] std::optional<Setting> take(std::string_view key);
};

/// One thing wrong, as `origin: key: text`. Ordered as a person reads: by line, then by the others.
struct ConfigProblem {
  std::string origin;
  std::uint32_t line = 0;  ///< 0: not of a line
  std::string key;
  std::string text;
  [[nodiscard]] std::string line_text() const;
};

struct Settings {
  std::map<std::string, Section, std::less<>> sections;
  std::vector<Section> members;
};

using Environment = std::map<std::string, std::string>;

/// Flags of the command line that override single keys.
struct Flags {
  std::optional<std::string> folder;
  std::optional<std::string> key;
  std::optional<std::string> listen;
};

/// The sections that a configuration may have, but for [[member]].
[[nodiscard]] bool is_section(std::string_view name);

/// Parses TOML; `file` is the name to use in origins.
[[nodiscard]] Settings parse_settings(std::string_view text, const std::string& file,
                                      std::vector<ConfigProblem>& problems);
/// Lays environment variables P2PSYNC_<SECTION>_<KEY> and flags over the file's values. Variables
/// that name no section of ours are somebody else's.
void override_settings(Settings& settings, const Environment& environment, const Flags& flags,
                       std::vector<ConfigProblem>& problems);

}  // namespace p2psync::app
