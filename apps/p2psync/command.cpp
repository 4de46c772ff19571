#include "apps/p2psync/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "apps/p2psync/control_socket.h"
#include "apps/p2psync/key_id.h"
#include "engine/path.h"
#include "storage/posix_fs.h"

namespace p2psync::app {
namespace {

constexpr const char* system_config = "/etc/p2psync/cluster.toml";
/// An act waits for the disk before and after: ControlServer::act_wait_max.
constexpr std::chrono::seconds answer_limit(30);

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

namespace {

CLI::Validator synchronised_path() {
  return {[](std::string& given) -> std::string {
            while (given.starts_with("./")) {
              given.erase(0, 2);
            }
            while (given.size() > 1 && given.ends_with('/')) {
              given.pop_back();
            }
            const auto problem = engine::path_problem(given);
            return problem ? fmt::format("{} is no path in the synchronised directory: {}", given,
                                         *problem)
                           : std::string();
          },
          ""};
}

}  // namespace

void add_path_argument(CLI::App& command, std::string& path) {
  command.add_option("PATH", path, "relative to the synchronised directory")
      ->required()
      ->type_name("")
      ->transform(synchronised_path());
}

void add_optional_path_argument(CLI::App& command, std::string& path, const std::string& without) {
  command.add_option("PATH", path, "relative to the synchronised directory; " + without)
      ->type_name("")
      ->transform(synchronised_path());
}

void add_path_arguments(CLI::App& command, std::vector<std::string>& paths) {
  command
      .add_option("PATH", paths, "relative to the synchronised directory; none: all that is in it")
      ->type_name("")
      ->transform(synchronised_path());
}

std::optional<bool> stands_as_directory(const std::string& folder, const std::string& path) {
  const auto fs = storage::PosixFs::open(folder);
  const auto stat = fs ? (*fs)->stat(path) : std::unexpected(fs.error());
  return stat ? std::optional(!stat->special && stat->signature.kind == engine::Kind::directory)
              : std::nullopt;
}

int fail(const std::string& text, bool json) {
  if (json) {
    fmt::print("{}\n", Json(Json::Object{{"error", text}}).dump(true));
  }
  fmt::print(stderr, "p2psync: {}\n", text);
  return exit_failed;
}

int fail_unanswered(const std::string& folder, const Error& error, bool json) {
  return fail(error.code == ErrorCode::not_found ? fmt::format("no node is running on {}", folder)
                                                 : error.message(),
              json);
}

std::optional<Json> ask_or_fail(const std::string& folder, const Json& request, bool json,
                                std::chrono::milliseconds more) {
  auto answer = ask_node(folder, request, answer_limit + more);
  if (!answer) {
    fail_unanswered(folder, answer.error(), json);
    return std::nullopt;
  }
  if (const Json& refused = (*answer)["error"]; !refused.is_null()) {
    fail(refused.text(), json);
    return std::nullopt;
  }
  return std::move(*answer);
}

std::optional<Json> tell(const std::string& folder, const Json& request, std::string_view key,
                         bool json, const std::function<void(const Json&)>& show) {
  const auto answer = ask_or_fail(folder, request, json);
  if (!answer) {
    return std::nullopt;
  }
  const Json& told = (*answer)[key];
  if (json) {
    fmt::print("{}\n", told.dump(true));
  } else {
    show(told);
  }
  return told;
}

}  // namespace p2psync::app
