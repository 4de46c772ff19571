#include "storage/scanner.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <set>
#include <variant>

#include "engine/ignore.h"
#include "storage/content.h"
#include "storage/hash.h"
#include "storage/manifest.h"

namespace p2psync::storage {

namespace {

using engine::Absent;
using engine::Kind;
using engine::Looked;
using engine::Seen;
using engine::Sight;
using engine::Special;
using engine::Unstable;

constexpr int attempts_max = 2;
constexpr std::int64_t second_ns = 1'000'000'000;

/// A sight, and the open file if it was read just now (syncing it does not need its name then).
struct Inspection {
  Sight sight;
  std::unique_ptr<File> file;
};

/// `now` is from before the signature was taken: a change after it has a later time stamp, unless
/// the two are within the grain of each other. Clocks that step back are covered by the distance.
bool is_fresh(const engine::Signature& signature, std::int64_t now) {
  const auto near = [&](std::int64_t stamp, std::chrono::nanoseconds grain) {
    const std::int64_t distance = now > stamp ? now - stamp : stamp - now;
    return distance < grain.count();
  };
  const bool coarse = signature.ctime % second_ns == 0;
  const auto grain = coarse ? timestamp_grain_coarse : timestamp_grain;
  return signature.kind != Kind::directory &&
         (near(signature.ctime, grain) || near(signature.mtime, grain));
}

}  // namespace

bool may_hide_a_write(const engine::Signature& signature, std::int64_t now) {
  const bool coarse = signature.mtime % second_ns == 0;
  const auto grain = coarse ? timestamp_grain_coarse : timestamp_grain;
  const std::int64_t distance =
      now > signature.mtime ? now - signature.mtime : signature.mtime - now;
  // A symlink cannot be written to, but be another one with the same inode number.
  return signature.kind != Kind::directory && distance < grain.count();
}

namespace {

/// The errors that say: what the stat showed is not there any more.
bool moved_on(const Error& error) {
  return error.code == ErrorCode::not_found || error.code == ErrorCode::changed;
}

/// Reads what a stat showed; `file` if it is open already. Unstable: it is something else by now.
Inspection read_file(Fs& fs, std::string_view path, const Stat& shown, std::unique_ptr<File> file) {
  if (file == nullptr) {
    auto opened = fs.open_read(path);
    if (!opened) {
      return {moved_on(opened.error()) ? Sight(Unstable{}) : Sight(opened.error()), nullptr};
    }
    file = std::move(*opened);
  }
  const auto before = file->stat_when_opened();
  if (!before) {
    return {before.error(), nullptr};
  }
  if (before->signature != shown.signature) {
    return {Unstable{}, nullptr};
  }
  // Peers will ask for its lists.
  const auto content = read_content(*file, shown.signature.size, fs.chunk_sizes, storing_in(fs));
  if (!content) {
    return {moved_on(content.error()) ? Sight(Unstable{}) : Sight(content.error()), nullptr};
  }
  const auto after = file->stat();
  if (!after) {
    return {after.error(), nullptr};
  }
  if (after->signature != shown.signature) {
    return {Unstable{}, nullptr};
  }
  std::ignore = store_outline(fs, content->name, content->sections);
  return {Seen{shown.signature, content->name, {}, false}, std::move(file)};
}

Sight read_link(Fs& fs, std::string_view path, const Stat& shown) {
  auto target = fs.read_link(path);
  if (!target) {
    return moved_on(target.error()) ? Sight(Unstable{}) : Sight(target.error());
  }
  const auto after = fs.stat(path);
  if (!after || after->special || after->signature != shown.signature) {
    return Unstable{};
  }
  const engine::Hash hash = sha256(*target);
  return Seen{shown.signature, hash, std::move(*target), false};
}

/// What stands at a name, as it was shown at `now`; `file` if it is open already.
Inspection inspect_shown(Fs& fs, const engine::LookAt& at, std::int64_t now, const Stat& shown,
                         std::unique_ptr<File> file) {
  if (shown.special) {
    return {Special{}, nullptr};
  }
  if (at.known && !at.known->fresh && at.known->signature == shown.signature) {
    return {*at.known, nullptr};
  }
  if (shown.signature.kind == Kind::directory) {
    return {Seen{shown.signature, {}, {}, false}, nullptr};
  }
  if (at.patient && shown.signature.size > fs.chunk_sizes.max && is_fresh(shown.signature, now)) {
    return {Unstable{}, nullptr};
  }
  Inspection inspection = shown.signature.kind == Kind::symlink
                              ? Inspection{read_link(fs, at.name, shown), nullptr}
                              : read_file(fs, at.name, shown, std::move(file));
  if (auto* const seen = std::get_if<Seen>(&inspection.sight)) {
    seen->fresh = is_fresh(shown.signature, now);
  }
  return inspection;
}

Inspection inspect_once(Fs& fs, const engine::LookAt& at) {
  const std::int64_t now = fs.wall_time();
  if (at.regular) {
    if (auto file = fs.open_read(at.name)) {
      if (const auto shown = (*file)->stat_when_opened()) {
        return inspect_shown(fs, at, now, *shown, std::move(*file));
      }
    }
  }
  const auto shown = fs.stat(at.name);
  if (!shown) {
    return {shown.error().code == ErrorCode::not_found ? Sight(Absent{}) : Sight(shown.error()),
            nullptr};
  }
  return inspect_shown(fs, at, now, *shown, nullptr);
}

Inspection inspect(Fs& fs, const engine::LookAt& at) {
  Inspection inspection;
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    inspection = inspect_once(fs, at);
    if (!std::holds_alternative<Unstable>(inspection.sight)) {
      break;
    }
  }
  if (const auto* const error = std::get_if<Error>(&inspection.sight);
      error != nullptr && error->code == ErrorCode::busy) {
    inspection.sight = Unstable{};  // another process holds it; that passes
  }
  return inspection;
}

Inspection inspect_synchronised(Fs& fs, const engine::LookAt& at) {
  if (const auto problem = engine::path_problem(at.name)) {
    return {Error{ErrorCode::invalid, "look at", at.name + " (" + std::string(*problem) + ')'},
            nullptr};
  }
  return inspect(fs, at);
}

/// What of a request must be made durable. Directories and links count too: an index that is
/// ahead of the disk would take what a power cut undid for a deletion. So does what is gone: if it
/// came back with a power cut after its deletion was told, it would be a user's new file.
class News {
 public:
  void add(std::size_t position, std::unique_ptr<File> file) {
    positions_.push_back(position);
    if (positions_.size() > single_syncs_max) {
      files_.clear();
    } else if (file) {
      files_.push_back(std::move(file));
    }
  }

  void add_absent(std::size_t position) { absent_.push_back(position); }

  void make_durable(Fs& fs, std::vector<Looked>& answers) const {
    if (positions_.empty() && absent_.empty()) {
      return;
    }
    if (const auto synced = sync(fs, answers); !synced) {
      for (const auto* const positions : {&positions_, &absent_}) {
        for (const std::size_t position : *positions) {
          answers[position].sight = synced.error();
        }
      }
    }
  }

 private:
  Result<void> sync(Fs& fs, const std::vector<Looked>& answers) const {
    if (positions_.size() > single_syncs_max) {
      return fs.sync_all();
    }
    for (const auto& file : files_) {
      if (auto synced = file->sync(); !synced) {
        return synced;
      }
    }
    std::set<std::string_view> directories;
    for (const auto* const positions : {&positions_, &absent_}) {
      for (const std::size_t position : *positions) {
        const Looked& answer = answers[position];
        directories.insert(engine::parent_of(answer.name));
        const auto* const seen = std::get_if<Seen>(&answer.sight);
        if (seen != nullptr && seen->signature.kind == Kind::directory) {
          directories.insert(answer.name);  // its mode
        }
      }
    }
    for (const std::string_view directory : directories) {
      // Gone meanwhile: so is what was seen in it, which the next look says; that it is gone shows
      // further up.
      auto synced = fs.sync_directory(directory);
      for (std::string_view at = directory; !synced && !at.empty();) {
        if (synced.error().code != ErrorCode::not_found) {
          return synced;
        }
        at = engine::parent_of(at);
        synced = fs.sync_directory(at);
      }
      if (!synced) {
        return synced;
      }
    }
    return {};
  }

  std::vector<std::size_t> positions_;
  std::vector<std::size_t> absent_;
  std::vector<std::unique_ptr<File>> files_;
};

bool is_news(const engine::LookAt& at, const Sight& sight) {
  const auto* const seen = std::get_if<Seen>(&sight);
  return seen != nullptr && (!at.known || at.known->signature != seen->signature ||
                             at.known->content != seen->content);
}

}  // namespace

engine::Looked look(Fs& fs, const engine::LookAt& at) {
  return {at.name, inspect_synchronised(fs, at).sight};
}

std::vector<engine::Looked> look_all(Fs& fs, const engine::Look& request) {
  std::vector<Looked> answers;
  answers.reserve(request.names.size());
  News news;
  for (const engine::LookAt& at : request.names) {
    Inspection inspection = inspect_synchronised(fs, at);
    if (is_news(at, inspection.sight)) {
      news.add(answers.size(), std::move(inspection.file));
    } else if (std::holds_alternative<Absent>(inspection.sight)) {
      news.add_absent(answers.size());
    }
    answers.push_back({at.name, std::move(inspection.sight)});
  }
  news.make_durable(fs, answers);
  return answers;
}

namespace {

/// Without its bytes if they cannot be had: too many, or not to be read.
engine::Rules read_rules(Fs& fs, const std::string& path) {
  const auto file = fs.open_read(path);
  const auto stat = file ? (*file)->stat_when_opened() : std::unexpected(file.error());
  if (!stat || stat->signature.size > engine::ignore_bytes_max) {
    return {};
  }
  engine::Rules rules;
  std::vector<std::uint8_t> bytes(stat->signature.size);
  const auto count = (*file)->read(0, bytes);
  if (!count) {
    return {};
  }
  bytes.resize(*count);
  rules.content = name_of(bytes, fs.chunk_sizes);
  rules.text.assign(bytes.begin(), bytes.end());
  return rules;
}

}  // namespace

engine::Listed list(Fs& fs, const engine::List& request) {
  const bool root = request.directory.empty();
  if (const auto problem = root ? std::nullopt : engine::path_problem(request.directory)) {
    return {request.directory,
            std::unexpected(Error{ErrorCode::invalid, "list",
                                  request.directory + " (" + std::string(*problem) + ')'})};
  }
  auto items = fs.list(request.directory);
  if (!items) {
    return {request.directory, std::unexpected(std::move(items.error()))};
  }
  std::vector<engine::Listing> listing;
  listing.reserve(items->size());
  std::optional<engine::Rules> rules;
  for (DirItem& item : *items) {
    if (item.name == engine::ignore_file && !item.stat.special &&
        item.stat.signature.kind == Kind::file) {
      rules = read_rules(fs, engine::child_of(request.directory, item.name));
    }
    if (!root || item.name != engine::own_directory) {
      listing.push_back({std::move(item.name), item.stat.special, item.stat.signature});
    }
  }
  return {request.directory, std::move(listing), std::move(rules)};
}

Result<engine::Seen> see(Fs& fs, std::string_view path) {
  Sight sight = inspect(fs, {.name = std::string(path)}).sight;
  if (auto* const seen = std::get_if<Seen>(&sight)) {
    return std::move(*seen);
  }
  if (auto* const error = std::get_if<Error>(&sight)) {
    return std::unexpected(std::move(*error));
  }
  const ErrorCode code = std::holds_alternative<Absent>(sight)    ? ErrorCode::not_found
                         : std::holds_alternative<Special>(sight) ? ErrorCode::unsupported
                                                                  : ErrorCode::busy;
  return std::unexpected(Error{code, "read", std::string(path)});
}

}  // namespace p2psync::storage
