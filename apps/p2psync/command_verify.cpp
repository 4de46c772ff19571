// p2psync verify: reads the whole folder again and compares it with what is on record.
//
// Reads itself, at its own pace, so that a running node goes on; that one is only asked what it has
// on record, a thousand paths at a time. Of a node that is stopped the index says it, under the
// folder's lock. What a user has changed since is taken in by a running node: where bytes differ it
// is asked once more before that is held against it.
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <thread>

#include "apps/p2psync/command.h"
#include "apps/p2psync/control_socket.h"
#include "apps/p2psync/folder.h"
#include "apps/p2psync/quantity.h"
#include "apps/p2psync/recorded.h"
#include "apps/p2psync/table.h"
#include "storage/scanner.h"

namespace p2psync::app {
namespace {

using namespace std::chrono_literals;

constexpr int asks_max = 10;  ///< for a name that has changed since; each after a pause
constexpr auto ask_pause = 500ms;
constexpr auto pauses_max = 60s;  ///< of all names together: where much differs, it stays so
constexpr auto progress_interval = 500ms;

struct Options {
  ConfigOptions config;
  bool json = false;
};

struct Mismatch {
  engine::Path name;
  std::string_view problem;  ///< damaged, changed, missing, unreadable
  std::string message;
};

/// What the disk shows against what is on record; nothing if the bytes are those.
std::optional<Mismatch> compare(storage::Fs& fs, const Recorded& recorded) {
  const auto now = storage::see(fs, recorded.name);
  if (!now) {
    switch (now.error().code) {
      case ErrorCode::not_found: return Mismatch{recorded.name, "missing", "it is not there"};
      case ErrorCode::busy:
        return Mismatch{recorded.name, "changed", "it is being written to just now"};
      case ErrorCode::unsupported:
        return Mismatch{recorded.name, "changed", "it is no file, directory or symlink any more"};
      default: return Mismatch{recorded.name, "unreadable", now.error().message()};
    }
  }
  const engine::Signature& was = recorded.seen.signature;
  if (now->signature.kind != was.kind) {
    return Mismatch{recorded.name, "changed", "it is of another kind now"};
  }
  if (now->content == recorded.seen.content) {
    return std::nullopt;
  }
  const bool same = now->signature.inode == was.inode && now->signature.size == was.size &&
                    now->signature.mtime == was.mtime &&
                    (was.unproven() || now->signature.ctime == was.ctime);
  return same ? Mismatch{recorded.name, "damaged",
                         "its bytes are others, though size and times are the same"}
              : Mismatch{recorded.name, "changed", "it was changed since it was put on record"};
}

/// Where it is on record what should be there.
class Records {
 public:
  virtual ~Records() = default;
  /// The next some; none at the end.
  virtual Result<std::vector<Recorded>> next() = 0;
  /// What is on record by now. `mismatch` stays what it was if nothing new can come.
  virtual std::optional<Mismatch> again(storage::Fs& fs, Mismatch mismatch) = 0;
};

std::vector<Recorded> recorded_of(const Json& answer) {
  std::vector<Recorded> names;
  for (const Json& document : answer["recorded"].items()) {
    if (auto one = recorded_in(document)) {
      names.push_back(std::move(*one));
    }
  }
  return names;
}

class RunningNode final : public Records {
 public:
  RunningNode(std::string folder, Json first)
      : folder_(std::move(folder)), page_(std::move(first)) {}

  Result<std::vector<Recorded>> next() override {
    if (!page_) {
      return std::vector<Recorded>();
    }
    auto names = recorded_of(*page_);
    if (!(*page_)["more"].boolean()) {
      page_.reset();
      return names;
    }
    Json::Object request{{"command", "recorded"}};
    add_path(request, "after", path_in(*page_, "last"));
    auto answer = ask(request);
    if (!answer) {
      return std::unexpected(answer.error());
    }
    page_ = std::move(*answer);
    return names.empty() ? next() : std::move(names);
  }

  std::optional<Mismatch> again(storage::Fs& fs, Mismatch mismatch) override {
    std::optional<Mismatch> found = std::move(mismatch);
    for (int asked = 0; found && found->problem != "damaged" && asked < asks_max; ++asked) {
      if (asked > 0) {
        if (paused_ >= pauses_max) {
          break;
        }
        paused_ += ask_pause;
        std::this_thread::sleep_for(ask_pause);
      }
      Json::Object request{{"command", "recorded"}};
      add_path(request, "path", found->name);
      const auto answer = ask(request);
      if (!answer) {
        break;
      }
      const std::vector<Recorded> names = recorded_of(*answer);
      if (names.empty()) {
        return std::nullopt;  // deleted or moved meanwhile, and the node knows it
      }
      found = compare(fs, names.front());
    }
    return found;
  }

  [[nodiscard]] Result<Json> ask(const Json& request) const {
    constexpr auto answer_limit = 30s;
    auto answer = ask_node(folder_, request, answer_limit);
    if (answer && !(*answer)["error"].is_null()) {
      return std::unexpected(Error{ErrorCode::invalid, (*answer)["error"].text(), folder_, 0});
    }
    return answer;
  }

 private:
  std::string folder_;
  std::optional<Json> page_;
  std::chrono::milliseconds paused_{0};
};

class StoppedNode final : public Records {
 public:
  explicit StoppedNode(const engine::Index& index) {
    index.for_each("", "", [this](const engine::Path&, const engine::Record& record) {
      for (const engine::Shown& shown : record.shown) {
        if (!shown.signature.is_out_of_sight()) {
          names_.push_back({shown.name, seen_of(shown)});
        }
      }
      return true;
    });
  }
  Result<std::vector<Recorded>> next() override { return std::exchange(names_, {}); }
  std::optional<Mismatch> again(storage::Fs&, Mismatch mismatch) override { return mismatch; }

 private:
  std::vector<Recorded> names_;
};

class Verification {
 public:
  Verification(storage::Fs& fs, bool json) : fs_(fs), json_(json) {}

  Result<void> run(Records& records) {
    while (true) {
      auto names = records.next();
      if (!names) {
        return std::unexpected(names.error());
      }
      if (names->empty()) {
        break;
      }
      for (Mismatch& suspect : read(*names)) {
        if (auto found = records.again(fs_, std::move(suspect))) {
          tell(*found);
        }
      }
    }
    show_progress(true);
    return {};
  }

  /// The verdict, and the exit code.
  int finish() const {
    const std::uint64_t files = files_;
    if (json_) {
      fmt::print("{}\n", Json(Json::Object{{"files", files},
                                           {"bytes", std::uint64_t{bytes_}},
                                           {"mismatches", mismatches_}})
                             .dump(true));
    } else {
      fmt::print(
          "{} {}, {}: {}\n", files, files == 1 ? "file" : "files", size_text(bytes_),
          mismatches_.empty() ? "all match" : fmt::format("{} do not match", mismatches_.size()));
    }
    return mismatches_.empty() ? exit_done : exit_failed;
  }

 private:
  /// With all cores; what does not match, in order.
  std::vector<Mismatch> read(const std::vector<Recorded>& names) {
    std::vector<std::optional<Mismatch>> found(names.size());
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
      for (std::size_t i = next++; i < names.size(); i = next++) {
        const engine::Signature& signature = names[i].seen.signature;
        found[i] = compare(fs_, names[i]);
        if (signature.kind != engine::Kind::directory) {
          ++files_;
          bytes_ += signature.size;
        }
      }
    };
    {
      std::vector<std::jthread> others;
      for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) {
        others.emplace_back(work);
      }
      work();
    }
    show_progress(false);
    std::vector<Mismatch> suspects;
    for (auto& one : found) {
      if (one) {
        suspects.push_back(std::move(*one));
      }
    }
    return suspects;
  }

  void tell(const Mismatch& mismatch) {
    Json::Object document;
    add_path(document, "path", mismatch.name);
    document.emplace_back("problem", mismatch.problem);
    document.emplace_back("message", mismatch.message);
    mismatches_.emplace_back(std::move(document));
    if (!json_) {
      clear_progress();
      fmt::print("{}: {}: {}\n", printable(mismatch.name), mismatch.problem, mismatch.message);
    }
  }

  void show_progress(bool last) {
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_) {
      return;
    }
    if (last) {
      clear_progress();
    } else if (now >= shown_ + progress_interval) {
      shown_ = now;
      fmt::print(stderr, "\r\033[K{} files, {}", std::uint64_t{files_}, size_text(bytes_));
      std::fflush(stderr);
    }
  }
  void clear_progress() const {
    if (terminal_) {
      fmt::print(stderr, "\r\033[K");
      std::fflush(stderr);
    }
  }

  storage::Fs& fs_;
  bool json_;
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  std::chrono::steady_clock::time_point shown_ = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> files_ = 0;
  std::atomic<std::uint64_t> bytes_ = 0;
  Json::Array mismatches_;
};

int verify(storage::Fs& fs, Records& records, bool json) {
  Verification verification(fs, json);
  if (const auto done = verification.run(records); !done) {
    return fail(done.error().message(), json);
  }
  return verification.finish();
}

int verify_stopped(const Options& options) {
  const auto config = load(options.config, KeyUse::judge);  // the index belongs to a node
  if (!config) {
    return exit_wrong;
  }
  auto memory = read_memory(*config);
  if (!memory) {
    return fail(fmt::format("{}: {}", config->folder, memory.error().message()), options.json);
  }
  StoppedNode records(memory->loaded.index);
  return verify(*memory->fs, records, options.json);
}

int verify(const Options& options) {
  const auto config = load(options.config, KeyUse::ignore);
  if (!config) {
    return exit_wrong;
  }
  auto first = RunningNode(config->folder, {}).ask(Json::Object{{"command", "recorded"}});
  if (!first) {
    return first.error().code == ErrorCode::not_found ? verify_stopped(options)
                                                      : fail(first.error().message(), options.json);
  }
  auto fs = open_fs(*config);
  if (!fs) {
    return fail(fs.error().message(), options.json);
  }
  RunningNode records(config->folder, std::move(*first));
  return verify(**fs, records, options.json);
}

}  // namespace

void describe_verify(CommandLine& line) {
  Command command(
      line, "verify",
      "Reads the whole folder again and reports every file whose bytes are not those on "
      "record; also of a node that is stopped");
  const auto options = std::make_shared<Options>();
  command.config(options->config);
  command.json(options->json);
  command.runs([options] { return verify(*options); });
}

}  // namespace p2psync::app
