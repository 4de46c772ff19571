#include "storage/staging.h"

#include <algorithm>
#include <tuple>

#include "storage/hash.h"
#include "storage/scanner.h"

namespace p2psync::storage {

namespace {

constexpr std::string_view unfinished_ending = ".part";

using engine::StageState;

std::size_t block_count(std::uint64_t size) {
  return static_cast<std::size_t>((size + engine::block_bytes - 1) / engine::block_bytes);
}

Result<void> make_own_directory(Fs& fs, std::string_view path) {
  auto made = fs.make_directory(path, 0700);
  if (made || made.error().code != ErrorCode::changed) {
    return made;
  }
  const auto there = fs.stat(path);
  if (!there) {
    return std::unexpected(there.error());
  }
  if (there->special || there->signature.kind != engine::Kind::directory) {
    return made;
  }
  return {};
}

Result<void> unlink_if_there(Fs& fs, std::string_view path) {
  auto removed = fs.unlink(path);
  if (!removed && removed.error().code == ErrorCode::not_found) {
    return {};
  }
  return removed;
}

/// The unfinished file. A block that comes for a content that is complete makes it unfinished
/// again: whoever sends blocks waits for the check at their end.
Result<std::unique_ptr<File>> open_unfinished(Fs& fs, const engine::Hash& content) {
  const std::string path = unfinished_path(content);
  auto file = fs.open_write(path);
  if (file || file.error().code != ErrorCode::not_found) {
    return file;
  }
  const auto reopened = fs.rename(staged_path(content), path, RenameMode::replace);
  if (!reopened && reopened.error().code != ErrorCode::not_found) {
    return std::unexpected(reopened.error());
  }
  return reopened ? fs.open_write(path) : fs.create(path);
}

/// Is it the file that was described? A ctime of 0 says that it was not known for certain: then the
/// receiver's check of the hash has the last word.
bool described_by(const std::optional<engine::Signature>& expected, engine::Signature actual) {
  if (expected && expected->ctime == 0) {
    actual.ctime = 0;
  }
  return !expected || actual == *expected;
}

/// Where the bytes of a source are; nothing for sources without bytes and names that may not be.
std::optional<std::string> path_of(const engine::ReadBlock& request) {
  if (const auto* const at = std::get_if<engine::AtName>(&request.source)) {
    return engine::path_problem(at->name) ? std::nullopt : std::optional(at->name);
  }
  if (const auto* const kept = std::get_if<engine::Kept>(&request.source)) {
    if (engine::path_problem(kept->file) || kept->file.contains('/')) {
      return std::nullopt;
    }
    return engine::child_of(versions_directory, kept->file);
  }
  if (std::holds_alternative<engine::Staged>(request.source)) {
    return staged_path(request.content);
  }
  return std::nullopt;
}

}  // namespace

std::string staged_path(const engine::Hash& content) {
  return engine::child_of(staging_directory, to_hex(content));
}

std::string unfinished_path(const engine::Hash& content) {
  return staged_path(content) + std::string(unfinished_ending);
}

std::vector<engine::Hash> contents_in_staging(Fs& fs) {
  std::vector<engine::Hash> contents;
  if (const auto items = fs.list(staging_directory)) {
    for (const DirItem& item : *items) {
      std::string_view name = item.name;
      if (name.ends_with(unfinished_ending)) {
        name.remove_suffix(unfinished_ending.size());
      }
      if (const auto content = from_hex(name)) {
        contents.push_back(*content);
      }
    }
  }
  return contents;
}

Result<void> prepare_state(Fs& fs) {
  for (const std::string_view directory :
       {engine::own_directory, staging_directory, versions_directory}) {
    if (auto made = make_own_directory(fs, directory); !made) {
      return made;
    }
  }
  if (auto synced = fs.sync_directory(engine::own_directory); !synced) {
    return synced;
  }
  return fs.sync_directory("");
}

engine::StageOpened Staging::open(const engine::OpenStage& request) {
  auto blocks = find(request);
  if (!blocks) {
    return {request.content, {}, std::move(blocks.error())};
  }
  return {request.content, std::move(*blocks), std::nullopt};
}

Result<std::vector<bool>> Staging::find(const engine::OpenStage& request) {
  const std::string complete = staged_path(request.content);
  const std::string unfinished = unfinished_path(request.content);
  std::vector<bool> blocks(block_count(request.size), false);

  // A complete file may be from before a power cut, so it is read again.
  const auto checked = holds(complete, request.content, request.size);
  if (!checked) {
    return std::unexpected(checked.error());
  }
  if (*checked) {
    blocks.assign(blocks.size(), true);
    return blocks;
  }
  if (auto removed = unlink_if_there(fs_, complete); !removed) {
    return std::unexpected(removed.error());
  }

  if (request.size == 0) {
    const auto created = put({request.content, 0, 0, nullptr, true});
    if (!created) {
      return std::unexpected(created.error());
    }
    if (*created != StageState::complete) {
      return std::unexpected(Error{ErrorCode::corrupt, "stage", "an empty content with this hash"});
    }
    return blocks;
  }

  const auto file = fs_.open_read(unfinished);
  if (!file) {
    return file.error().code == ErrorCode::not_found ? Result<std::vector<bool>>(std::move(blocks))
                                                     : std::unexpected(file.error());
  }
  const auto extents = (*file)->data_extents();
  if (!extents) {
    return std::unexpected(extents.error());
  }
  for (const auto& [begin, end] : *extents) {
    for (std::uint64_t block = block_count(begin); block < blocks.size(); ++block) {
      const std::uint64_t block_end = std::min((block + 1) * engine::block_bytes, request.size);
      if (block_end > end) {
        break;
      }
      blocks[block] = true;
    }
  }
  if (!std::ranges::all_of(blocks, std::identity{})) {
    return blocks;
  }
  // Stopped between the last block and its check.
  const auto whole = holds(unfinished, request.content, request.size);
  if (!whole) {
    return std::unexpected(whole.error());
  }
  const auto moved = *whole ? fs_.rename(unfinished, complete, RenameMode::replace)
                            : unlink_if_there(fs_, unfinished);
  if (!moved) {
    return std::unexpected(moved.error());
  }
  blocks.assign(blocks.size(), *whole);
  return blocks;
}

engine::StageWritten Staging::write(const engine::WriteBlock& request) {
  engine::StageWritten answer{request.content, request.offset, StageState::failed, std::nullopt};
  auto state = put(request);
  if (state) {
    answer.state = *state;
  } else {
    answer.error = std::move(state.error());
  }
  return answer;
}

Result<StageState> Staging::put(const engine::WriteBlock& request) {
  const std::span<const std::uint8_t> bytes = request.bytes
                                                  ? std::span<const std::uint8_t>(*request.bytes)
                                                  : std::span<const std::uint8_t>();
  const std::string unfinished = unfinished_path(request.content);
  if (request.offset > request.size || bytes.size() > request.size - request.offset) {
    return std::unexpected(Error{ErrorCode::invalid, "write", unfinished});
  }
  const bool in_memory = bytes.size() == request.size;
  bool matches = true;
  if (in_memory && request.last) {
    matches = sha256(bytes) == request.content;  // before it costs a file
  }
  if (matches) {
    const auto file = open_unfinished(fs_, request.content);
    if (!file) {
      return std::unexpected(file.error());
    }
    if (auto written = (*file)->write(request.offset, bytes); !written) {
      return std::unexpected(written.error());
    }
    if (!request.last) {
      return StageState::incomplete;
    }
    if (in_memory) {
      if (auto resized = (*file)->resize(request.size); !resized) {
        return std::unexpected(resized.error());
      }
    }
  }
  if (!in_memory) {
    const auto whole = holds(unfinished, request.content, request.size);
    if (!whole) {
      return std::unexpected(whole.error());
    }
    matches = *whole;
  }
  const auto moved = matches
                         ? fs_.rename(unfinished, staged_path(request.content), RenameMode::replace)
                         : unlink_if_there(fs_, unfinished);
  if (!moved) {
    return std::unexpected(moved.error());
  }
  return matches ? StageState::complete : StageState::mismatch;
}

/// False if the file is not there, too.
Result<bool> Staging::holds(const std::string& path, const engine::Hash& content,
                            std::uint64_t size) {
  const auto file = fs_.open_read(path);
  if (!file) {
    return file.error().code == ErrorCode::not_found ? Result<bool>(false)
                                                     : std::unexpected(file.error());
  }
  const auto about = (*file)->stat();
  if (!about) {
    return std::unexpected(about.error());
  }
  if (about->signature.size != size) {
    return false;
  }
  const auto hash = hash_file(**file, size);
  if (!hash) {
    return std::unexpected(hash.error());
  }
  return *hash == content;
}

void Staging::drop(const engine::DropStage& request) {
  // What cannot be removed now is matched and removed at the next start.
  std::ignore = fs_.unlink(unfinished_path(request.content));
  std::ignore = fs_.unlink(staged_path(request.content));
}

engine::BlockRead Staging::read(const engine::ReadBlock& request) {
  engine::BlockRead answer{request.peer, request.request, request.content, nullptr};
  const auto path = path_of(request);
  if (!path || request.length > engine::block_bytes) {
    return answer;
  }
  const auto file = fs_.open_read(*path);
  if (!file) {
    return answer;
  }
  const auto before = (*file)->stat();
  if (!before || !described_by(request.expected, before->signature) ||
      request.offset > before->signature.size) {
    return answer;
  }
  std::vector<std::uint8_t> bytes(
      std::min<std::uint64_t>(request.length, before->signature.size - request.offset));
  const auto count = (*file)->read(request.offset, bytes);
  const auto after = (*file)->stat();
  // Changed while it was read: the receiver would find out, but only after fetching everything.
  if (count && *count == bytes.size() && after && after->signature == before->signature) {
    answer.bytes = std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes));
  }
  return answer;
}

}  // namespace p2psync::storage
