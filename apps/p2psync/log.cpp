#include "apps/p2psync/log.h"

#include <fmt/chrono.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "apps/p2psync/json.h"

namespace p2psync::app {
namespace {

std::string time_of(const spdlog::details::log_msg& message) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(
      message.time.time_since_epoch() % std::chrono::seconds(1));
  const std::time_t seconds = std::chrono::system_clock::to_time_t(message.time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), ms.count());
}

/// The levels as [log] level names them.
std::string_view name_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::err: return "error";
    case spdlog::level::warn: return "warn";
    case spdlog::level::debug: return "debug";
    default: return "info";
  }
}

std::string_view text_of(const spdlog::details::log_msg& message) {
  return {message.payload.data(), message.payload.size()};
}

class TextFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    fmt::format_to(fmt::appender(out), "{} ", time_of(message));
    message.color_range_start = out.size();
    fmt::format_to(fmt::appender(out), "{:<5}", name_of(message.level));
    message.color_range_end = out.size();
    fmt::format_to(fmt::appender(out), " {}\n", text_of(message));
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<TextFormatter>();
  }
};

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const Json line(Json::Object{{"time", time_of(message)},
                                 {"level", name_of(message.level)},
                                 {"message", text_of(message)}});
    fmt::format_to(fmt::appender(out), "{}\n", line.dump());
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::error: return spdlog::level::err;
    case LogLevel::warn: return spdlog::level::warn;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::debug: return spdlog::level::debug;
  }
  return spdlog::level::info;
}

spdlog::level::level_enum level_of(engine::Note::Level level) {
  switch (level) {
    case engine::Note::Level::error: return spdlog::level::err;
    case engine::Note::Level::warn: return spdlog::level::warn;
    case engine::Note::Level::info: return spdlog::level::info;
    case engine::Note::Level::debug: return spdlog::level::debug;
  }
  return spdlog::level::info;
}

}  // namespace

void set_up_log(const Config& config) {
  auto logger = spdlog::stderr_color_mt("p2psync");
  logger->set_level(level_of(config.log_level));
  if (config.log_format == LogFormat::json) {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger->set_formatter(std::make_unique<TextFormatter>());
  }
  spdlog::set_default_logger(std::move(logger));
}

bool logs(engine::Note::Level level) {
  return spdlog::should_log(level_of(level));
}

void log_note(engine::Note::Level level, std::string_view text) {
  const auto severity = level_of(level);
  if (!logs(level)) {
    return;
  }
  std::string printable;
  for (const char c : to_utf8(text)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      printable += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      printable += c;
    }
  }
  spdlog::log(severity, "{}", printable);
}

}  // namespace p2psync::app
