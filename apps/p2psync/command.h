#pragma once
// The subcommands: one file each. describe_X() adds one to the command line, with what it does when
// it is chosen. What goes to stdout is what was asked for, the rest to stderr.
#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "apps/p2psync/command_line.h"
#include "apps/p2psync/config.h"
#include "apps/p2psync/json.h"

namespace p2psync::app {

void describe_run(CommandLine& line);
void describe_status(CommandLine& line);
void describe_conflicts(CommandLine& line);
void describe_explain(CommandLine& line);
void describe_wait(CommandLine& line);
void describe_resolve(CommandLine& line);
void describe_log(CommandLine& line);
void describe_restore(CommandLine& line);
void describe_verify(CommandLine& line);
void describe_check_ignore(CommandLine& line);
void describe_confirm_deletes(CommandLine& line);
void describe_pause(CommandLine& line);
void describe_resume(CommandLine& line);
void describe_page(CommandLine& line);
void describe_check(CommandLine& line);
void describe_keygen(CommandLine& line);
void describe_id(CommandLine& line);
void describe_init_cluster(CommandLine& line);

enum class KeyUse : std::uint8_t { judge, ignore };
/// Loads the configuration; its problems go to stderr, and then there is none (exit_wrong).
[[nodiscard]] std::optional<Config> load(const ConfigOptions& options, KeyUse key);

/// What most commands do: `act`, on the configuration's folder.
template <class Options>
void runs_in_folder(Command& command, std::shared_ptr<Options> options,
                    int (*act)(const Options&, const std::string& folder)) {
  command.runs([options = std::move(options), act] {
    const auto config = load(options->config, KeyUse::ignore);
    return config ? act(*options, config->folder) : exit_wrong;
  });
}

/// Whether what stands there is a directory; nothing: nothing stands there, or it cannot be told.
[[nodiscard]] std::optional<bool> stands_as_directory(const std::string& folder,
                                                      const std::string& path);

/// "p2psync: ..." on stderr, and exit_failed; with `json` also {"error": "..."} on stdout.
int fail(const std::string& text, bool json = false);
/// That ask_node() got no answer.
int fail_unanswered(const std::string& folder, const Error& error, bool json);
/// What the running node answers; where none runs or it refuses, that has been told by fail().
/// `more`: beyond the usual time, for a request that waits.
[[nodiscard]] std::optional<Json> ask_or_fail(const std::string& folder, const Json& request,
                                              bool json, std::chrono::milliseconds more = {});
/// The whole of a command that only tells: what has the name `key` in that answer goes to stdout,
/// as JSON or as `show` prints it. Nothing: as above.
[[nodiscard]] std::optional<Json> tell(const std::string& folder, const Json& request,
                                       std::string_view key, bool json,
                                       const std::function<void(const Json&)>& show);

}  // namespace p2psync::app
