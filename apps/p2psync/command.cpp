#include "apps/p2psync/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "apps/p2psync/control_socket.h"
#include "apps/p2psync/key_id.h"
#include "storage/posix_fs.h"

namespace p2psync::app {
namespace {

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
