#include "tests/sim/workers.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace p2psync::sim {
namespace {

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

}  // namespace

std::array<int, 2> open_pipe() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) {
    std::perror("pipe");
    std::exit(1);
  }
  return ends;
}

bool write_all(int fd, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n <= 0) {
      return false;
    }
    done += static_cast<std::size_t>(n);
  }
  return true;
}

std::vector<std::optional<std::string>> in_processes(
    std::uint64_t jobs, const std::function<std::string(std::uint64_t job)>& work) {
  std::vector<std::pair<pid_t, int>> workers;
  for (std::uint64_t job = 0; job < jobs; ++job) {
    const auto ends = open_pipe();
    std::fflush(stdout);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(ends[0]);
      const bool told = write_all(ends[1], work(job));
      std::fflush(stdout);
      ::_exit(told ? 0 : 1);
    }
    ::close(ends[1]);
    workers.emplace_back(pid, ends[0]);
  }
  std::vector<std::optional<std::string>> answers;
  for (const auto& [pid, fd] : workers) {
    std::string text = read_all(fd);
    ::close(fd);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (status == 0 && !text.empty()) {
      answers.emplace_back(std::move(text));
    } else {
      fmt::print("a worker died: run with --jobs 1 to see where\n");
      answers.emplace_back();
    }
  }
  return answers;
}

}  // namespace p2psync::sim
