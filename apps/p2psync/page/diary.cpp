#include "apps/p2psync/page/diary.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "apps/p2psync/status_document.h"

namespace p2psync::app {
namespace {

std::string text_of(const Json& error) {
  const std::string& path = error["path"].text();
  return (path.empty() ? "" : path + ": ") + error["message"].text();
}

/// What is in one set and not in the other.
std::set<std::string> without(const std::set<std::string>& all, const std::set<std::string>& some) {
  std::set<std::string> rest;
  std::ranges::set_difference(all, some, std::inserter(rest, rest.end()));
  return rest;
}

}  // namespace

void Diary::note(Time now, std::string kind, std::string text) {
  happenings_.push_front({now, std::move(kind), std::move(text)});
  if (happenings_.size() > happenings_max) {
    happenings_.pop_back();
  }
}

void Diary::look(Time now, const Json& status, const std::function<Json()>& conflicts) {
  if (!looked_) {
    note(now, "good", "this node was started");
  }
  note_members(now, status);
  note_errors(now, status);
  note_conflicts(now, status, conflicts);
  note_laid(now);
  sample(now, status);
  looked_ = true;
}

void Diary::note_members(Time now, const Json& status) {
  for (const Json& peer : status["peers"].items()) {
    const std::string& name = peer["name"].text();
    const bool connected = peer["connected"].boolean();
    if (std::exchange(connected_[name], connected) != connected) {
      note(now, connected ? "good" : "bad", name + (connected ? " is connected" : " was lost"));
    }
  }
}

void Diary::note_errors(Time now, const Json& status) {
  std::set<std::string> errors;
  for (const Json& error : status["errors"].items()) {
    if (errors.size() < known_max) {
      errors.insert(text_of(error));
    }
  }
  const auto tell = [&](const std::set<std::string>& some, const char* kind, const char* one,
                        const char* many) {
    if (some.size() > named_max) {
      note(now, kind, fmt::format("{} errors {}", some.size(), many));
      return;
    }
    for (const std::string& text : some) {
      note(now, kind, one + text);
    }
  };
  tell(without(errors_, errors), "good", "over: ", "are over");
  tell(without(errors, errors_), "bad", "", "came");
  errors_ = std::move(errors);
}

void Diary::note_conflicts(Time now, const Json& status, const std::function<Json()>& conflicts) {
  if (looked_ && status["conflicts"].integer() == conflicts_) {
    return;
  }
  conflicts_ = status["conflicts"].integer();
  std::set<std::string> copies;
  for (const Json& copy : conflicts().items()) {
    if (copies.size() < known_max) {
      copies.insert(copy["copy"].text());
    }
  }
  const auto tell = [&](const std::set<std::string>& some, const char* kind, const char* what) {
    if (some.size() > named_max) {
      note(now, kind, fmt::format("{} conflict copies {}", some.size(), what));
      return;
    }
    for (const std::string& name : some) {
      note(now, kind, fmt::format("the conflict copy {} {}", name, what));
    }
  };
  if (looked_) {  // else they had come before
    tell(without(copies_, copies), "good", "went");
    tell(without(copies, copies_), "busy", "came");
  }
  copies_ = std::move(copies);
}

void Diary::note_laid(Time now) {
  const std::uint64_t fresh = std::exchange(laid_, 0);
  laying_ += fresh;
  changes_ += fresh;
  if (laying_ == 0) {
    return;
  }
  const Time since = laying_since_.value_or(now);
  laying_since_ = since;
  if (fresh == 0 || now - since >= laying_max) {
    note(now, "good",
         laying_ == 1 ? std::string("1 change of another member was laid here")
                      : fmt::format("{} changes of other members were laid here", laying_));
    laying_ = 0;
    laying_since_.reset();
  }
}

void Diary::sample(Time now, const Json& status) {
  const std::int64_t slot = now.time_since_epoch() / sample_time;
  std::uint64_t members = 1;
  std::uint64_t in_sync = status["pending"]["files"].integer() == 0 ? 1 : 0;
  for (const Json& peer : status["peers"].items()) {
    ++members;
    in_sync += peer["connected"].boolean() && peer["in_sync"].boolean() ? 1U : 0U;
  }
  if (samples_.empty() || samples_.back().slot < slot) {  // a clock that went back goes on here
    samples_.push_back({slot, 0, 0, in_sync, members});
  }
  while (samples_.back().slot - samples_.front().slot >= static_cast<std::int64_t>(samples_max)) {
    samples_.pop_front();
  }
  Sample& last = samples_.back();
  last.in_sync = std::min(last.in_sync, in_sync);
  last.members = members;
  last.changes += std::exchange(changes_, 0);
  const auto moved = static_cast<std::uint64_t>(status["sent_bytes"].integer() +
                                                status["received_bytes"].integer());
  last.bytes += moved - std::min(moved, moved_);
  moved_ = moved;
}

Json Diary::happenings(std::size_t most) const {
  Json::Array told;
  for (const Happening& happening : happenings_) {
    if (told.size() == most) {
      break;
    }
    told.emplace_back(Json::Object{
        {"time", time_text(happening.time)}, {"kind", happening.kind}, {"text", happening.text}});
  }
  return told;
}

Json Diary::day() const {
  Json::Array told;
  for (const Sample& sample : samples_) {
    told.emplace_back(Json::Object{{"time", time_text(Time(sample.slot * sample_time))},
                                   {"slot", sample.slot},
                                   {"changes", sample.changes},
                                   {"bytes", sample.bytes},
                                   {"in_sync", sample.in_sync},
                                   {"members", sample.members}});
  }
  return told;
}

}  // namespace p2psync::app
