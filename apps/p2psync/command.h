#pragma once
// The subcommands: one file each, all described to CLI11 in the same manner.
//
// describe_X() adds a subcommand; when it is chosen its callback sets `action`, which main() then
// runs and whose result is the exit code. What goes to stdout is what was asked for, the rest to
// stderr.
#include <CLI/CLI.hpp>
#include <chrono>
#include <expected>
#include <functional>
#include <string>

#include "apps/p2psync/config.h"
#include "apps/p2psync/json.h"

namespace p2psync::app {

inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;  ///< it ran and failed
inline constexpr int exit_wrong = 2;   ///< the command line or the configuration is wrong

using Action = std::function<int()>;

void describe_run(CLI::App& app, Action& action);
void describe_status(CLI::App& app, Action& action);
void describe_conflicts(CLI::App& app, Action& action);
void describe_explain(CLI::App& app, Action& action);
void describe_wait(CLI::App& app, Action& action);
void describe_resolve(CLI::App& app, Action& action);
void describe_log(CLI::App& app, Action& action);
void describe_restore(CLI::App& app, Action& action);
void describe_verify(CLI::App& app, Action& action);
void describe_check_ignore(CLI::App& app, Action& action);
void describe_confirm_deletes(CLI::App& app, Action& action);
void describe_pause(CLI::App& app, Action& action);
void describe_resume(CLI::App& app, Action& action);
void describe_page(CLI::App& app, Action& action);
void describe_check(CLI::App& app, Action& action);
void describe_keygen(CLI::App& app, Action& action);
void describe_id(CLI::App& app, Action& action);
void describe_init_cluster(CLI::App& app, Action& action);

/// The options of every command that runs a node, asks one, or reads its state.
struct ConfigOptions {
  std::string file;  ///< empty: $P2PSYNC_CONFIG, else the system's
  Flags flags;
};
void add_config_options(CLI::App& command, ConfigOptions& options);

enum class KeyUse : std::uint8_t { judge, ignore };
/// Loads the configuration; its problems go to stderr, and then there is none (exit_wrong).
[[nodiscard]] std::optional<Config> load(const ConfigOptions& options, KeyUse key);

/// PATH, relative to the folder: "./" before it and "/" behind it go; anything else that no
/// synchronised path can be is a wrong command line.
void add_path_argument(CLI::App& command, std::string& path);
/// The same, if it is given.
void add_optional_path_argument(CLI::App& command, std::string& path, const std::string& without);
/// Any number of them.
void add_path_arguments(CLI::App& command, std::vector<std::string>& paths);

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
