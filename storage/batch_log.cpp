#include "storage/batch_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "engine/path.h"
#include "storage/fields.h"
#include "storage/hash.h"
#include "storage/naming.h"
#include "storage/slot.h"
#include "storage/staging.h"

namespace p2psync::storage {

namespace {

using engine::Kind;

constexpr std::string_view title = "p2psync batch 3 ";
constexpr std::string_view last_line = "end\n";

std::string log_path() {
  return engine::child_of(staging_directory, "batch-log");
}
std::string new_log_path() {
  return engine::child_of(staging_directory, "batch-log.new");
}

/// In the program's own directory, or none.
bool is_own_or_none(std::string_view place) {
  return place.empty() || (engine::is_below(place, engine::own_directory) &&
                           !engine::path_problem(place.substr(engine::own_directory.size() + 1)));
}

std::optional<LoggedStep> decode_step(std::string_view line) {
  Fields fields(line);
  LoggedStep step;
  step.path = fields.text();
  step.name = fields.text();
  const auto what = fields.number<unsigned>();
  step.from = fields.text();
  step.place = fields.text();
  step.inode = fields.number<std::uint64_t>();
  step.ctime = fields.number<std::int64_t>();
  const auto kind = fields.number<unsigned>();
  step.wanted.mode = fields.number<std::uint16_t>(8);
  step.wanted.mtime = fields.number<std::int64_t>();
  step.wanted.size = fields.number<std::uint64_t>();
  step.wanted.content = fields.hash();
  step.wanted.target = fields.text();
  const bool good = fields.all_good() && kind <= static_cast<unsigned>(Kind::symlink) &&
                    what <= 2 && !engine::path_problem(step.path) &&
                    !engine::path_problem(step.name) && is_own_or_none(step.place) &&
                    (what == 1 ? !engine::path_problem(step.from) : is_own_or_none(step.from));
  if (!good) {
    return std::nullopt;
  }
  step.what = static_cast<LoggedStep::What>(what);
  step.wanted.kind = static_cast<Kind>(kind);
  return step;
}

Result<bool> is_at(Fs& fs, const std::string& path, std::uint64_t inode) {
  const auto stat = fs.stat(path);
  if (!stat && stat.error().code != ErrorCode::not_found) {
    return std::unexpected(stat.error());
  }
  return stat && stat->signature.inode == inode;
}

Result<bool> is_there(Fs& fs, const std::string& path) {
  const auto stat = fs.stat(path);
  if (!stat && stat.error().code != ErrorCode::not_found) {
    return std::unexpected(stat.error());
  }
  return stat.has_value();
}

/// It is what was made ready, and not the same content staged anew, in an inode that was free
/// again.
bool is_as_ready(const engine::Signature& there, const LoggedStep& step) {
  const bool written_since = there.mtime > step.ctime && there.mtime <= there.ctime;
  return there.inode == step.inode && !written_since;
}

/// What it took from another name left the slot for its name, and was not displaced instead.
Result<bool> was_laid_from_slot(Fs& fs, const LoggedStep& step) {
  const auto left = was_named(fs, step.place, step.inode, step.name, step.wanted);
  if (!left || !*left) {
    return left;
  }
  const auto displaced = is_there(fs, step.from);
  return displaced ? !*displaced : displaced;
}

Result<bool> was_put(Fs& fs, const LoggedStep& step) {
  if (step.place.empty()) {
    // A directory is made in its place: there it is, as it was wanted, or it is not known to have
    // been.
    const auto stat = fs.stat(step.name);
    if (!stat && stat.error().code != ErrorCode::not_found) {
      return std::unexpected(stat.error());
    }
    return stat && stat->signature.kind == Kind::directory &&
           stat->signature.mode == step.wanted.mode;
  }
  if (!step.from.empty()) {
    return was_laid_from_slot(fs, step);
  }
  const auto slot = fs.stat(step.place);
  if (!slot && slot.error().code != ErrorCode::not_found) {
    return std::unexpected(slot.error());
  }
  if (!slot || !is_as_ready(slot->signature, step)) {
    return true;
  }
  // Without exchange it is linked to its name before the slot goes: a link that a user has replaced
  // since shows in a later ctime (an earlier one is what a power cut leaves).
  const auto there = is_at(fs, step.name, step.inode);
  return there ? *there || (!fs.can_exchange() && slot->signature.ctime > step.ctime) : there;
}

/// `put`: what took the place of what moved, if anything.
Result<bool> was_moved(Fs& fs, const LoggedStep& step, const LoggedStep* put) {
  if (!fs.can_exchange() && put != nullptr) {
    // It is linked to where it is kept, replaced, and then named from there.
    const auto replaced = was_put(fs, *put);
    return replaced && *replaced ? was_named(fs, step.place, 0, step.name, step.wanted) : replaced;
  }
  const auto there = is_at(fs, step.name, step.inode);
  if (!there || *there || put == nullptr) {
    return there;
  }
  const auto replaced = was_put(fs, *put);
  if (!replaced || !*replaced) {
    return replaced;
  }
  // Neither on its way nor kept: it did get its name, and a user acted on that since.
  for (const std::string& path : {put->place, step.place}) {
    const auto still = is_at(fs, path, step.inode);
    if (!still || *still) {
      return still ? Result<bool>(false) : still;
    }
  }
  return true;
}

/// It is in the slot, or where the put that took it laid it.
Result<bool> was_taken(Fs& fs, const std::vector<LoggedStep>& steps, const LoggedStep& step) {
  const auto there = is_at(fs, step.name, step.inode);
  if (!there || *there) {
    return there ? Result<bool>(false) : there;
  }
  const auto waits = is_at(fs, step.from, step.inode);
  if (!waits || *waits) {
    return waits;
  }
  const auto put = std::ranges::find_if(steps, [&](const LoggedStep& other) {
    return other.what == LoggedStep::What::put && other.place == step.from;
  });
  return put == steps.end() ? Result<bool>(false) : was_laid_from_slot(fs, *put);
}

Result<bool> was_removed(Fs& fs, const std::vector<LoggedStep>& steps, const LoggedStep& step) {
  if (step.place.empty()) {  // a directory, by rmdir
    const auto there = is_at(fs, step.name, step.inode);
    return there ? !*there : there;
  }
  const auto kept = fs.stat(step.place);
  if (!kept && kept.error().code != ErrorCode::not_found) {
    return std::unexpected(kept.error());
  }
  if (!kept && !step.from.empty()) {
    return was_taken(fs, steps, step);
  }
  // A power cut between the syncs of two directories can leave a file that moved with both names
  // (btrfs). Then its user still sees it.
  const auto there = is_at(fs, step.name, step.inode);
  return there ? kept.has_value() && !*there : there;
}

/// A crash came between the move of a directory and its mode, if that is not one to be moved with
/// (slot.cpp): carried out by half.
/// What cannot be finished is left to the next look: no name may keep a node from starting.
void finish_mode(Fs& fs, const LoggedStep& step) {
  if (step.what != LoggedStep::What::put || step.wanted.kind != Kind::directory) {
    return;
  }
  const auto there = fs.stat(step.name);
  const bool half = there && !there->special && there->signature.kind == Kind::directory &&
                    there->signature.inode == step.inode &&
                    there->signature.mode == unmovable_mode && step.wanted.mode != unmovable_mode;
  if (half) {
    std::ignore = fs.set_directory_mode(step.name, step.wanted.mode);
  }
}

Result<bool> was_carried_out(Fs& fs, const std::vector<LoggedStep>& steps, std::size_t i) {
  const LoggedStep& step = steps[i];
  switch (step.what) {
    case LoggedStep::What::put: return was_put(fs, step);
    case LoggedStep::What::remove: return was_removed(fs, steps, step);
    case LoggedStep::What::move: break;
  }
  const bool by_put = i + 1 < steps.size() && steps[i + 1].what == LoggedStep::What::put &&
                      steps[i + 1].name == step.from;
  return was_moved(fs, step, by_put ? &steps[i + 1] : nullptr);
}

/// Empty: there is none.
Result<std::string> read_log(Fs& fs) {
  auto text = read_text(fs, log_path());
  if (!text && text.error().code == ErrorCode::not_found) {
    return std::string();
  }
  return text;
}

}  // namespace

Result<void> write_batch_log(Fs& fs, std::uint64_t batch, const std::vector<LoggedStep>& steps) {
  std::string text = fmt::format("{}{}\n", title, batch);
  for (const LoggedStep& step : steps) {
    const engine::Wanted& wanted = step.wanted;
    fmt::format_to(std::back_inserter(text), "{} {} {} {} {} {} {} {} {:o} {} {} {} {}\n",
                   escaped(step.path), escaped(step.name), static_cast<unsigned>(step.what),
                   escaped(step.from), escaped(step.place), step.inode, step.ctime,
                   static_cast<unsigned>(wanted.kind), wanted.mode, wanted.mtime, wanted.size,
                   to_hex(wanted.content), escaped(wanted.target));
  }
  text += last_line;
  std::ignore = fs.unlink(new_log_path());  // of a crash
  const auto file = fs.create(new_log_path());
  if (!file) {
    return std::unexpected(file.error());
  }
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  auto done = (*file)->write(0, bytes);
  if (done) {
    done = (*file)->sync();
  }
  if (done) {
    done = fs.rename(new_log_path(), log_path(), RenameMode::replace);
  }
  if (done) {
    done = fs.sync_directory(staging_directory);
  }
  return done;
}

namespace {

struct Log {
  std::uint64_t batch = 0;
  std::vector<LoggedStep> steps;
};

/// Without steps: torn, or of another kind.
Log decode_log(std::string_view text) {
  Log log;
  const auto first = text.find('\n');
  if (!text.starts_with(title) || !text.ends_with(last_line) || first == std::string_view::npos) {
    return log;
  }
  Fields number(text.substr(title.size(), first - title.size()));
  log.batch = number.number<std::uint64_t>();
  text.remove_prefix(first + 1);
  while (text != last_line) {
    const auto end = text.find('\n');
    auto step = end == std::string_view::npos ? std::nullopt : decode_step(text.substr(0, end));
    if (!step || !number.all_good()) {
      return {};
    }
    log.steps.push_back(std::move(*step));
    text.remove_prefix(end + 1);
  }
  return log;
}

/// Of what these steps did, the names: what was laid was durable before it got its name. The index
/// takes them from here, and must not be ahead of the disk.
Result<void> make_durable(Fs& fs, const std::vector<LoggedStep>& steps) {
  std::set<std::string> directories;
  for (const LoggedStep& step : steps) {
    directories.emplace(engine::parent_of(step.name));
    if (step.what == LoggedStep::What::put && step.wanted.kind == engine::Kind::directory) {
      directories.insert(step.name);  // its mode
    }
  }
  for (const std::string& directory : directories) {
    const auto synced = fs.sync_directory(directory);
    // Not found: a later step or a user removed it. Not to be opened: then all at once.
    if (!synced && synced.error().code != ErrorCode::not_found) {
      return fs.sync_all();
    }
  }
  return {};
}

}  // namespace

bool is_logged(Fs& fs, std::uint64_t batch) {
  const auto text = read_log(fs);
  return !text || decode_log(*text).batch == batch;
}

Result<CarriedOut> carried_out(Fs& fs) {
  const auto text = read_log(fs);
  if (!text) {
    return std::unexpected(text.error());
  }
  const Log log = decode_log(*text);
  CarriedOut found;
  auto& [done, list] = found;
  for (std::size_t i = 0; i < log.steps.size(); ++i) {
    const LoggedStep& step = log.steps[i];
    const auto happened = was_carried_out(fs, log.steps, i);
    if (!happened) {
      return std::unexpected(happened.error());
    }
    if (!*happened) {
      continue;
    }
    finish_mode(fs, step);
    done.push_back(step);
    const bool removed = step.what == LoggedStep::What::remove;
    if (step.what == LoggedStep::What::move) {
      // A power cut can leave both names, as of a file that was removed.
      const auto stays = is_at(fs, step.from, step.inode);
      if (!stays) {
        return std::unexpected(stays.error());
      }
      if (!*stays) {
        list.push_back({log.batch, step.path, step.from, std::nullopt});
      }
    }
    list.push_back(
        {log.batch, step.path, step.name, removed ? std::nullopt : std::optional(step.wanted)});
  }
  if (auto durable = make_durable(fs, done); !durable) {
    return std::unexpected(std::move(durable.error()));
  }
  if (done.size() != log.steps.size()) {
    // What was not carried out is struck out before recovery takes its slots away.
    if (auto written = write_batch_log(fs, log.batch, done); !written) {
      return std::unexpected(std::move(written.error()));
    }
  }
  return found;
}

}  // namespace p2psync::storage
