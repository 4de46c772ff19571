#include "apps/p2psync/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "engine/path.h"

namespace p2psync::app {
namespace {

constexpr double seconds_max = 86400;

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

template <class Value>
CLI::Option* add_seconds(CLI::App& app, const std::string& name, Value& into,
                         const std::string& text) {
  return app.add_option(name, into, text)
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, seconds_max));
}

template <class Value>
CLI::Option* add_path(CLI::App& app, Value& into, const std::string& more) {
  return app.add_option("PATH", into, "relative to the synchronised directory" + more)
      ->type_name("")
      ->transform(synchronised_path());
}

}  // namespace

CommandLine::CommandLine()
    : app_(std::make_unique<CLI::App>(
          "Keeps a directory the same on every member of a small cluster.", "p2psync")) {
  app_->set_version_flag("--version", "p2psync " P2PSYNC_VERSION);
  app_->require_subcommand(1);
}

CommandLine::~CommandLine() = default;

int CommandLine::run(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_->exit(error) == 0 ? exit_done : exit_wrong;
  }
  return chosen_();
}

Command::Command(CommandLine& line, const std::string& name, const std::string& text)
    : app_(*line.app_->add_subcommand(name, text)), chosen_(line.chosen_) {}

void Command::config(ConfigOptions& into) {
  text("-c,--config", into.file, "FILE",
       fmt::format("configuration file (else $P2PSYNC_CONFIG, else {})", system_config));
  app_.add_option("--folder", into.flags.folder, "overrides [node] folder")->type_name("DIR");
  app_.add_option("--key", into.flags.key, "overrides [node] key")->type_name("FILE");
  app_.add_option("--listen", into.flags.listen, "overrides [node] listen")->type_name("HOST:PORT");
}

void Command::flag(const std::string& name, bool& into, const std::string& text) {
  app_.add_flag(name, into, text);
}

void Command::text(const std::string& name, std::string& into, const std::string& type,
                   const std::string& text, Need need) {
  app_.add_option(name, into, text)
      ->type_name(type)
      ->required(need == Need::required)
      ->capture_default_str();
}

void Command::texts(const std::string& name, std::vector<std::string>& into,
                    const std::string& type, const std::string& text) {
  app_.add_option(name, into, text)->type_name(type)->required();
}

void Command::seconds(const std::string& name, double& into, const std::string& text) {
  add_seconds(app_, name, into, text)->capture_default_str();
}

void Command::seconds(const std::string& name, std::optional<double>& into,
                      const std::string& text) {
  add_seconds(app_, name, into, text);
}

void Command::count(const std::string& name, std::optional<std::uint64_t>& into,
                    const std::string& type, const std::string& text) {
  app_.add_option(name, into, text)->type_name(type)->check(CLI::PositiveNumber);
}

void Command::path(std::string& into) {
  add_path(app_, into, "")->required();
}

void Command::optional_path(std::string& into, const std::string& without) {
  add_path(app_, into, "; " + without);
}

void Command::paths(std::vector<std::string>& into) {
  add_path(app_, into, "; none: all that is in it");
}

void Command::either(const std::string& one, const std::string& other) {
  app_.get_option(one)->excludes(app_.get_option(other));
}

void Command::runs(Action action) {
  app_.callback([action = std::move(action), &chosen = chosen_] { chosen = action; });
}

}  // namespace p2psync::app
