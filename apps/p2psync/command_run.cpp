// p2psync run: a node in the foreground.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>
#include <tuple>

#include "apps/p2psync/command.h"
#include "apps/p2psync/daemon.h"
#include "apps/p2psync/log.h"

namespace p2psync::app {
namespace {

/// Of whatever thread. A step that ends in its middle leaves a state that nobody has thought about,
/// so nothing more is told or written: the next start finds what any crash leaves.
[[noreturn]] void end_for_want_of_memory() {
  constexpr std::string_view words =
      "p2psync: out of memory: it ends here, loses nothing, and goes on when it is started again\n";
  std::ignore = ::write(STDERR_FILENO, words.data(), words.size());
  ::_exit(exit_failed);
}

/// Until the daemon listens to them itself. Nothing has begun that a crash could not end, and a
/// start may take long; in a container, where this is the first process, the kernel would pass over
/// a signal that nobody has asked for, and the container be killed after its time to stop.
void end_on_signals() {
  for (const int number : {SIGTERM, SIGINT}) {
    ::signal(number, [](int) { ::_exit(exit_done); });
  }
}

int run(Config config) {
  std::set_new_handler(end_for_want_of_memory);
  const auto key = net::PrivateKey::read(config.key_file);
  if (!key) {
    return fail(key.error().message());
  }
  set_up_log(config);
  auto folder = open_folder(config);
  if (!folder) {
    return fail(fmt::format("{}: {}", config.folder, folder.error().message()));
  }
  put_up_fence(*folder);
  // On the heap: threads that outlive a stop must find everything as it was until the process ends.
  auto daemon = std::make_unique<Daemon>(std::move(config), std::move(*folder));
  if (const auto started = daemon->start(*key); !started) {
    return fail(started.error().message());
  }
  if (!daemon->run()) {
    spdlog::default_logger()->flush();
    std::_Exit(exit_done);
  }
  return exit_done;
}

}  // namespace

void describe_run(CommandLine& line) {
  Command command(line, "run", "Runs a node in the foreground until SIGTERM or SIGINT");
  const auto options = std::make_shared<ConfigOptions>();
  command.config(*options);
  command.runs([options] {
    end_on_signals();
    auto config = load(*options, KeyUse::judge);
    return config ? run(std::move(*config)) : exit_wrong;
  });
}

}  // namespace p2psync::app
