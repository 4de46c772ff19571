#pragma once
// What `[http] listen` shows: which path says what.
//
//   /               the status page               page/sections.h
//   /events         what changes of it            page/live.h
//   /compare?copy=  both sides of a conflict      page/compare.h
//   /file?name=     a picture, of a name that conflicts list
//   /style.css /script.js /icon.svg               page/
//   /healthz        200 "ok", or 503 and why: the state is `error`
//   /metrics        for Prometheus                metrics.h
//   /api/status     the document of `status --json`
//   /api/conflicts  the document of `conflicts --json`, of the first thousand copies
//   /api/log?path=  the document of `log PATH --json`
// And to be posted, in JSON, with the token that the control socket gives (page/token.h):
//   /api/token           nothing happens: whether the token is the right one
//   /api/resolve         {"path", "keep", "seen"}, as over the control socket
//   /api/confirm-deletes {"undo"}, as over the control socket
//
// On the io_context's thread; files are read on others, four at a time.
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "apps/p2psync/disk_work.h"
#include "apps/p2psync/http_server.h"
#include "apps/p2psync/json.h"
#include "apps/p2psync/page/diary.h"
#include "apps/p2psync/page/live.h"
#include "apps/p2psync/page/sections.h"
#include "apps/p2psync/page/token.h"

namespace p2psync::app {

class Web {
 public:
  /// The node that it shows.
  struct Node {
    std::function<Json()> status;
    std::function<Json()> lacking;              ///< page/lacking.h
    std::function<std::uint64_t()> own_events;  ///< made by its users since its index began
    /// As over the control socket: what changes nothing, at once; and anything, later.
    std::function<Json(const Json& request)> ask;
    std::function<void(Json request, std::function<void(Json)> done)> act;
  };

  /// Between two looks by the diary, and two counts of what others lack.
  static constexpr std::chrono::seconds look_interval{1};
  static constexpr std::size_t reads_max = 4;

  Web(asio::io_context& context, DiskWork& disk, Node node);

  void answer(const HttpRequest& request, HttpReply reply);
  /// Something has happened to the node.
  void changed();
  void applied(const engine::ApplyDone& done);
  [[nodiscard]] const std::string& token() const { return token_.text(); }
  void stop();

 private:
  void look();
  [[nodiscard]] Overview overview();
  void get(const HttpRequest& request, const HttpReply& reply);
  void post(const HttpRequest& request, const HttpReply& reply);
  [[nodiscard]] HttpAnswer log(const HttpRequest& request) const;
  [[nodiscard]] Json conflicts() const;
  /// The conflict whose copy has this name; null: there is none.
  [[nodiscard]] Json conflict(const std::string& copy) const;
  void compare(const HttpRequest& request, const HttpReply& reply);
  void picture(const HttpRequest& request, const HttpReply& reply);
  template <class Work, class Done>
  void read(const HttpReply& reply, Work work, Done done);

  DiskWork& disk_;
  Node node_;
  PageToken token_;
  Diary diary_;
  asio::steady_timer later_;  ///< for a look that would come too soon
  bool look_waits_ = false;   ///< later_ runs
  Live live_;
  std::chrono::steady_clock::time_point looked_;  ///< by the diary
  std::optional<std::uint64_t> own_events_;       ///< then
  Json lacking_;                                  ///< counted once a second at the most
  std::chrono::steady_clock::time_point counted_;
  std::size_t reads_ = 0;
};

}  // namespace p2psync::app
