#include "engine/brief.h"

namespace p2psync::engine {

namespace {

std::string in_short(const Hash& hash) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < 4; ++i) {
    text += digits[hash.bytes[i] >> 4];
    text += digits[hash.bytes[i] & 15];
  }
  return text;
}

std::string describe(const Dot& dot) {
  return std::to_string(dot.actor.node % 1000) + "." +
         std::to_string(dot.actor.incarnation % 1000) + "." + std::to_string(dot.sequence);
}

std::string describe(const Version& version) {
  static constexpr const char* kinds[] = {"file", "directory", "symlink"};
  std::string text = kinds[static_cast<int>(version.kind)];
  text += " " + in_short(version.content) + " rank " + std::to_string(version.rank) + " label " +
          version.label;
  for (const auto& [set, word] :
       {std::pair{version.copy, " copy"}, std::pair{version.metadata_only, " metadata"},
        std::pair{version.imported, " import"}}) {
    text += set ? word : "";
  }
  return text;
}

std::string whither(const std::optional<Moved>& moved) {
  return moved ? ">" + moved->name + " " : " ";
}

std::string_view name_of(const Message& message) {
  static constexpr std::string_view names[] = {"hello", "tick", "vectors", "entries", "ranges",
                                               "held",  "get",  "block",   "taken",   "have"};
  return names[message.index()];
}

std::string brief(const Message& message) {
  std::string text(name_of(message));
  if (const auto* entries = std::get_if<Entries>(&message)) {
    for (const PathEntry& entry : entries->entries) {
      text += " " + entry.path;
    }
  } else if (const auto* get = std::get_if<Get>(&message)) {
    text += " " + in_short(get->content);
  } else if (const auto* have = std::get_if<Have>(&message)) {
    text += " " + in_short(have->content) + " " + std::to_string(have->from);
    for (const ChunkRange& range : have->chunks) {
      text += " " + std::to_string(range.begin) + "-" + std::to_string(range.end);
    }
  }
  return text;
}

std::string brief(const Source& source) {
  if (const auto* at = std::get_if<AtName>(&source)) {
    return " at " + at->name;
  }
  if (const auto* kept = std::get_if<Kept>(&source)) {
    return (kept->move ? " found " : " kept ") + kept->file;
  }
  if (std::holds_alternative<Unfinished>(source)) {
    return " unfinished";
  }
  return std::holds_alternative<Staged>(source) ? " staged" : "";
}

std::string brief(const Step& step) {
  if (const auto* put = std::get_if<Put>(&step)) {
    std::string text =
        "put " + put->name + "=" + in_short(put->wanted.content) + brief(put->source);
    text += put->expected ? " over " + in_short(put->expected_content) : "";
    return text + whither(put->moved);
  }
  if (const auto* check = std::get_if<Check>(&step)) {
    return "check " + check->name + " ";
  }
  const Remove& remove = std::get<Remove>(step);
  return "remove " + remove.name + "=" + in_short(remove.expected_content) + whither(remove.moved);
}

std::string brief(const Sight& sight) {
  static constexpr const char* names[] = {"absent", "", "unstable", "special", "error"};
  const auto* seen = std::get_if<Seen>(&sight);
  return seen == nullptr ? names[sight.index()]
                         : in_short(seen->content) + (seen->fresh ? "*" : "");
}

std::string brief(const StepResult& result) {
  static constexpr const char* names[] = {"done",        "obstructed", "not-empty",
                                          "source-gone", "unsure",     "error"};
  std::string text = names[result.index()];
  if (const auto* done = std::get_if<Done>(&result)) {
    text += done->moved ? "+moved" : "";
    if (const auto& out = done->displaced) {
      text += (out->as_expected ? "-" : "-UNEXPECTED:") + in_short(out->seen.content) + "@" +
              out->file + (out->still_open ? "(open)" : "");
    }
  }
  return text;
}

}  // namespace

std::string brief(const Output& output) {
  static constexpr const char* names[] = {"send",       "disconnect",  "persist",   "note",
                                          "look",       "list",        "apply",     "read-block",
                                          "open-stage", "write-block", "drop-stage"};
  static_assert(std::size(names) == std::variant_size_v<Output>);
  std::string text = names[output.index()];
  if (const auto* send = std::get_if<Send>(&output)) {
    text += ":" + brief(send->message) + ">" + std::to_string(send->peer % 1000);
  } else if (const auto* look = std::get_if<Look>(&output)) {
    for (const LookAt& at : look->names) {
      text += " " + at.name;
    }
  } else if (const auto* list = std::get_if<List>(&output)) {
    text += " " + list->directory;
  } else if (const auto* open = std::get_if<OpenStage>(&output)) {
    text += " " + in_short(open->content);
  } else if (const auto* apply = std::get_if<Apply>(&output)) {
    text += " " + std::to_string(apply->batch);
    for (const ApplyJob& job : apply->jobs) {
      text += " " + job.path + "[";
      for (const Step& step : job.steps) {
        text += brief(step);
      }
      text += "]";
    }
  }
  return text;
}

std::string brief(const Input& input) {
  static constexpr const char* names[] = {
      "wake",          "peer-up",         "peer-down", "received", "touched",    "rescan",
      "listed",        "looked",          "applied",   "surfaced", "block-read", "stage-opened",
      "stage-written", "confirm-deletes", "resolve",   "restore",  "expired",    "bring-back"};
  static_assert(std::size(names) == std::variant_size_v<Input>);
  std::string text = names[input.index()];
  if (const auto* received = std::get_if<Received>(&input)) {
    text += ":" + brief(received->message) + "<" + std::to_string(received->peer % 1000);
  } else if (const auto* touched = std::get_if<Touched>(&input)) {
    for (const Path& name : touched->names) {
      text += " " + name;
    }
    for (const Path& name : touched->writing) {
      text += " ~" + name;
    }
    for (const Path& name : touched->arrived) {
      text += " >" + name;
    }
  } else if (const auto* listed = std::get_if<Listed>(&input)) {
    text += " " + listed->directory;
  } else if (const auto* looked = std::get_if<LookDone>(&input)) {
    for (const Looked& name : looked->names) {
      text += " " + name.name + "=" + brief(name.sight);
    }
  } else if (const auto* applied = std::get_if<ApplyDone>(&input)) {
    for (const Applied& job : applied->jobs) {
      text += " " + job.path + "=";
      for (const StepResult& result : job.results) {
        text += brief(result) + ",";
      }
    }
  } else if (const auto* surfaced = std::get_if<Surfaced>(&input)) {
    text += " " + surfaced->name + "=" + in_short(surfaced->seen.content) + " in " +
            surfaced->file + " replaced " + in_short(surfaced->replaced);
  } else if (const auto* written = std::get_if<StageWritten>(&input)) {
    text += " " + in_short(written->content);
  } else if (const auto* resolve = std::get_if<Resolve>(&input)) {
    text += " " + resolve->path + " keeps " + resolve->keep;
  } else if (const auto* restore = std::get_if<Restore>(&input)) {
    text += " " + restore->path + "=" + in_short(restore->version.content);
  } else if (const auto* back = std::get_if<BringBack>(&input)) {
    text += " " + std::to_string(back->items.size()) + " from " +
            (back->items.empty() ? "nowhere" : back->items.front().path);
  }
  return text;
}

std::string brief(std::span<const Output> outputs) {
  std::string line;
  for (const Output& output : outputs) {
    line += " " + brief(output) + ";";
  }
  return line;
}

std::string brief(const Relaid& step) {
  return "batch " + std::to_string(step.batch) + " had laid " + step.path + ": " + step.name + "=" +
         (step.wanted ? in_short(step.wanted->content) : "nothing");
}

std::string describe(const Record* record) {
  if (record == nullptr) {
    return "nothing";
  }
  std::string text = "context";
  for (const auto& [actor, sequence] : record->entry.context.items()) {
    text += " " + describe(Dot{actor, sequence});
  }
  for (const auto& [dot, version] : record->entry.versions) {
    text += " | " + describe(dot) + ": " + describe(version);
  }
  for (const Deletion& deletion : record->entry.deletions) {
    text += " | deleted by " + describe(deletion.dot);
  }
  for (const Shown& shown : record->shown) {
    text += " || shown " + shown.name + ": " + in_short(shown.version.content);
    for (const Dot& dot : shown.dots) {
      text += " " + describe(dot);
    }
  }
  return text;
}

std::string describe(const Change& change) {
  std::string text;
  for (const Change::PathRecord& record : change.records) {
    text += (text.empty() ? "" : "; ") + record.path + ": " +
            describe(record.record ? &*record.record : nullptr);
  }
  for (const KeptVersion& kept : change.kept) {
    text += (text.empty() ? "kept " : "; kept ") + kept.file + "=" +
            in_short(kept.version.content) + " of " + kept.path;
  }
  return text;
}

}  // namespace p2psync::engine
