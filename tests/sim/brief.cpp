#include "tests/sim/brief.h"

#include "net/wire.h"
#include "storage/hash.h"

namespace p2psync::sim {

using namespace engine;

namespace {

std::string describe(const Dot& dot) {
  return std::to_string(dot.actor.node) + "." + std::to_string(dot.actor.incarnation % 1000) + "." +
         std::to_string(dot.sequence);
}

std::string describe(const Version& version) {
  static constexpr const char* kinds[] = {"file", "directory", "symlink"};
  std::string text = kinds[static_cast<int>(version.kind)];
  text += " " + storage::to_hex(version.content).substr(0, 6) + " rank " +
          std::to_string(version.rank) + " label " + version.label;
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

}  // namespace

std::string brief(const Output& output) {
  static constexpr const char* names[] = {"send",       "disconnect",  "persist",   "note",
                                          "look",       "list",        "apply",     "read-block",
                                          "open-stage", "write-block", "drop-stage"};
  std::string text = names[output.index()];
  if (const auto* send = std::get_if<Send>(&output)) {
    text += ":" + std::to_string(static_cast<int>(net::kind_of(send->message))) + ">" +
            std::to_string(send->peer);
  } else if (const auto* look = std::get_if<Look>(&output)) {
    for (const LookAt& at : look->names) {
      text += " " + at.name;
    }
  } else if (const auto* apply = std::get_if<Apply>(&output)) {
    for (const ApplyJob& job : apply->jobs) {
      text += " " + job.path + "[";
      for (const Step& step : job.steps) {
        if (const auto* put = std::get_if<Put>(&step)) {
          text += "put " + put->name + (put->expected ? "!" : "") + whither(put->moved);
        } else if (const auto* check = std::get_if<Check>(&step)) {
          text += "check " + check->name + " ";
        } else {
          const Remove& remove = std::get<Remove>(step);
          text += "remove " + remove.name + whither(remove.moved);
        }
      }
      text += "]";
    }
  }
  return text;
}

std::string brief(const Input& input) {
  static constexpr const char* names[] = {
      "wake",   "peer-up", "peer-down", "received",   "touched",      "rescan",       "listed",
      "looked", "applied", "surfaced",  "block-read", "stage-opened", "stage-written"};
  std::string text = names[input.index()];
  if (const auto* received = std::get_if<Received>(&input)) {
    text += ":" + std::to_string(static_cast<int>(net::kind_of(received->message))) + "<" +
            std::to_string(received->peer);
  } else if (const auto* looked = std::get_if<LookDone>(&input)) {
    for (const Looked& name : looked->names) {
      text += " " + name.name + "=" + std::to_string(name.sight.index());
    }
  } else if (const auto* applied = std::get_if<ApplyDone>(&input)) {
    for (const Applied& job : applied->jobs) {
      text += " " + job.path + "=";
      for (const StepResult& result : job.results) {
        text += std::to_string(result.index());
        if (const auto* done = std::get_if<Done>(&result); done != nullptr && done->displaced) {
          text += done->displaced->as_expected ? "d" : "D";
        }
      }
    }
  } else if (const auto* surfaced = std::get_if<Surfaced>(&input)) {
    text += " " + surfaced->name;
  }
  return text;
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
    text += " || shown " + shown.name + ": " + storage::to_hex(shown.version.content).substr(0, 6);
    for (const Dot& dot : shown.dots) {
      text += " " + describe(dot);
    }
  }
  return text;
}

}  // namespace p2psync::sim
