#include "apps/p2psync/log.h"

#include <fmt/chrono.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "apps/p2psync/json.h"

namespace p2psync::app {
namespace {

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(
        message.time.time_since_epoch() % std::chrono::seconds(1));
    const std::time_t seconds = std::chrono::system_clock::to_time_t(message.time);
    const auto level = spdlog::level::to_string_view(message.level);
    const Json line(Json::Object{
        {"time", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), ms.count())},
        {"level", std::string(level.data(), level.size())},
        {"message", std::string(message.payload.data(), message.payload.size())}});
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
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%-5l%$ %v", spdlog::pattern_time_type::utc);
  }
  spdlog::set_default_logger(std::move(logger));
}

void log_note(engine::Note::Level level, std::string_view text) {
  const auto severity = level_of(level);
  if (!spdlog::should_log(severity)) {
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
