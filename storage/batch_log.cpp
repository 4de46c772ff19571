#include "storage/batch_log.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <string>
#include <tuple>

#include "engine/path.h"
#include "storage/fields.h"
#include "storage/hash.h"
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

/// Without steps: torn, or of another kind.
BatchLog decode_log(std::string_view text) {
  BatchLog log;
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

Result<BatchLog> read_batch_log(Fs& fs) {
  const auto text = read_text(fs, log_path());
  if (!text && text.error().code != ErrorCode::not_found) {
    return std::unexpected(text.error());
  }
  return text ? decode_log(*text) : BatchLog();
}

bool is_logged(Fs& fs, std::uint64_t batch) {
  const auto log = read_batch_log(fs);
  return !log || log->batch == batch;
}

}  // namespace p2psync::storage
