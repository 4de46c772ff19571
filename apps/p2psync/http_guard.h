#pragma once
// Who may ask over HTTP: what the headers of a request must say before anything is answered. Pure.
//
// A browser runs the pages of other sites, and they may send requests here. Two things tell them
// apart: the name by which this node was asked (a name that somebody else's server has bound to our
// address: DNS rebinding), and what the browser says of the page that asks (Origin and
// Sec-Fetch-*, which no script can set). Programs that are no browser send neither.
#include <set>
#include <string>
#include <string_view>

namespace p2psync::app {

/// What a Host header may say: an address, `localhost` or one of the names. "" (HTTP/1.0) is
/// nobody's page.
[[nodiscard]] bool is_own_host(std::string_view header, const std::set<std::string>& names);

/// Headers of a request; "" for those that it lacks.
struct AskingPage {
  std::string host;    ///< Host
  std::string origin;  ///< Origin
  std::string site;    ///< Sec-Fetch-Site
  std::string mode;    ///< Sec-Fetch-Mode
  std::string to;      ///< Sec-Fetch-Dest
};
/// It comes from a page of this very node, from somebody who typed the address, or from no browser.
/// Elsewhere a link may lead here, and that is all: `reads` is a request that changes nothing.
[[nodiscard]] bool is_own_page(const AskingPage& page, bool reads);

}  // namespace p2psync::app
