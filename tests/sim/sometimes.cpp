#include "tests/sim/sometimes.h"

#include <algorithm>

namespace p2psync::sim {
namespace {

using namespace engine;

constexpr std::array<std::string_view, point_count> names{
    "three-way conflict",
    "conflict of a conflict copy",
    "conflict between kinds",
    "a user wrote between check and exchange",
    "a precondition did not hold",
    "a directory was not empty",
    "a source was gone",
    "a step failed with an error",
    "a step found no space",
    "bytes surfaced",
    "a loser moved to its conflict name",
    "a name was looked at before it took on more",
    "steps of a batch before a crash were told",
    "displaced files were matched after a crash",
    "a file changed while it was read",
    "a name could not be read",
    "a deletion left an edit alone",
    "two deletions met",
    "only mode or time changed",
    "a copy was edited",
    "equal bytes from two writers",
    "a repair by range",
    "a stream of entries",
    "a block was refused",
    "a transfer resumed",
    "a transfer went on with another section",
    "a content did not match its hash",
    "bytes came from a kept version",
    "bytes came from another name",
    "bytes came from a displaced file",
    "a tombstone was collected",
    "a folder was read anew",
    "an import turned out to be old",
    "a chunk of an unfinished content was sent",
    "siblings that said the same became one",
    "deletions were held",
    "deletions were confirmed",
    "deletions were undone",
    "a conflict was resolved by command",
    "an older version was restored",
};

}  // namespace

std::string_view name_of(Point point) {
  return names.at(static_cast<std::size_t>(point));
}

void Sometimes::observe(const Input& input) {
  if (const auto* applied = std::get_if<ApplyDone>(&input)) {
    for (const Applied& job : applied->jobs) {
      for (const StepResult& result : job.results) {
        if (const auto* done = std::get_if<Done>(&result)) {
          hit(Point::user_wrote_in_between,
              done->displaced && !done->displaced->as_expected ? 1 : 0);
          hit(Point::loser_moved, done->moved ? 1 : 0);
        } else if (const auto* error = std::get_if<Error>(&result)) {
          hit(Point::apply_error);
          hit(Point::no_space, error->code == ErrorCode::no_space ? 1 : 0);
        }
        hit(Point::obstructed, std::holds_alternative<Obstructed>(result) ? 1 : 0);
        hit(Point::not_empty, std::holds_alternative<NotEmpty>(result) ? 1 : 0);
        hit(Point::source_gone, std::holds_alternative<SourceGone>(result) ? 1 : 0);
      }
    }
  } else if (const auto* looked = std::get_if<LookDone>(&input)) {
    for (const Looked& name : looked->names) {
      hit(Point::unstable_look, std::holds_alternative<Unstable>(name.sight) ? 1 : 0);
      hit(Point::look_error, std::holds_alternative<Error>(name.sight) ? 1 : 0);
    }
  } else if (const auto* received = std::get_if<Received>(&input)) {
    hit(Point::repair_by_range, std::holds_alternative<Ranges>(received->message) ? 1 : 0);
    hit(Point::stream_of_entries, std::holds_alternative<Entries>(received->message) ? 1 : 0);
    const auto* block = std::get_if<Block>(&received->message);
    hit(Point::block_refused, block != nullptr && !block->bytes ? 1 : 0);
  } else if (const auto* opened = std::get_if<StageOpened>(&input)) {
    hit(Point::stage_resumed, std::ranges::count(opened->there, true) > 0 ? 1 : 0);
    hit(Point::next_section, opened->from > 0 ? 1 : 0);
  } else if (const auto* written = std::get_if<StageWritten>(&input)) {
    hit(Point::stage_mismatch, written->state == StageState::mismatch ? 1 : 0);
  }
  hit(Point::surfaced, std::holds_alternative<Surfaced>(input) ? 1 : 0);
}

void Sometimes::observe(const Output& output) {
  const auto* read = std::get_if<ReadBlock>(&output);
  hit(Point::unfinished_served,
      read != nullptr && std::holds_alternative<Unfinished>(read->source) ? 1 : 0);
  const auto* apply = std::get_if<Apply>(&output);
  if (apply == nullptr) {
    return;
  }
  for (const ApplyJob& job : apply->jobs) {
    for (const Step& step : job.steps) {
      hit(Point::checked, std::holds_alternative<Check>(step) ? 1 : 0);
      if (const auto* put = std::get_if<Put>(&step)) {
        hit(Point::local_source, std::holds_alternative<AtName>(put->source) ? 1 : 0);
        if (const auto* kept = std::get_if<Kept>(&put->source)) {
          hit(kept->move ? Point::found_source : Point::kept_source);
        }
      }
    }
  }
}

void Sometimes::observe(const Path& path, const Record* before, const Record* after) {
  static const Record nothing;
  const Entry& was = before == nullptr ? nothing.entry : before->entry;
  const Entry& is = after == nullptr ? nothing.entry : after->entry;
  if (was == is) {
    return;
  }
  hit(Point::three_way_conflict, is.versions.size() >= 3 ? 1 : 0);
  hit(Point::deletion_beside_edit, is.live() && !is.deletions.empty() ? 1 : 0);
  hit(Point::both_delete, is.deletions.size() >= 2 ? 1 : 0);
  hit(Point::tombstone_collected, is.context.empty() && !was.context.empty() ? 1 : 0);
  const bool copy_of_copy = path.find(".conflict-") != Path::npos && is.versions.size() >= 2;
  hit(Point::conflict_of_conflict, copy_of_copy ? 1 : 0);
  for (std::size_t i = 0; i < is.versions.size(); ++i) {
    const Version& version = is.versions[i].version;
    const bool is_new = was.find(is.versions[i].dot) == nullptr;
    hit(Point::metadata_only, is_new && version.metadata_only ? 1 : 0);
    hit(Point::copy_edited, is_new && version.copy ? 1 : 0);
    for (std::size_t j = 0; j < i; ++j) {
      const Version& other = is.versions[j].version;
      hit(Point::equal_bytes, same_content(version, other) ? 1 : 0);
      hit(Point::conflict_by_type, version.kind != other.kind ? 1 : 0);
    }
  }
  for (const Sibling& sibling : was.versions) {
    const bool went = is.find(sibling.dot) == nullptr;
    hit(Point::import_superseded, went && sibling.version.imported ? 1 : 0);
    hit(Point::collapsed,
        went && is.context == was.context && distinct(is) == distinct(was) ? 1 : 0);
  }
}

Sometimes& Sometimes::operator+=(const Sometimes& other) {
  for (std::size_t i = 0; i < point_count; ++i) {
    counts_[i] += other.counts_[i];
  }
  return *this;
}

}  // namespace p2psync::sim
