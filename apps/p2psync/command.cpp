#include "apps/p2psync/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "apps/p2psync/key_id.h"

namespace p2psync::app {
namespace {

constexpr const char* system_config = "/etc/p2psync/cluster.toml";

Environment read_environment() {
  Environment environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) {
      environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return environment;
}

}  // namespace

void add_config_options(CLI::App& command, ConfigOptions& options) {
  command
      .add_option("-c,--config", options.file,
                  fmt::format("configuration file (else $P2PSYNC_CONFIG, else {})", system_config))
      ->type_name("FILE");
  command.add_option("--folder", options.flags.folder, "overrides [node] folder")->type_name("DIR");
  command.add_option("--key", options.flags.key, "overrides [node] key")->type_name("FILE");
  command.add_option("--listen", options.flags.listen, "overrides [node] listen")
      ->type_name("HOST:PORT");
}

std::optional<Config> load(const ConfigOptions& options, KeyUse key) {
  ConfigSource source{options.file, read_environment(), options.flags, {}};
  if (source.file.empty()) {
    const auto variable = source.environment.find("P2PSYNC_CONFIG");
    const bool set = variable != source.environment.end() && !variable->second.empty();
    source.file = set ? variable->second : system_config;
  }
  if (key == KeyUse::judge) {
    source.read_key_id = read_key_id;
  }
  auto config = load_config(source);
  if (!config) {
    for (const std::string& line : config.error()) {
      fmt::print(stderr, "{}\n", line);
    }
    return std::nullopt;
  }
  return std::move(*config);
}

int fail(const std::string& text) {
  fmt::print(stderr, "p2psync: {}\n", text);
  return exit_failed;
}

}  // namespace p2psync::app
