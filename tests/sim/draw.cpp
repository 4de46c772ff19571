#include "tests/sim/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "storage/hash.h"

namespace p2psync::sim {
namespace {

using namespace std::chrono_literals;
using namespace engine;

constexpr std::size_t margin = 11;  ///< the time
constexpr std::size_t width_max = 112;
constexpr std::size_t column_max = 26;
constexpr Duration long_way = 500ms;

double seconds(Instant at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

void put_over(std::string& row, std::size_t at, std::string_view text) {
  row.resize(std::max(row.size(), at + text.size()), ' ');
  row.replace(at, text.size(), text);
}

/// "n2 rest": the host and the rest; 0 if the line is about no host.
std::pair<NodeId, std::string> host_of(const std::string& line) {
  std::size_t at = 1;
  while (at < line.size() && std::isdigit(static_cast<unsigned char>(line[at])) != 0) {
    ++at;
  }
  if (line.starts_with("strikes ")) {
    const std::size_t where = line.rfind(" at n");
    return {std::stoull(line.substr(where + 5)), "! " + line.substr(8, where - 8)};
  }
  if (!line.starts_with('n') || at < 2 || at >= line.size() || line[at] != ' ') {
    return {0, line};
  }
  std::string rest = line.substr(at + 1);
  if (rest.starts_with("user ")) {
    rest = "* " + rest.substr(5);
  }
  return {std::stoull(line.substr(1, at - 1)), rest};
}

}  // namespace

Drawing::Drawing(const Plan& plan)
    : hosts_(plan.setup.hosts), width_(std::min(column_max, (width_max - margin) / hosts_)) {
  wrote("");
}

// --- What is heard

void Drawing::noted(Instant at, const std::string& line) {
  const auto [host, text] = host_of(line);
  if (host == 0) {
    across(at, line == "heal" ? "the faults are over; a healthy core must agree" : line);
    return;
  }
  if (text == "starts") {
    running_.insert(host);
  } else if (text == "ends" || text == "is dead" || text.starts_with("crashes in") ||
             text.starts_with("loses power")) {
    running_.erase(host);
    jobs_.erase(host);
  }
  in_column(at, host, text);
}

void Drawing::wrote(const std::string& bytes) {
  std::string name = "empty";
  if (!bytes.empty()) {
    const std::size_t digits = bytes.find(' ') + 1;
    name = bytes.front() + bytes.substr(digits, bytes.find(' ', digits) - digits);
  }
  contents_[content_of(bytes)] = name;
}

void Drawing::arrived(Instant at, Instant sent, NodeId from, NodeId to, const Message& message) {
  std::string text = brief(message);
  if (text.empty()) {
    return;
  }
  if (at - sent > long_way) {
    text += fmt::format(" (sent {:.2f})", seconds(sent));
  }
  arrow(at, from, to, text, true);
}

void Drawing::lost(Instant at, NodeId from, NodeId to, const Message& message) {
  if (const std::string text = brief(message); !text.empty()) {
    arrow(at, from, to, text + " is lost", false);
  }
}

void Drawing::stepped(Instant at, const Host& host, const Input& input,
                      const std::vector<Output>& outputs) {
  if (const auto* look = std::get_if<LookDone>(&input)) {
    looked(at, host, *look);
  } else if (const auto* done = std::get_if<ApplyDone>(&input)) {
    applied(at, host, *done);
  } else if (const auto* surfaced = std::get_if<Surfaced>(&input)) {
    in_column(at, host.id(), "surfaces: " + surfaced->name);
  }
  for (const Output& output : outputs) {
    if (const auto* apply = std::get_if<Apply>(&output)) {
      for (const ApplyJob& job : apply->jobs) {
        jobs_[host.id()].insert_or_assign(job.path, job);
      }
    }
  }
}

void Drawing::looked(Instant at, const Host& host, const LookDone& look) {
  for (const Looked& name : look.names) {
    std::string sight = "nothing";
    if (const auto* seen = std::get_if<Seen>(&name.sight)) {
      sight = name_of(seen->content, seen->signature.kind);
    } else if (std::holds_alternative<Unstable>(name.sight)) {
      sight = "unstable";
    } else if (std::holds_alternative<Special>(name.sight)) {
      sight = "special";
    } else if (const auto* error = std::get_if<Error>(&name.sight)) {
      sight = error->message();
    }
    const auto [last, first] = sights_.try_emplace({host.id(), name.name}, "nothing");
    if (std::exchange(last->second, sight) != sight) {
      in_column(at, host.id(), "sees " + name.name + "=" + sight);
    }
  }
}

void Drawing::applied(Instant at, const Host& host, const ApplyDone& done) {
  for (const Applied& job : done.jobs) {
    const auto& jobs = jobs_[host.id()];
    const auto planned = jobs.find(job.path);
    for (std::size_t i = 0; planned != jobs.end() && i < job.results.size(); ++i) {
      const std::string text = brief(planned->second.steps.at(i), job.results[i]);
      if (!text.empty()) {
        in_column(at, host.id(), text);
      }
    }
  }
}

// --- In words

std::string Drawing::name_of(const Hash& content, Kind kind) const {
  if (kind == Kind::directory) {
    return "dir";
  }
  const auto known = contents_.find(content);
  return known == contents_.end() ? storage::to_hex(content).substr(0, 6) : known->second;
}

std::string Drawing::brief(const Entry& entry) const {
  std::string text;
  for (const auto& [dot, version] : entry.versions) {
    text += (text.empty() ? "" : "|") + name_of(version.content, version.kind);
  }
  return text.empty() ? "gone" : text;
}

std::string Drawing::brief(const Message& message) const {
  std::string text;
  if (const auto* entries = std::get_if<Entries>(&message)) {
    for (const PathEntry& entry : entries->entries) {
      text += (text.empty() ? "" : ", ") + entry.path + "=" + brief(entry.entry);
    }
  } else if (const auto* block = std::get_if<Block>(&message)) {
    if (block->bytes != nullptr) {
      const Hash hash = storage::sha256(*block->bytes);
      text = contents_.contains(hash) ? "bytes of " + contents_.at(hash)
                                      : fmt::format("{} bytes", block->bytes->size());
    } else {
      text = "no such bytes here";
    }
  }
  return text;
}

std::string Drawing::brief(const Step& step, const StepResult& result) const {
  std::string text;
  const std::optional<Moved>* moved = nullptr;
  if (const auto* put = std::get_if<Put>(&step)) {
    text = "lays " + put->name + "=" + name_of(put->wanted.content, put->wanted.kind);
    moved = &put->moved;
  } else if (const auto* remove = std::get_if<Remove>(&step)) {
    text = "takes away " + remove->name;
    moved = &remove->moved;
  } else {
    text = "checks " + std::get<Check>(step).name;
  }
  if (moved != nullptr && *moved) {
    text += ", moves to " + (*moved)->name;
  }
  if (const auto* done = std::get_if<Done>(&result)) {
    const bool other = done->displaced && !done->displaced->as_expected;
    return text + (other ? "; displaced what it did not expect" : "");
  }
  if (const auto* error = std::get_if<Error>(&result)) {
    return text + ": " + error->message();
  }
  static constexpr const char* words[] = {
      "", ": obstructed", ": not empty", ": no source", ": unsure", ""};
  return text + words[result.index()];
}

// --- On paper

std::string Drawing::lines() const {
  std::string row;
  for (NodeId host = 1; host <= hosts_; ++host) {
    put_over(row, column(host), running_.contains(host) ? "|" : ":");
  }
  return row;
}

void Drawing::head() {
  if (std::exchange(begun_, true)) {
    return;
  }
  std::string row;
  for (NodeId host = 1; host <= hosts_; ++host) {
    put_over(row, column(host), fmt::format("n{}", host));
  }
  fmt::print("{:>{}}  {}\n", "seconds", margin - 2, row);
}

void Drawing::print(Instant at, const std::string& row) {
  head();
  const std::string time =
      at == Instant::min() ? std::string() : fmt::format("{:.4f}", seconds(at));
  fmt::print("{:>{}}  {}\n", time, margin - 2, row);
}

void Drawing::across(Instant at, const std::string& text) {
  print(at, "---- " + text);
}

/// Over the columns to the right, as far as the paper goes; the rest below.
void Drawing::in_column(Instant at, NodeId host, const std::string& text) {
  const std::size_t room = width_max - margin - column(host);
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t length = std::min(room, text.size() - begin);
    if (begin + length < text.size()) {
      const std::size_t blank = text.rfind(' ', begin + length);
      length = blank != std::string::npos && blank > begin ? blank - begin : length;
    }
    std::string row = lines();
    put_over(row, column(host), text.substr(begin, length) + " ");
    print(begin == 0 ? at : Instant::min(), row);
    begin += length;
    begin += begin < text.size() && text[begin] == ' ' ? 1 : 0;
  }
}

void Drawing::arrow(Instant at, NodeId from, NodeId to, const std::string& text, bool arrives) {
  std::string row = lines();
  const std::size_t left = std::min(column(from), column(to));
  const std::size_t right = std::max(column(from), column(to));
  for (std::size_t i = left + 1; i < right; ++i) {
    put_over(row, i, row[i] == '|' || row[i] == ':' ? "+" : "-");
  }
  const bool leftwards = to < from;
  if (arrives) {
    put_over(row, leftwards ? left + 1 : right - 1, leftwards ? "<" : ">");
  } else {
    put_over(row, leftwards ? left + 2 : right - 2, "x");
  }
  const std::size_t room = width_max - margin - std::min(width_max - margin, right + 2);
  if (text.size() + 4 <= right - left - 2) {
    put_over(row, left + 4, " " + text + " ");
    print(at, row);
  } else if (text.size() <= room) {
    put_over(row, right + 2, text + " ");
    print(at, row);
  } else {
    print(at, row);
    in_column(Instant::min(), std::min(from, to), "  " + text);
  }
}

}  // namespace p2psync::sim
