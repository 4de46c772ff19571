// p2psync status: asks the running node how it is.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "apps/p2psync/command.h"
#include "apps/p2psync/control_socket.h"
#include "apps/p2psync/status_table.h"

namespace p2psync::app {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto answer_limit = 10s;
constexpr auto retry_interval = 100ms;
constexpr auto watch_interval = 1s;

struct Options {
  ConfigOptions config;
  bool json = false;
  bool watch = false;
  std::optional<double> wait_s;
};

volatile sig_atomic_t interrupted = 0;

Json status_request() {
  return Json::Object{{"command", "status"}};
}

/// With a limit, a node that is only just starting is waited for as well.
Result<Json> ask(const std::string& folder, const std::optional<double>& wait_s) {
  if (!wait_s) {
    return ask_node(folder, status_request(), answer_limit);
  }
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(*wait_s));
  while (true) {
    const std::chrono::duration<double> left =
        std::max<Clock::duration>(deadline - Clock::now(), 0s);
    const Json request(Json::Object{{"command", "status"}, {"wait_s", left.count()}});
    auto answer = ask_node(folder, request,
                           std::chrono::ceil<std::chrono::milliseconds>(left) + answer_limit);
    if (answer || answer.error().code != ErrorCode::not_found || left <= 0s) {
      return answer;
    }
    std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(retry_interval, left));
  }
}

int show_once(const Options& options, const std::string& folder) {
  const auto answer = ask(folder, options.wait_s);
  if (!answer) {
    return fail_unanswered(folder, answer.error(), options.json);
  }
  const Json& status = (*answer)["status"];
  if (status.is_null()) {
    return fail_unanswered(folder, Error{ErrorCode::invalid, (*answer)["error"].text(), folder, 0},
                           options.json);
  }
  if (options.json) {
    fmt::print("{}\n", status.dump(true));
  } else {
    fmt::print("{}", status_table(status, {.colour = ::isatty(STDOUT_FILENO) == 1}));
  }
  if (options.wait_s && status["state"].text() == "paused") {
    return fail("this node is paused: see p2psync resume");
  }
  if (options.wait_s && !(*answer)["settled"].boolean()) {
    return fail(fmt::format("not every member holds the same tree after {} s", *options.wait_s));
  }
  return status["state"].text() == "error" ? exit_failed : exit_done;
}

/// Waits for the next look, or for Ctrl-C.
void pause_watching() {
  timespec time{std::chrono::seconds(watch_interval).count(), 0};
  if (interrupted == 0) {
    ::nanosleep(&time, nullptr);
  }
}

/// Shows the table anew every second, on a terminal in the same place, until Ctrl-C.
int show_always(const std::string& folder) {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  std::ptrdiff_t lines = 0;
  std::int64_t most_bytes = 0;
  while (interrupted == 0) {
    const auto answer = ask(folder, std::nullopt);
    std::string text;
    if (answer) {
      const Json& status = (*answer)["status"];
      const std::int64_t pending = status["pending"]["bytes"].integer();
      most_bytes = pending == 0 ? 0 : std::max(most_bytes, pending);
      text = status_table(status, {.colour = terminal, .most_bytes = most_bytes});
    } else if (interrupted == 0) {
      text = fmt::format("no node is running on {}\n", folder);
    }
    if (terminal && lines > 0) {
      fmt::print("\033[{}A\033[J", lines);
    }
    fmt::print("{}", text);
    std::fflush(stdout);
    lines = std::ranges::count(text, '\n');
    pause_watching();
  }
  return exit_done;
}

}  // namespace

void describe_status(CommandLine& line) {
  Command command(line, "status", "Asks the running node how it is");
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.json(options->json);
  command.flag("--watch", options->watch, "refresh every second");
  command.seconds("--wait", options->wait_s,
                  "look at the disk, then wait until every member is reachable and holds the "
                  "same tree; exit 1 at the limit");
  command.either("--watch", "--json");
  command.either("--watch", "--wait");
  command.runs([options] {
    const auto config = load(options->config, KeyUse::ignore);
    if (!config) {
      return exit_wrong;
    }
    return options->watch ? show_always(config->folder) : show_once(*options, config->folder);
  });
}

}  // namespace p2psync::app
