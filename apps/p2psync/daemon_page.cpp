// What the daemon's page shows of it, and how it is reached.
#include "apps/p2psync/daemon.h"
#include "apps/p2psync/page/lacking.h"
#include "engine/replica.h"

namespace p2psync::app {

Web::Node Daemon::web_node() {
  return {.status = [this] { return status(); },
          .lacking = [this] { return lacking(config_, node_); },
          .own_events = [this] { return node_.replica().newest_own().sequence; },
          .ask = [this](const Json& request) { return answer(request); },
          .act =
              [this](Json request, std::function<void(Json)> done) {
                control_.ask(std::move(request), std::move(done));
              }};
}

Json Daemon::page() const {
  if (!http_.listening()) {
    return Json::Object{{"error", "this node shows no page: see [http] listen, and its log"}};
  }
  Address address = *config_.http;
  if (address.host.empty() || address.host == "0.0.0.0") {
    address.host = "127.0.0.1";
  } else if (address.host == "::") {
    address.host = "::1";
  }
  return Json::Object{{"url", "http://" + address.text() + "/"}, {"token", web_.token()}};
}

}  // namespace p2psync::app
