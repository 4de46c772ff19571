#include "apps/p2psync/web.h"

#include <algorithm>

#include "apps/p2psync/metrics.h"
#include "apps/p2psync/status_page.h"

namespace p2psync::app {
namespace {

constexpr const char* html = "text/html; charset=utf-8";
constexpr const char* json = "application/json";

Json conflicts(const std::function<Json(const Json&)>& ask) {
  return ask(Json::Object{{"command", "conflicts"}})["conflicts"];
}

Json first_few(const Json& all) {
  Json::Array few = all.items();
  few.resize(std::min(few.size(), conflicts_shown_max));
  return few;
}

HttpAnswer health(const Json& status) {
  if (status["state"].text() != "error") {
    return {200, "text/plain; charset=utf-8", "ok\n"};
  }
  std::string why;
  for (const Json& error : status["errors"].items()) {
    const std::string& path = error["path"].text();
    why += to_utf8(path) + (path.empty() ? "" : ": ") + error["message"].text() + "\n";
  }
  return {503, "text/plain; charset=utf-8", why.empty() ? "error\n" : why};
}

HttpAnswer log(const HttpRequest& request, const std::function<Json(const Json&)>& ask) {
  Json::Object question{{"command", "log"}};
  add_path(question, "path", request.query("path"));
  const Json answer = ask(question);
  return answer["error"].is_null() ? HttpAnswer{200, json, answer["log"].dump(true) + "\n"}
                                   : HttpAnswer{404, json, answer.dump(true) + "\n"};
}

}  // namespace

HttpAnswer show(const HttpRequest& request, const Json& status,
                const std::function<Json(const Json&)>& ask) {
  if (request.path == "/") {
    return {200, html, status_page(status, first_few(conflicts(ask)))};
  }
  if (request.path == "/part") {
    return {200, html, status_part(status, first_few(conflicts(ask)))};
  }
  if (request.path == "/healthz") {
    return health(status);
  }
  if (request.path == "/metrics") {
    return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(status)};
  }
  if (request.path == "/api/status") {
    return {200, json, status.dump(true) + "\n"};
  }
  if (request.path == "/api/conflicts") {
    return {200, json, Json(conflicts(ask).items()).dump(true) + "\n"};
  }
  if (request.path == "/api/log") {
    return log(request, ask);
  }
  return {404, "text/plain; charset=utf-8", "there is nothing here\n"};
}

}  // namespace p2psync::app
