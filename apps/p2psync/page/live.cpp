#include "apps/p2psync/page/live.h"

#include <algorithm>
#include <utility>

#include "apps/p2psync/json.h"

namespace p2psync::app {

using Clock = std::chrono::steady_clock;

Live::Live(asio::io_context& context, Draw draw) : draw_(std::move(draw)), timer_(context) {}

HttpAnswer Live::open() {
  std::erase_if(pages_, [](const Page& page) { return page.stream->over(); });
  if (stopped_ || pages_.size() >= pages_max) {
    return {.status = 503, .body = "too many pages are open\n"};
  }
  const auto stream = std::make_shared<HttpStream>();
  const bool first = pages_.empty();
  pages_.push_back({stream, {}});
  if (first) {
    wait_until(Clock::now());
  } else {
    changed();
  }
  return {.type = "text/event-stream", .body = {}, .stream = stream};
}

void Live::changed() {
  if (!pages_.empty() && !stopped_) {
    const auto soon = std::max(Clock::now(), drawn_ + draw_interval_min);
    if (soon < next_) {
      wait_until(soon);
    }
  }
}

void Live::stop() {
  stopped_ = true;
  timer_.cancel();
}

void Live::wait_until(Clock::time_point at) {
  next_ = at;
  timer_.expires_at(at);
  timer_.async_wait([this](asio::error_code error) {
    if (!error && !stopped_) {
      tell_all();
    }
  });
}

void Live::tell_all() {
  std::erase_if(pages_, [](const Page& page) { return page.stream->over(); });
  if (pages_.empty()) {
    return;
  }
  const std::vector<Part> parts = draw_();
  for (Page& page : pages_) {
    std::string text;
    for (const Part& part : parts) {
      std::string& told = page.told[part.id];
      if (told != part.html) {
        told = part.html;
        text += "event: part\ndata: " +
                Json(Json::Object{{"id", part.id}, {"html", part.html}}).dump() + "\n\n";
      }
    }
    page.stream->push(text.empty() ? "event: beat\ndata:\n\n" : text);
  }
  drawn_ = Clock::now();
  wait_until(drawn_ + beat_interval);
}

}  // namespace p2psync::app
