#pragma once
// The command line, as the subcommands describe themselves to it. CLI11 is behind it and nowhere
// else: its templates cost a compiler as much as the whole file of a command.
//
// What an option sets must live until the action has run: an action holds it by a shared pointer.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/p2psync/config.h"

namespace CLI {
class App;
}

namespace p2psync::app {

inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;  ///< it ran and failed
inline constexpr int exit_wrong = 2;   ///< the command line or the configuration is wrong

using Action = std::function<int()>;  ///< what it returns is the exit code

/// The options of every command that runs a node, asks one, or reads its state.
struct ConfigOptions {
  std::string file;  ///< empty: $P2PSYNC_CONFIG, else `system_config`
  Flags flags;
};
inline constexpr const char* system_config = "/etc/p2psync/cluster.toml";

class CommandLine {
 public:
  CommandLine();
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  /// Runs the command that was chosen, or says what is wrong (exit_wrong).
  [[nodiscard]] int run(int argc, char** argv);

 private:
  friend class Command;
  std::unique_ptr<CLI::App> app_;
  Action chosen_;
};

/// One subcommand, while it is described: options in the order of the help text. `type` is what
/// that says of the value: "FILE".
class Command {
 public:
  Command(CommandLine& line, const std::string& name, const std::string& text);

  enum class Need : std::uint8_t { optional, required };
  void config(ConfigOptions& into);
  void flag(const std::string& name, bool& into, const std::string& text);
  void json(bool& into) { flag("--json", into, "one JSON document on stdout"); }
  /// Its value before the command line is read is the default, which the help text shows.
  void text(const std::string& name, std::string& into, const std::string& type,
            const std::string& text, Need need = Need::optional);
  /// One or more.
  void texts(const std::string& name, std::vector<std::string>& into, const std::string& type,
             const std::string& text);
  /// A day at the most; the value before is the default.
  void seconds(const std::string& name, double& into, const std::string& text);
  void seconds(const std::string& name, std::optional<double>& into, const std::string& text);
  /// Above 0.
  void count(const std::string& name, std::optional<std::uint64_t>& into, const std::string& type,
             const std::string& text);
  /// PATH, relative to the folder: "./" before it and "/" behind it go; anything else that no
  /// synchronised path can be is a wrong command line.
  void path(std::string& into);
  /// The same, if it is given.
  void optional_path(std::string& into, const std::string& without);
  /// Any number of them.
  void paths(std::vector<std::string>& into);
  /// Both together are a wrong command line.
  void either(const std::string& one, const std::string& other);

  void runs(Action action);

 private:
  CLI::App& app_;
  Action& chosen_;
};

}  // namespace p2psync::app
