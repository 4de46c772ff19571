#pragma once
// The log: spdlog's default logger, to stderr, as [log] says.
//
// Text for people (UTC, colour on a terminal only), or one JSON object a line:
//   {"time":"2026-01-02T03:04:05.678Z","level":"info","message":"..."}
// What cannot be printed in a message (control characters, bytes that are no UTF-8) is escaped, so
// a file's name cannot forge a line. Thread safe.
#include <string_view>

#include "apps/p2psync/config.h"
#include "engine/output.h"

namespace p2psync::app {

void set_up_log(const Config& config);
void log_note(engine::Note::Level level, std::string_view text);
/// Whether it would be logged: for texts that cost something to make.
[[nodiscard]] bool logs(engine::Note::Level level);

}  // namespace p2psync::app
