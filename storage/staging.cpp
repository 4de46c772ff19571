#include "storage/staging.h"

#include <algorithm>
#include <tuple>

#include "storage/gather.h"
#include "storage/hash.h"
#include "storage/manifest.h"
#include "storage/scanner.h"
#include "storage/versions.h"
#include "storage/write_behind.h"

namespace p2psync::storage {

namespace {

constexpr std::string_view unfinished_ending = ".part";

using engine::StageState;

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
    return kept_path(kept->file);
  }
  if (std::holds_alternative<engine::Staged>(request.source)) {
    return staged_path(request.content);
  }
  if (std::holds_alternative<engine::Unfinished>(request.source)) {
    return unfinished_path(request.content);
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

std::string path_of(const engine::Base& base) {
  return base.kept ? kept_path(base.name) : base.name;
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
       {engine::own_directory, staging_directory, versions_directory, manifests_directory}) {
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
  auto opened = find(request);
  if (!opened) {
    return {request.content, StageState::failed, {}, {}, {}, std::move(opened.error())};
  }
  return std::move(*opened);
}

Result<engine::StageOpened> Staging::find(const engine::OpenStage& request) {
  engine::StageOpened answer{request.content, StageState::complete, {}, {}, {}, {}};
  const std::string complete = staged_path(request.content);
  // A complete file may be from before a power cut, so it is read again.
  const auto checked = holds(complete, request.content, request.size);
  if (!checked) {
    return std::unexpected(checked.error());
  }
  if (*checked) {
    return answer;
  }
  if (auto removed = unlink_if_there(fs_, complete); !removed) {
    return std::unexpected(removed.error());
  }
  Lists lists{find_outline(fs_, request.content), {}, {}};
  if (lists.outline && length_of(*lists.outline) != request.size) {
    lists.outline.reset();  // whoever told the size lied
  }
  // What the content consists of may be known by now, or no longer, other than when a list was
  // asked for. Then that says nothing, and what is wanted now is asked for.
  const bool of_content = request.list_of.name == request.content;
  if (request.list && of_content == !lists.outline) {
    const auto right = take(request, lists);
    if (!right) {
      return std::unexpected(right.error());
    }
    if (!*right) {
      answer.state = StageState::mismatch;
      return answer;
    }
  }
  answer.state = StageState::incomplete;
  if (!lists.outline) {
    make_lists_of_one(request.bases);
    answer.wanted = list_of({request.content, 0, request.size}, request.bases);
    return answer;
  }
  const auto file = open_unfinished(fs_, request, *lists.outline);
  if (!file) {
    return std::unexpected(file.error());
  }
  for (const Place& place : places_of(*lists.outline)) {
    if (place.offset < request.from) {
      continue;
    }
    answer.from = place.offset;
    auto manifest = lists.manifest_of == place.section ? std::move(lists.manifest)
                                                       : find_manifest(fs_, place.section);
    if (!manifest) {
      answer.wanted = list_of(place, request.bases);
      return answer;
    }
    auto there = gather(fs_, **file, request, place, *manifest);
    if (!there) {
      return std::unexpected(there.error());
    }
    if (!std::ranges::all_of(*there, std::identity{})) {
      answer.chunks = std::move(*manifest);
      answer.there = std::move(*there);
      return answer;
    }
  }
  if (auto finished = finish(request.content); !finished) {
    return std::unexpected(finished.error());
  }
  answer.state = StageState::complete;
  return answer;
}

/// What a peer gave, if it is what it was asked for; it is kept for later. An outline has to be:
/// each of its sections is opened with it.
Result<bool> Staging::take(const engine::OpenStage& request, Lists& lists) {
  const std::span<const std::uint8_t> bytes(*request.list);
  const engine::Hash& name = request.list_of.name;
  if (!lists.outline && is_outline(bytes)) {
    lists.outline = read_outline(bytes);
    if (!lists.outline || name_of(*lists.outline) != request.content ||
        length_of(*lists.outline) != request.size) {
      return false;
    }
    if (auto stored = store_outline(fs_, request.content, *lists.outline); !stored) {
      return std::unexpected(stored.error());
    }
    return true;
  }
  std::uint64_t length = request.size;
  if (lists.outline) {
    const auto section = std::ranges::find(*lists.outline, name, &Section::name);
    length = section == lists.outline->end() ? 0 : section->length;
  }
  const auto base = find_manifest(fs_, request.list_of.against);
  lists.manifest = apply_difference(base.value_or(Manifest{}), bytes, length, fs_.chunk_sizes);
  if (!lists.manifest || name_of(*lists.manifest) != name) {
    return false;
  }
  lists.manifest_of = name;
  store_manifest(fs_, name, *lists.manifest);
  if (!lists.outline) {
    lists.outline = Outline{section_of(*lists.manifest, fs_.chunk_sizes)};
  }
  return true;
}

/// As a difference to that of what stands at its place in the likeliest base.
engine::ListOf Staging::list_of(const Place& place, const std::vector<engine::Base>& bases) {
  for (const engine::Base& base : bases) {
    const auto outline = find_outline(fs_, base.content);
    const auto section = outline ? alike(*outline, place) : std::nullopt;
    if (section && find_manifest(fs_, *section)) {
      return {place.section, *section};
    }
  }
  return {place.section, {}};
}

/// Of the likeliest base that can be read, where they were not kept.
void Staging::make_lists_of_one(const std::vector<engine::Base>& bases) {
  std::ignore = std::ranges::any_of(bases, [this](const engine::Base& base) {
    if (find_outline(fs_, base.content)) {
      return true;
    }
    const auto file = fs_.open_read(path_of(base));
    return file && make_lists(**file, base.size, base.content).has_value();
  });
}

/// Nothing: those are not the bytes of this content.
std::optional<Outline> Staging::make_lists(File& file, std::uint64_t size,
                                           const engine::Hash& content) {
  auto made = read_content(file, size, fs_.chunk_sizes, storing_in(fs_));
  if (!made || made->name != content || made->sections.empty()) {
    return std::nullopt;
  }
  std::ignore = store_outline(fs_, content, made->sections);
  return std::move(made->sections);
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
  // What comes in one piece was checked before it is written, and nobody is told of it before: it
  // needs no name of its own meanwhile. What a crash cuts off is written anew like any other.
  const bool whole = request.size <= fs_.chunk_sizes.max;
  const std::string path = whole ? staged_path(request.content) : unfinished_path(request.content);
  if (request.bytes) {
    // What it is to be laid with, but never what this process could not open.
    constexpr std::uint16_t needed = 0600;
    const std::uint16_t mode = (request.mode & needed) == needed ? request.mode : needed;
    const std::span<const std::uint8_t> bytes(*request.bytes);
    if (request.offset > request.size || bytes.size() > request.size - request.offset) {
      return std::unexpected(Error{ErrorCode::invalid, "write", path});
    }
    if (!bytes.empty() && sha256(bytes) != request.chunk) {
      return StageState::mismatch;
    }
    if (auto left = reserve_.leave(path, bytes.size()); !left) {
      return std::unexpected(left.error());
    }
    // One of several chunks goes only to a file that open() has made: the others are in it.
    auto file = whole ? fs_.create(path, mode) : fs_.open_write(path);
    if (whole && !file && file.error().code == ErrorCode::changed) {
      // Left by a crash. Not to be written to: its mode may forbid it, and where names are given by
      // links the same file may stand in the tree.
      if (auto removed = unlink_if_there(fs_, path); !removed) {
        return std::unexpected(removed.error());
      }
      file = fs_.create(path, mode);
    }
    if (!file) {
      return std::unexpected(file.error());
    }
    if (auto written = (*file)->write(request.offset, bytes); !written) {
      return std::unexpected(written.error());
    }
    if (!whole) {
      write_behind(**file, request.offset, request.offset + bytes.size());
    }
  }
  if (!request.last) {
    return StageState::incomplete;
  }
  if (auto finished = whole ? Result<void>() : finish(request.content); !finished) {
    return std::unexpected(finished.error());
  }
  return StageState::complete;
}

Result<void> Staging::finish(const engine::Hash& content) {
  return fs_.rename(unfinished_path(content), staged_path(content), RenameMode::replace);
}

/// False if the file is not there, too.
Result<bool> Staging::holds(const std::string& path, const engine::Hash& content,
                            std::uint64_t size) {
  const auto file = fs_.open_read(path);
  if (!file) {
    return file.error().code == ErrorCode::not_found ? Result<bool>(false)
                                                     : std::unexpected(file.error());
  }
  const auto about = (*file)->stat_when_opened();
  if (!about) {
    return std::unexpected(about.error());
  }
  // With two names it stands in the tree as well: a crash came between a link and the unlink.
  if (about->signature.size != size || about->links != 1) {
    return false;
  }
  const auto found = read_content(**file, size, fs_.chunk_sizes);
  if (!found) {
    return std::unexpected(found.error());
  }
  return found->name == content;
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
  const bool unfinished = std::holds_alternative<engine::Unfinished>(request.source);
  auto file = fs_.open_read(*path);
  if (!file && unfinished) {
    file = fs_.open_read(staged_path(request.content));  // by now
  }
  if (!file) {
    return answer;
  }
  const auto before = (*file)->stat_when_opened();
  if (!before || !described_by(request.expected, before->signature)) {
    return answer;
  }
  auto bytes = request.list ? list_part(request, **file, before->signature.size)
                            : part(request, **file, before->signature.size);
  const auto after = (*file)->stat();
  // Changed while it was read: the receiver would find out, but only after fetching it. An
  // unfinished one changes all the time; a chunk that is in it does not.
  if (bytes && after && (unfinished || after->signature == before->signature)) {
    answer.bytes = std::move(bytes);
  }
  return answer;
}

engine::Bytes Staging::part(const engine::ReadBlock& request, File& file, std::uint64_t size) {
  if (request.offset > size) {
    return nullptr;
  }
  const auto length =
      static_cast<std::size_t>(std::min<std::uint64_t>(request.length, size - request.offset));
  auto memory = engine::uninitialised_bytes(length);
  const std::span<std::uint8_t> bytes(memory.get(), length);
  const auto count = file.read(request.offset, bytes);
  return count && *count == length ? engine::Bytes(std::move(memory), bytes) : nullptr;
}

engine::Bytes Staging::list_part(const engine::ReadBlock& request, File& file, std::uint64_t size) {
  const engine::Hash& name = request.list->name;
  const auto made = [&] { return make_lists(file, size, request.content); };
  // Of an unfinished one there is nothing to make a list from.
  const bool whole = !std::holds_alternative<engine::Unfinished>(request.source);
  if (name != request.content) {
    auto outline = find_outline(fs_, request.content);
    if (!outline && whole) {
      outline = made();
    }
    // Else a peer could have the whole file read as often as it likes.
    if (!outline || std::ranges::find(*outline, name, &Section::name) == outline->end()) {
      return nullptr;
    }
  }
  auto list = list_bytes(*request.list);
  if (!list && whole && made()) {
    list = list_bytes(*request.list);
  }
  if (!list) {
    return nullptr;
  }
  const auto rest = std::span(*list).subspan(std::min<std::uint64_t>(request.offset, list->size()));
  const auto slice = rest.first(std::min<std::size_t>(rest.size(), request.length));
  return engine::Bytes::of({slice.begin(), slice.end()});
}

/// As it is told to a peer. Nothing: it is not here.
std::optional<std::vector<std::uint8_t>> Staging::list_bytes(const engine::ListOf& wanted) {
  if (const auto manifest = find_manifest(fs_, wanted.name)) {
    const auto base =
        wanted.against == engine::Hash{} ? std::nullopt : find_manifest(fs_, wanted.against);
    // A difference to nothing can be read whatever the base is.
    return difference(base.value_or(Manifest{}), *manifest);
  }
  const auto outline = find_outline(fs_, wanted.name);
  return outline ? std::optional(bytes_of(*outline)) : std::nullopt;
}

}  // namespace p2psync::storage
