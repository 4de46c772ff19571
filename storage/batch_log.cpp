#include "storage/batch_log.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <set>
#include <tuple>

#include "engine/path.h"
#include "storage/fields.h"
#include "storage/hash.h"
#include "storage/staging.h"

namespace p2psync::storage {

namespace {

using engine::Kind;

constexpr std::string_view title = "p2psync batch 2 ";
constexpr std::string_view last_line = "end\n";

std::string log_path() {
  return engine::child_of(staging_directory, "batch-log");
}
std::string new_log_path() {
  return engine::child_of(staging_directory, "batch-log.new");
}

std::optional<LoggedStep> decode_step(std::string_view line) {
  Fields fields(line);
  LoggedStep step;
  step.path = fields.text();
  step.name = fields.text();
  const auto what = fields.number<unsigned>();
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
                    !engine::path_problem(step.name);
  if (!good) {
    return std::nullopt;
  }
  step.what = static_cast<LoggedStep::What>(what);
  step.wanted.kind = static_cast<Kind>(kind);
  return step;
}

/// Whether the disk shows that the step was carried out. `linked`: the inodes that a step before it
/// gave a second name.
Result<bool> carried_out(Fs& fs, const LoggedStep& step, const std::set<std::uint64_t>& linked) {
  const bool by_place = !step.place.empty();
  const auto stat = fs.stat(by_place ? step.place : step.name);
  if (!stat && stat.error().code != ErrorCode::not_found) {
    return std::unexpected(stat.error());
  }
  switch (step.what) {
    case LoggedStep::What::put:
      // A directory is made in its place: there it is, as it was wanted, or it is not known to have
      // been.
      if (!by_place) {
        return stat && stat->signature.kind == Kind::directory &&
               stat->signature.mode == step.wanted.mode;
      }
      if (stat && stat->signature.inode == step.inode) {
        // Without exchange it is linked to its name before the slot goes: a link that a user has
        // replaced since shows in a later ctime (an earlier one is what a power cut leaves).
        const auto there = fs.stat(step.name);
        return (there && there->signature.inode == step.inode) ||
               (!fs.can_exchange() && stat->signature.ctime > step.ctime);
      }
      return true;
    case LoggedStep::What::link: return stat && stat->signature.inode == step.inode;
    case LoggedStep::What::remove: {
      // A power cut between the syncs of two directories can leave a file that moved with both
      // names (btrfs). Then its user still sees it.
      const auto there = fs.stat(step.name);
      const bool gone = !there || there->signature.inode != step.inode;
      // What the tree shows under its second name is not kept, so no kept file can tell.
      return by_place && gone && (stat.has_value() || linked.contains(step.inode));
    }
  }
  return false;
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

Result<void> write_batch_log(Fs& fs, std::uint64_t batch, const std::vector<LoggedStep>& steps,
                             bool sync) {
  std::string text = fmt::format("{}{}\n", title, batch);
  for (const LoggedStep& step : steps) {
    const engine::Wanted& wanted = step.wanted;
    fmt::format_to(std::back_inserter(text), "{} {} {} {} {} {} {} {:o} {} {} {} {}\n",
                   escaped(step.path), escaped(step.name), static_cast<unsigned>(step.what),
                   escaped(step.place), step.inode, step.ctime, static_cast<unsigned>(wanted.kind),
                   wanted.mode, wanted.mtime, wanted.size, to_hex(wanted.content),
                   escaped(wanted.target));
  }
  text += last_line;
  std::ignore = fs.unlink(new_log_path());  // of a crash
  const auto file = fs.create(new_log_path());
  if (!file) {
    return std::unexpected(file.error());
  }
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  auto done = (*file)->write(0, bytes);
  if (done && sync) {
    done = (*file)->sync();
  }
  if (done) {
    done = fs.rename(new_log_path(), log_path(), RenameMode::replace);
  }
  if (done && sync) {
    done = fs.sync_directory(staging_directory);
  }
  return done;
}

Result<std::vector<engine::Relaid>> relaid(Fs& fs) {
  std::vector<engine::Relaid> list;
  const auto read = read_log(fs);
  if (!read) {
    return std::unexpected(read.error());
  }
  std::string_view text = *read;
  const auto first = text.find('\n');
  if (!text.starts_with(title) || !text.ends_with(last_line) || first == std::string_view::npos) {
    return list;
  }
  Fields number(text.substr(title.size(), first - title.size()));
  const auto batch = number.number<std::uint64_t>();
  text.remove_prefix(first + 1);
  std::vector<LoggedStep> steps;
  std::vector<LoggedStep> unsure;  ///< links whose name is another file now, or none
  std::set<std::uint64_t> linked;
  const auto take = [&](const LoggedStep& step) {
    steps.push_back(step);
    if (step.what == LoggedStep::What::link) {
      linked.insert(step.inode);
    }
    const bool removed = step.what == LoggedStep::What::remove;
    list.push_back(
        {batch, step.path, step.name, removed ? std::nullopt : std::optional(step.wanted)});
  };
  bool all = true;
  while (text != last_line) {
    const auto end = text.find('\n');
    const auto step =
        end == std::string_view::npos ? std::nullopt : decode_step(text.substr(0, end));
    if (!step || !number.all_good()) {
      return std::vector<engine::Relaid>();
    }
    const auto happened = carried_out(fs, *step, linked);
    if (!happened) {
      return std::unexpected(happened.error());
    }
    all = all && *happened;
    if (*happened) {
      // Steps of a path are carried out in order: a link whose name a user has replaced since was
      // made all the same if what came after it was.
      for (const LoggedStep& link : unsure) {
        if (link.path == step->path) {
          take(link);
        }
      }
      std::erase_if(unsure, [&](const LoggedStep& link) { return link.path == step->path; });
      take(*step);
    } else if (step->what == LoggedStep::What::link) {
      unsure.push_back(*step);
    }
    text.remove_prefix(end + 1);
  }
  if (!all) {
    // What was not carried out is struck out before recovery takes its slots away.
    if (auto written = write_batch_log(fs, batch, steps, true); !written) {
      return std::unexpected(std::move(written.error()));
    }
  }
  return list;
}

}  // namespace p2psync::storage
