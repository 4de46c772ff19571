#include "apps/p2psync/web.h"

#include <algorithm>
#include <array>
#include <utility>

#include "apps/p2psync/metrics.h"
#include "apps/p2psync/page/assets.h"
#include "apps/p2psync/page/compare.h"

namespace p2psync::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* html = "text/html; charset=utf-8";
constexpr const char* json = "application/json";
/// Of bytes that come out of the folder: whatever they are, they run nothing.
constexpr const char* file_policy = "default-src 'none'; sandbox";

HttpAnswer told(unsigned status, const Json& document) {
  return {status, json, document.dump(true) + "\n"};
}

HttpAnswer refused(unsigned status, const char* why) {
  return told(status, Json::Object{{"error", why}});
}

HttpAnswer nothing_here() {
  return {.status = 404, .body = "there is nothing here\n"};
}

HttpAnswer health(const Json& status) {
  if (status["state"].text() != "error") {
    return {.body = "ok\n"};
  }
  std::string why;
  for (const Json& error : status["errors"].items()) {
    const std::string& path = error["path"].text();
    why += to_utf8(path) + (path.empty() ? "" : ": ") + error["message"].text() + "\n";
  }
  return {.status = 503, .body = why.empty() ? "error\n" : why};
}

/// What of a posted document goes on to the node, and as which command.
struct Act {
  std::string_view path;
  const char* command;
  std::array<std::string_view, 5> keys;
};
constexpr std::array acts{
    Act{"/api/resolve", "resolve", {"path", "path_bytes", "keep", "keep_bytes", "seen"}},
    Act{"/api/confirm-deletes", "confirm-deletes", {"undo"}}};

}  // namespace

Web::Web(asio::io_context& context, DiskWork& disk, Node node)
    : disk_(disk),
      node_(std::move(node)),
      later_(context),
      live_(context, [this] { return overview_parts(overview()); }) {}

void Web::answer(const HttpRequest& request, HttpReply reply) {
  request.post ? post(request, reply) : get(request, reply);
}

void Web::changed() {
  live_.changed();
  if (look_waits_) {
    return;
  }
  const auto due = looked_ + look_interval;
  if (Clock::now() >= due) {
    look();
    return;
  }
  look_waits_ = true;
  later_.expires_at(due);
  later_.async_wait([this](asio::error_code error) {
    look_waits_ = false;
    if (!error) {
      look();
    }
  });
}

void Web::look() {
  looked_ = Clock::now();
  const std::uint64_t events = node_.own_events();
  diary_.made(events - std::min(events, own_events_.value_or(events)));
  own_events_ = events;
  diary_.look(std::chrono::system_clock::now(), node_.status(), [this] { return conflicts(); });
}

void Web::stop() {
  later_.cancel();
  live_.stop();
}

void Web::applied(const engine::ApplyDone& done) {
  std::uint64_t changes = 0;
  for (const engine::Applied& job : done.jobs) {
    changes += static_cast<std::uint64_t>(
        std::ranges::count_if(job.results, [](const engine::StepResult& result) {
          return std::holds_alternative<engine::Done>(result);
        }));
  }
  diary_.laid(changes);
}

Overview Web::overview() {
  const auto now = Clock::now();
  if (now - counted_ >= look_interval) {
    counted_ = now;
    lacking_ = node_.lacking();
  }
  Json::Array few = conflicts().items();
  few.resize(std::min(few.size(), conflicts_shown_max));
  return {node_.status(), std::move(few), lacking_, diary_.happenings(happenings_shown_max),
          diary_.day()};
}

Json Web::conflicts() const {
  return Json(node_.ask(Json::Object{{"command", "conflicts"}})["conflicts"].items());
}

Json Web::conflict(const std::string& copy) const {
  if (copy.empty()) {
    return {};
  }
  Json::Object request{{"command", "conflicts"}};
  add_path(request, "copy", copy);
  const Json answer = node_.ask(request);
  const Json::Array& found = answer["conflicts"].items();
  return found.empty() ? Json() : found.front();
}

void Web::get(const HttpRequest& request, const HttpReply& reply) {
  const std::string& path = request.path;
  if (path == "/") {
    reply({200, html, overview_page(overview())});
  } else if (path == "/events") {
    reply(live_.open());
  } else if (path == "/compare") {
    compare(request, reply);
  } else if (path == "/file") {
    picture(request, reply);
  } else if (path == "/style.css") {
    reply({200, "text/css; charset=utf-8", std::string(page_style)});
  } else if (path == "/script.js") {
    reply({200, "text/javascript; charset=utf-8", std::string(page_script)});
  } else if (path == "/icon.svg") {
    reply({200, "image/svg+xml", std::string(page_icon), file_policy});
  } else if (path == "/healthz") {
    reply(health(node_.status()));
  } else if (path == "/metrics") {
    reply({200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(node_.status())});
  } else if (path == "/api/status") {
    reply(told(200, node_.status()));
  } else if (path == "/api/conflicts") {
    reply(told(200, conflicts()));
  } else if (path == "/api/log") {
    reply(log(request));
  } else {
    reply(nothing_here());
  }
}

HttpAnswer Web::log(const HttpRequest& request) const {
  Json::Object question{{"command", "log"}};
  add_path(question, "path", request.query("path"));
  const Json answer = node_.ask(question);
  return answer["error"].is_null() ? told(200, answer["log"]) : told(404, answer);
}

void Web::post(const HttpRequest& request, const HttpReply& reply) {
  const auto act = std::ranges::find(acts, request.path, &Act::path);
  if (act == acts.end() && request.path != "/api/token") {
    reply({.status = 405, .body = "nothing can be posted there\n"});
    return;
  }
  if (!token_.is_in(request.header("Authorization"))) {
    reply(refused(403,
                  "the token is not that of this node, or of an earlier run of it: see "
                  "`p2psync page`"));
    return;
  }
  if (act == acts.end()) {
    reply(told(200, Json::Object{}));
    return;
  }
  const auto document = Json::parse(request.body);
  if (!document || document->members().empty()) {
    reply(refused(400, "not a JSON object"));
    return;
  }
  Json::Object asked{{"command", act->command}};
  for (const std::string_view key : act->keys) {
    if (const Json& value = (*document)[key]; !key.empty() && !value.is_null()) {
      asked.emplace_back(key, value);
    }
  }
  node_.act(std::move(asked), [reply](const Json& answer) {
    reply(told(answer["error"].is_null() ? 200 : 409, answer));
  });
}

/// Within reads_max.
template <class Work, class Done>
void Web::read(const HttpReply& reply, Work work, Done done) {
  if (reads_ == reads_max) {
    reply({.status = 503, .body = "too much at once\n"});
    return;
  }
  ++reads_;
  disk_.read(std::move(work), [this, reply, done = std::move(done)](auto result) {
    --reads_;
    reply(result ? done(std::move(*result))
                 : HttpAnswer{.status = 503, .body = "the node is stopping\n"});
  });
}

void Web::compare(const HttpRequest& request, const HttpReply& reply) {
  const std::string copy = request.query("copy");
  const std::string node = node_.status()["node"].text();
  Json found = conflict(copy);
  if (found.is_null()) {
    reply({404, html, no_conflict_page(node, copy)});
    return;
  }
  read(
      reply,
      [node, found = std::move(found)](storage::Fs& fs) {
        std::optional<Side> name;
        if (!found["name_held_by"].is_null()) {
          name = read_side(fs, path_in(found, "path"));
        }
        return compare_page(node, found, name, read_side(fs, path_in(found, "copy")));
      },
      [](std::string page) { return HttpAnswer{200, html, std::move(page)}; });
}

void Web::picture(const HttpRequest& request, const HttpReply& reply) {
  // Of one side or the other of a conflict, and nothing else that is in the folder.
  const std::string name = request.query("name");
  const Json all = conflict(name).is_null() ? conflicts() : Json();
  const bool named = all.is_null() || std::ranges::any_of(all.items(), [&](const Json& one) {
                       return !one["name_held_by"].is_null() && path_in(one, "path") == name;
                     });
  if (!named) {
    reply(nothing_here());
    return;
  }
  read(
      reply, [name](storage::Fs& fs) { return read_picture(fs, name); },
      [](std::optional<Picture> found) {
        return found
                   ? HttpAnswer{200, std::string(found->type), std::move(found->bytes), file_policy}
                   : nothing_here();
      });
}

}  // namespace p2psync::app
