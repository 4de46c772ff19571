// p2psync: the command line.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <exception>

#include "apps/p2psync/command.h"

int main(int argc, char** argv) {
  using namespace p2psync::app;
  // A reader that went away is a write that fails, here and on every socket.
  ::signal(SIGPIPE, SIG_IGN);
  try {
    CLI::App app("Keeps a directory the same on every member of a small cluster.", "p2psync");
    app.set_version_flag("--version", "p2psync " P2PSYNC_VERSION);
    app.require_subcommand(1);
    Action action;
    describe_run(app, action);
    describe_status(app, action);
    describe_conflicts(app, action);
    describe_explain(app, action);
    describe_wait(app, action);
    describe_resolve(app, action);
    describe_log(app, action);
    describe_restore(app, action);
    describe_verify(app, action);
    describe_check_ignore(app, action);
    describe_confirm_deletes(app, action);
    describe_pause(app, action);
    describe_resume(app, action);
    describe_page(app, action);
    describe_check(app, action);
    describe_keygen(app, action);
    describe_id(app, action);
    describe_init_cluster(app, action);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? exit_done : exit_wrong;
    }
    return action();
  } catch (const std::exception& error) {
    fmt::print(stderr, "p2psync: {}\n", error.what());
    return exit_failed;
  }
}
