#include "tests/sim/trial.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "tests/sim/plan_text.h"

namespace p2psync::sim {
namespace {

/// Notes which moves came about.
class Recorder final : public Listener {
 public:
  explicit Recorder(const Plan& plan) : fixed_(plan), came_(plan.moves.size(), false) {}
  void moved(Instant at, const Move& move) override {
    came_.at(move.id) = true;
    fixed_.moves.at(move.id) = move;
    if (move.what == Move::What::user) {
      fixed_.moves.at(move.id).at = at.time_since_epoch();  // a causal one may have waited
    }
  }
  [[nodiscard]] Plan take() {
    std::vector<Move> moves;
    for (std::size_t i = 0; i < came_.size(); ++i) {
      if (came_[i]) {
        moves.push_back(fixed_.moves[i]);
      }
    }
    sort_moves(moves);
    fixed_.moves = std::move(moves);
    return std::move(fixed_);
  }

 private:
  Plan fixed_;
  std::vector<bool> came_;
};

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

File temporary() {
  File file(std::tmpfile(), std::fclose);
  if (!file) {
    std::perror("p2psync-sim: a temporary file");
    std::exit(1);
  }
  return file;
}

std::string contents(FILE* file) {
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
    text.push_back(static_cast<char>(c));
  }
  return text;
}

[[noreturn]] void run_in_child(const Plan& plan, std::uint64_t events_max, FILE* answer) {
  Recorder recorder(plan);
  Telling telling;
  telling.listener = &recorder;
  telling.events_max = events_max;
  const Report report = run_plan(plan, telling);
  std::string text = std::to_string(report.events) + "\n";
  for (const Violation& violation : report.violations) {
    std::string line = violation.text;
    std::ranges::replace(line, '\n', ' ');
    text += violation.invariant + "\n" + line + "\n";
  }
  text += "\n" + to_text(recorder.take());
  std::fwrite(text.data(), 1, text.size(), answer);
  std::fflush(answer);
  ::_exit(0);
}

}  // namespace

bool Trial::violates(const std::string& invariant) const {
  return std::ranges::find(violations, invariant, &Violation::invariant) != violations.end();
}

Trial try_plan(const Plan& plan, std::uint64_t events_max) {
  const File answer = temporary();
  const File said = temporary();
  std::fflush(stdout);
  std::fflush(stderr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(::fileno(said.get()), STDERR_FILENO);
    run_in_child(plan, events_max, answer.get());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  Trial trial;
  trial.fixed = plan;
  if (status != 0) {
    trial.events = events_max / 8;  // nobody counted them
    const std::string last = contents(said.get());
    trial.violations.push_back({"the program died", last.substr(0, last.find('\n'))});
    return trial;
  }
  std::istringstream lines(contents(answer.get()));
  std::string line;
  std::getline(lines, line);
  trial.events = std::stoull(line);
  for (std::string text; std::getline(lines, line) && !line.empty();) {
    std::getline(lines, text);
    trial.violations.push_back({line, text});
  }
  const std::string rest(std::istreambuf_iterator<char>(lines), {});
  if (auto fixed = plan_from_text(rest)) {
    trial.fixed = std::move(*fixed);
  }
  return trial;
}

}  // namespace p2psync::sim
