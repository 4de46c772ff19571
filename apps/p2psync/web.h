#pragma once
// What `[http] listen` shows: which path says what. Reads only; nothing can be changed over HTTP.
//
//   /               the status page               status_page.h
//   /part           what changes of it
//   /healthz        200 "ok", or 503 and why: the state is `error`
//   /metrics        for Prometheus                metrics.h
//   /api/status     the document of `status --json`
//   /api/conflicts  the document of `conflicts --json`, of the first thousand copies
//   /api/log?path=  the document of `log PATH --json`
#include <functional>

#include "apps/p2psync/http_server.h"
#include "apps/p2psync/json.h"

namespace p2psync::app {

/// So many conflict copies are on the page.
inline constexpr std::size_t conflicts_shown_max = 100;

/// `ask`: as over the control socket, what changes nothing.
[[nodiscard]] HttpAnswer show(const HttpRequest& request, const Json& status,
                              const std::function<Json(const Json&)>& ask);

}  // namespace p2psync::app
