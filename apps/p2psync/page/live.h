#pragma once
// Live: pages that are open follow what happens, by server-sent events.
//
// Each is told the parts of the page that differ from what it was told last, soon after something
// has changed, and at least that all is well once a second, so that silence means something. While
// no page is open nothing is drawn and no timer runs; a page that nobody looks at hangs up by
// itself. On the io_context's thread.
//
//   event: part      data: {"id": "members", "html": "<section id=\"members\" ..."}
//   event: beat      data: (nothing)
//
// Limits: 16 pages; 5 drawings a second, each for all of them.
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apps/p2psync/http_server.h"

namespace p2psync::app {

/// A part of the page: an element with this id.
struct Part {
  std::string id;
  std::string html;
};

class Live {
 public:
  static constexpr std::size_t pages_max = 16;
  static constexpr std::chrono::milliseconds beat_interval{1000};
  static constexpr std::chrono::milliseconds draw_interval_min{200};

  using Draw = std::function<std::vector<Part>()>;

  Live(asio::io_context& context, Draw draw);

  /// The answer to somebody who wants to be told. 503: too many are.
  [[nodiscard]] HttpAnswer open();
  /// Something has happened. Costs nothing while no page is open.
  void changed();
  void stop();

 private:
  struct Page {
    std::shared_ptr<HttpStream> stream;
    std::map<std::string, std::string> told;  ///< by id
  };
  void wait_until(std::chrono::steady_clock::time_point at);
  void tell_all();

  Draw draw_;
  asio::steady_timer timer_;
  std::chrono::steady_clock::time_point next_;   ///< when timer_ is set to
  std::chrono::steady_clock::time_point drawn_;  ///< last
  std::list<Page> pages_;
  bool stopped_ = false;
};

}  // namespace p2psync::app
