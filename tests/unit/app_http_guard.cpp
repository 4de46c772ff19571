#include <doctest/doctest.h>

#include "apps/p2psync/http_guard.h"
#include "apps/p2psync/page/token.h"

using namespace p2psync::app;

TEST_CASE("guard: a node answers by an address, as localhost and by its own names") {
  const std::set<std::string> names{"node1", "alpha.example"};
  for (const char* own : {"", "localhost", "LOCALHOST:7745", "127.0.0.1", "192.0.2.7:7745",
                          "[::1]:80", "[fe80::1]", "node1", "Alpha.Example:7745"}) {
    CHECK_MESSAGE(is_own_host(own, names), own);
  }
  for (const char* other : {"evil.example", "evil.example:7745", "localhost.evil.example",
                            "127.0.0.1.evil.example", "node2", "[evil]", "[::1", "node1.example"}) {
    CHECK_MESSAGE(!is_own_host(other, names), other);
  }
}

TEST_CASE("guard: who asks") {
  struct Case {
    const char* what;
    AskingPage page;
    bool reads;
    bool changes;
  };
  const std::string host = "127.0.0.1:7745";
  const std::string own = "http://" + host;
  for (const Case& asked : {
           Case{"no browser", {host, "", "", "", ""}, true, true},
           Case{
               "an address that was typed", {host, "", "none", "navigate", "document"}, true, true},
           Case{"the page itself", {host, own, "same-origin", "cors", "empty"}, true, true},
           Case{"the page behind TLS",
                {host, "https://" + host, "same-origin", "cors", "empty"},
                true,
                true},
           Case{"a link elsewhere", {host, "", "cross-site", "navigate", "document"}, true, false},
           Case{"a frame elsewhere", {host, "", "cross-site", "navigate", "iframe"}, false, false},
           Case{"a picture elsewhere", {host, "", "cross-site", "no-cors", "image"}, false, false},
           Case{"another port of this host",
                {host, "http://127.0.0.1:80", "same-site", "cors", "empty"},
                false,
                false},
           Case{"a form elsewhere",
                {host, "http://evil.example", "cross-site", "navigate", "document"},
                false,
                false},
           Case{"a sandbox", {host, "null", "cross-site", "cors", "empty"}, false, false},
           Case{
               "an old browser elsewhere", {host, "http://evil.example", "", "", ""}, false, false},
       }) {
    CHECK_MESSAGE(is_own_page(asked.page, true) == asked.reads, asked.what);
    CHECK_MESSAGE(is_own_page(asked.page, false) == asked.changes, asked.what);
  }
}

TEST_CASE("guard: a token is another one each time, and only the whole of it counts") {
  const PageToken token;
  const std::string text = token.text();
  CHECK(text.size() == 64);
  CHECK(text != PageToken().text());
  CHECK(token.is_in("Bearer " + text));
  for (const std::string& wrong :
       {std::string(), text, std::string("Bearer "), "Bearer " + text.substr(1),
        "Bearer " + text + "0", "bearer " + text, "Basic " + text, "Bearer " + std::string(64, '0'),
        "Bearer " + text.substr(0, 63) + (text.back() == '0' ? "1" : "0")}) {
    CHECK_MESSAGE(!token.is_in(wrong), wrong);
  }
}
