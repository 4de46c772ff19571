// p2psync: the command line.
#include <fmt/format.h>
#include <signal.h>

#include <exception>

#include "apps/p2psync/command.h"

int main(int argc, char** argv) {
  using namespace p2psync::app;
  // A reader that went away is a write that fails, here and on every socket.
  ::signal(SIGPIPE, SIG_IGN);
  try {
    CommandLine line;
    describe_run(line);
    describe_status(line);
    describe_conflicts(line);
    describe_explain(line);
    describe_wait(line);
    describe_resolve(line);
    describe_log(line);
    describe_restore(line);
    describe_verify(line);
    describe_check_ignore(line);
    describe_confirm_deletes(line);
    describe_pause(line);
    describe_resume(line);
    describe_page(line);
    describe_check(line);
    describe_keygen(line);
    describe_id(line);
    describe_init_cluster(line);
    return line.run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "p2psync: {}\n", error.what());
    return exit_failed;
  }
}
